"""What answers the questions of clients' machines: the seam between the server and who may in.

``shell.admission`` implements it. Each call runs in a task of its own, as long as it takes; the
client's end cancels it. None of them may block the loop.
"""

from collections.abc import Callable

from ginnel.core.actions import CertificateInfo, Done, Failed
from ginnel.core.server_actions import (
    Admitted,
    AgreedClient,
    AnswerChallenge,
    Authenticate,
    ClientFacts,
    ClientTerms,
    ConnectClient,
    Refused,
    VerifyClientKey,
)
from ginnel.dataclass import dataclass
from ginnel.dataplane.api import PeerStats
from ginnel.hints import Protocol

Pend = Callable[[int, str], bool]
"""Asks the client for patience (AUTH_PENDING): seconds, and what it is told besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """How a client ended, for scripts, hooks and the log."""

    facts: ClientFacts
    """Who it was, as far as that was known at the end."""
    agreed: AgreedClient | None
    """None when it never got as far as the data plane."""
    counters: PeerStats
    began: float
    """Unix time of its connection (``ClientConnected``), or of its first packet."""
    duration: float
    """Seconds since then."""
    reason: str
    """A soft signal's text, such as ``ping-restart``."""


class ServerHooks(Protocol):
    """See the module. An exception ends the one client that it came up for."""

    async def verify_client_key(self, action: VerifyClientKey) -> Done | Failed:
        """Judges what a tls-crypt-v2 client key says (``tls-crypt-v2-verify``)."""
        ...

    async def verify_certificates(
        self, client: ClientFacts, chain: tuple[CertificateInfo, ...]
    ) -> Done | Failed:
        """Judges a chain that is valid already (``tls-verify``)."""
        ...

    async def authenticate(self, action: Authenticate, pend: Pend) -> Admitted | Refused | Failed:
        """Judges user name and password."""
        ...

    async def connect(self, action: ConnectClient) -> ClientTerms | Refused | Failed:
        """Settles what the client gets, its addresses among it; these are its own until
        ``disconnected``, which is told of each client that got as far as this call."""
        ...

    async def answer_challenge(self, action: AnswerChallenge) -> Done | Failed:
        """Takes the client's answer to a question (``CR_RESPONSE``)."""
        ...

    @property
    def hears_connections(self) -> bool:
        """Whether ``connected`` does anything: a task for each client takes its time."""
        ...

    async def connected(self, agreed: AgreedClient) -> None:
        """Data flows: ``learn-address add``, hooks."""
        ...

    async def moved(self, agreed: AgreedClient) -> None:
        """The client floated; ``agreed`` has the new address."""
        ...

    async def learnt(self, agreed: AgreedClient, address: str, *, added: bool) -> None:
        """An address was learnt from the client's traffic, or forgotten (tap, iroutes)."""
        ...

    async def disconnected(self, departure: Departure) -> None:
        """The client is gone. Not cancelled by its end; the server's own end waits for it."""
        ...
