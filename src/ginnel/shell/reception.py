"""Where everything that clients send arrives, and where new ones are let in.

Packets of control come from the data plane and are laid before the machine of the client they are
for, a few at a time and in turn, so that a handshake never waits for all of somebody else's; those
of strangers go to the ``Listener``, which keeps nothing of them. No more is read while too much
waits: the data plane drops the rest, and what was dropped is sent again.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from traceback import format_exception

from ginnel.compat import server_lines, shell_lines
from ginnel.core.errors import DataPlaneError
from ginnel.core.events import (
    DataPlaneEvent,
    DecryptFailed,
    FramingMismatch,
    Inactive,
    KeyExhausted,
    LinkLost,
    OccReceived,
    PathMtuFound,
    PeerSilent,
)
from ginnel.core.listener import Admission, Dropped, Reply, Welcome
from ginnel.core.server_actions import ClientId
from ginnel.core.types import Endpoint, Instant, IPAddress, KeyId, PeerId, Transmit, Transport
from ginnel.core.wire import is_hard_reset
from ginnel.dataclass import dataclass
from ginnel.dataplane.api import (
    ControlPacket,
    DataPlane,
    LinkId,
    Notification,
    NotificationKind,
)
from ginnel.hints import Protocol
from ginnel.options.server_model import ServerOptions
from ginnel.shell.clients import Client, Clients, client_name
from ginnel.shell.clock import monotonic_now, unix_now
from ginnel.shell.path_mtu import path_mtu
from ginnel.shell.peer_log import Log, PeerLog
from ginnel.shell.repeats import Repeats
from ginnel.shell.server_drive import ServerDrive
from ginnel.shell.server_machine import ServerMachineLike

READ_BATCH = 64
"""Packets taken from the data plane at once."""

BACKLOG = 512
"""Packets of clients that may wait for their turn, all together."""

STRANGERS = 256
"""Packets of others that may wait; further ones are dropped, so that a flood delays no client."""

BUSY = 128
"""Clients with packets that wait, from which on strangers are dropped, and streams are not taken. A
handshake takes about 5 ms of work: who is in waits less than a second, and gets through; the others
send their packet again.
Only work that waits counts, so that somebody who begins and says no more keeps nobody out."""

TURN = 4
"""Packets that a client has served at a time: those that belong together mostly come together."""

SLICE = 0.01
"""Seconds of work with packets before the loop may do something else."""

HARDWARE = 6
"""Bytes of a hardware address."""

BURST, RATE = 400, 5.0
"""Lines about one client that may come at once, and lines a second after that."""


class Gate(Protocol):
    """What judges strangers: ``core.listener.Listener``."""

    def meet(self, packet: bytes, source: Endpoint, now: Instant) -> Dropped | Reply | Welcome: ...
    def admit_stream(self, now: Instant) -> bool: ...


class MakeMachine(Protocol):
    """Makes the machine of one client."""

    def __call__(
        self,
        *,
        client_id: ClientId,
        peer_id: PeerId,
        remote: Endpoint,
        local: Endpoint | None,
        transport: Transport,
        admission: Admission | None,
    ) -> ServerMachineLike: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a client came from."""

    link: LinkId
    remote: Endpoint
    transport: Transport
    local: IPAddress | None = None
    """The address of ours that its packets come to and leave from, on a ``multihome`` link."""
    own: Endpoint | None = None
    """What scripts are told of it, as far as it is known."""


class ReceptionOwner(Protocol):
    """Who is told what ends the whole run: ``shell.serving.Serving``."""

    def tun_lost(self, errno: int) -> None: ...
    def socket_lost(self, errno: int) -> None:
        """A socket that was shared by clients is gone."""
        ...

    def plane_failed(self, error: DataPlaneError) -> None: ...


class Reception:
    """See the module."""

    def __init__(
        self,
        *,
        options: ServerOptions,
        data_plane: DataPlane,
        clients: Clients,
        drive: ServerDrive,
        listener: Gate,
        make_machine: MakeMachine,
        log: Log,
        owner: ReceptionOwner,
        clock: Callable[[], Instant] = monotonic_now,
    ) -> None:
        self._options = options
        self._data_plane = data_plane
        self._clients = clients
        self._drive = drive
        self._listener = listener
        self._make_machine = make_machine
        self._log = log
        self._owner = owner
        self._clock = clock
        self._repeats = Repeats(log, clock)
        self._ready: deque[Client] = deque()
        """Clients with packets, in turn."""
        self._strangers: deque[ControlPacket] = deque()
        self._waiting = 0
        """Packets of clients that wait, all together."""
        self._working: asyncio.Handle | None = None
        self._reading = False
        self.drops: Counter[str] = Counter()
        self.shared_links: set[LinkId] = set()
        """Links that many clients have in common."""
        self.is_closing = False
        """True once nobody new is let in."""

    # --- the loop ------------------------------------------------------------------------------

    def open(self) -> None:
        """Begins to read."""
        asyncio.get_running_loop().add_reader(self._data_plane.fileno(), self._wake)
        self._reading = True

    def close(self) -> None:
        """Stops; what waits is forgotten."""
        if self._reading:
            asyncio.get_running_loop().remove_reader(self._data_plane.fileno())
            self._reading = False
        if self._working is not None:
            self._working.cancel()
            self._working = None
        self._ready.clear()
        self._strangers.clear()
        self._waiting = 0

    def _wake(self) -> None:
        try:
            for notification in self._data_plane.notifications():
                self._guarded(partial(self._report, notification))
            if self._reading and self._waiting < BACKLOG:
                for packet in self._data_plane.recv_control(READ_BATCH):
                    self._sort(packet)
        except DataPlaneError as error:
            self.close()
            self._owner.plane_failed(error)
        if self._working is None:
            self._work()

    def _guarded(self, step: Callable[[], None]) -> None:
        """A bug while one packet or report is served loses that one and nothing else."""
        try:
            step()
        except Exception as bug:
            for number, line in enumerate(shell_lines.crashed(format_exception(bug))[:-1]):
                self._repeats.say(f"bug {type(bug).__name__} {number}", line)

    def _sort(self, packet: ControlPacket) -> None:
        client = self._clients.at((packet.link, packet.source))
        if client is None:
            if packet.source is None:
                self.drops["no-client"] += 1  # of a stream that was closed just now
            elif len(self._strangers) >= STRANGERS:
                self.drops["strangers"] += 1
                self._give_back(packet)
            else:
                self._strangers.append(packet)
            return
        if not client.take(packet.payload, packet.source):
            self.drops["client-queue"] += 1
            return
        self._waiting += 1
        self._line_up(client)

    def _line_up(self, client: Client) -> None:
        if not client.queued:
            client.queued = True
            self._ready.append(client)

    def _work(self) -> None:
        """A few packets of each in turn, clients and strangers alike, as long as time allows."""
        self._working = None
        until = self._clock() + SLICE
        while self._reading and (self._ready or self._strangers):
            if self._ready:
                self._serve(self._ready.popleft())
            if self._strangers:
                self._guarded(partial(self._meet, self._strangers.popleft()))
            if self._clock() >= until:
                break
        if self._reading and (self._ready or self._strangers):
            self._working = asyncio.get_running_loop().call_soon(self._work)

    def _serve(self, client: Client) -> None:
        client.queued = False
        inbox = client.inbox
        if not inbox:
            return
        if not client.over:
            packets = [inbox.popleft() for _ in range(min(len(inbox), TURN))]
            self._waiting -= len(packets)
            self._drive.receive(client, packets)
        if client.over:
            self._waiting -= len(inbox)
            inbox.clear()
        elif inbox:
            self._line_up(client)
        else:
            client.inbox = None  # thousands are idle: an empty queue is half a kilobyte

    # --- newcomers -----------------------------------------------------------------------------

    def _meet(self, packet: ControlPacket) -> None:
        source = packet.source
        assert source is not None, "only datagrams have strangers"
        if self._clients.at((packet.link, source)) is not None:
            self._sort(packet)  # it was let in by the packet before
            return
        if self.is_closing:
            self._repeats.say("closing", server_lines.shutting_down(client_name("", source)))
            return
        if self.is_busy():
            self.drops["busy"] += 1
            self._give_back(packet)
            return
        match self._listener.meet(packet.payload, source, self._clock()):
            case Reply(payload=payload):
                answer = Transmit(payload, source)
                self._data_plane.send_control(answer, packet.link, packet.local)
            case Welcome(admission=admission, credits=count):
                if count:
                    self._data_plane.credit_resets(count)
                self._welcome(packet, source, admission)
            case Dropped(reason=reason):
                self._give_back(packet)
                self._refused(reason, source)

    def _give_back(self, packet: ControlPacket) -> None:
        """A reset without an answer does not count, or who has no key could shut others out."""
        if is_hard_reset(packet.payload):
            self._data_plane.credit_resets(1)

    def _refused(self, reason: str, source: Endpoint) -> None:
        """Says why somebody gets no answer, where it is not mere noise."""
        if reason == "connect-freq":
            self._repeats.say(reason, server_lines.too_frequent(client_name("", source)))
            return
        lines = server_lines.stranger_refused(reason, self._options.wrapping, source)
        for number, line in enumerate(lines):
            self._repeats.say(f"{reason} {number}", line, str(source.address))

    def _welcome(self, packet: ControlPacket, source: Endpoint, admission: Admission) -> None:
        if not self.has_room():
            return
        own = None if packet.local is None else Endpoint(packet.local, 0)
        origin = Origin(
            link=packet.link,
            remote=source,
            local=packet.local,
            own=own,
            transport=Transport.UDP,
        )
        self._let_in(origin, admission)

    def has_room(self) -> bool:
        """Whether one more client is allowed; says so, once in a while, when not."""
        limit = self._options.limits.max_clients
        if len(self._clients) < limit:
            return True
        self._repeats.say("max-clients", server_lines.too_many_clients(limit))
        return False

    def is_busy(self) -> bool:
        """Whether those that are in have so much to say that new ones have to wait; says so."""
        if len(self._ready) < BUSY:
            return False
        text = "more clients come than this machine can serve: new ones have to wait"
        self._repeats.say("busy", shell_lines.warning(text))
        return True

    def admit_stream(self, remote: Endpoint) -> bool:
        """Whether a TCP connection may become a client now."""
        if self.is_closing:
            self._repeats.say("closing", server_lines.shutting_down(client_name("", remote)))
            return False
        if not self._listener.admit_stream(self._clock()):
            self._repeats.say("connect-freq", server_lines.too_frequent(client_name("", remote)))
            return False
        return self.has_room()

    def refuse_stranger(self, remote: Endpoint) -> None:
        """A TCP connection does not speak OpenVPN, and nobody else takes it."""
        self.drops["no-openvpn"] += 1
        text = f"{remote} does not speak OpenVPN: closed (see port-share)"
        self._repeats.say("no-openvpn", shell_lines.warning(text))

    def let_in_stream(self, link: LinkId, remote: Endpoint, local: Endpoint | None) -> None:
        """Makes a client of a stream that the data plane reads already."""
        origin = Origin(link=link, remote=remote, own=local, transport=Transport.TCP)
        client = self._let_in(origin, None)
        # Its first packet is on its way. It counts as one that waits, so that a thousand streams
        # which are there at once are not all let in before the first of them is heard.
        if not client.over:
            self._line_up(client)
            if self._working is None:
                self._working = asyncio.get_running_loop().call_soon(self._work)

    def _let_in(self, origin: Origin, admission: Admission | None) -> Client:
        client_id, peer_id = self._clients.new_ids()
        try:
            machine = self._make_machine(
                client_id=client_id,
                peer_id=peer_id,
                remote=origin.remote,
                local=origin.own,
                transport=origin.transport,
                admission=admission,
            )
        except BaseException:
            self._clients.give_back(peer_id)
            raise
        client = Client(
            client_id=client_id,
            peer_id=peer_id,
            link=origin.link,
            remote=origin.remote,
            local=origin.local,
            transport=origin.transport,
            machine=machine,
            log=PeerLog(self._log, self._clock, who="this client", burst=BURST, rate=RATE),
            began=unix_now(),
        )
        self._clients.add(client)
        self._drive.start(client)
        return client

    # --- reports -------------------------------------------------------------------------------

    def _report(self, notification: Notification) -> None:
        kind = notification.kind
        if kind is NotificationKind.TUN_LOST:
            self._owner.tun_lost(notification.errno)
            return
        if kind is NotificationKind.LINK_LOST:
            self._link_lost(notification)
            return
        client = self._clients.by_peer(notification.peer_id)
        if client is None or not client.peer_added:
            return  # it ended meanwhile, and its peer-id may be another one's by now
        match kind:
            case NotificationKind.FLOATED:
                remote = notification.remote
                assert remote is not None, "a float names the new address"
                self._drive.float_to(client, notification.link, remote, notification.local)
            case NotificationKind.LEARNED | NotificationKind.RELEARNED | NotificationKind.FORGOTTEN:
                address = _hardware(notification.payload, notification.vlan)
                self._drive.learn(
                    client,
                    address,
                    added=kind is not NotificationKind.FORGOTTEN,
                    anew=kind is NotificationKind.RELEARNED,
                )
            case NotificationKind.TOO_LONG:
                remote = notification.remote
                link = self._options.link
                mtu = None if remote is None else path_mtu(remote, notification.local, link)
                if mtu is not None:
                    self._drive.tell(client, PathMtuFound(mtu=mtu))
            case NotificationKind.BAD_SOURCE:
                self._drive.bad_source(client, _inner_address(notification.payload))
            case _:
                self._drive.tell(client, _core_event(notification))

    def _link_lost(self, notification: Notification) -> None:
        client = self._clients.at((notification.link, None))
        if client is not None:
            client.link_gone = True
            self._drive.tell(client, LinkLost(errno=notification.errno))
            return
        if notification.link in self.shared_links:
            self._owner.socket_lost(notification.errno)


def _hardware(address: bytes, vlan: int) -> str:
    """OpenVPN's form of a hardware address, with its VLAN where there is one."""
    shown = ":".join(f"{byte:02x}" for byte in address)
    return f"{shown}@{vlan}" if vlan else shown


def _inner_address(packed: bytes) -> str:
    return _hardware(packed, 0) if len(packed) == HARDWARE else str(ip_address(packed))


def _core_event(notification: Notification) -> DataPlaneEvent:
    """Translates a report about one client into the core's word for it."""
    match notification.kind:
        case NotificationKind.SILENT:
            return PeerSilent()
        case NotificationKind.INACTIVE:
            return Inactive()
        case NotificationKind.KEY_EXHAUSTED:
            return KeyExhausted(key_id=KeyId(notification.key_id))
        case NotificationKind.DECRYPT_ERROR:
            return DecryptFailed()
        case NotificationKind.BAD_FRAMING:
            return FramingMismatch(first=notification.payload[0])
        case NotificationKind.OCC:
            return OccReceived(payload=notification.payload)
        case _:
            raise AssertionError(f"{notification.kind} is not about the machine")
