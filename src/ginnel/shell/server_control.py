"""The running server as others see and steer it: rows for its status, and what they ask of it."""

import time
from collections.abc import Callable, Iterator, Sequence

from ginnel.compat.server_status import ClientRow, RouteRow, ServerStatus, status_lines
from ginnel.compat.versions import title
from ginnel.core.server_actions import ClientFacts, ClientId
from ginnel.core.types import Endpoint, Transport
from ginnel.dataplane.api import DataPlane
from ginnel.options.model import DeviceType
from ginnel.options.server_model import ServerOptions
from ginnel.shell.clients import Client, Clients, addresses_of, client_name, iroutes_of
from ginnel.shell.server_drive import ServerDrive
from ginnel.shell.server_frontend import LoadStats, Traffic

KILLED = "management-kill"
"""Why a client ended that somebody threw out."""


class Control:
    """Implements ``server_frontend.ServerControl`` for one run of the server."""

    def __init__(
        self,
        options: ServerOptions,
        clients: Clients,
        drive: ServerDrive,
        data_plane: DataPlane,
    ) -> None:
        self._options = options
        self._clients = clients
        self._drive = drive
        self._data_plane = data_plane
        self._past_in = 0
        self._past_out = 0

    def status(self, version: int) -> Iterator[str]:
        """The lines of the status file, and of the answer to SIGUSR2."""
        shown = ServerStatus(
            title=title(),
            now=int(time.time()),
            clients=self.clients(),
            routes=self.routes(),
            broadcast_queue=self.broadcast_queue(),
        )
        return status_lines(shown, version, local_time)

    # --- rows ----------------------------------------------------------------------------------

    def clients(self) -> Iterator[ClientRow]:
        for client in self._clients:
            if not client.over:
                yield self._row(client)

    def routes(self) -> Iterator[RouteRow]:
        for client in self._clients:
            if client.agreed is None or client.over:
                continue
            for address in (*addresses_of(client.agreed), *iroutes_of(client.agreed)):
                yield self._route(client, str(address))
        if self._options.tun.dev_type is not DeviceType.TAP:
            return
        now = time.time()
        for learned in self._data_plane.learned():
            owner = self._clients.by_peer(learned.peer_id)
            if owner is not None:
                shown = ":".join(f"{byte:02x}" for byte in learned.address)
                vlan = f"@{learned.vlan}" if learned.vlan else ""
                yield self._route(owner, f"{shown}{vlan}", int(now - learned.age))

    def traffic(self) -> Iterator[Traffic]:
        for client in self._clients:
            if client.peer_added:
                counters = self._drive.counters(client)
                yield Traffic(
                    client_id=client.id,
                    received=counters.link_read_bytes,
                    sent=counters.link_write_bytes,
                )

    def broadcast_queue(self) -> int:
        return 0  # broadcasts go to the peers' own queues at once

    def load_stats(self) -> LoadStats:
        moved = tuple(self.traffic())
        return LoadStats(
            clients=sum(client.connected_at is not None for client in self._clients),
            bytes_in=self._past_in + sum(item.received for item in moved),
            bytes_out=self._past_out + sum(item.sent for item in moved),
        )

    def facts(self, client_id: ClientId) -> ClientFacts | None:
        client = self._clients.by_id(client_id)
        return None if client is None else client.facts

    def _row(self, client: Client) -> ClientRow:
        counters = self._drive.counters(client)
        facts, agreed = client.judged or client.facts, client.agreed
        own = () if agreed is None else addresses_of(agreed)
        return ClientRow(
            common_name=client.common_name or facts.common_name,
            real_address=real_address(client.remote),
            virtual_ip4=next((str(a) for a in own if a.version == 4), ""),
            virtual_ip6=next((str(a) for a in own if a.version == 6), ""),
            received=counters.link_read_bytes,
            sent=counters.link_write_bytes,
            since=int(client.began),
            username=facts.username,
            client_id=client.id,
            peer_id=client.peer_id,
            cipher=self._cipher(client),
        )

    def _cipher(self, client: Client) -> str:
        if client.agreed is not None:
            return client.agreed.agreement.cipher.value
        data = self._options.data
        return data.data_ciphers_fallback or data.configured_cipher or "BF-CBC"

    def _route(self, client: Client, address: str, used: int | None = None) -> RouteRow:
        return RouteRow(
            address=address,
            common_name=client.common_name,
            real_address=real_address(client.remote),
            last_used=int(client.began) if used is None else used,
        )

    # --- wishes --------------------------------------------------------------------------------

    def kill_by_name(self, common_name: str) -> int:
        waiting = (
            client
            for client in self._clients
            if client.judged is not None and client.judged.common_name == common_name
        )
        return self._kill((*self._clients.named(common_name), *waiting))

    def kill_by_address(self, remote: Endpoint, transport: Transport | None) -> int:
        return self._kill(
            client
            for client in self._clients
            if client.remote == remote and transport in {None, client.transport}
        )

    def _kill(self, victims: "Sequence[Client] | Iterator[Client]") -> int:
        count = 0
        for client in victims:
            self._drive.close(client, KILLED)
            count += 1
        return count

    def restart_client(self, client_id: ClientId, message: str) -> bool:
        return self._with(client_id, lambda client: self._drive.restart(client, message))

    def refuse(self, client_id: ClientId, client_reason: str) -> bool:
        return self._with(client_id, lambda client: self._drive.refuse(client, client_reason))

    def _with(self, client_id: ClientId, wish: Callable[[Client], None]) -> bool:
        client = self._clients.by_id(client_id)
        if client is None:
            return False
        wish(client)
        return True

    def push_update(self, client_id: ClientId, options: Sequence[str]) -> bool:
        client = self._clients.by_id(client_id)
        return client is not None and self._drive.update(client, tuple(options))

    def push_update_all(self, options: Sequence[str]) -> int:
        return sum(self._drive.update(client, tuple(options)) for client in self._clients)

    # --- what happens --------------------------------------------------------------------------

    def client_added(self, client: Client) -> None:
        """Nothing to count yet."""

    def client_gone(self, client: Client) -> None:
        """Keeps the counters of those that are gone."""
        counters = self._drive.counters(client)
        self._past_in += counters.link_read_bytes
        self._past_out += counters.link_write_bytes


def real_address(remote: Endpoint) -> str:
    """OpenVPN 2.6 shows the port of IPv4 addresses only."""
    address = remote.address
    if address.version == 6 and address.ipv4_mapped is None:
        return str(address)
    return client_name("", remote)


def local_time(unix_time: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_time))
