"""The server's session id of a client that has proved nothing yet: an HMAC in place of memory.

After protocol-facts 6: the id that answers a first packet is computed from the client's address,
its session id and the time, so that the packet after it shows that the client sees our answers.
"""

from hmac import compare_digest

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from ginnel.core.types import Endpoint, Instant, SessionId
from ginnel.core.wire import SESSION_ID_LENGTH

SLOTS = 3
"""An id is good in the slot that it was made in and in the two after it."""


class CookieMaker:
    """Makes and checks session ids. ``secret`` is random and lives as long as the process."""

    def __init__(self, secret: bytes, *, hand_window: int) -> None:
        """Half of ``hand_window`` seconds is one slot."""
        self._hmac = HMAC(secret, SHA256())
        self._slot_length = max((hand_window + 1) // 2, 1)

    def make(self, source: Endpoint, client: SessionId, now: Instant) -> SessionId:
        """The session id for a client that sent its first packet now."""
        return self._in_slot(self._slot(now), source, client)

    def is_good(self, cookie: SessionId, source: Endpoint, client: SessionId, now: Instant) -> bool:
        """Whether we gave this id lately to this client at this address."""
        slot = self._slot(now)
        return any(
            compare_digest(self._in_slot(slot - age, source, client), cookie)
            for age in range(SLOTS)
        )

    @property
    def lifetime(self) -> float:
        """Seconds after which no id is good any more."""
        return float(SLOTS * self._slot_length)

    def _slot(self, now: Instant) -> int:
        return int(now) // self._slot_length

    def _in_slot(self, slot: int, source: Endpoint, client: SessionId) -> SessionId:
        address = source.address.packed + source.port.to_bytes(2, "big")
        message = (slot & 0xFFFFFFFF).to_bytes(4, "big") + address + client
        keyed = self._hmac.copy()
        keyed.update(message)
        cookie = keyed.finalize()[:SESSION_ID_LENGTH]
        # All zero is no session id; the chance is that of guessing one.
        return SessionId(cookie if any(cookie) else bytes((1,)) * SESSION_ID_LENGTH)
