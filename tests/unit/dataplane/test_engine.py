"""The adapter of the compiled engine: what crosses the language line, in both directions.

A recorder stands for the extension, so this runs where none is built; the conformance suite runs
the extension itself.
"""

import errno
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import ModuleType

import pytest

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, DirectionKey, KeySlot
from ginnel.core.errors import DataPlaneError
from ginnel.core.payload import Framing, PayloadTerms
from ginnel.core.types import Endpoint, KeyId, PeerId, Transmit, Transport
from ginnel.dataplane.api import (
    ControlPacket,
    Keepalive,
    Learned,
    Link,
    LinkId,
    Notification,
    NotificationKind,
    PeerConfig,
    ServingRules,
    TunDevice,
)
from ginnel.dataplane.engine import RustDataPlane
from ginnel.options.model import NatRule
from ginnel.options.server_model import VlanAccept, VlanOptions
from ginnel.options.values import Secret

PEER = PeerId(7)
V4 = Endpoint(ip_address("192.0.2.1"), 1194)
MAC = bytes((2, 0, 0, 0, 0, 1))
V6 = Endpoint(ip_address("fe80::1"), 443, 3)
Call = tuple[str, tuple[object, ...], dict[str, object]]


class Recorder:
    """Takes every call of the extension's Engine, or refuses it with ``failure``."""

    def __init__(self, tun_fd: int | None, mtu: int, vnet_header: bool, ethernet: bool) -> None:
        self.calls: list[Call] = [("Engine", (tun_fd, mtu, vnet_header, ethernet), {})]
        self.failure: Exception | None = None
        self.granted = ["udp-gso"]

    def offloads(self) -> list[str]:
        return self.granted

    def stats(self, peer_id: int) -> tuple[object, ...]:
        self._take("stats", peer_id)
        return (1, 2, 3, 4, 5, 6, 7, 8, [("replay", 2), ("auth", 1)])

    def notifications(self) -> list[tuple[object, ...]]:
        return [
            (
                "floated",
                7,
                0,
                (V6.address.packed, V6.port, V6.scope_id),
                0,
                b"",
                (4, 0, V4.address.packed),
            ),
            ("link-lost", 0xFFFFFF, 0, None, errno.EPIPE, b"", (0, 0, None)),
            ("key-exhausted", 7, 5, None, 0, b"", (0, 0, None)),
            ("occ", 7, 0, None, 0, b"magic", (0, 0, None)),
            ("learned", 7, 0, None, 0, MAC, (0, 9, None)),
        ]

    def recv_control(self, limit: int) -> list[tuple[object, ...]]:
        self._take("recv_control", limit)
        return [
            (b"\x38one", (V4.address.packed, V4.port, 0), 3, V6.address.packed),
            (b"\x38two", None, 0, None),
        ]

    def add_link(self, *given: object) -> int:
        self._take("add_link", *given)
        return 12

    def learned(self) -> list[tuple[bytes, int, int, int]]:
        return [(MAC, 9, 7, 60)]

    def fileno(self) -> int:
        return 42

    def attach(self, *given: object) -> None:
        self.granted = ["udp-gro", "udp-gso"]
        self._take("attach", *given)

    def __getattr__(self, name: str) -> object:
        def take(*given: object, **named: object) -> None:
            self._take(name, *given, **named)

        return take

    def _take(self, name: str, *given: object, **named: object) -> None:
        if self.failure is not None:
            raise self.failure
        self.calls.append((name, given, named))


RULE = NatRule(
    is_source=True,
    network=IPv4Address("10.0.0.0"),
    netmask=IPv4Address("255.0.0.0"),
    alias=IPv4Address("11.0.0.0"),
)


class Made:
    """An adapter over a recorder."""

    def __init__(self, tun: TunDevice | None) -> None:
        self.plane = RustDataPlane(tun)
        recorder: object = self.plane._engine
        assert isinstance(recorder, Recorder)
        self.recorder = recorder

    def last(self) -> Call:
        return self.recorder.calls[-1]


@pytest.fixture(autouse=True)
def extension(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("ginnel_engine")
    module.Engine = Recorder  # type: ignore[attr-defined]  # a stand-in, made at run time
    monkeypatch.setitem(sys.modules, "ginnel_engine", module)


@pytest.fixture
def made() -> Made:
    return Made(None)


def direction(label: bytes) -> DirectionKey:
    return DirectionKey(cipher_key=Secret(label * 32), implicit_iv=Secret(label * 8))


def test_a_missing_extension_is_an_error_of_this_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ginnel_engine", None)
    with pytest.raises(DataPlaneError) as raised:
        RustDataPlane(None)
    assert (raised.value.operation, raised.value.errno) == ("open", errno.ENOSYS)


def test_opens_the_device_it_is_given() -> None:
    device = TunDevice(fd=9, name="tun4", mtu=1400, vnet_header=True)
    assert Made(device).last() == ("Engine", (9, 1400, True, False), {})
    assert Made(None).last() == ("Engine", (None, 1500, False, False), {})


def test_capabilities_follow_the_link(made: Made) -> None:
    before = made.plane.capabilities
    assert (before.name, before.offloads) == ("rust", frozenset({"udp-gso"}))
    assert before.ciphers == frozenset(DataCipher)
    assert before.formats == frozenset(DataFormat)
    made.plane.attach(Link(fd=5, transport=Transport.TCP), b"read ahead", b"begun")
    assert made.last() == ("attach", (5, True, b"read ahead", b"begun", False), {})
    assert made.plane.capabilities.offloads == frozenset({"udp-gro", "udp-gso"})
    made.plane.attach(Link(fd=6, transport=Transport.UDP))
    assert made.last() == ("attach", (6, False, b"", b"", False), {})


@pytest.mark.parametrize(
    ("remote", "packed"),
    [
        (None, None),
        (V4, (b"\xc0\x00\x02\x01", 1194, 0)),
        (V6, (V6.address.packed, 443, 3)),
    ],
)
def test_a_peer_crosses_whole(
    made: Made, remote: Endpoint | None, packed: tuple[bytes, int, int] | None
) -> None:
    made.plane.new_peer(
        PeerConfig(
            peer_id=PEER,
            send_peer_id=PeerId(0xFFFFFF),
            remote=remote,
            allow_float=True,
            mss_ipv4=1300,
            mss_ipv6=1280,
            replay_window=0,
            replay_time=3,
            drop_recursive=False,
            payload=PayloadTerms(
                framing=Framing.SWAP,
                decompress=True,
                fragment=1200,
                client_nat=(RULE,),
                block_ipv6=IPv6Address("fe80::7"),
                shaper=9,
                passtos=True,
            ),
            link=LinkId(3),
            local=V4.address,
            max_learned=9,
            vlan=5,
        )
    )
    assert made.last() == (
        "new_peer",
        (7, 0xFFFFFF, packed),
        {
            "allow_float": True,
            "mss": (1300, 1280),
            "replay": (0, 3),
            "drop_recursive": False,
            "payload": (
                "swap",
                True,
                1200,
                [(True, b"\x0a\x00\x00\x00", b"\xff\x00\x00\x00", b"\x0b\x00\x00\x00")],
                b"\xfe\x80" + bytes(13) + b"\x07",
                9,
                True,
            ),
            "place": (3, V4.address.packed),
            "bounds": (9, 5),
        },
    )


def test_limits_keys_and_routes_cross_whole(made: Made) -> None:
    keepalive = Keepalive(
        ping_interval=1, ping_timeout=2, inactive_seconds=3, inactive_bytes=1 << 40
    )
    made.plane.set_peer(PEER, keepalive)
    assert made.last() == ("set_peer", (7, 1, 2, 3, 1 << 40), {})
    key = DataKey(
        key_id=KeyId(5),
        cipher=DataCipher.CHACHA20_POLY1305,
        format=DataFormat.EPOCH,
        send=direction(b"s"),
        receive=direction(b"r"),
    )
    made.plane.new_key(PEER, KeySlot.SECONDARY, key)
    material = ((b"s" * 32, b"s" * 8, b""), (b"r" * 32, b"r" * 8, b""))
    names = (("CHACHA20-POLY1305", "none"), ("epoch", 0))
    assert made.last() == ("new_key", (7, 1, 5, *names, *material), {})
    made.plane.swap_keys(PEER)
    assert made.last() == ("swap_keys", (7,), {})
    made.plane.del_key(PEER, KeySlot.PRIMARY)
    assert made.last() == ("del_key", (7, 0), {})
    made.plane.add_iroute(PEER, ip_network("2001:db8::/32"))
    packed = ip_address("2001:db8::").packed
    assert made.last() == ("add_iroute", (7, packed, 32), {})
    made.plane.del_iroute(PEER, ip_network("2001:db8::/32"))
    assert made.last() == ("del_iroute", (7, packed, 32), {})
    made.plane.del_peer(PEER)
    assert made.last() == ("del_peer", (7,), {})


def test_what_a_server_is_told_crosses_whole(made: Made) -> None:
    made.plane.serve(ServingRules())
    assert made.last() == ("serve", (False, 64, 50_000, None, (0, 0)), {})
    made.plane.serve(
        ServingRules(
            client_to_client=True,
            tcp_queue_limit=7,
            broadcast_limit=8,
            vlan=VlanOptions(accept=VlanAccept.UNTAGGED, pvid=9),
            stale_age=30,
            stale_interval=5,
        )
    )
    assert made.last() == ("serve", (True, 7, 8, ("untagged", 9), (30, 5)), {})
    several = Link(fd=5, transport=Transport.UDP, multihome=True)
    assert made.plane.add_link(several) == LinkId(12)
    assert made.last() == ("add_link", (5, False, b"", b"", True), {})
    made.plane.remove_link(LinkId(12))
    assert made.last() == ("remove_link", (12,), {})
    made.plane.limit_resets(3, 60)
    assert made.last() == ("limit_resets", (3, 60), {})
    made.plane.credit_resets(2)
    assert made.last() == ("credit_resets", (2,), {})
    assert made.plane.learned() == [Learned(address=MAC, vlan=9, peer_id=PEER, age=60)]


def test_packets_cross_whole(made: Made) -> None:
    made.plane.send_control(Transmit(b"\x38hello", V6), LinkId(3), V4.address)
    packed = (V6.address.packed, 443, 3)
    assert made.last() == ("send_control", (b"\x38hello", packed, 3, V4.address.packed), {})
    made.plane.send_control(Transmit(b"\x38hello", None))
    assert made.last() == ("send_control", (b"\x38hello", None, 0, None), {})
    made.plane.send_inner(PEER, b"payload")
    assert made.last() == ("send_inner", (7, b"payload"), {})
    received = made.plane.recv_control(9)
    first = ControlPacket(b"\x38one", V4, LinkId(3), V6.address)
    assert received == [first, ControlPacket(b"\x38two", None)]
    assert made.last() == ("recv_control", (9,), {})


def test_reports_become_values(made: Made) -> None:
    lost = Notification(
        kind=NotificationKind.LINK_LOST, peer_id=PeerId(0xFFFFFF), errno=errno.EPIPE
    )
    assert made.plane.notifications() == [
        Notification(
            kind=NotificationKind.FLOATED,
            peer_id=PEER,
            remote=V6,
            link=LinkId(4),
            local=V4.address,
        ),
        lost,
        Notification(kind=NotificationKind.KEY_EXHAUSTED, peer_id=PEER, key_id=5),
        Notification(kind=NotificationKind.OCC, peer_id=PEER, payload=b"magic"),
        Notification(kind=NotificationKind.LEARNED, peer_id=PEER, payload=MAC, vlan=9),
    ]
    assert made.plane.fileno() == 42


def test_counters_keep_their_places(made: Made) -> None:
    stats = made.plane.stats(PEER)
    assert (stats.tun_read_bytes, stats.tun_read_packets) == (1, 2)
    assert (stats.tun_write_bytes, stats.tun_write_packets) == (3, 4)
    assert (stats.link_read_bytes, stats.link_read_packets) == (5, 6)
    assert (stats.link_write_bytes, stats.link_write_packets) == (7, 8)
    assert stats.drops == (("auth", 1), ("replay", 2))


@pytest.mark.parametrize(
    ("failure", "number"),
    [
        (OSError(errno.ENOENT, "no such peer"), errno.ENOENT),
        (OSError("without a number"), errno.EIO),
        (OverflowError("out of range"), errno.EINVAL),
        (ValueError("not a format"), errno.EINVAL),
    ],
)
def test_refusals_become_the_error_of_this_interface(
    made: Made, failure: Exception, number: int
) -> None:
    made.recorder.failure = failure
    with pytest.raises(DataPlaneError) as raised:
        made.plane.swap_keys(PEER)
    assert (raised.value.operation, raised.value.peer_id) == ("swap_keys", PEER)
    assert raised.value.errno == number
    assert raised.value.__cause__ is failure
