"""Judging logins and hearing of a server's clients, in Python: the interface for other packages.

An authenticator is a class with a factory, which an entry point of ``ginnel.authenticators`` names;
``ginnel-authenticator NAME [word ...]`` in a server's configuration puts it to use. The factory
gets the words. Everything here keeps its meaning from release to release.

Methods are coroutines in the server's loop and must not block it: slow work belongs into
``asyncio.to_thread`` or a process. What they raise is logged and refuses that one client.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from ginnel.dataclass import dataclass, field
from ginnel.options.values import Secret

ENTRY_POINTS = "ginnel.authenticators"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The client may in."""

    username: str = ""
    """The name that it goes by from now on, if not the one that it sent."""
    options: tuple[str, ...] = ()
    """Options for it, as lines of a file of ``client-config-dir``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The client may not in."""

    reason: str = ""
    """Told to the client; empty says nothing but that it is refused."""


Decision = Allow | Deny


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who a client is, as far as that is known."""

    number: int
    """Of this client; no other one of the process has it."""
    username: str
    common_name: str
    """Of its certificate; empty without one."""
    address: str
    port: int
    peer_info: Mapping[str, str] = field(default_factory=dict)
    """What the client says about itself: ``IV_VER``, ``IV_PLAT`` …"""
    tunnel_ipv4: str | None = None
    tunnel_ipv6: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login to judge."""

    visitor: Visitor
    secret: Secret
    is_first: bool
    """False when a connected client renews its keys: do not ask it questions then."""
    question: Callable[[str, bool, int], Awaitable[str]]

    @property
    def username(self) -> str:
        return self.visitor.username

    @property
    def password(self) -> str:
        """The password as text. Bytes that are no UTF-8 come as lone surrogates."""
        return self.secret.reveal().decode("utf-8", "surrogateescape")

    async def ask(self, text: str, *, echo: bool = True, seconds: int = 60) -> str:
        """Asks the person at the other end, such as for a code, and returns the answer.

        Raises LookupError when the client cannot be asked, TimeoutError when nobody answers.
        """
        return await self.question(text, echo, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What became of a client that is gone."""

    received: int
    """Bytes from the client."""
    sent: int
    seconds: float
    reason: str


class Authenticator:
    """Judges logins; the other methods may be left as they are."""

    async def authenticate(self, login: Login) -> Decision:
        """Judges user name and password. Everyone who is configured must allow a client."""
        raise TypeError(f"{type(self).__name__} judges nothing")

    async def connected(self, visitor: Visitor) -> None:
        """Hears that a client is connected."""

    async def disconnected(self, visitor: Visitor, visit: Visit) -> None:
        """Hears that a client which was connected is gone."""

    async def address_learned(self, visitor: Visitor, address: str, *, added: bool) -> None:
        """Hears which addresses and networks lead to a client, or no longer do."""

    def close(self) -> None:
        """The server ends, or reads its configuration anew."""


Factory = Callable[[Sequence[str]], Authenticator]
"""Makes an authenticator of the words after its name; raises ValueError for wrong ones.

It runs while the server still has the rights that it was started with.
"""
