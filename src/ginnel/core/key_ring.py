"""Decides which data key is in which slot, and when sending moves to a new one.

The only place that emits key actions. The first key goes to PRIMARY. A later one goes to SECONDARY,
where packets under it are accepted at once, if possible before the peer can have it; at its switch
time the slots are exchanged, and the old key stays behind as lame duck until it expires
(protocol-facts 11). Deriving keys and starting negotiations is not done here.
"""

from collections import deque
from collections.abc import Callable

from ginnel.core.actions import DeleteKey, InstallKey, SwapKeys
from ginnel.core.data_key import DataKey, KeySlot
from ginnel.core.types import ActionId, Instant, KeyId, PeerId
from ginnel.dataclass import dataclass

KeyAction = InstallKey | SwapKeys | DeleteKey


@dataclass(frozen=True, slots=True)
class _Listening:
    """A key in SECONDARY that only opens packets: its negotiation is not finished yet."""

    key_id: KeyId


@dataclass(frozen=True)
class _Waiting:
    """A key in SECONDARY that packets will be sealed with from ``switch_at`` on."""

    key_id: KeyId
    switch_at: Instant


@dataclass(frozen=True)
class _LameDuck:
    """A key in SECONDARY that only opens packets, until ``expires_at``."""

    key_id: KeyId
    expires_at: Instant


class KeyRing:
    """The slots of one peer. Actions queue up and are drained with ``poll_action``."""

    def __init__(self, peer_id: PeerId, next_id: Callable[[], ActionId]) -> None:
        self._peer_id = peer_id
        self._next_id = next_id
        self._actions: deque[KeyAction] = deque()
        self._primary: KeyId | None = None
        self._primary_expires: Instant | None = None
        self._secondary: _Listening | _Waiting | _LameDuck | None = None

    @property
    def primary(self) -> KeyId | None:
        """The key that packets are sealed with; None before the first."""
        return self._primary

    def expire_primary(self, now: Instant, expires_at: float) -> None:
        """A new negotiation began: the key in use dies at ``expires_at``.

        A key that still waited to be used takes over now, as the one before it is given up.
        """
        if isinstance(self._secondary, _Waiting):
            self._switch(now)
        if self._primary_expires is None:  # else a negotiation failed before: no new lease of life
            self._primary_expires = Instant(expires_at)

    def listen(self, key: DataKey) -> None:
        """Accepts packets under a key whose negotiation goes on; ``promote`` ends that.

        For a key that follows another, with an id of its own.
        """
        self._secondary = _Listening(key.key_id)
        self._put(key, KeySlot.SECONDARY)

    def promote(self, key_id: KeyId, switch_at: float) -> bool:
        """The negotiation of a key we listen for is done: sending moves to it at ``switch_at``.

        False when that key is not there: it must be installed.
        """
        if self._secondary != _Listening(key_id):
            return False
        self._secondary = _Waiting(key_id, Instant(switch_at))
        return True

    def install(self, key: DataKey, switch_at: float) -> ActionId:
        """Puts a freshly negotiated key to work and returns the id of its InstallKey action.

        ``switch_at`` is when sending moves to it; the first key is used at once.
        """
        slot = KeySlot.SECONDARY
        if self._primary is None:
            slot = KeySlot.PRIMARY
            self._primary = key.key_id
        else:
            self._secondary = _Waiting(key.key_id, Instant(switch_at))
        action_id = self._put(key, slot)
        if slot is KeySlot.SECONDARY and key.key_id == self._primary:
            # A new session counts from 0 again. Two keys of one id cannot be told apart, so the
            # newer one takes over at once.
            self._switch(Instant(switch_at))
            self._delete(KeySlot.SECONDARY)
            self._secondary = None
        return action_id

    def handle_timeout(self, now: Instant) -> bool:
        """Switches and forgets what is due; False when no key is left that may still be used."""
        second = self._secondary
        expired = self._primary_expires is not None and self._primary_expires <= now
        if isinstance(second, _Waiting) and (second.switch_at <= now or expired):
            self._switch(now)
        elif expired:
            self._delete(KeySlot.PRIMARY)
            self._primary, self._primary_expires = None, None
        second = self._secondary
        if isinstance(second, _LameDuck) and second.expires_at <= now:
            self._delete(KeySlot.SECONDARY)
            self._secondary = None
        return self._primary is not None or expired is False

    def next_timeout(self) -> Instant | None:
        """When ``handle_timeout`` has something to do."""
        times: list[Instant] = []
        match self._secondary:
            case _Waiting(switch_at=at) | _LameDuck(expires_at=at):
                times.append(at)
            case _Listening() | None:
                pass
        if self._primary_expires is not None:
            times.append(self._primary_expires)
        return min(times, default=None)

    def poll_action(self) -> KeyAction | None:
        """Drains the actions, oldest first."""
        return self._actions.popleft() if self._actions else None

    def _put(self, key: DataKey, slot: KeySlot) -> ActionId:
        action_id = self._next_id()
        self._actions.append(InstallKey(id=action_id, peer_id=self._peer_id, slot=slot, key=key))
        return action_id

    def _switch(self, now: Instant) -> None:
        waiting = self._secondary
        if not isinstance(waiting, _Waiting) or self._primary is None:
            return
        self._actions.append(SwapKeys(id=self._next_id(), peer_id=self._peer_id))
        expires = self._primary_expires if self._primary_expires is not None else now
        self._secondary = _LameDuck(self._primary, expires)
        self._primary = waiting.key_id
        self._primary_expires = None

    def _delete(self, slot: KeySlot) -> None:
        self._actions.append(DeleteKey(id=self._next_id(), peer_id=self._peer_id, slot=slot))
