"""What a server's program sees of the management interface: verdicts, and whom to tell of clients.

A client's interface (``frontend``) with what servers have besides; the shell knows it only as its
own ``ServerFrontend`` protocol.
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_network

from ginnel.compat.versions import title
from ginnel.core.server_actions import ClientFacts, ClientId
from ginnel.core.types import Endpoint, Instant
from ginnel.management.desk import ClientDesk
from ginnel.management.frontend import Log, ManagementFrontend
from ginnel.management.settings import ManagementSettings, settings_from
from ginnel.management.state import StateRecord
from ginnel.options.model import ClientOptions, ManagementOptions
from ginnel.shell.clock import monotonic_now, unix_now
from ginnel.shell.logging_setup import local_time_text
from ginnel.shell.server_frontend import Allowed, Denied, ServerControl
from ginnel.shell.server_hooks import Pend


class ServerManagementFrontend(ManagementFrontend):
    """Implements ``shell.server_frontend.ServerFrontend``."""

    hears_clients = True

    def __init__(
        self,
        settings: ManagementSettings,
        *,
        log: Log,
        clock: Callable[[], Instant],
        wall_clock: Callable[[], int],
        time_text: Callable[[int], str],
    ) -> None:
        self._desk = ClientDesk(
            title=title, wall_clock=wall_clock, time_text=time_text, log=log.log
        )
        super().__init__(
            settings,
            log=log,
            clock=clock,
            wall_clock=wall_clock,
            local_time=lambda: time_text(wall_clock()),
            server=self._desk,
        )
        self._announced: set[ClientId] = set()
        """Clients that the interface was asked about: it hears of their addresses and their end."""
        self._established: set[ClientId] = set()

    def configure(self, options: ClientOptions) -> None:
        """Takes what commands show from the options of the server's own tunnel."""
        super().configure(options)
        self._desk.status_version = options.process.status_version

    def serve(self, control: ServerControl | None) -> None:
        """A run begins, or with None ends: commands about clients exist in between only."""
        self._desk.control = control
        if control is None:
            self._session.pause()
        else:
            self._session.begin()

    def addresses_assigned(self, tun_ip4: str, tun_ip6: str) -> None:
        """Our end of the tunnel has its addresses."""
        when = self._wall_clock()
        record = StateRecord(when=when, name="ASSIGN_IP", tun_ip4=tun_ip4, tun_ip6=tun_ip6)
        self._enter(record)

    def server_started(
        self, *, with_errors: bool, tun_ip4: str, tun_ip6: str, local: Endpoint | None
    ) -> None:
        """Clients may come."""
        record = StateRecord(
            when=self._wall_clock(),
            name="CONNECTED",
            detail="ROUTE_ERROR" if with_errors else "SUCCESS",
            tun_ip4=tun_ip4,
            tun_ip6=tun_ip6,
            local_ip="" if local is None else str(local.address),
            local_port="" if local is None else str(local.port),
        )
        self._enter(record)

    # --- clients -------------------------------------------------------------------------------

    async def judge(
        self, client: ClientFacts, environment: Mapping[str, str], pend: Pend, *, is_first: bool
    ) -> Allowed | Denied:
        """Asks for ``client-auth`` or ``client-deny``, and waits."""
        event = "CONNECT" if is_first else "REAUTH"

        def announce() -> None:
            self._announced.add(client.client_id)
            self._announce(f"{event},{client.client_id},{client.key_number}", client, environment)

        return await self._desk.judge(client, pend, announce)

    def client_address(self, client_id: ClientId, address: str, *, is_primary: bool) -> None:
        """An address leads to a client; told of those that were asked about, as OpenVPN does."""
        if client_id in self._announced:
            self._session.client_address(client_id, _shown(address), is_primary=is_primary)
            self._server.pump()

    def client_established(self, client: ClientFacts, environment: Mapping[str, str]) -> None:
        """Data flows."""
        self._established.add(client.client_id)
        event = f"ESTABLISHED,{client.client_id}"
        self._session.client_event(event, environment, clients=len(self._established))
        self._server.pump()

    def client_answered(
        self, client: ClientFacts, response: str, environment: Mapping[str, str]
    ) -> None:
        """The client answered a question."""
        event = f"CR_RESPONSE,{client.client_id},{client.key_number},{response}"
        self._announce(event, client, environment)

    def client_leaves(self) -> None:
        """A client said goodbye; OpenVPN does not tell which."""
        self._session.notification("info", "remote-exit", "EXIT")
        self._server.pump()

    def client_gone(self, client: ClientFacts, environment: Mapping[str, str]) -> None:
        """The client is gone; told of those that were asked about."""
        self._established.discard(client.client_id)
        if client.client_id in self._announced:
            self._announced.discard(client.client_id)
            self._session.client_event(f"DISCONNECT,{client.client_id}", environment)
        self._server.pump()

    def _announce(self, event: str, client: ClientFacts, environment: Mapping[str, str]) -> None:
        """Shows an event that waits for a decision, with what the client told of itself."""
        self._session.client_event(
            event, environment, clients=len(self._established), peer_info=client.peer_info
        )
        self._server.pump()


def make_server_frontend(options: ManagementOptions, log: Log) -> ServerManagementFrontend:
    """Makes the interface that a server's options ask for. Raises ConfigError."""
    settings = settings_from(options)
    assert settings is not None, "asked for only when there is an address"
    return ServerManagementFrontend(
        settings,
        log=log,
        clock=monotonic_now,
        wall_clock=unix_now,
        time_text=local_time_text,
    )


def _shown(address: str) -> str:
    """Renders an address as the interface does: IPv4 networks with a netmask."""
    if "/" in address and ":" not in address:
        return str(ip_network(address, strict=False).with_netmask)
    return address
