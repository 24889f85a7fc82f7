"""Logins for authenticators to judge."""

from ginnel.hooks import Login, Visitor
from ginnel.options.values import Secret


async def nobody(_text: str, _echo: bool, _seconds: int) -> str:
    raise LookupError("nobody is asked here")


def login(username: str = "ada", password: bytes = b"secret word") -> Login:
    visitor = Visitor(number=1, username=username, common_name="", address="192.0.2.10", port=4001)
    return Login(visitor=visitor, secret=Secret(password), is_first=True, question=nobody)
