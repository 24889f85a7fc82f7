"""The options compatibility string that both sides exchange in key method 2.

Responsible for: building it as OpenVPN does, reading the peer's, and telling what differs
(protocol-facts 13). Not responsible for: acting on a difference; ciphers are negotiated elsewhere.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network

from ginnel.core.digests import digest_named
from ginnel.core.types import Side
from ginnel.dataclass import dataclass, replace
from ginnel.hints import Final
from ginnel.options.ciphers import CIPHERS, CipherMode, canonical_cipher
from ginnel.options.model import (
    ClientOptions,
    CompressionKind,
    ConnectionProfile,
    DataOptions,
    DeviceType,
    KeyDirection,
    LinkProtocol,
    TlsAuth,
    Topology,
    TunOptions,
)

NULL_CIPHER = "[null-cipher]"
NULL_DIGEST = "[null-digest]"
LOWEST_TUN_MTU = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OccTerms:
    """What the string tells. ``cipher`` None stands for the built-in default of old versions."""

    side: Side
    dev_type: str
    tun_mtu: int
    tcp: bool = False
    cipher: str | None = None
    data_ciphers: tuple[str, ...] = ()
    auth: str = "SHA1"
    tls_auth: bool = False
    key_direction: KeyDirection = KeyDirection.NONE
    compression: CompressionKind | None = None
    fragment: bool = False
    socks_udp: bool = False
    peer_to_peer: bool = False
    """Neither pull nor a multi-client server: the items below are told."""
    tun_ipv6: bool = False
    ifconfig: tuple[str, str] | None = None
    """``(peer, own)`` addresses; ``(network, netmask)`` in topology subnet."""
    topology: Topology = Topology.NET30
    keysize: int | None = None
    """Bits that ``keysize`` asked for; None prints the cipher's own."""
    secret: bool = False
    """A static key instead of TLS; ``key_direction`` is that key's."""


@dataclass(frozen=True)
class _CipherShape:
    """How a data cipher adds to a packet: sizes in bytes, key in bits."""

    key_bits: int
    iv: int = 0
    block: int = 0
    tag: int = 0
    long_ids: bool = False

    @property
    def is_aead(self) -> bool:
        return self.tag > 0


_OPPOSITE: Final = {
    KeyDirection.NONE: KeyDirection.NONE,
    KeyDirection.NORMAL: KeyDirection.INVERSE,
    KeyDirection.INVERSE: KeyDirection.NORMAL,
}
_NONE: Final = _CipherShape(key_bits=0)
# The default of old versions counts as no cipher plus 16 bytes, whatever is negotiated later.
_OLD_DEFAULT: Final = _CipherShape(key_bits=128, block=16)


@lru_cache(maxsize=32)
def options_string(terms: OccTerms) -> str:
    """Returns the string a side with these terms sends; a server's is the same for most clients."""
    shape = _shape(terms.cipher)
    words = [
        "V4",
        f"dev-type {terms.dev_type}",
        f"link-mtu {_link_mtu(terms, shape)}",
        f"tun-mtu {terms.tun_mtu}",
        f"proto {_protocol(terms)}",
    ]
    if terms.peer_to_peer and terms.tun_ipv6:
        words.append("tun-ipv6")
    if terms.peer_to_peer and terms.ifconfig is not None:
        words.append(f"ifconfig {terms.ifconfig[0]} {terms.ifconfig[1]}")
    if terms.compression is not None:
        words.append("comp-lzo")
    if terms.fragment:
        words.append("mtu-dynamic")
    if (terms.tls_auth or terms.secret) and terms.key_direction is not KeyDirection.NONE:
        words.append(f"keydir {terms.key_direction.value}")
    cipher = terms.cipher
    if cipher is not None and terms.peer_to_peer:
        words.append(f"cipher {NULL_CIPHER if cipher == 'none' else cipher}")
    elif cipher is not None and cipher != "none" and cipher in terms.data_ciphers:
        words.append(f"cipher {cipher}")
    words.append(f"auth {_auth_name(terms, shape)}")
    words.append(f"keysize {_key_bits(terms, shape)}")
    if terms.secret:
        words.append("secret")
        return ",".join(words)
    if terms.tls_auth:
        words.append("tls-auth")
    words.append("key-method 2")
    words.append("tls-client" if terms.side is Side.CLIENT else "tls-server")
    return ",".join(words)


def expected_from_peer(terms: OccTerms) -> OccTerms:
    """Mirrors our terms into those we expect from the other side."""
    ifconfig = terms.ifconfig
    if ifconfig is not None and terms.topology is not Topology.SUBNET:
        ifconfig = (ifconfig[1], ifconfig[0])
    return replace(
        terms,
        side=terms.side.other,
        key_direction=_OPPOSITE[terms.key_direction],
        ifconfig=ifconfig,
    )


def client_terms(options: ClientOptions, profile: ConnectionProfile) -> OccTerms:
    """Returns the terms of a client. Its ``cipher`` is what fallback or ``cipher`` name."""
    direction = options.data.static_key_direction
    if isinstance(profile.wrapping, TlsAuth):
        direction = profile.wrapping.direction
    return OccTerms(
        side=Side.SERVER if options.tls.tls_server else Side.CLIENT,
        dev_type=options.tun.dev_type.value,
        tun_mtu=configured_tun_mtu(options.data, profile),
        tcp=profile.protocol is not LinkProtocol.UDP,
        cipher=options.data.data_ciphers_fallback or options.data.configured_cipher,
        data_ciphers=options.data.data_ciphers,
        auth=options.data.auth,
        keysize=options.data.keysize,
        tls_auth=isinstance(profile.wrapping, TlsAuth),
        compression=options.data.compression,
        fragment=bool(profile.fragment),
        key_direction=direction,
        secret=options.data.static_key is not None,
        peer_to_peer=not options.pull,
        tun_ipv6=options.tun.ifconfig_ipv6 is not None,
        ifconfig=_ifconfig(options.tun),
        topology=options.tun.topology,
    )


def client_options_string(options: ClientOptions, profile: ConnectionProfile) -> str:
    """Returns the string that a client sends."""
    return options_string(client_terms(options, profile))


def configured_tun_mtu(data: DataOptions, profile: ConnectionProfile) -> int:
    """The MTU before any push: ``tun-mtu``, or what ``link-mtu`` leaves, as OpenVPN counts it.

    With ``link-mtu`` the cipher is the one of the options, if there is one: none is agreed on yet.
    """
    if profile.link_mtu is None:
        return profile.tun_mtu
    shape = _shape(data.configured_cipher or "none")
    overhead = 1 + 4 + shape.tag + (0 if shape.is_aead else shape.iv)
    if not shape.is_aead and data.auth.lower() != "none":
        overhead += digest_named(data.auth).size
    if profile.protocol is not LinkProtocol.UDP:
        overhead += 2
    kind = data.compression
    overhead += 1 if kind is not None and kind.has_byte else 0
    return max(profile.link_mtu - overhead - (4 if profile.fragment else 0), LOWEST_TUN_MTU)


def _ifconfig(tun: TunOptions) -> tuple[str, str] | None:
    if tun.ifconfig is None:
        return None
    local, other = tun.ifconfig
    if tun.topology is Topology.SUBNET or tun.dev_type is DeviceType.TAP:
        return str(IPv4Network((local, str(other)), strict=False).network_address), str(other)
    return str(other), str(local)


def _protocol(terms: OccTerms) -> str:
    """Always the IPv4 names, whatever the link's family."""
    if not terms.tcp:
        return "UDPv4"
    return "TCPv4_CLIENT" if terms.side is Side.CLIENT else "TCPv4_SERVER"


def _auth_name(terms: OccTerms, shape: _CipherShape) -> str:
    if shape.is_aead or terms.auth.lower() == "none":
        return NULL_DIGEST
    return digest_named(terms.auth).name


def _key_bits(terms: OccTerms, shape: _CipherShape) -> int:
    kind = CIPHERS.get(canonical_cipher(terms.cipher or "") or "")
    if terms.keysize is not None and kind is not None and terms.keysize // 8 in kind.key_lengths:
        return terms.keysize
    return shape.key_bits


def _link_mtu(terms: OccTerms, shape: _CipherShape) -> int:
    """Computes the link-mtu of old versions, which counts some bytes no packet has."""
    overhead = shape.tag + shape.iv + shape.block
    overhead += 8 if terms.secret or shape.long_ids else 4
    overhead += 0 if terms.secret else 1
    if not shape.is_aead and terms.auth.lower() != "none":
        overhead += digest_named(terms.auth).size
    if terms.tcp:
        overhead += 2
    elif terms.socks_udp:
        overhead += 10
    if terms.dev_type == "tap":
        overhead += 32
    if terms.compression is not None and terms.compression.has_byte:
        overhead += 1
    if terms.fragment:
        overhead += 4
    return terms.tun_mtu + overhead


def _shape(cipher: str | None) -> _CipherShape:
    if cipher is None:
        return _OLD_DEFAULT
    kind = CIPHERS.get(canonical_cipher(cipher) or "")
    if kind is None:
        return _OLD_DEFAULT
    bits, block = kind.key_length * 8, kind.block_length
    match kind.mode:
        case CipherMode.NONE:
            return _NONE
        case CipherMode.AEAD:
            return _CipherShape(key_bits=bits, iv=12, block=block, tag=16)
        case CipherMode.CBC:
            return _CipherShape(key_bits=bits, iv=block, block=block)
        case CipherMode.CFB | CipherMode.OFB:
            # OpenVPN counts the packet-id with its time, though it is the IV.
            return _CipherShape(key_bits=bits, iv=block, block=block, long_ids=True)


MAX_ITEMS = 64


def parse_options_string(text: str) -> dict[str, str]:
    """Reads a peer's string into item names and the rest of each item; excess items are dropped."""
    items: dict[str, str] = {}
    for word in text.split(",", MAX_ITEMS)[:MAX_ITEMS]:
        name, _, value = word.strip().partition(" ")
        if name and name.isprintable() and value.isprintable():
            items.setdefault(name, value)
    return items


def peer_cipher(items: Mapping[str, str]) -> str | None:
    """Returns the cipher a peer without negotiation uses; None when it does not tell."""
    cipher = items.get("cipher")
    return "none" if cipher == NULL_CIPHER else cipher


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """An item that differs; None means that the side does not have it.

    ``serious`` items break the tunnel, the others are settled by negotiation or only counted.
    """

    name: str
    expected: str | None
    received: str | None
    serious: bool

    def __str__(self) -> str:
        if self.received is None:
            return f"'{self.name}' is present in local config but missing in remote config"
        if self.expected is None:
            return f"'{self.name}' is present in remote config but missing in local config"
        return (
            f"'{self.name}' is used inconsistently, local='{self.name} {self.expected}', "
            f"remote='{self.name} {self.received}'"
        )


_NOT_COMPARED = {"keydir", "key-method", "proto", "tls-auth", "tun-ipv6", "cipher"}
_SERIOUS = {"dev-type", "comp-lzo", "mtu-dynamic", "ifconfig", "tls-client", "tls-server"}


@lru_cache(maxsize=8)
def _items_of(terms: OccTerms) -> Mapping[str, str]:
    return parse_options_string(options_string(terms))


def compare(expected: OccTerms, received: Mapping[str, str]) -> tuple[Mismatch, ...]:
    """Lists what differs between ``expected_from_peer`` and the parsed string of the peer."""
    if not received:
        return ()
    ours = _items_of(expected)
    names = [*ours, *(name for name in received if name not in ours)]
    return tuple(
        Mismatch(
            name=name,
            expected=ours.get(name),
            received=received.get(name),
            serious=name in _SERIOUS,
        )
        for name in names
        if name not in _NOT_COMPARED and ours.get(name) != received.get(name)
    )
