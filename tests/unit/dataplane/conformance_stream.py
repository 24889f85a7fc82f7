"""What every data plane must do over TCP: framing, order, and the end of a stream."""

import errno
import select
import socket
import struct
from ipaddress import ip_address

import pytest

from ginnel.core.types import Endpoint, Transmit, Transport
from ginnel.dataplane import formats
from ginnel.dataplane.api import PING, NotificationKind
from tests.unit.dataplane.inner_packets import udp_packet
from tests.unit.dataplane.rig import (
    PEER,
    Bench,
    Node,
    add_peer,
    make_key,
    receive,
    seal,
    set_keepalive,
    settle,
    unseal,
)

KEY = make_key("stream")
INNER = udp_packet("10.8.0.6", "10.8.0.1", b"to the office")
INWARD = udp_packet("10.8.0.1", "10.8.0.6", b"from the office")
CONTROL = b"\x20" + b"c" * 200


class Stream:
    """The far end of the engine's connection: cuts what arrives into records."""

    def __init__(
        self, made: Bench, engine: str, *, unread: bytes = b"", unsent: bytes = b"", family: int = 4
    ) -> None:
        near, self.socket = made.tcp_pair(family)
        self.near = near
        self.node: Node = made.node(
            engine, near, transport=Transport.TCP, unread=unread, unsent=unsent
        )
        add_peer(self.node, None, KEY)
        self._bytes = b""
        self.records: list[bytes] = []
        self.ended = False

    def start_with(self, arrived: bytes) -> None:
        """Tells of bytes that came before the engine took over."""
        self._bytes = arrived

    def send(self, *packets: bytes) -> None:
        self.socket.sendall(b"".join(framed(packet) for packet in packets))

    def collect(self) -> list[bytes]:
        while not self.ended and (chunk := receive(self.socket)) is not None:
            self._bytes += chunk
            self.ended = not chunk
        while len(self._bytes) >= 2:
            end = 2 + int.from_bytes(self._bytes[:2], "big")
            if len(self._bytes) < end:
                break
            self.records.append(self._bytes[2:end])
            self._bytes = self._bytes[end:]
        return self.records

    def expect(self, count: int) -> list[bytes]:
        settle([self.node], lambda: len(self.collect()) >= count, f"{count} records")
        return self.records

    def delivered(self, count: int) -> list[bytes]:
        settle([self.node], lambda: len(self.node.delivered) >= count, f"{count} packets")
        return self.node.delivered

    def reported(self, kind: NotificationKind) -> int:
        """Waits for the report and returns its errno."""
        settle([self.node], lambda: kind in self.node.kinds(), f"the report {kind.value}")
        return next(report.errno for report in self.node.reports if report.kind is kind)


def framed(packet: bytes) -> bytes:
    return len(packet).to_bytes(2, "big") + packet


@pytest.mark.parametrize("family", [4, 6])
def test_stream_carries_data_and_control_both_ways(made: Bench, engine: str, family: int) -> None:
    stream = Stream(made, engine, family=family)
    stream.send(seal(KEY, 1, INWARD), CONTROL, seal(KEY, 2, INWARD))
    assert stream.delivered(2) == [INWARD, INWARD]
    settle([stream.node], lambda: stream.node.control, "the control packet")
    assert stream.node.control[0].payload == CONTROL
    assert stream.node.control[0].source is None
    stream.node.inject(INNER)
    assert unseal(KEY, stream.expect(1)[0]).payload == INNER
    stream.node.plane.send_control(Transmit(CONTROL, None))
    assert stream.expect(2)[1] == CONTROL
    stats = stream.node.plane.stats(PEER)
    assert stats.link_read_bytes == 2 * len(seal(KEY, 1, INWARD))


def test_stream_may_arrive_byte_by_byte(made: Bench, engine: str) -> None:
    stream = Stream(made, engine)
    for byte in framed(seal(KEY, 1, INWARD)) + framed(CONTROL):
        stream.socket.sendall(bytes((byte,)))
        stream.node.turn()
    assert stream.delivered(1) == [INWARD]
    settle([stream.node], lambda: stream.node.control, "the control packet")


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 60])
def test_stream_begins_with_the_unread_bytes(made: Bench, engine: str, cut: int) -> None:
    whole = framed(CONTROL) + framed(CONTROL + b"2")
    stream = Stream(made, engine, unread=whole[: len(framed(CONTROL)) + cut])
    stream.socket.sendall(whole[len(framed(CONTROL)) + cut :])
    settle([stream.node], lambda: len(stream.node.control) >= 2, "both control packets")
    assert [packet.payload for packet in stream.node.control] == [CONTROL, CONTROL + b"2"]


def test_unread_records_need_no_further_byte(made: Bench, engine: str) -> None:
    stream = Stream(made, engine, unread=framed(CONTROL) * 3)
    settle([stream.node], lambda: len(stream.node.control) >= 3, "the unread packets")


def test_a_record_that_was_begun_is_finished_first(made: Bench, engine: str) -> None:
    """The shell wrote a part of it before the link was handed over."""
    whole = framed(CONTROL)
    stream = Stream(made, engine, unsent=whole[50:])
    stream.node.plane.send_control(Transmit(CONTROL + b"2", None))
    stream.node.inject(INNER)
    stream.start_with(whole[:50])
    assert stream.expect(3)[:2] == [CONTROL, CONTROL + b"2"]
    assert unseal(KEY, stream.records[2]).payload == INNER


def test_packets_for_the_server_itself_do_not_enter_the_stream(made: Bench, engine: str) -> None:
    """A stream whose own packets were routed into it would stall for good."""
    near, far = made.tcp_pair(4)
    node = made.node(engine, near, transport=Transport.TCP)
    add_peer(node, Endpoint(ip_address("127.0.0.1"), 443), KEY)
    node.inject(udp_packet("10.8.0.6", "127.0.0.1", b"loop"))
    node.inject(INNER)
    arrived = bytearray()

    def record() -> bool:
        arrived.extend(receive(far) or b"")
        return len(arrived) > 2

    settle([node], record, "the packet for somebody else")
    assert unseal(KEY, bytes(arrived[2:])).payload == INNER
    assert node.drops() == {"recursive": 1}


@pytest.mark.parametrize("length", [b"\x00\x00", b"\xff\xff"], ids=["zero", "huge"])
def test_a_bad_record_length_ends_the_link(made: Bench, engine: str, length: bytes) -> None:
    stream = Stream(made, engine)
    stream.send(seal(KEY, 1, INWARD))
    stream.socket.sendall(length + b"rest")
    assert stream.reported(NotificationKind.LINK_LOST) != 0
    assert stream.delivered(1) == [INWARD]
    assert stream.node.kinds() == [NotificationKind.LINK_LOST]


def test_the_end_of_the_stream_is_told_from_an_error(made: Bench, engine: str) -> None:
    stream = Stream(made, engine)
    stream.send(seal(KEY, 1, INWARD))
    stream.socket.shutdown(socket.SHUT_WR)
    assert stream.reported(NotificationKind.LINK_LOST) == 0
    assert stream.delivered(1) == [INWARD]


def test_a_reset_stream_is_lost_with_its_errno(made: Bench, engine: str) -> None:
    stream = Stream(made, engine)
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()
    assert stream.reported(NotificationKind.LINK_LOST) == errno.ECONNRESET


def test_a_lost_stream_stays_lost_quietly(made: Bench, engine: str) -> None:
    stream = Stream(made, engine)
    stream.socket.shutdown(socket.SHUT_WR)
    stream.reported(NotificationKind.LINK_LOST)
    stream.node.inject(INNER)
    stream.node.plane.send_control(Transmit(CONTROL, None))
    stream.node.plane.send_inner(PEER, formats.OCC_MAGIC + b"\x06")
    stream.node.turn()
    assert stream.node.kinds() == [NotificationKind.LINK_LOST]


def test_a_packet_that_does_not_authenticate_is_reported(made: Bench, engine: str) -> None:
    stream = Stream(made, engine)
    spoiled = bytearray(seal(KEY, 1, INWARD))
    spoiled[-1] ^= 1
    stream.send(bytes(spoiled))
    stream.reported(NotificationKind.DECRYPT_ERROR)
    assert stream.node.drops() == {"auth": 1}


def test_stream_pings_and_notices_silence(made: Bench, engine: str) -> None:
    stream = Stream(made, engine)
    set_keepalive(stream.node, ping_interval=1, ping_timeout=2)
    assert unseal(KEY, stream.expect(1)[0]).payload == PING
    stream.reported(NotificationKind.SILENT)


def test_control_overtakes_data_and_records_stay_whole(made: Bench, engine: str) -> None:
    stream = Stream(made, engine)
    stream.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    large = udp_packet("10.8.0.6", "10.8.0.1", bytes(1400))
    fed = 0
    stalled = 0
    while stalled < 50:
        try:
            stream.node.tun.send(large, socket.MSG_DONTWAIT)
            fed, stalled = fed + 1, 0
        except BlockingIOError:
            stalled += 1
            settle([stream.node], lambda: True, "one turn")
            stream.node.plane.recv_control(1)
    stream.node.plane.send_control(Transmit(CONTROL, None))
    stream.node.plane.send_control(Transmit(CONTROL + b"2", None))
    settle([stream.node], lambda: CONTROL + b"2" in stream.collect(), "the control packets")
    at = stream.records.index(CONTROL)
    assert stream.records[at + 1] == CONTROL + b"2"

    def has_room() -> bool:
        stream.collect()
        return bool(select.select([], [stream.node.tun], [], 0)[1])

    settle([stream.node], has_room, "room in the device")
    stream.node.inject(INNER)

    def last_arrived() -> bool:
        stream.collect()
        return len(stream.records[-1]) < 1400 and stream.records[-1] != CONTROL + b"2"

    settle([stream.node], last_arrived, "the packet injected last")
    opened = [unseal(KEY, record) for record in stream.records if record[0] >> 3 == 9]
    assert [packet.packet_id for packet in opened] == sorted(
        {packet.packet_id for packet in opened}
    )
    assert opened[-1].payload == INNER
    assert {packet.payload for packet in opened[:-1]} == {large}
    assert at < len(stream.records) - 2, "data that waited came after the control packets"
