"""What every control-channel wrapping offers, and the send counter they share.

Responsible for: the seam between the session machines and the wrappings. Not responsible for: how a
packet is protected; each wrapping has a file of its own.
"""

from collections.abc import Callable

from ginnel.core.errors import LocalMisuse, Malformed
from ginnel.core.key_files import StaticKey
from ginnel.core.replay import ReplayWindow
from ginnel.core.wire import ControlHeader, Opcode
from ginnel.hints import Protocol

EARLY_NEGOTIATION_BASE = 0x0F000000
"""Start of the replay counter by which a client tells that it can resend its wrapped key."""


SIV_KEY_LENGTH = 32
"""Of AES-256, and of HMAC-SHA256 as tls-crypt uses it."""


class SivKey(Protocol):
    """The keys of one direction: AES-256-CTR and HMAC-SHA256, in the SIV manner."""

    def seal(self, clear: bytes, secret: bytes) -> tuple[bytes, bytes]:
        """Returns (tag, ciphertext); the tag covers ``clear | secret``, its front is the IV."""
        ...

    def open(self, clear: bytes, tag: bytes, ciphertext: bytes) -> bytes | None:
        """Returns the plaintext, or None when the tag does not fit."""
        ...


SivMaker = Callable[[bytes, bytes], SivKey]
"""Makes them from a key for AES and one for HMAC. ``dataplane.choose`` has a quicker one."""


def library_siv(cipher_key: bytes, mac_key: bytes) -> SivKey:
    """Makes them on the cryptography package, which is loaded only here."""
    from ginnel.core.wrap.siv import LibrarySivKey

    return LibrarySivKey(cipher_key, mac_key)


class Wrapping(Protocol):
    """Protects the control packets of one session; keeps a send counter and a replay window.

    ``seal`` takes the clear header and the body of ``wire.encode_body``; ``open`` undoes it and
    raises ``Malformed`` with one of the reasons ``short``, ``opcode``, ``session-id``, ``hmac``,
    ``replay`` or ``wkc``. After an error the wrapping is as it was before.

    ``peek`` opens without marking the packet as seen: for one that may belong to another session
    under the same key, whose replay ids must not move this session's window.
    """

    @property
    def overhead(self) -> int:
        """Bytes that ``seal`` adds to the nine clear bytes and the body of an ordinary packet."""
        ...

    @property
    def static_key(self) -> StaticKey | None:
        """The configured key, which dynamic tls-crypt mixes in; None without one."""
        ...

    def trailer(self, opcode: Opcode) -> int:
        """Bytes that packets of this opcode carry on top of ``overhead``: a wrapped client key."""
        ...

    def seal(self, header: ControlHeader, body: bytes) -> bytes: ...

    def open(self, packet: bytes) -> tuple[ControlHeader, bytes]: ...

    def peek(self, packet: bytes) -> tuple[ControlHeader, bytes]: ...


class ReplayIds:
    """Numbers the packets we send and refuses those that we have seen (protocol-facts 2 and 10).

    The time sent is the clock when the counter started; it moves on only when the counter wraps.
    """

    __slots__ = ("_number", "_time", "_window")

    def __init__(
        self, *, unix_time: int, base: int = 0, window: ReplayWindow | None = None
    ) -> None:
        """``unix_time`` is wall-clock seconds; the first number sent is ``base + 1``."""
        if not 0 <= unix_time <= 0xFFFFFFFF:
            raise LocalMisuse("the time in a replay id has 32 bits")
        self._time = unix_time
        self._number = base
        self._window = ReplayWindow() if window is None else window

    def next(self) -> bytes:
        """Returns the eight bytes ``number | time`` for the next packet."""
        if self._number == 0xFFFFFFFF:
            self._number = 0
            self._time += 1
        self._number += 1
        return (self._number << 32 | self._time).to_bytes(8, "big")

    def check(self, replay_id: bytes, *, mark: bool = True) -> None:
        """Looks up a received replay id of an authentic packet, and marks it as seen if wanted.

        Raises ``Malformed("replay")``.
        """
        value = int.from_bytes(replay_id, "big")
        look = self._window.accept if mark else self._window.is_new
        if not look(value & 0xFFFFFFFF, value >> 32):
            raise Malformed("replay")
