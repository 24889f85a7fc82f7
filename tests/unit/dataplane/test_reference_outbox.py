"""What waits to be handed up: bounded where peers decide how much, whole where they do not."""

from collections import Counter

from ginnel.core.types import PeerId
from ginnel.dataplane.api import ControlPacket, LinkId, Notification, NotificationKind
from ginnel.dataplane.reference_outbox import MAX_PENDING, Outbox


def note(kind: NotificationKind, number: int = 0) -> Notification:
    return Notification(kind=kind, peer_id=PeerId(number), link=LinkId(number))


def test_what_peers_cause_at_will_shuts_nothing_out() -> None:
    drops: Counter[str] = Counter()
    outbox = Outbox(drops)
    for _ in range(MAX_PENDING):
        outbox.report(note(NotificationKind.OCC))
    for _ in range(MAX_PENDING):
        outbox.report(note(NotificationKind.BAD_SOURCE))
    outbox.report_all(note(NotificationKind.LINK_LOST, link) for link in range(1000))
    kinds = Counter(report.kind for report in outbox.take_reports())
    assert kinds == {
        NotificationKind.OCC: MAX_PENDING // 2,
        NotificationKind.BAD_SOURCE: MAX_PENDING // 2,
        NotificationKind.LINK_LOST: 1000,
    }
    assert drops["report"] == MAX_PENDING
    assert outbox.report_room == MAX_PENDING


def test_one_broken_stream_says_so_once() -> None:
    outbox = Outbox(Counter())
    for number in (1, 1, 2, 1):
        outbox.report(note(NotificationKind.DECRYPT_ERROR, number))
    assert [report.peer_id for report in outbox.take_reports()] == [1, 2]


def test_strangers_fill_half_of_what_waits() -> None:
    drops: Counter[str] = Counter()
    outbox = Outbox(drops)
    for _ in range(MAX_PENDING):
        outbox.control(ControlPacket(b"stranger", None), is_stranger=True)
    for _ in range(MAX_PENDING):
        outbox.control(ControlPacket(b"peer", None), is_stranger=False)
    assert (len(outbox), outbox.control_room) == (MAX_PENDING, 0)
    assert drops["control-full"] == MAX_PENDING
    assert len(outbox.take_control(10)) == 10
    assert len(outbox.take_control(1000)) == MAX_PENDING - 10
