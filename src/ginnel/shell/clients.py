"""The clients of a server: who there is, found by number, address and name.

Not responsible for what becomes of them: that is their machines' and ``shell.server_drive``'s.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Iterator

from ginnel.core.server_actions import AgreedClient, ClientFacts, ClientId
from ginnel.core.types import (
    Endpoint,
    Instant,
    IPAddress,
    IPNetwork,
    PeerId,
    Transport,
)
from ginnel.dataplane.api import LinkId, PeerStats
from ginnel.shell.peer_log import PeerLog
from ginnel.shell.server_machine import ServerMachineLike

Where = tuple[LinkId, Endpoint | None]
"""A link and an address there; None on a stream, which has one client."""

INBOX = 32
"""Control packets of one client that wait for their turn; more are dropped, and sent again."""


class Client:
    """One client from its first packet to its end."""

    __slots__ = (
        "_name",
        "agreed",
        "began",
        "common_name",
        "connected_at",
        "control_read",
        "control_written",
        "counters",
        "draining",
        "id",
        "inbox",
        "judged",
        "link",
        "link_gone",
        "local",
        "log",
        "machine",
        "over",
        "peer_added",
        "peer_id",
        "queued",
        "remote",
        "served",
        "tasks",
        "transport",
    )

    def __init__(
        self,
        *,
        client_id: ClientId,
        peer_id: PeerId,
        link: LinkId,
        remote: Endpoint,
        local: IPAddress | None,
        transport: Transport,
        machine: ServerMachineLike,
        log: PeerLog,
        began: float,
    ) -> None:
        """``began`` is in seconds of the unix clock; ``local`` is known with ``multihome``."""
        self.id = client_id
        self.peer_id = peer_id
        self.link = link
        self.remote = remote
        self.local = local
        self.transport = transport
        self.machine = machine
        self.log = log
        self.began = began
        self.connected_at: Instant | None = None
        """When data began to flow."""
        self.common_name = ""
        """Set once it has proved who it is."""
        self.judged: ClientFacts | None = None
        """Who it says it is, while its first login is judged."""
        self.agreed: AgreedClient | None = None
        """Set once it is in the data plane."""
        self.served = False
        """True once addresses and scripts were asked for it: its end must be told there."""
        self.peer_added = False
        self.link_gone = False
        """True once the data plane has let go of its stream."""
        self.counters = PeerStats()
        """The data plane's last ones, once it is gone from there."""
        self.control_read = 0
        self.control_written = 0
        """Bytes of the link that were no data."""
        self.inbox: deque[tuple[bytes, Endpoint | None]] | None = None
        self.queued = False
        """True while it waits for its turn."""
        self.draining = False
        self.over = False
        self.tasks: set[asyncio.Task[None]] | None = None
        self._name: str | None = None

    @property
    def where(self) -> Where:
        """Where its packets come from."""
        return self.link, (self.remote if self.transport is Transport.UDP else None)

    @property
    def facts(self) -> ClientFacts:
        """Who it is, as far as is known."""
        return self.machine.facts

    @property
    def name(self) -> str:
        """How the log calls it: ``client1/192.0.2.7:1194``, without a name before it has one."""
        name = self._name
        if name is None:
            name = self._name = client_name(self.common_name, self.remote)
        return name

    def renamed(self) -> None:
        """Its common name or its address changed."""
        self._name = None

    def task_ended(self, task: asyncio.Task[None]) -> None:
        """Forgets a task, and the set once it is empty: most clients have nothing under way."""
        if self.tasks is not None:
            self.tasks.discard(task)
            if not self.tasks:
                self.tasks = None

    def take(self, packet: bytes, source: Endpoint | None) -> bool:
        """Puts a packet where it waits for the client's turn; False when too many do."""
        if self.inbox is None:
            self.inbox = deque()
        if len(self.inbox) >= INBOX:
            return False
        self.inbox.append((packet, source))
        return True


def client_name(common_name: str, remote: Endpoint) -> str:
    """OpenVPN's name of a client; IPv4 in IPv6 shows as IPv4."""
    address = remote.address
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    place = f"{address}:{remote.port}"
    return f"{common_name}/{place}" if common_name else place


class Clients:
    """See the module."""

    def __init__(self) -> None:
        self._by_id: dict[ClientId, Client] = {}
        self._by_peer: dict[PeerId, Client] = {}
        self._by_where: dict[Where, Client] = {}
        self._by_name: dict[str, list[Client]] = {}
        self._next_id = 0
        self._next_peer = 0
        self._free_peers: list[int] = []

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Client]:
        """All clients, in the order they came; a copy, so that they may end meanwhile."""
        return iter(tuple(self._by_id.values()))

    def new_ids(self) -> tuple[ClientId, PeerId]:
        """Takes the next client id and the lowest peer-id that is free."""
        client_id = ClientId(self._next_id)
        self._next_id += 1
        if self._free_peers:
            return client_id, PeerId(heapq.heappop(self._free_peers))
        self._next_peer += 1
        return client_id, PeerId(self._next_peer - 1)

    def give_back(self, peer_id: PeerId) -> None:
        """Frees a peer-id whose client never came to be."""
        heapq.heappush(self._free_peers, peer_id)

    def add(self, client: Client) -> None:
        self._by_id[client.id] = client
        self._by_peer[client.peer_id] = client
        self._by_where[client.where] = client

    def remove(self, client: Client) -> None:
        """Forgets the client; its peer-id is free again."""
        if self._by_id.pop(client.id, None) is None:
            return
        self._by_peer.pop(client.peer_id, None)
        self._leave_place(client)
        if client.common_name:
            self._unname(client)
        self.give_back(client.peer_id)

    def name(self, client: Client, common_name: str) -> None:
        """The client has proved who it is."""
        if client.common_name == common_name:
            return
        if client.common_name:
            self._unname(client)
        client.common_name = common_name
        client.renamed()
        if common_name:
            self._by_name.setdefault(common_name, []).append(client)

    def _unname(self, client: Client) -> None:
        named = self._by_name[client.common_name]
        named.remove(client)
        if not named:
            del self._by_name[client.common_name]

    def move(
        self, client: Client, link: LinkId, remote: Endpoint, local: IPAddress | None
    ) -> Client | None:
        """The client floated; returns another one that was known at its new place."""
        self._leave_place(client)
        client.link, client.remote, client.local = link, remote, local
        client.renamed()
        replaced = self._by_where.get(client.where)
        self._by_where[client.where] = client
        return replaced if replaced is not client else None

    def _leave_place(self, client: Client) -> None:
        """Forgets where a client was, unless somebody else is known there by now."""
        if self._by_where.get(client.where) is client:
            del self._by_where[client.where]

    def by_id(self, client_id: ClientId) -> Client | None:
        return self._by_id.get(client_id)

    def by_peer(self, peer_id: PeerId) -> Client | None:
        return self._by_peer.get(peer_id)

    def at(self, where: Where) -> Client | None:
        return self._by_where.get(where)

    def named(self, common_name: str) -> tuple[Client, ...]:
        """All that bear the name, the oldest first."""
        return tuple(self._by_name.get(common_name, ()))


def addresses_of(agreed: AgreedClient) -> tuple[IPAddress, ...]:
    """The client's own addresses in the tunnel."""
    config, terms = agreed.terms.config, agreed.terms
    found: list[IPAddress] = []
    if terms.ifconfig is not None:
        found.append(config.ifconfig_push_alias or terms.ifconfig[0])
    if terms.ifconfig_ipv6 is not None:
        found.append(terms.ifconfig_ipv6[0].ip)
    return tuple(found)


def iroutes_of(agreed: AgreedClient) -> tuple[IPNetwork, ...]:
    """The networks behind the client."""
    config = agreed.terms.config
    return (*config.iroutes, *config.iroutes_ipv6)
