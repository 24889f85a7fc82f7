"""What the reference engine hands up: reports and control packets, in bounded queues."""

from collections import Counter, deque
from collections.abc import Iterable

from ginnel.core.types import Endpoint
from ginnel.dataplane.api import ControlPacket, LinkId, Notification, NotificationKind

MAX_PENDING = 256
"""Reports at the will of peers, and control packets, that may wait. While control is full, a
client's link is not read, and a server drops what comes; strangers fill no more than half."""

STRANGER_SHARE = 16
"""Of them, how many may be of one stranger: others come, too."""

AT_WILL = frozenset(
    {
        NotificationKind.OCC,
        NotificationKind.BAD_FRAMING,
        NotificationKind.BAD_SOURCE,
        NotificationKind.LEARNED,
        NotificationKind.RELEARNED,
        NotificationKind.FORGOTTEN,
        NotificationKind.TOO_LONG,
    }
)
"""What a peer can cause as often as it likes; other reports come once a peer, key or link."""


Place = tuple[LinkId, Endpoint | None]


class Outbox:
    """Both queues; what they refuse is counted in ``drops``."""

    def __init__(self, drops: Counter[str]) -> None:
        self._drops = drops
        self._reports: deque[Notification] = deque()
        self._control: deque[ControlPacket] = deque()
        self._of_strangers: Counter[Place] = Counter()
        """How many wait of each."""

    def __len__(self) -> int:
        return len(self._reports) + len(self._control)

    @property
    def control_room(self) -> int:
        """Control packets that may still come."""
        return MAX_PENDING - len(self._control)

    @property
    def report_room(self) -> int:
        """Reports at the will of peers that may still come."""
        return max(MAX_PENDING - len(self._reports), 0)

    def report(self, *notifications: Notification) -> None:
        """Queues reports; OCC messages leave room for the others."""
        for notification in notifications:
            kind = notification.kind
            reserve = MAX_PENDING // 2 if kind is NotificationKind.OCC else 0
            if kind in AT_WILL and self.report_room <= reserve:
                self._drops["report"] += 1
            elif kind is not NotificationKind.DECRYPT_ERROR or notification not in self._reports:
                self._reports.append(notification)

    def report_all(self, notifications: Iterable[Notification]) -> None:
        self.report(*notifications)

    def control(self, packet: ControlPacket, *, is_stranger: bool) -> bool:
        """Queues a control packet, or drops and counts it; tells whether it was kept."""
        reserve = MAX_PENDING // 2 if is_stranger else 0
        place = (packet.link, packet.source)
        has_its_share = is_stranger and self._of_strangers[place] >= STRANGER_SHARE
        if has_its_share or self.control_room <= reserve:
            self._drops["control-full"] += 1
            return False
        self._of_strangers[place] += is_stranger
        self._control.append(packet)
        return True

    def take_reports(self) -> list[Notification]:
        taken = list(self._reports)
        self._reports.clear()
        return taken

    def take_control(self, limit: int) -> list[ControlPacket]:
        taken = [self._control.popleft() for _ in range(min(limit, len(self._control)))]
        self._of_strangers -= Counter((packet.link, packet.source) for packet in taken)
        return taken
