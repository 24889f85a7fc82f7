"""What steers a running server besides signals, judges its clients and hears of them.

Two protocols that meet here: what the shell tells the management interface (``ServerFrontend``,
implemented above the shell by ``management.server_frontend``), and what the interface may ask of
the server (``ServerControl``, implemented by the shell). The rows it shows are
``compat.server_status``'s.
"""

from collections.abc import Iterable, Mapping, Sequence

from ginnel.compat.server_status import ClientRow, RouteRow
from ginnel.core.server_actions import ClientFacts, ClientId
from ginnel.core.types import Endpoint, Transport
from ginnel.dataclass import dataclass
from ginnel.hints import Protocol
from ginnel.shell.frontend import Frontend, Unattended
from ginnel.shell.server_hooks import Pend


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStats:
    """Sums over all clients since the process began."""

    clients: int = 0
    """Those that are connected now, without those that are still being let in."""
    bytes_in: int = 0
    """From the link."""
    bytes_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one client moved over the link since it came."""

    client_id: ClientId
    received: int
    sent: int


class ServerControl(Protocol):
    """What the interface may ask of the server. Nothing here blocks; unknown clients are no error.

    Iterables may be lazy: they are read in pieces while clients come and go, and skip the gone.
    """

    def clients(self) -> Iterable[ClientRow]:
        """All clients, also those that are still being let in."""
        ...

    def routes(self) -> Iterable[RouteRow]:
        """The inner addresses that lead to clients."""
        ...

    def traffic(self) -> Iterable[Traffic]:
        """Counters of the connected clients."""
        ...

    def broadcast_queue(self) -> int:
        """Greatest length of the queue for broadcasts."""
        ...

    def load_stats(self) -> LoadStats: ...

    def kill_by_name(self, common_name: str) -> int:
        """Ends the clients of that name at once; returns how many there were."""
        ...

    def kill_by_address(self, remote: Endpoint, transport: Transport | None) -> int:
        """Ends the client at that address (None: of either transport); returns how many."""
        ...

    def restart_client(self, client_id: ClientId, message: str) -> bool:
        """Sends RESTART or what else ``message`` says (``HALT,bye``), then ends the client."""
        ...

    def refuse(self, client_id: ClientId, client_reason: str) -> bool:
        """Ends a client that is connected with AUTH_FAILED; the text may be empty."""
        ...

    def facts(self, client_id: ClientId) -> ClientFacts | None:
        """Who that is now; None for a client that is gone."""
        ...

    def push_update(self, client_id: ClientId, options: Sequence[str]) -> bool:
        """Changes options of a connected client; False when it is gone or cannot (PUSH_UPDATE)."""
        ...

    def push_update_all(self, options: Sequence[str]) -> int:
        """The same for all; returns to how many it was sent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """``client-auth``: the client may in."""

    config: tuple[str, ...] = ()
    """Lines as in a file of ``client-config-dir``, not yet parsed: for ``ConnectClient``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """``client-deny``."""

    reason: str
    """For the log."""
    client_reason: str | None = None
    """For the client, behind ``AUTH_FAILED,``; None tells it no reason."""


class ServerFrontend(Frontend, Protocol):
    """One for the life of the process, over reloads.

    ``configure`` gets the options of the server's own tunnel; ``drive``, ``link_opened`` and
    ``notice`` are a client's and not called. Environments are what a script would be told; the
    interface shows them in OpenVPN's order and cleans the values.
    """

    @property
    def hears_clients(self) -> bool:
        """Whether anything becomes of environments; to put one together takes its time."""
        ...

    def serve(self, control: ServerControl | None) -> None:
        """From now on this is the server to steer; None between two runs and after the last."""
        ...

    def addresses_assigned(self, tun_ip4: str, tun_ip6: str) -> None:
        """Hears the addresses of our end of the tunnel (state ASSIGN_IP); empty for none."""
        ...

    def server_started(
        self, *, with_errors: bool, tun_ip4: str, tun_ip6: str, local: Endpoint | None
    ) -> None:
        """The server is ready for clients (state CONNECTED); ``local`` where it is bound."""
        ...

    async def judge(
        self, client: ClientFacts, environment: Mapping[str, str], pend: Pend, *, is_first: bool
    ) -> Allowed | Denied:
        """Asks whether the client may in or stay (``management-client-auth``).

        Waits for ever: the caller's task is cancelled when the client goes, as it does when its
        hand-window is over.
        """
        ...

    def client_address(self, client_id: ClientId, address: str, *, is_primary: bool) -> None:
        """Hears an address that leads to the client: ``10.8.0.6``, ``10.9.0.0/16``."""
        ...

    def client_established(self, client: ClientFacts, environment: Mapping[str, str]) -> None:
        """Hears that data flows."""
        ...

    def client_answered(
        self, client: ClientFacts, response: str, environment: Mapping[str, str]
    ) -> None:
        """Hears an answer to a question (``CR_RESPONSE``, base64)."""
        ...

    def client_leaves(self) -> None:
        """Hears that some client said goodbye; its end follows."""
        ...

    def client_gone(self, client: ClientFacts, environment: Mapping[str, str]) -> None:
        """Hears that a client is gone; also one that never got in."""
        ...


class UnattendedServer(Unattended):
    """No interface: nobody judges, nothing is heard."""

    hears_clients = False

    def serve(self, control: ServerControl | None) -> None:
        """Nobody steers."""

    def addresses_assigned(self, tun_ip4: str, tun_ip6: str) -> None:
        """Nobody listens."""

    def server_started(
        self, *, with_errors: bool, tun_ip4: str, tun_ip6: str, local: Endpoint | None
    ) -> None:
        """Nobody listens."""

    async def judge(
        self, client: ClientFacts, environment: Mapping[str, str], pend: Pend, *, is_first: bool
    ) -> Allowed | Denied:
        raise AssertionError("nothing is asked here")

    def client_address(self, client_id: ClientId, address: str, *, is_primary: bool) -> None:
        """Nobody listens."""

    def client_established(self, client: ClientFacts, environment: Mapping[str, str]) -> None:
        """Nobody listens."""

    def client_answered(
        self, client: ClientFacts, response: str, environment: Mapping[str, str]
    ) -> None:
        """Nobody listens."""

    def client_leaves(self) -> None:
        """Nobody listens."""

    def client_gone(self, client: ClientFacts, environment: Mapping[str, str]) -> None:
        """Nobody listens."""
