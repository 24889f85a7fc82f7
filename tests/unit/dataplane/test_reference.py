"""The Python engine where a virtual clock, low limits or a full queue are needed."""

import errno
import select
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ginnel.core.data_key import DataFormat, KeySlot
from ginnel.core.errors import DataPlaneError, LocalMisuse
from ginnel.core.types import Transmit, Transport
from ginnel.dataplane.api import PING, Link, NotificationKind, TunDevice
from ginnel.dataplane.formats import OCC_MAGIC
from ginnel.dataplane.reference import BATCH, PythonDataPlane
from ginnel.dataplane.reference_keys import UsageLimits
from ginnel.dataplane.reference_outbox import MAX_PENDING
from tests.unit.dataplane.inner_packets import udp_packet
from tests.unit.dataplane.rig import (
    PEER,
    Bench,
    Hand,
    Node,
    add_peer,
    bench,
    make_key,
    seal,
    set_keepalive,
    unseal,
)

INNER = udp_packet("10.8.0.6", "10.8.0.1", b"to the office")
INWARD = udp_packet("10.8.0.1", "10.8.0.6", b"from the office")


class Clock:
    """Time that moves when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Subject:
    """A Python engine on virtual time with one hand-made peer."""

    def __init__(
        self,
        made: Bench,
        limits: UsageLimits,
        layout: DataFormat,
    ) -> None:
        self.clock = Clock()
        near, far = made.tun_pair()
        device = TunDevice(fd=near.fileno(), name="tunX", mtu=1500, vnet_header=False)
        self.plane = PythonDataPlane(device, clock=self.clock, limits=limits)
        made.on_close(self.plane.close)
        link = made.udp()
        self.plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
        self.node = Node(self.plane, far, link)
        self.hand = Hand(made, self.node, make_key("reference", layout=layout))
        add_peer(self.node, self.hand.endpoint, self.hand.key)

    def advance(self, seconds: float) -> list[NotificationKind]:
        """Moves the clock and returns what was reported since the last time."""
        self.clock.now += seconds
        before = len(self.node.reports)
        self.node.turn()
        return self.node.kinds()[before:]


@pytest.fixture
def made() -> Iterator[Bench]:
    with bench() as it:
        yield it


def subject(
    made: Bench, layout: DataFormat = DataFormat.V2, limits: UsageLimits | None = None
) -> Subject:
    return Subject(made, limits or UsageLimits(), layout)


def test_keepalive_on_virtual_time(made: Bench) -> None:
    it = subject(made)
    set_keepalive(it.node, ping_interval=10, ping_timeout=60)
    assert it.advance(9.9) == []
    assert it.hand.collect() == []
    assert it.advance(0.1) == []
    assert unseal(it.hand.key, it.hand.expect(1)[0]).payload == PING
    assert it.advance(50.0) == [NotificationKind.SILENT]
    assert it.advance(3600.0) == []
    it.hand.send_data(1, PING)
    it.hand.settle(lambda: it.plane.stats(PEER).link_read_packets, "the ping")
    assert it.advance(60.0) == [NotificationKind.SILENT]


def test_control_packets_put_off_the_ping_of_their_peer(made: Bench) -> None:
    it = subject(made)
    set_keepalive(it.node, ping_interval=10)
    it.advance(6.0)
    it.plane.send_control(Transmit(b"\x20control", it.hand.endpoint))
    it.advance(6.0)
    assert it.hand.expect(1) == [b"\x20control"]
    it.advance(4.0)
    assert unseal(it.hand.key, it.hand.expect(2)[1]).payload == PING


def test_without_a_key_a_due_ping_is_not_tried_without_end(made: Bench) -> None:
    it = subject(made)
    it.plane.del_key(PEER, KeySlot.PRIMARY)
    set_keepalive(it.node, ping_interval=10)
    for _ in range(5):
        it.advance(2.5)
    assert it.node.drops() == {"no-key": 1}


def test_a_gap_closes_with_time(made: Bench) -> None:
    it = subject(made)
    for packet_id in (1, 4):
        it.hand.send_data(packet_id, INWARD)
    it.hand.delivered(2)
    it.clock.now += 10
    it.hand.send_data(3, INWARD)
    it.hand.delivered(3)
    it.clock.now += 30
    it.hand.send_data(2, INWARD)
    it.hand.dropped("replay")


def test_a_worn_key_is_reported_once_and_then_stops(made: Bench) -> None:
    it = subject(made, limits=UsageLimits(packet_id_warning=2, packet_id_last=4))
    for _ in range(6):
        it.node.inject(INNER)
    it.hand.dropped("key-exhausted", 2)
    assert len(it.hand.expect(4)) == 4
    assert [(note.kind, note.key_id) for note in it.node.reports] == [
        (NotificationKind.KEY_EXHAUSTED, 0)
    ]
    it.plane.new_key(PEER, KeySlot.SECONDARY, make_key("next", key_id=1))
    it.plane.swap_keys(PEER)
    it.node.inject(INNER)
    assert unseal(make_key("next", key_id=1), it.hand.expect(5)[4]).packet_id == 1


def test_a_key_worn_by_receiving_is_reported(made: Bench) -> None:
    it = subject(made, limits=UsageLimits(aead=16))
    for packet_id in range(1, 20):
        it.hand.send_data(packet_id, INWARD)
    assert it.hand.reported(NotificationKind.KEY_EXHAUSTED).key_id == 0


def test_control_waits_in_the_kernel_when_nobody_takes_it(made: Bench) -> None:
    it = subject(made)
    total = MAX_PENDING + 20
    for number in range(total):
        it.hand.send(b"\x20" + number.to_bytes(2, "big"))
        it.plane.notifications()
    taken: list[bytes] = []
    poller = select.poll()
    poller.register(it.plane.fileno(), select.POLLIN)
    while poller.poll(100):
        taken += [packet.payload for packet in it.plane.recv_control(64)]
    assert taken == [b"\x20" + number.to_bytes(2, "big") for number in range(total)]


def test_occ_messages_leave_room_for_other_reports(made: Bench) -> None:
    it = subject(made)
    set_keepalive(it.node, ping_timeout=60)
    for packet_id in range(1, MAX_PENDING + 1):
        it.hand.send_data(packet_id, OCC_MAGIC + b"\x06")
        it.plane.recv_control(1)
    it.clock.now += 60
    it.plane.recv_control(1)
    kinds = [note.kind for note in it.plane.notifications()]
    assert kinds.count(NotificationKind.OCC) == MAX_PENDING // 2
    assert kinds[-1] is NotificationKind.SILENT
    assert it.plane.unassigned_drops()["report"] == MAX_PENDING // 2


def test_an_interface_that_is_full_counts_and_goes_on(made: Bench) -> None:
    it = subject(made)
    for packet_id in range(1, 600):
        it.hand.send_data(packet_id, INWARD)
        it.plane.notifications()
    assert it.node.drops().keys() == {"tun-full"}
    it.node.turn()
    it.hand.send_data(1000, INWARD)
    it.hand.settle(lambda: it.plane.stats(PEER).link_read_packets == 600, "the last packet")
    assert it.node.delivered[-1] == INWARD


def test_a_call_reads_no_more_than_a_batch(made: Bench) -> None:
    it = Subject(made, UsageLimits(), DataFormat.V2)
    total = 3 * BATCH // 2  # of short packets the pair of sockets holds as many
    for _ in range(total):
        it.node.tun.send(INNER)
    it.plane.notifications()
    assert it.plane.stats(PEER).tun_read_packets == BATCH
    it.plane.notifications()
    assert it.plane.stats(PEER).tun_read_packets == total


def test_unread_bytes_belong_to_a_stream(made: Bench) -> None:
    plane = PythonDataPlane(None)
    made.on_close(plane.close)
    with pytest.raises(LocalMisuse):
        plane.attach(Link(fd=made.udp().fileno(), transport=Transport.UDP), b"bytes")


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    number = 1 << 20
    device = TunDevice(fd=number, name="tunX", mtu=1500, vnet_header=False)
    with pytest.raises(DataPlaneError) as refused:
        PythonDataPlane(device)
    assert refused.value.errno == errno.EBADF
    with ExitStack() as stack:
        plane = PythonDataPlane(None)
        stack.callback(plane.close)
        with pytest.raises(DataPlaneError) as unattached:
            plane.attach(Link(fd=number, transport=Transport.UDP))
        assert unattached.value.errno == errno.EBADF


def test_two_peers_do_not_share_an_address_by_floating(made: Bench) -> None:
    it = subject(made)
    it.plane.del_peer(PEER)
    add_peer(it.node, it.hand.endpoint, it.hand.key, allow_float=True)
    other = Hand(made, it.node, make_key("other"))
    add_peer(it.node, other.endpoint, other.key, peer_id=type(PEER)(6), routes=())
    other.send(seal(it.hand.key, 1, INWARD))
    it.hand.dropped("source")
    assert it.node.reports == []
