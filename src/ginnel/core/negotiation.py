"""One negotiation as either side sees it: how far the talk inside TLS is, and the key from it.

Responsible for the phases, for reading the other side's key method message and for deriving the
data key once both are known. What is said, and when, is the machines' business.
"""

from ginnel.core.data_key import DataKey
from ginnel.core.key_derivation import (
    DATA_KEYS_LABEL,
    KEY2_LENGTH,
    P2P_PEER_ID_LABEL,
    P2P_PEER_ID_LENGTH,
    SessionPair,
    data_key,
    legacy_key2,
)
from ginnel.core.key_method import KeyMethodMessage, KeySource, decode_key_method
from ginnel.core.key_session import KeySession
from ginnel.core.messages import MessageSplitter
from ginnel.core.negotiate import Agreement
from ginnel.core.types import ActionId, PeerId, Side
from ginnel.dataclass import dataclass, field
from ginnel.options.values import Secret


@dataclass(frozen=True, slots=True)
class AwaitTls:
    """The TLS handshake is not finished."""


@dataclass(frozen=True)
class AwaitHook:
    """The tls-verify hook is running."""

    action_id: ActionId


@dataclass(frozen=True)
class AwaitLogin:
    """Somebody is asked for user name and password."""

    action_id: ActionId


@dataclass(frozen=True)
class AwaitPeer:
    """Our key method message is out, the other side's is to come."""

    source: KeySource


@dataclass(frozen=True, slots=True)
class AwaitClient:
    """A server waits for the client's key method message, which comes first."""


@dataclass(frozen=True)
class Judging:
    """Both messages are known, and somebody decides whether the client may in."""

    source: KeySource
    peer: KeyMethodMessage
    action_id: ActionId


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Both key method messages are known."""

    source: KeySource
    peer: KeyMethodMessage


@dataclass(frozen=True, slots=True)
class Settled:
    """The data key was derived; the random halves are forgotten."""


Phase = AwaitTls | AwaitHook | AwaitLogin | AwaitPeer | AwaitClient | Judging | Exchanged | Settled


@dataclass(slots=True, kw_only=True)
class Negotiation:
    """One key session and how far the conversation in it is."""

    key: KeySession
    side: Side = Side.CLIENT
    phase: Phase = field(default_factory=AwaitTls)
    splitter: MessageSplitter = field(default_factory=MessageSplitter)
    signing: ActionId | None = None
    """The question for a signature that its handshake waits for."""

    @property
    def is_open(self) -> bool:
        """Whether text messages may go through it."""
        return isinstance(self.phase, Judging | Exchanged | Settled)

    def accept(self, record: bytes) -> KeyMethodMessage:
        """Takes the peer's key method message. Raises Malformed."""
        message = decode_key_method(record, self.side.other)
        if isinstance(self.phase, AwaitPeer):
            self.phase = Exchanged(self.phase.source, message)
        return message

    def derive(self, pair: SessionPair, agreement: Agreement) -> DataKey:
        """Derives the data key, by exporter or by the legacy PRF, and forgets the key sources."""
        if agreement.tls_ekm or not isinstance(self.phase, Exchanged):
            key = self.export_key(agreement)
        else:
            sources = self.phase.source, self.phase.peer.source
            client, server = sources if self.side is Side.CLIENT else sources[::-1]
            key2 = legacy_key2(client, server, pair)
            key = self._data_key(key2, agreement)
        self.phase = Settled()
        return key

    def export_key(self, agreement: Agreement) -> DataKey:
        """Derives the data key by exporter: possible as soon as TLS is established."""
        return self._data_key(self.key.tls.export(DATA_KEYS_LABEL, KEY2_LENGTH), agreement)

    def _data_key(self, key2: Secret, agreement: Agreement) -> DataKey:
        return data_key(key2, agreement.key_shape, side=self.side, key_id=self.key.key_id)

    def exported_peer_id(self) -> PeerId:
        """The peer-id that two peers without pull derive (protocol-facts 19)."""
        raw = self.key.tls.export(P2P_PEER_ID_LABEL, P2P_PEER_ID_LENGTH).reveal()
        return PeerId(int.from_bytes(raw, "big"))
