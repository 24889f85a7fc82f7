"""The interface for other packages: what an authenticator is given, and what it may leave out."""

import pytest

from ginnel.hooks import Allow, Authenticator, Deny, Login, Visit, Visitor
from ginnel.options.values import Secret
from tests.unit.shell.loops import run

VISITOR = Visitor(number=1, username="ada", common_name="", address="192.0.2.1", port=4000)


async def answer(text: str, echo: bool, seconds: int) -> str:
    return f"{text} {echo} {seconds}"


def login(password: bytes = b"secret word") -> Login:
    return Login(visitor=VISITOR, secret=Secret(password), is_first=True, question=answer)


def test_a_login_shows_its_password_only_when_asked() -> None:
    made = login()
    assert (made.username, made.password) == ("ada", "secret word")
    assert "secret word" not in repr(made)
    assert login(b"\xff").password == "\udcff"
    assert run(made.ask("Code?", echo=False, seconds=5)) == "Code? False 5"


def test_an_authenticator_hears_nothing_unless_it_wants_to() -> None:
    async def work() -> None:
        silent = Authenticator()
        await silent.connected(VISITOR)
        await silent.address_learned(VISITOR, "10.8.0.4", added=True)
        visit = Visit(received=0, sent=0, seconds=0.0, reason="")
        await silent.disconnected(VISITOR, visit)
        silent.close()
        with pytest.raises(TypeError, match="Authenticator judges nothing"):
            await silent.authenticate(login())

    run(work())


def test_decisions_say_as_little_as_wanted() -> None:
    assert Allow() == Allow(username="", options=())
    assert Deny().reason == ""
