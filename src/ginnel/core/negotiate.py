"""Chooses the data-channel cipher, the packet format and the features both sides share.

Responsible for protocol-facts 19: what a pulling client makes of a push, how two peers without pull
agree, and how a server picks a cipher for a client. Pure functions over values; key derivation and
peer info are elsewhere.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.digests import Digest, digest_named
from ginnel.core.errors import PeerIncompatible
from ginnel.core.key_derivation import KeyShape
from ginnel.core.packet_overhead import PacketOverhead, packet_overhead
from ginnel.core.peer_info import ProtocolFlag, protocol_flags
from ginnel.core.types import UNDEFINED_PEER_ID, PeerId
from ginnel.dataclass import dataclass, replace
from ginnel.options.ciphers import DATA_DIGESTS, CipherMode, canonical_cipher, canonical_digest
from ginnel.options.model import DataOptions

P2P_PEER_ID = PeerId(0x76706E)
"""``vpn``: what two peers use that cannot derive one from the TLS exporter."""


@dataclass(frozen=True, kw_only=True)
class DataCapabilities:
    """What the data plane at hand can do."""

    ciphers: frozenset[DataCipher]
    formats: frozenset[DataFormat]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the data channel of a connection looks like. Fixed over renegotiations."""

    cipher: DataCipher
    format: DataFormat
    send_peer_id: PeerId
    """Written into ``P_DATA_V2``; UNDEFINED_PEER_ID with format V1."""
    tls_ekm: bool
    dyn_tls_crypt: bool
    cc_exit: bool
    digest: Digest | None = None
    """Of the HMAC beside the cipher; None with AEAD, and with ``auth none``."""
    cipher_key_length: int | None = None
    """In bytes, where ``keysize`` chose one; None is the cipher's own."""

    @property
    def key_shape(self) -> KeyShape:
        """What data keys are cut for."""
        return KeyShape(
            cipher=self.cipher,
            format=self.format,
            digest=self.digest,
            cipher_key_length=self.cipher_key_length,
        )

    @property
    def key_bits(self) -> int:
        """Size of the cipher key, for the log."""
        return 8 * (self.cipher_key_length or self.cipher.key_length)

    @property
    def overhead(self) -> PacketOverhead:
        """What a packet adds to its payload."""
        return packet_overhead(self.cipher, self.format, self.digest)

    def flags(self) -> tuple[str, ...]:
        """The features in OpenVPN's words for its ``Protocol options`` line."""
        named = (
            ("cc-exit", self.cc_exit),
            ("tls-ekm", self.tls_ekm),
            ("dyn-tls-crypt", self.dyn_tls_crypt),
            ("aead-epoch", self.format is DataFormat.EPOCH),
        )
        return tuple(name for name, is_on in named if is_on)


def same_cipher(left: str, right: str) -> bool:
    """Whether two names mean one cipher: OpenVPN compares them without regard to case."""
    return _canonical(left) == _canonical(right)


def _canonical(name: str) -> str:
    return canonical_cipher(name) or name.lower()


def offered_ciphers(options: DataOptions, capabilities: DataCapabilities) -> tuple[str, ...]:
    """Our ``data-ciphers`` in order, without those that the data plane cannot do.

    None with ``ncp-disable``.
    """
    if not options.negotiates:
        return ()
    return _doable(options.data_ciphers, capabilities.ciphers)


@lru_cache(maxsize=8)  # a server asks the same for each client
def _doable(names: tuple[str, ...], ciphers: frozenset[DataCipher]) -> tuple[str, ...]:
    known = {cipher.value.lower(): cipher for cipher in ciphers}
    found = (known.get(name.lower()) for name in names)
    return tuple(dict.fromkeys(cipher.value for cipher in found if cipher is not None))


def offered_flags(capabilities: DataCapabilities, *, pull: bool) -> ProtocolFlag:
    """The ``IV_PROTO`` bits of what this client implements (protocol-facts 18)."""
    flags = (
        ProtocolFlag.DATA_V2
        | ProtocolFlag.TLS_KEY_EXPORT
        | ProtocolFlag.CC_EXIT
        | ProtocolFlag.DYN_TLS_CRYPT
    )
    if DataFormat.EPOCH in capabilities.formats:
        flags |= ProtocolFlag.DATA_EPOCH
    if not pull:
        return flags | ProtocolFlag.NCP_P2P
    return (
        flags
        | ProtocolFlag.REQUEST_PUSH
        | ProtocolFlag.AUTH_PENDING_KEYWORDS
        | ProtocolFlag.AUTH_FAIL_TEMP
        | ProtocolFlag.DNS_OPTION
        | ProtocolFlag.DNS_OPTION_V2
        | ProtocolFlag.PUSH_UPDATE
    )


def agree_on_pull(
    options: DataOptions, peer_cipher: str | None, capabilities: DataCapabilities
) -> Agreement:
    """What a pulling client does after the push. Raises PeerIncompatible.

    ``options`` are those after the push, ``peer_cipher`` is the cipher item of the server's options
    string, None when it has none.
    """
    name = _pulled_cipher(options, peer_cipher)
    cipher = _usable(name, capabilities)
    peer_id = None if options.peer_id is None else PeerId(options.peer_id)
    return Agreement(
        cipher=cipher,
        format=_format(
            peer_id, options.aead_epoch and cipher.is_aead, options.tls_ekm, capabilities
        ),
        send_peer_id=UNDEFINED_PEER_ID if peer_id is None else peer_id,
        tls_ekm=options.tls_ekm,
        dyn_tls_crypt=options.dyn_tls_crypt,
        cc_exit=options.cc_exit,
        digest=_digest(options, cipher),
        cipher_key_length=_key_length(options, cipher),
    )


def _pulled_cipher(options: DataOptions, peer_cipher: str | None) -> str:
    ours = ":".join(options.data_ciphers)
    fallback = options.data_ciphers_fallback
    if options.cipher is not None:
        allowed = (*options.data_ciphers, *(() if fallback is None else (fallback,)))
        if any(same_cipher(options.cipher, name) for name in allowed):
            return options.cipher
        raise PeerIncompatible(
            f"the server chose the data cipher '{options.cipher}', which is not among "
            f"data-ciphers '{ours}': add it there if it is acceptable"
        )
    if peer_cipher is not None:
        if any(same_cipher(peer_cipher, name) for name in options.data_ciphers):
            return peer_cipher
        raise PeerIncompatible(
            f"the server does not negotiate and uses the data cipher '{peer_cipher}', which is "
            f"not among data-ciphers '{ours}': add it there if it is acceptable"
        )
    if fallback is not None:
        return fallback
    raise PeerIncompatible(
        "the server names no data cipher and data-ciphers-fallback is not set: "
        "give the cipher that the server uses with data-ciphers-fallback"
    )


def _usable(name: str, capabilities: DataCapabilities) -> DataCipher:
    for cipher in capabilities.ciphers:
        if same_cipher(cipher.value, name):
            return cipher
    raise PeerIncompatible(f"the data cipher '{name}' is not available in this data plane")


def _format(
    peer_id: PeerId | None, epoch: bool, tls_ekm: bool, capabilities: DataCapabilities
) -> DataFormat:
    if epoch:
        if peer_id is None or not tls_ekm:
            raise PeerIncompatible("aead-epoch was pushed without peer-id and tls-ekm")
        chosen = DataFormat.EPOCH
    else:
        chosen = DataFormat.V1 if peer_id is None else DataFormat.V2
    if chosen not in capabilities.formats:
        raise PeerIncompatible(f"the data format {chosen.value} is not available here")
    return chosen


def agree_as_peers(
    options: DataOptions,
    *,
    peer_info: Mapping[str, str],
    capabilities: DataCapabilities,
    derive_peer_id: Callable[[], PeerId],
    we_are_server: bool,
) -> Agreement:
    """How two peers without pull agree (protocol-facts 19, P2P). Raises PeerIncompatible.

    ``derive_peer_id`` gives the three bytes of the TLS exporter; it is called only when both sides
    can do that.
    """
    ours = offered_flags(capabilities, pull=False)
    shared = ours & protocol_flags(peer_info)
    if ProtocolFlag.NCP_P2P not in shared:
        name = options.data_ciphers_fallback or options.configured_cipher or options.data_ciphers[0]
        return _plain_agreement(options, _usable(name, capabilities), capabilities)
    theirs = tuple(filter(None, peer_info.get("IV_CIPHERS", "").split(":")))
    mine = offered_ciphers(options, capabilities)
    first, second = (mine, theirs) if we_are_server else (theirs, mine)
    name = choose_cipher(first, second) or options.data_ciphers_fallback or ""
    if not name:
        raise PeerIncompatible(
            f"no common data cipher: we offer '{':'.join(mine)}', the peer '{':'.join(theirs)}'"
        )
    ekm = ProtocolFlag.TLS_KEY_EXPORT in shared
    peer_id = None
    if ProtocolFlag.DATA_V2 in shared:
        peer_id = derive_peer_id() if ekm else P2P_PEER_ID
    epoch = peer_id is not None and ekm and ProtocolFlag.DATA_EPOCH in shared
    cipher = _usable(name, capabilities)
    return Agreement(
        cipher=cipher,
        format=_format(peer_id, epoch and cipher.is_aead, ekm, capabilities),
        send_peer_id=UNDEFINED_PEER_ID if peer_id is None else peer_id,
        tls_ekm=ekm,
        dyn_tls_crypt=ProtocolFlag.DYN_TLS_CRYPT in shared,
        cc_exit=ProtocolFlag.CC_EXIT in shared,
        digest=_digest(options, cipher),
        cipher_key_length=_key_length(options, cipher),
    )


def _plain_agreement(
    options: DataOptions, cipher: DataCipher, capabilities: DataCapabilities
) -> Agreement:
    return Agreement(
        cipher=cipher,
        format=_format(None, False, False, capabilities),
        send_peer_id=UNDEFINED_PEER_ID,
        tls_ekm=False,
        dyn_tls_crypt=False,
        cc_exit=False,
        digest=_digest(options, cipher),
        cipher_key_length=_key_length(options, cipher),
    )


def agree_without_tls(options: DataOptions, capabilities: DataCapabilities) -> Agreement:
    """How a tunnel of a static key looks, where nothing is negotiated. Raises PeerIncompatible.

    The cipher is ``data-ciphers-fallback`` or ``cipher``, which AEAD ciphers cannot be.
    """
    name = options.data_ciphers_fallback or options.configured_cipher
    if name is None:
        raise PeerIncompatible(
            "a static key tunnel needs the cipher of the other end: give --cipher AES-256-CBC at "
            "both ends"
        )
    cipher = _usable(name, capabilities)
    if cipher.mode not in (CipherMode.CBC, CipherMode.NONE):
        raise PeerIncompatible(
            f"the data cipher '{name}' cannot be used with a static key: give --cipher "
            "AES-256-CBC at both ends"
        )
    return Agreement(
        cipher=cipher,
        format=DataFormat.STATIC,
        send_peer_id=UNDEFINED_PEER_ID,
        tls_ekm=False,
        dyn_tls_crypt=False,
        cc_exit=False,
        digest=_digest(options, cipher),
        cipher_key_length=_key_length(options, cipher),
    )


def _digest(options: DataOptions, cipher: DataCipher) -> Digest | None:
    """The HMAC digest that goes with a cipher. Raises PeerIncompatible when there is no such."""
    if cipher.is_aead or options.auth == "none":
        return None
    if options.auth not in DATA_DIGESTS:
        raise PeerIncompatible(
            f"--auth {options.auth} cannot authenticate data packets here, which the data cipher "
            f"'{cipher.value}' needs: use one of {', '.join(DATA_DIGESTS)} at both ends"
        )
    try:
        return digest_named(options.auth)
    except ValueError as missing:
        raise PeerIncompatible(f"--auth: {missing}") from missing


def digest_warning(agreement: Agreement, ours: str, theirs: str | None) -> str | None:
    """What to say when the server's options string names another digest for the same cipher.

    A server whose own cipher is an AEAD one names none; nothing follows from that.
    """
    if agreement.cipher.is_aead or theirs is None:
        return None
    told = canonical_digest(theirs)
    if told in (None, "none", ours):
        return None
    return (
        f"WARNING: 'auth' is used inconsistently, local='auth {ours}', remote='auth {told}': no "
        f"data packet will pass with the data cipher '{agreement.cipher.value}' until both ends "
        "have the same --auth"
    )


def _key_length(options: DataOptions, cipher: DataCipher) -> int | None:
    length = (options.keysize or 0) // 8
    return length if length in cipher.kind.key_lengths else None


def choose_cipher(server: tuple[str, ...], client: tuple[str, ...]) -> str | None:
    """The first of the server's ciphers that the client has too; None without a common one."""
    for name in server:
        if any(same_cipher(name, other) for other in client):
            return name
    return None


NO_SHARED_CIPHER = "Data channel cipher negotiation failed (no shared cipher)"


def explain_mismatch(
    mismatch: PeerIncompatible,
    options: DataOptions,
    peer_info: Mapping[str, str],
    peer_cipher: str | None,
) -> str:
    """The server's log line about a client that it cannot agree with; without a cipher OpenVPN's.

    ``peer_cipher`` is the cipher item of the client's options string.
    """
    if mismatch.reason != NO_SHARED_CIPHER:
        return f"no agreement with the client: {mismatch.reason}"
    listed = _client_ciphers(peer_info)
    if not listed and peer_cipher is None:
        return (
            "PUSH: No NCP or OCC cipher data received from peer. Use --data-ciphers-fallback with "
            "the cipher the client is using if you want to allow the client to connect"
        )
    theirs = (
        f"client supported ciphers '{':'.join(listed)}'"
        if listed
        else f"client supports cipher '{peer_cipher}'"
    )
    return (
        "PUSH: No common cipher between server and client. Server data-ciphers: "
        f"'{':'.join(options.data_ciphers)}', {theirs}"
    )


def _client_ciphers(peer_info: Mapping[str, str]) -> tuple[str, ...]:
    """What a client negotiates; empty when it does not."""
    listed = tuple(filter(None, peer_info.get("IV_CIPHERS", "").split(":")))
    if not listed and peer_info.get("IV_NCP") == "2":
        return ("AES-256-GCM", "AES-128-GCM")
    return listed


def choose_for_client(
    options: DataOptions, *, peer_info: Mapping[str, str], peer_cipher: str | None
) -> str:
    """What a server answers a client with (protocol-facts 19). Raises PeerIncompatible.

    The error's reason is what goes behind ``AUTH_FAILED,``.
    """
    candidates = _client_ciphers(peer_info)
    if not peer_info.get("IV_CIPHERS") and peer_cipher is not None:
        candidates = (*candidates, peer_cipher)
    chosen = choose_cipher(options.data_ciphers, candidates)
    if chosen is not None:
        return chosen
    if not candidates and options.data_ciphers_fallback is not None:
        return options.data_ciphers_fallback
    raise PeerIncompatible(NO_SHARED_CIPHER)


FORCED_EXPORT = "Client incompatible with --force-tls-key-material-export"


def agree_with_client(
    options: DataOptions,
    *,
    peer_info: Mapping[str, str],
    peer_cipher: str | None,
    peer_id: PeerId,
    capabilities: DataCapabilities,
    force_export: bool = False,
) -> Agreement:
    """What a server settles with a client before it pushes. Raises PeerIncompatible.

    ``peer_cipher`` is the cipher item of the client's options string. The error's reason is what
    goes behind ``AUTH_FAILED,``.
    """
    offered = offered_ciphers(options, capabilities)
    usable = options
    if offered != options.data_ciphers:
        usable = replace(options, data_ciphers=offered)
    cipher = _usable(
        choose_for_client(usable, peer_info=peer_info, peer_cipher=peer_cipher), capabilities
    )
    shared = protocol_flags(peer_info)
    ekm = ProtocolFlag.TLS_KEY_EXPORT in shared
    if force_export and not ekm:
        raise PeerIncompatible(FORCED_EXPORT)
    has_peer_id = ProtocolFlag.DATA_V2 in shared
    epoch = (
        has_peer_id
        and ekm
        and cipher.is_aead
        and ProtocolFlag.DATA_EPOCH in shared
        and DataFormat.EPOCH in capabilities.formats
    )
    return Agreement(
        cipher=cipher,
        format=_format(peer_id if has_peer_id else None, epoch, ekm, capabilities),
        send_peer_id=peer_id if has_peer_id else UNDEFINED_PEER_ID,
        tls_ekm=ekm,
        dyn_tls_crypt=ekm and ProtocolFlag.DYN_TLS_CRYPT in shared,
        cc_exit=ProtocolFlag.CC_EXIT in shared,
        digest=_digest(options, cipher),
        cipher_key_length=_key_length(options, cipher),
    )


def offers_ciphers(peer_info: Mapping[str, str]) -> bool:
    """Whether a client takes the cipher that a server pushes."""
    return "IV_CIPHERS" in peer_info or peer_info.get("IV_NCP") == "2"
