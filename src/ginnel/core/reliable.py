"""The reliability layer of one key: send window, reordering, acknowledgements, retransmit times.

Responsible for: exactly-once, in-order delivery of control messages (protocol-facts 5).
Not responsible for: packet layouts (``core.wire``), TLS, or which session a packet belongs to.
"""

from collections.abc import Iterable

from ginnel.core.errors import LocalMisuse
from ginnel.core.types import Instant
from ginnel.core.wire import MAX_ACKS, Opcode
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum

SEND_WINDOW = 6
RECEIVE_WINDOW = 12
PIGGYBACKED_ACKS = 4
"""Most acknowledgements that ride on a packet which also has a payload."""
FAST_RESEND_ACKS = 3
"""A message is taken for lost when this many later ones were acknowledged."""
DEFAULT_TIMEOUT = 2.0
"""Seconds before the first retransmission: default of ``tls-timeout``."""


@dataclass(frozen=True, slots=True)
class Message:
    """A control message with its reliability number."""

    message_id: int
    opcode: Opcode
    payload: bytes


class _Entry:
    """A message that the peer has not acknowledged."""

    __slots__ = ("later_acks", "message", "resend_at", "timeout")

    def __init__(self, message: Message, now: Instant, timeout: float) -> None:
        self.message = message
        self.resend_at = now
        self.timeout = timeout
        self.later_acks = 0


class ReliableSender:
    """Numbers outgoing messages and repeats them until they are acknowledged.

    ``queue`` when ``room`` allows, then send what ``due`` returns; ``next_timeout`` says when to
    ask again. Every transmission of a message doubles its waiting time.
    """

    __slots__ = ("_entries", "_initial_timeout", "_next_id", "_window")

    def __init__(
        self, *, timeout: float = DEFAULT_TIMEOUT, window: int = SEND_WINDOW, first_id: int = 0
    ) -> None:
        """``first_id`` is 1 for a server whose stateless reply already used 0."""
        self._initial_timeout = timeout
        self._window = window
        self._next_id = first_id
        self._entries: dict[int, _Entry] = {}

    @property
    def room(self) -> int:
        """How many messages can be queued now.

        The window spans from the oldest unacknowledged message, so that the receiver, whose window
        starts at the oldest one missing, accepts whatever we send.
        """
        if not self._entries:
            return self._window
        return self._window - (self._next_id - next(iter(self._entries)))

    @property
    def is_empty(self) -> bool:
        """Whether everything queued was acknowledged."""
        return not self._entries

    @property
    def next_id(self) -> int:
        """Number that the next queued message will get."""
        return self._next_id

    def queue(self, opcode: Opcode, payload: bytes, now: Instant) -> int:
        """Queues a message, due at once, and returns its number. Needs ``room``."""
        if self.room <= 0 or self._next_id > 0xFFFFFFFF:
            raise LocalMisuse("queued a control message without room in the send window")
        message_id = self._next_id
        self._next_id += 1
        message = Message(message_id, opcode, payload)
        self._entries[message_id] = _Entry(message, now, self._initial_timeout)
        return message_id

    def acknowledge(self, message_ids: Iterable[int]) -> int:
        """Forgets acknowledged messages and returns how many that were; unknown ids are ignored."""
        entries = self._entries
        done = 0
        for message_id in message_ids:
            if entries.pop(message_id, None) is None:
                continue
            done += 1
            for earlier, entry in entries.items():
                if earlier >= message_id:
                    break
                entry.later_acks += 1
        return done

    def due(self, now: Instant) -> list[Message]:
        """Returns the messages to send now, lowest number first, and schedules their repetition."""
        late: list[Message] = []
        for entry in self._entries.values():
            if entry.resend_at <= now or entry.later_acks >= FAST_RESEND_ACKS:
                entry.resend_at = Instant(now + entry.timeout)
                entry.timeout *= 2
                entry.later_acks = 0
                late.append(entry.message)
        return late

    def reschedule(self, now: Instant) -> None:
        """Makes everything unacknowledged due at once with the initial back-off.

        For the first packet seen from the peer: it may have missed all that we sent before.
        """
        for entry in self._entries.values():
            entry.resend_at = now
            entry.timeout = self._initial_timeout

    def next_timeout(self) -> Instant | None:
        """When ``due`` will return something; in the past when a fast resend waits."""
        if not self._entries:
            return None
        return min(
            Instant(0.0) if entry.later_acks >= FAST_RESEND_ACKS else entry.resend_at
            for entry in self._entries.values()
        )


class Arrival(Enum):
    """What became of a received message."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """Seen before: dropped, but acknowledged again, for the first acknowledgement may be lost."""
    OUTSIDE = "outside"
    """Beyond the window: dropped without acknowledgement; the peer repeats it."""


class ReliableReceiver:
    """Puts incoming messages in order and keeps the list of what to acknowledge.

    Holds at most ``window`` messages and ``MAX_ACKS`` acknowledgements.
    """

    __slots__ = ("_next_id", "_pending_acks", "_recent_acks", "_waiting", "_window")

    def __init__(self, *, window: int = RECEIVE_WINDOW, first_id: int = 0) -> None:
        """``first_id`` is 1 for a server that answered message 0 without keeping state."""
        self._window = window
        self._next_id = first_id
        self._waiting: dict[int, Message] = {}
        self._pending_acks: list[int] = []
        self._recent_acks: list[int] = []

    @property
    def next_id(self) -> int:
        """Number of the next message to deliver."""
        return self._next_id

    def receive(self, message_id: int, opcode: Opcode, payload: bytes) -> Arrival:
        """Stores a message unless it is old or out of the window, and notes its acknowledgement."""
        if message_id >= self._next_id + self._window:
            return Arrival.OUTSIDE
        if message_id not in self._pending_acks and len(self._pending_acks) < MAX_ACKS:
            self._pending_acks.append(message_id)
        if message_id < self._next_id or message_id in self._waiting:
            return Arrival.DUPLICATE
        self._waiting[message_id] = Message(message_id, opcode, payload)
        return Arrival.NEW

    def take(self) -> list[Message]:
        """Returns the messages that are next in order, each once."""
        ready: list[Message] = []
        while (message := self._waiting.pop(self._next_id, None)) is not None:
            ready.append(message)
            self._next_id += 1
        return ready

    @property
    def has_acks(self) -> bool:
        """Whether something was received that no packet has acknowledged yet."""
        return bool(self._pending_acks)

    def take_acks(self, limit: int = MAX_ACKS) -> tuple[int, ...]:
        """Returns up to ``limit`` ids for the next packet, new ones first.

        Free places are filled with ids acknowledged lately, newest first, in case the packet that
        carried them was lost. Use ``PIGGYBACKED_ACKS`` for a packet with payload.
        """
        fresh = self._pending_acks[:limit]
        del self._pending_acks[:limit]
        if fresh:
            older = [message_id for message_id in self._recent_acks if message_id not in fresh]
            self._recent_acks = (fresh + older)[:MAX_ACKS]
        return tuple(self._recent_acks[:limit])
