"""The clocks of a peer, on virtual time."""

from ginnel.core.types import PeerId
from ginnel.dataplane.api import Keepalive, NotificationKind, PeerConfig
from ginnel.dataplane.reference_layer import Layer
from ginnel.dataplane.reference_peer import NEVER, KeepaliveClock, ReferencePeer
from tests.unit.dataplane.inner_packets import udp_packet

SILENT, INACTIVE = NotificationKind.SILENT, NotificationKind.INACTIVE


def test_without_limits_nothing_is_ever_due() -> None:
    clock = KeepaliveClock(Keepalive(), 0.0)
    assert clock.next_deadline() == NEVER
    assert not clock.ping_is_due(1e9)
    assert clock.expired(1e9) == []


def test_a_ping_is_due_after_the_interval_without_sending() -> None:
    clock = KeepaliveClock(Keepalive(ping_interval=10), 100.0)
    assert not clock.ping_is_due(109.9)
    assert clock.ping_is_due(110.0)
    clock.sent(110.0)
    assert not clock.ping_is_due(119.0)
    assert clock.next_deadline() == 120.0


def test_silence_is_reported_once_until_something_is_heard() -> None:
    clock = KeepaliveClock(Keepalive(ping_timeout=30), 0.0)
    assert clock.expired(29.9) == []
    assert clock.expired(30.0) == [SILENT]
    assert clock.expired(31.0) == []
    assert clock.next_deadline() == NEVER
    clock.received(40.0)
    assert clock.next_deadline() == 70.0
    assert clock.expired(70.0) == [SILENT]


def test_inactivity_counts_bytes_within_the_time() -> None:
    clock = KeepaliveClock(Keepalive(inactive_seconds=60, inactive_bytes=100), 0.0)
    clock.crossed_tun(99, 30.0)
    assert clock.next_deadline() == 60.0
    clock.crossed_tun(1, 50.0)
    assert clock.next_deadline() == 110.0
    clock.crossed_tun(99, 100.0)
    assert clock.expired(110.0) == [INACTIVE]
    assert clock.expired(200.0) == []


def test_without_a_byte_limit_any_packet_is_activity() -> None:
    clock = KeepaliveClock(Keepalive(inactive_seconds=60), 0.0)
    clock.crossed_tun(20, 59.0)
    assert clock.expired(60.0) == []
    assert clock.expired(119.0) == [INACTIVE]


def test_answers_to_what_is_too_long_come_at_a_bounded_rate() -> None:
    peer = ReferencePeer(
        PeerConfig(peer_id=PeerId(0), send_peer_id=PeerId(0), remote=None), None, 0.0
    )
    short, long = (udp_packet("10.8.0.6", "10.8.0.1", bytes(size)) for size in (100, 1400))
    layer = Layer(is_ethernet=False)

    def answered(now: float) -> int:
        fitting, answers = peer.fit_path([long, short] * 200, 1300, layer, now)
        assert fitting == [short] * 200
        return len(answers)

    assert 50 <= answered(5.0) <= 51
    assert answered(5.0) == 0
    assert 9 <= answered(5.01) <= 10
    assert 50 <= answered(60.0) <= 51
    assert peer.counters.drops["link-emsgsize"] == 800
