"""What the conformance suite stands on: engines by name, their sockets, and a hand-made peer.

Nothing here knows how an engine works; whatever differs between two engines is a finding.
"""

import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import shake_256
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TypedDict, Unpack

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, DirectionKey, KeySlot
from ginnel.core.digests import digest_named
from ginnel.core.errors import DataPlaneError
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import Endpoint, KeyId, PeerId, Transmit, Transport
from ginnel.dataclass import replace
from ginnel.dataplane import formats, old_formats
from ginnel.dataplane.api import (
    ControlPacket,
    DataPlane,
    Keepalive,
    Link,
    Notification,
    NotificationKind,
    PeerConfig,
    Relay,
    ServingRules,
    TunDevice,
)
from ginnel.dataplane.choose import find_problem, open_data_plane
from ginnel.dataplane.old_formats import OldKeys, OldSuite
from ginnel.options.values import Secret

DEADLINE = 40.0
PEER = PeerId(5)
PACKET_TIME = 0x67748580
"""Of keys in the static format."""
ENGINES = ("python", "rust")
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
VNET_HEADER = bytes(10)


def engine_problem() -> str | None:
    """Why the compiled engine is left out of this run; None when it takes part or must."""
    return None if os.environ.get("GINNEL_REQUIRE_ENGINE") == "1" else find_problem()


def engines() -> list[str]:
    """Names of the engines that this run tests."""
    return ["python"] if engine_problem() else list(ENGINES)


def new_plane(engine: str, tun: TunDevice | None) -> DataPlane:
    """Opens the engine of that name, and no other."""
    return open_data_plane(tun, engine=engine)[0]


def make_key(
    label: str,
    *,
    key_id: int = 0,
    cipher: DataCipher = DataCipher.AES_256_GCM,
    layout: DataFormat = DataFormat.V2,
    auth: str = "SHA256",
) -> DataKey:
    """A key that depends on the label only; ``auth`` counts where the cipher is no AEAD."""
    digest = None if cipher.is_aead or auth == "none" else digest_named(auth)

    def half(direction: str) -> DirectionKey:
        epoch = layout is DataFormat.EPOCH
        length = formats.CHAIN_LENGTH if epoch else cipher.key_length
        material = shake_256(f"{label} {direction}".encode()).digest(length + 72)
        has_tail = cipher.is_aead and not epoch
        return DirectionKey(
            cipher_key=Secret(material[:length]),
            implicit_iv=Secret(material[length : length + 8] if has_tail else b""),
            hmac_key=Secret(material[length + 8 :][: digest.size if digest is not None else 0]),
        )

    return DataKey(
        key_id=KeyId(key_id),
        cipher=cipher,
        format=layout,
        send=half("a"),
        receive=half("b"),
        digest=digest,
        packet_time=PACKET_TIME if layout is DataFormat.STATIC else 0,
    )


def reversed_key(key: DataKey) -> DataKey:
    """The same key as the other end holds it."""
    return replace(key, send=key.receive, receive=key.send)


def old_suite(key: DataKey) -> OldSuite:
    long_ids = key.format is DataFormat.STATIC
    return OldSuite(cipher=key.cipher, digest=key.digest, long_ids=long_ids)


def old_keys(half: DirectionKey) -> OldKeys:
    return OldKeys(half.cipher_key.reveal(), half.hmac_key.reveal())


def seal_old(
    key: DataKey,
    packet_id: int,
    payload: bytes,
    *,
    peer_id: int = PEER,
    packet_time: int | None = None,
) -> bytes:
    """As ``seal``, for a cipher that is no AEAD."""
    time = key.packet_time if packet_time is None else packet_time
    header = b""
    if key.format is not DataFormat.STATIC:
        is_v1 = key.format is DataFormat.V1
        v1, v2 = formats.encode_header_v1, formats.encode_header_v2
        header = v1(key.key_id) if is_v1 else v2(key.key_id, peer_id)
    suite = old_suite(key)
    iv = bytes(range(suite.iv_length))
    number = old_formats.PacketId(time, packet_id)
    return header + old_formats.seal(suite, old_keys(key.receive), number, payload, iv)


def seal(
    key: DataKey, packet_id: int, payload: bytes, *, peer_id: int = PEER, epoch: int = 1
) -> bytes:
    """A packet for the holder of ``key``, with any packet-id: what no engine would send."""
    if not key.cipher.is_aead:
        return seal_old(key, packet_id, payload, peer_id=peer_id)
    half = key.receive
    if key.format is DataFormat.EPOCH:
        chain = half.cipher_key
        for _ in range(epoch - 1):
            chain = formats.next_chain_secret(chain)
        aead, iv = formats.epoch_key(chain, key.cipher)
        header = formats.encode_header_v2(key.key_id, peer_id)
        return formats.seal_epoch(aead, iv, header, formats.EpochId(epoch, packet_id), payload)
    header = (
        formats.encode_header_v1(key.key_id)
        if key.format is DataFormat.V1
        else formats.encode_header_v2(key.key_id, peer_id)
    )
    aead = formats.new_aead(key.cipher, half.cipher_key.reveal())
    return formats.seal_classic(aead, half.implicit_iv.reveal(), header, packet_id, payload)


@dataclass(frozen=True, slots=True)
class Opened:
    """A packet that an engine sent, taken apart."""

    header: formats.DataHeader
    packet_id: int
    payload: bytes
    epoch: int = 0
    packet_time: int = 0


def unseal(key: DataKey, packet: bytes) -> Opened:
    """Opens a packet of the holder of ``key``; raises when it is not one."""
    is_static = key.format is DataFormat.STATIC
    header = formats.NO_HEADER if is_static else formats.decode_header(packet)
    half = key.send
    if not key.cipher.is_aead:
        body = packet[header.length :]
        old_id, payload = old_formats.open_packet(old_suite(key), old_keys(half), body)
        return Opened(header, old_id.number, payload, packet_time=old_id.time)
    if key.format is DataFormat.EPOCH:
        number = formats.decode_epoch_id(packet, header)
        chain = half.cipher_key
        for _ in range(number.epoch - 1):
            chain = formats.next_chain_secret(chain)
        aead, iv = formats.epoch_key(chain, key.cipher)
        payload = formats.open_epoch(aead, iv, header, packet)
        return Opened(header, number.counter, payload, number.epoch)
    packet_id = formats.decode_classic_id(packet, header)
    aead = formats.new_aead(key.cipher, half.cipher_key.reveal())
    payload = formats.open_classic(aead, half.implicit_iv.reveal(), header, packet)
    return Opened(header, packet_id, payload)


@dataclass(slots=True)
class Node:
    """One engine with the outer ends of its descriptors, and all it has reported so far."""

    plane: DataPlane
    tun: socket.socket
    """The far end of the engine's TUN: what is sent here, the engine reads."""
    link: socket.socket
    vnet_header: bool = False
    reports: list[Notification] = field(default_factory=list)
    control: list[ControlPacket] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    """Inner packets that came out of the engine's TUN side."""

    @property
    def endpoint(self) -> Endpoint:
        return endpoint(self.link)

    def turn(self) -> None:
        """Does what the shell does when ``fileno`` is readable, and empties the TUN's far end."""
        self.reports += self.plane.notifications()
        self.control += self.plane.recv_control(64)
        while (packet := receive(self.tun)) is not None:
            if self.vnet_header:
                assert packet[1] == 0, "a single packet is not a super-packet"
                packet = packet[len(VNET_HEADER) :]
            self.delivered.append(packet)

    def inject(self, packet: bytes) -> None:
        """Puts an inner packet into the TUN."""
        self.tun.send(VNET_HEADER + packet if self.vnet_header else packet)

    def kinds(self) -> list[NotificationKind]:
        return [report.kind for report in self.reports]

    def drops(self, peer_id: PeerId = PEER) -> dict[str, int]:
        return dict(self.plane.stats(peer_id).drops)

    def all_drops(self) -> list[Mapping[str, int]]:
        """Drops of every peer that a test makes, and of nobody."""
        found: list[Mapping[str, int]] = [self.plane.unassigned_drops()]
        for number in range(1, 16):
            with suppress(DataPlaneError):
                found.append(self.drops(PeerId(number)))
        return found


def endpoint(link: socket.socket) -> Endpoint:
    """The address a socket is bound to."""
    host, port = link.getsockname()[:2]
    return Endpoint(ip_address(host), port)


def receive(source: socket.socket) -> bytes | None:
    """One datagram that is there already, or None."""
    try:
        return source.recv(65600, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None


def settle(nodes: list[Node], condition: Callable[[], object], what: str) -> None:
    """Lets the engines work until the condition holds; fails after the deadline."""
    poller = select.poll()
    for node in nodes:
        poller.register(node.plane.fileno(), select.POLLIN)
        poller.register(node.tun.fileno(), select.POLLIN)
    deadline = time.monotonic() + DEADLINE
    while True:
        for node in nodes:
            node.turn()
        if condition():
            return
        if time.monotonic() > deadline:
            seen = [(node.kinds(), node.all_drops()) for node in nodes if node.link.fileno() >= 0]
            raise AssertionError(f"waited {DEADLINE:g} s in vain for {what}; {seen}")
        poller.poll(2)  # counters change, and the peer's socket fills, without waking us


def until(plane: DataPlane, condition: Callable[[], object], *, quiet: bool = False) -> None:
    """Lets an engine work until the condition holds, while nobody takes its control packets.

    ``quiet`` leaves its reports as well.
    """
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE:g} s in vain"
        if quiet:
            plane.recv_control(0)
        else:
            plane.notifications()


class Bench:
    """Makes sockets and engines for one test and closes all of them after it."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def close(self) -> None:
        self._stack.close()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Has something else closed with the rest."""
        self._stack.callback(callback)

    def udp(self, family: int = 4) -> socket.socket:
        link = self._stack.enter_context(socket.socket(FAMILY[family], socket.SOCK_DGRAM))
        link.bind((LOOPBACK[family], 0))
        link.setblocking(False)
        return link

    def dual_stack(self) -> socket.socket:
        link = self._stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        link.bind(("::", 0))
        link.setblocking(False)
        return link

    def tcp_pair(self, family: int = 4) -> tuple[socket.socket, socket.socket]:
        with socket.create_server((LOOPBACK[family], 0), family=FAMILY[family]) as listener:
            near = self._stack.enter_context(socket.socket(FAMILY[family], socket.SOCK_STREAM))
            near.connect(listener.getsockname())
            far = self._stack.enter_context(listener.accept()[0])
        for side in (near, far):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            side.setblocking(False)
        return near, far

    def tun_pair(self) -> tuple[socket.socket, socket.socket]:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        near.setblocking(False)
        return self._stack.enter_context(near), self._stack.enter_context(far)

    def node(
        self,
        engine: str,
        link: socket.socket,
        *,
        vnet_header: bool = False,
        ethernet: bool = False,
        transport: Transport = Transport.UDP,
        unread: bytes = b"",
        unsent: bytes = b"",
        relay: Relay | None = None,
    ) -> Node:
        """An engine on a socket that stands for its TUN, attached to the link."""
        near, far = self.tun_pair()
        device = TunDevice(
            fd=near.fileno(), name="tunX", mtu=1500, vnet_header=vnet_header, ethernet=ethernet
        )
        plane = new_plane(engine, device)
        self._stack.callback(plane.close)
        attached = Link(fd=link.fileno(), transport=transport, relay=relay)
        plane.attach(attached, unread, unsent)
        return Node(plane, far, link, vnet_header)

    def server(
        self,
        engine: str,
        link: socket.socket,
        rules: ServingRules,
        *,
        ethernet: bool = False,
        multihome: bool = False,
    ) -> Node:
        """A server's engine on a socket that stands for its device, with a first link."""
        near, far = self.tun_pair()
        device = TunDevice(
            fd=near.fileno(), name="tunX", mtu=1500, vnet_header=False, ethernet=ethernet
        )
        plane = new_plane(engine, device)
        self._stack.callback(plane.close)
        plane.serve(rules)
        plane.attach(Link(fd=link.fileno(), transport=Transport.UDP, multihome=multihome))
        return Node(plane, far, link)

    def without_tun(self, engine: str, link: socket.socket) -> Node:
        """An engine of ``dev null``."""
        plane = new_plane(engine, None)
        self._stack.callback(plane.close)
        plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
        return Node(plane, self.tun_pair()[1], link)


@contextmanager
def bench() -> Iterator[Bench]:
    made = Bench()
    try:
        yield made
    finally:
        made.close()


class Settings(TypedDict, total=False):
    """Fields of PeerConfig that tests vary."""

    send_peer_id: PeerId
    allow_float: bool
    mss_ipv4: int
    mss_ipv6: int
    replay_window: int
    replay_time: int
    drop_recursive: bool
    payload: PayloadTerms


def add_peer(
    node: Node,
    remote: Endpoint | None,
    key: DataKey | None = None,
    *,
    peer_id: PeerId = PEER,
    routes: tuple[str, ...] = ("0.0.0.0/0", "::/0"),
    **settings: Unpack[Settings],
) -> None:
    """A peer with a primary key and a way to it."""
    merged: Settings = {"send_peer_id": peer_id, **settings}
    node.plane.new_peer(PeerConfig(peer_id=peer_id, remote=remote, **merged))
    for prefix in routes:
        node.plane.add_iroute(peer_id, ip_network(prefix))
    if key is not None:
        node.plane.new_key(peer_id, KeySlot.PRIMARY, key)


class Hand:
    """A peer played by the test: a bare UDP socket, and packets made one by one."""

    def __init__(self, made: Bench, node: Node, key: DataKey, family: int = 4) -> None:
        self.socket = made.udp(family)
        self.node = node
        self.key = key
        self.received: list[bytes] = []

    @property
    def endpoint(self) -> Endpoint:
        return endpoint(self.socket)

    def send(self, packet: bytes) -> None:
        self.socket.sendto(packet, self.node.link.getsockname())

    def send_data(self, packet_id: int, payload: bytes, *, epoch: int = 1) -> None:
        self.send(seal(self.key, packet_id, payload, epoch=epoch))

    def collect(self) -> list[bytes]:
        """Everything that has arrived here."""
        while (packet := receive(self.socket)) is not None:
            self.received.append(packet)
        return self.received

    def settle(self, condition: Callable[[], object], what: str) -> None:
        settle([self.node], condition, what)

    def expect(self, count: int) -> list[bytes]:
        """Waits until that many packets came from the engine."""
        self.settle(lambda: len(self.collect()) >= count, f"{count} packets at the peer")
        return self.received

    def delivered(self, count: int) -> list[bytes]:
        """Waits until that many packets came out of the engine's TUN."""
        self.settle(lambda: len(self.node.delivered) >= count, f"{count} packets out of tun")
        return self.node.delivered

    def dropped(self, reason: str, count: int = 1) -> None:
        """Waits until that many packets were counted under the reason."""
        self.settle(
            lambda: self.node.drops().get(reason, 0) >= count, f"{count} drops named {reason}"
        )

    def reported(self, kind: NotificationKind) -> Notification:
        """Waits for a report of the kind and returns the first."""
        self.settle(lambda: kind in self.node.kinds(), f"the report {kind.value}")
        return next(report for report in self.node.reports if report.kind is kind)


def set_keepalive(node: Node, **limits: int) -> None:
    node.plane.set_peer(PEER, Keepalive(**limits))


def control(payload: bytes, target: Hand | None) -> Transmit:
    return Transmit(payload, target.endpoint if target is not None else None)


def descriptors() -> set[str]:
    """What this process has open now; the listing's own descriptor is gone when it is looked up."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(f"{entry.name} {entry.readlink()}")
    return found
