"""What a client says inside one TLS session before the tunnel: key method 2, login, peer info.

Responsible for the phases of one negotiation, for our key method message and for deriving the data
key once both are known. Sending and the order of things over several negotiations are ``client``'s.
"""

from collections.abc import Callable

from ginnel.core.actions import Credentials
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
from ginnel.core.key_method import (
    KeyMethodMessage,
    KeySource,
    decode_key_method,
    encode_key_method,
    key_source_length,
)
from ginnel.core.key_session import KeySession
from ginnel.core.messages import MessageSplitter
from ginnel.core.negotiate import Agreement, DataCapabilities, offered_ciphers, offered_flags
from ginnel.core.options_string import client_terms, options_string
from ginnel.core.peer_info import (
    COMPRESSION_ALL,
    COMPRESSION_STUBS,
    Detail,
    LocalFacts,
    LocalPeer,
    build_peer_info,
    parse_peer_info,
)
from ginnel.core.types import ActionId, PeerId, Side
from ginnel.dataclass import dataclass, field
from ginnel.options.model import ClientOptions, ConnectionProfile, DataOptions
from ginnel.options.values import Secret

_NO_LOGIN = Credentials(username="", password=Secret(b""))


@dataclass(frozen=True, slots=True)
class AwaitTls:
    """The TLS handshake is not finished."""


@dataclass(frozen=True, slots=True)
class AwaitHook:
    """The tls-verify hook is running."""

    action_id: ActionId


@dataclass(frozen=True, slots=True)
class AwaitLogin:
    """Somebody is asked for user name and password."""

    action_id: ActionId


@dataclass(frozen=True, slots=True)
class AwaitPeer:
    """Our key method message is out."""

    source: KeySource


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Both key method messages are known."""

    source: KeySource
    peer: KeyMethodMessage


@dataclass(frozen=True, slots=True)
class Settled:
    """The data key was derived; the random halves are forgotten."""


Phase = AwaitTls | AwaitHook | AwaitLogin | AwaitPeer | Exchanged | Settled


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
        return isinstance(self.phase, Exchanged | Settled)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What this client tells every server: built once a connection."""

    options_string: str
    peer_info: str
    side: Side = Side.CLIENT

    def message(
        self, entropy: Callable[[int], bytes], login: Credentials | None
    ) -> tuple[KeySource, bytearray]:
        """Builds a key method message with fresh random halves.

        It holds the password: overwrite it once it was sent. Raises ``ValueError`` when user name
        or password cannot be sent.
        """
        source = KeySource.from_entropy(self.side, entropy(key_source_length(self.side)))
        given = _NO_LOGIN if login is None else login
        message = KeyMethodMessage(
            source=source,
            options_string=self.options_string,
            username=given.username,
            password=given.password,
            peer_info=self.peer_info,
        )
        return source, encode_key_method(message)


def introduce(
    options: ClientOptions,
    profile: ConnectionProfile,
    capabilities: DataCapabilities,
    facts: LocalFacts,
) -> Introduction:
    """Composes options string and peer info (protocol-facts 13 and 18)."""
    detail = Detail.P2P
    if options.pull:
        detail = Detail.FULL if options.tls.push_peer_info else Detail.PULL
    local = LocalPeer(
        facts=facts,
        flags=offered_flags(capabilities, pull=options.pull),
        ciphers=offered_ciphers(options.data, capabilities),
        tun_mtu_max=options.tun.tun_mtu_max,
        environment=options.scripts.setenv,
        compression=_compression_names(options.data),
    )
    return Introduction(
        options_string=options_string(client_terms(options, profile)),
        peer_info=build_peer_info(local, detail),
        side=role(options),
    )


def role(options: ClientOptions) -> Side:
    """Our part in the TLS handshake: a peer without pull may take the server's."""
    return Side.SERVER if options.tls.tls_server else Side.CLIENT


def _compression_names(data: DataOptions) -> tuple[str, ...]:
    """Asking for framing alone also tells the server that nothing else is wanted (as 2.6)."""
    kind = data.compression
    only_framing = kind is not None and not kind.may_compress
    return COMPRESSION_ALL if data.allow_compression and not only_framing else COMPRESSION_STUBS


def peer_variables(message: KeyMethodMessage) -> dict[str, str]:
    """The peer's ``IV_`` lines; servers send none, peers without pull do."""
    return parse_peer_info(message.peer_info)
