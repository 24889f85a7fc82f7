"""Data keys at work: packet-ids, replay windows, usage limits and the epochs of one negotiation.

A key seals and opens whole packets and says when it wears out. Not responsible for slots, peers or
sockets (``reference_peer``), nor for the layouts themselves (``formats``).
"""

from collections import deque

from ginnel.core.data_key import DataCipher, DataKey, DirectionKey
from ginnel.dataclass import dataclass
from ginnel.dataplane import formats
from ginnel.dataplane.formats import DataHeader, EpochId
from ginnel.dataplane.replay_window import ReplayWindow
from ginnel.hints import Protocol
from ginnel.options.values import Secret

FUTURE_EPOCHS = 16
"""Epochs ahead of the current one that a receiver has keys for (protocol-facts 9)."""


class Dropped(Exception):
    """A packet that goes nowhere; ``reason`` is the name it is counted under."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLimits:
    """How far a key may be used (protocol-facts 9 and 10). Only tests lower them."""

    packet_id_warning: int = 0xFF000000
    packet_id_last: int = formats.MAX_PACKET_ID
    counter_last: int = formats.MAX_EPOCH_COUNTER
    aead: int = 2**36 - 1
    """Packets plus started 16-byte blocks under one key of AES-GCM; ChaCha20 has no such limit."""
    failed_warning: int = 2**35
    failed_last: int = 2**36
    epoch_warning: int = 0xF000
    epoch_last: int = formats.MAX_EPOCH

    @property
    def aead_warning(self) -> int:
        """Where a key without epochs asks for its successor."""
        return self.aead // 8 * 7


class PacketKey(Protocol):
    """Seals and opens packets of one negotiation."""

    key_id: int

    def seal(self, plaintext: bytes) -> bytes:
        """Builds the packet; raises Dropped when the key must not be used any more."""
        ...

    def open(self, header: DataHeader, packet: bytes, now: float) -> bytes:
        """Returns the plaintext of a packet with this key_id; raises Dropped or Malformed."""
        ...

    def nears_its_end(self) -> bool:
        """Tells whether a renegotiation is due because of use, not of age."""
        ...


def started_blocks(plaintext: bytes) -> int:
    """How many 16-byte cipher blocks a payload touches."""
    return (len(plaintext) + 15) // 16


class ClassicKey:
    """A key of V1 or V2: 32-bit packet-ids, one cipher key a direction. Opens both layouts."""

    def __init__(
        self,
        key: DataKey,
        header: bytes,
        replay_window: int,
        replay_time: float,
        limits: UsageLimits,
    ) -> None:
        self.key_id: int = key.key_id
        self._header = header
        self._limits = limits
        self._counts_blocks = key.cipher is not DataCipher.CHACHA20_POLY1305
        self._send_aead, self._send_iv = _classic_direction(key.cipher, key.send)
        self._receive_aead, self._receive_iv = _classic_direction(key.cipher, key.receive)
        self._window = ReplayWindow(replay_window, replay_time)
        self._sent_id = 0
        self._sent_blocks = 0
        self._received_blocks = 0
        self._failed = 0

    def seal(self, plaintext: bytes) -> bytes:
        """Builds the packet under the next packet-id."""
        blocks = self._sent_blocks + started_blocks(plaintext)
        packet_id = self._sent_id + 1
        if packet_id > self._limits.packet_id_last or (
            self._counts_blocks and blocks + packet_id > self._limits.aead
        ):
            raise Dropped("key-exhausted")
        self._sent_id = packet_id
        self._sent_blocks = blocks
        return formats.seal_classic(
            self._send_aead, self._send_iv, self._header, packet_id, plaintext
        )

    def open(self, header: DataHeader, packet: bytes, now: float) -> bytes:
        """Checks the packet-id, opens, and only then marks it."""
        packet_id = formats.decode_classic_id(packet, header)
        if self._failed >= self._limits.failed_last:
            raise Dropped("key-exhausted")
        if not self._window.check(packet_id, now):
            raise Dropped("replay")
        try:
            plaintext = formats.open_classic(self._receive_aead, self._receive_iv, header, packet)
        except formats.Unauthentic as bad:
            self._failed += 1
            raise Dropped("auth") from bad
        self._window.mark(packet_id, now)
        self._received_blocks += started_blocks(plaintext)
        return plaintext

    def nears_its_end(self) -> bool:
        """Packet-id, AEAD use in either direction, or failed tags (protocol-facts 10)."""
        limits = self._limits
        if self._sent_id >= limits.packet_id_warning or self._failed >= limits.failed_warning:
            return True
        most = max(self._sent_blocks + self._sent_id, self._received_blocks + self._window.highest)
        return self._counts_blocks and most > limits.aead_warning


class _Sender:
    """The sending side of the current epoch."""

    __slots__ = ("aead", "blocks", "chain", "counter", "epoch", "iv")

    def __init__(self, chain: Secret, epoch: int, cipher: DataCipher) -> None:
        self.chain = chain
        self.epoch = epoch
        self.aead, self.iv = formats.epoch_key(chain, cipher)
        self.counter = 0
        self.blocks = 0

    @property
    def used(self) -> int:
        return self.blocks + self.counter


class _Receiver:
    """The receiving side of one epoch, with a replay window of its own."""

    __slots__ = ("aead", "blocks", "epoch", "failed", "iv", "window")

    def __init__(self, chain: Secret, epoch: int, cipher: DataCipher, window: ReplayWindow) -> None:
        self.epoch = epoch
        self.aead, self.iv = formats.epoch_key(chain, cipher)
        self.window = window
        self.blocks = 0
        self.failed = 0

    @property
    def used(self) -> int:
        return self.blocks + self.window.highest


class EpochKeys:
    """The two key chains of the epoch format (protocol-facts 9).

    The receiver keeps the current epoch, the one before it, and 16 to come; a packet of a later
    epoch moves it there and lifts the sender at least as far.
    """

    def __init__(
        self,
        key: DataKey,
        header: bytes,
        replay_window: int,
        replay_time: float,
        limits: UsageLimits,
    ) -> None:
        self.key_id: int = key.key_id
        self._header = header
        self._cipher = key.cipher
        self._limits = limits
        self._counts_blocks = key.cipher is not DataCipher.CHACHA20_POLY1305
        self._window_size = replay_window
        self._window_time = replay_time
        self._sender = _Sender(_chain_start(key.send), 1, key.cipher)
        self._chain = _chain_start(key.receive)
        self._chain_epoch = 1
        self._current = self._new_receiver()
        self._retiring: _Receiver | None = None
        self._future: deque[_Receiver] = deque()
        self._fill_future()

    def seal(self, plaintext: bytes) -> bytes:
        """Builds the packet, in the next epoch when this one is used up."""
        if self._must_advance():
            self._advance_sender()
        sender = self._sender
        if sender.counter >= self._limits.counter_last or self._overused(sender.used):
            raise Dropped("key-exhausted")
        sender.counter += 1
        sender.blocks += started_blocks(plaintext)
        number = EpochId(sender.epoch, sender.counter)
        return formats.seal_epoch(sender.aead, sender.iv, self._header, number, plaintext)

    def open(self, header: DataHeader, packet: bytes, now: float) -> bytes:
        """Opens with the epoch's key and follows the peer to a later epoch."""
        number = formats.decode_epoch_id(packet, header)
        receiver = self._find(number.epoch)
        if receiver is None:
            raise Dropped("no-key")
        if receiver.failed >= self._limits.failed_last:
            raise Dropped("key-exhausted")
        if not receiver.window.check(number.counter, now):
            raise Dropped("replay")
        try:
            plaintext = formats.open_epoch(receiver.aead, receiver.iv, header, packet)
        except formats.Unauthentic as bad:
            receiver.failed += 1
            raise Dropped("auth") from bad
        receiver.window.mark(number.counter, now)
        receiver.blocks += started_blocks(plaintext)
        if number.epoch > self._current.epoch:
            self._follow(number.epoch)
        return plaintext

    def nears_its_end(self) -> bool:
        """The epoch number nears its end, or the last epoch can no longer be left."""
        return self._sender.epoch >= self._limits.epoch_warning

    def _overused(self, used: int) -> bool:
        return self._counts_blocks and used > self._limits.aead

    def _must_advance(self) -> bool:
        sender, current = self._sender, self._current
        if self._overused(sender.used) or sender.counter >= self._limits.counter_last:
            return True
        worn = self._overused(current.used) or current.failed >= self._limits.failed_warning
        return worn and sender.epoch == current.epoch

    def _advance_sender(self) -> None:
        if self._sender.epoch < self._limits.epoch_last:
            chain = formats.next_chain_secret(self._sender.chain)
            self._sender = _Sender(chain, self._sender.epoch + 1, self._cipher)

    def _find(self, epoch: int) -> _Receiver | None:
        current = self._current.epoch
        if epoch == current:
            return self._current
        if self._retiring is not None and epoch == self._retiring.epoch:
            return self._retiring
        if (
            current < epoch <= current + FUTURE_EPOCHS
            and epoch <= self._limits.epoch_last - FUTURE_EPOCHS - 1
        ):
            return self._future[epoch - current - 1]
        return None

    def _follow(self, epoch: int) -> None:
        """Makes a future epoch the current one after a packet of it authenticated."""
        self._retiring = self._current
        while self._current.epoch < epoch:
            self._current = self._future.popleft()
        self._fill_future()
        while self._sender.epoch < epoch:
            self._advance_sender()

    def _fill_future(self) -> None:
        while len(self._future) < FUTURE_EPOCHS:
            self._chain = formats.next_chain_secret(self._chain)
            self._chain_epoch += 1
            self._future.append(self._new_receiver())

    def _new_receiver(self) -> _Receiver:
        window = ReplayWindow(self._window_size, self._window_time)
        return _Receiver(self._chain, self._chain_epoch, self._cipher, window)


def _classic_direction(cipher: DataCipher, half: DirectionKey) -> tuple[formats.Aead, bytes]:
    if len(half.implicit_iv) != formats.IMPLICIT_IV_LENGTH:
        raise ValueError(f"the implicit IV has 8 bytes, not {len(half.implicit_iv)}")
    aead = formats.new_aead(cipher, half.cipher_key.reveal())
    return aead, half.implicit_iv.reveal()


def _chain_start(half: DirectionKey) -> Secret:
    if len(half.cipher_key) != formats.CHAIN_LENGTH:
        raise ValueError(f"the first chain secret has 32 bytes, not {len(half.cipher_key)}")
    return half.cipher_key
