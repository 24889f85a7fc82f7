"""The rtnetlink wire format: messages and attributes as bytes, both directions.

Responsible for encoding requests about links, addresses and routes, and for decoding what the
kernel answers. It opens no socket (``netlink``) and decides nothing about routes (``plan``).

Written here and not taken from pyroute2 because importing any part of that package imports all of
it (about 0.2 s and threads' worth of code) into the privileged helper at every start, and because
undo of a deleted route replays the kernel's own message byte for byte. Source of the numbers: the
kernel's ``linux/netlink.h``, ``linux/rtnetlink.h``, ``linux/if_link.h`` and ``linux/if_addr.h``.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import AF_INET, AF_INET6
from struct import Struct, error

from ginnel.core.errors import HostError
from ginnel.core.types import IPAddress, IPNetwork
from ginnel.dataclass import dataclass
from ginnel.enumeration import IntEnum

HEADER = Struct("=IHHII")
_ATTRIBUTE = Struct("=HH")
_LINK = Struct("=BxHiII")
_ADDRESS = Struct("=BBBBI")
_ROUTE = Struct("=BBBBBBBBI")
_TABLE_OFFSET = 4
"""Within ``_ROUTE``."""

_WORD = Struct("=I")
_ERROR = Struct("=i")
_FAMILY = Struct("=H")
_TYPE_MASK = 0x3FFF


class MessageType(IntEnum):
    ERROR = 2
    DONE = 3
    NEWLINK = 16
    DELLINK = 17
    GETLINK = 18
    NEWADDR = 20
    DELADDR = 21
    GETADDR = 22
    NEWROUTE = 24
    DELROUTE = 25
    GETROUTE = 26
    NEWNEXTHOP = 104
    DELNEXTHOP = 105


class Flag(IntEnum):
    REQUEST = 0x1
    MULTI = 0x2
    ACK = 0x4
    DUMP_INTERRUPTED = 0x10
    REPLACE = 0x100
    DUMP = 0x300
    EXCLUSIVE = 0x200
    CREATE = 0x400
    ACK_TLVS = 0x200
    """In an answer: attributes with the kernel's explanation follow."""
    CAPPED = 0x100


IFF_UP = 0x1
IFLA_ADDRESS_NAME = 3
IFLA_MTU = 4
IFLA_TXQLEN = 13
IFLA_LINKINFO = 18
IFLA_INFO_KIND = 1
IFA_ADDRESS = 1
IFA_LOCAL = 2
RTA_DST = 1
RTA_OIF = 4
RTA_GATEWAY = 5
RTA_PRIORITY = 6
RTA_PREFSRC = 7
RTA_CACHEINFO = 12
RTA_TABLE = 15
RTA_VIA = 18
NLMSGERR_ATTR_MSG = 1
TABLE_MAIN = 254
_LARGEST_SHORT_TABLE = 255
"""A greater number goes into an attribute of its own."""

PROTOCOL_BOOT = 3
SCOPE_UNIVERSE = 0
SCOPE_LINK = 253
TYPE_UNICAST = 1
ROUTE_FLAG_ONLINK = 4
ROUTE_FLAG_CLONED = 0x200


@dataclass(frozen=True, slots=True)
class Message:
    """One netlink message without its header."""

    kind: int
    flags: int
    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """A network device as the kernel describes it."""

    index: int
    name: str
    mtu: int
    txqueuelen: int
    up: bool
    kind: str
    """Driver kind such as ``tun`` or ``veth``; empty for hardware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressState:
    """An address of a device. ``peer`` is None unless the address is point-to-point."""

    index: int
    local: IPAddress
    prefix: int
    peer: IPAddress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteState:
    """A route as the kernel describes it, with the bytes to put it back exactly."""

    network: IPNetwork
    gateway: IPAddress | None
    index: int | None
    metric: int
    table: int
    protocol: int
    kind: int
    source: IPAddress | None
    message: bytes
    """``rtmsg`` and attributes, without what only the kernel may set."""


class NoSuchThing(HostError):
    """The link, address or route asked for is not there."""


class NetlinkMalformed(Exception):
    """The kernel's bytes do not decode. Cannot happen with a sane kernel; treated as an error."""


def encode_message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Puts the netlink header before ``body``."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def decode_messages(datagram: bytes) -> Iterator[Message]:
    """Splits one datagram into messages."""
    offset = 0
    while offset + HEADER.size <= len(datagram):
        length, kind, flags, sequence, _port = HEADER.unpack_from(datagram, offset)
        if length < HEADER.size or offset + length > len(datagram):
            raise NetlinkMalformed("message length")
        yield Message(kind, flags, sequence, datagram[offset + HEADER.size : offset + length])
        offset += (length + 3) & ~3


def decode_error(message: Message) -> tuple[int, str]:
    """Returns errno (0 for an acknowledgement) and the kernel's own explanation, often empty."""
    try:
        (code,) = _ERROR.unpack_from(message.body)
    except error as bad:
        raise NetlinkMalformed("error message") from bad
    if not message.flags & Flag.ACK_TLVS or len(message.body) < 4 + HEADER.size:
        return -code, ""
    echoed = HEADER.size if message.flags & Flag.CAPPED else HEADER.unpack_from(message.body, 4)[0]
    explanation = dict(_attributes(message.body, 4 + ((echoed + 3) & ~3))).get(NLMSGERR_ATTR_MSG)
    return -code, explanation.rstrip(b"\0").decode("utf-8", "replace") if explanation else ""


def encode_attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    padding = -len(value) % 4
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(padding)


def encode_word(kind: int, value: int) -> bytes:
    """An attribute holding a 32-bit number."""
    return encode_attribute(kind, _WORD.pack(value))


# --- links -------------------------------------------------------------------------------------


def encode_link(
    index: int, *, up: bool | None = None, mtu: int | None = None, txqueuelen: int | None = None
) -> bytes:
    """Body of a request on the link ``index``; None leaves that property alone."""
    flags = IFF_UP if up else 0
    body = _LINK.pack(0, 0, index, flags, 0 if up is None else IFF_UP)
    if mtu is not None:
        body += encode_word(IFLA_MTU, mtu)
    if txqueuelen is not None:
        body += encode_word(IFLA_TXQLEN, txqueuelen)
    return body


def encode_link_name(name: str) -> bytes:
    """Body of a question for the link called ``name``."""
    return encode_link(0) + encode_attribute(IFLA_ADDRESS_NAME, name.encode() + b"\0")


def decode_link(body: bytes) -> LinkState:
    """Reads an ``ifinfomsg`` with its attributes."""
    try:
        _family, _type, index, flags, _change = _LINK.unpack_from(body)
    except error as bad:
        raise NetlinkMalformed("link message") from bad
    fields = dict(_attributes(body, _LINK.size))
    kind = dict(_attributes(fields.get(IFLA_LINKINFO, b""), 0)).get(IFLA_INFO_KIND, b"")
    return LinkState(
        index=index,
        name=fields.get(IFLA_ADDRESS_NAME, b"").rstrip(b"\0").decode("utf-8", "replace"),
        mtu=_word(fields.get(IFLA_MTU)),
        txqueuelen=_word(fields.get(IFLA_TXQLEN)),
        up=bool(flags & IFF_UP),
        kind=kind.rstrip(b"\0").decode("ascii", "replace"),
    )


# --- addresses ---------------------------------------------------------------------------------


def encode_address(index: int, local: IPAddress, prefix: int, peer: IPAddress | None) -> bytes:
    """Body of a request on an address of the device ``index``; global scope."""
    head = _ADDRESS.pack(_family(local), prefix, 0, SCOPE_UNIVERSE, index)
    return (
        head
        + encode_attribute(IFA_LOCAL, local.packed)
        + encode_attribute(IFA_ADDRESS, (peer or local).packed)
    )


def decode_address(body: bytes) -> AddressState | None:
    """Reads an ``ifaddrmsg``; None for families other than IPv4 and IPv6."""
    try:
        family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(body)
    except error as bad:
        raise NetlinkMalformed("address message") from bad
    fields = dict(_attributes(body, _ADDRESS.size))
    address = _ip(family, fields.get(IFA_ADDRESS))
    local = _ip(family, fields.get(IFA_LOCAL)) or address
    if local is None:
        return None
    if prefix > local.max_prefixlen:
        raise NetlinkMalformed("address prefix")
    peer = address if address is not None and address != local else None
    return AddressState(index=index, local=local, prefix=prefix, peer=peer)


# --- routes ------------------------------------------------------------------------------------


def encode_route(
    network: IPNetwork,
    *,
    gateway: IPAddress | None,
    index: int | None,
    metric: int | None,
    protocol: int = PROTOCOL_BOOT,
    table: int = TABLE_MAIN,
) -> bytes:
    """Body of a request on a unicast route, of the main table if no other is named.

    Without gateway an IPv4 destination is on the link, which the kernel wants said by its scope.
    """
    on_link = gateway is None and network.version == 4
    body = _ROUTE.pack(
        _family(network.network_address),
        network.prefixlen,
        0,
        0,
        table if table <= _LARGEST_SHORT_TABLE else 0,
        protocol,
        SCOPE_LINK if on_link else SCOPE_UNIVERSE,
        TYPE_UNICAST,
        0,
    )
    if network.prefixlen:
        body += encode_attribute(RTA_DST, network.network_address.packed)
    if gateway is not None and gateway.version == network.version:
        body += encode_attribute(RTA_GATEWAY, gateway.packed)
    elif gateway is not None:
        body += encode_attribute(RTA_VIA, _FAMILY.pack(_family(gateway)) + gateway.packed)
    if index is not None:
        body += encode_word(RTA_OIF, index)
    if metric is not None:
        body += encode_word(RTA_PRIORITY, metric)
    if table > _LARGEST_SHORT_TABLE:
        body += encode_word(RTA_TABLE, table)
    return body


def encode_route_dump(family: int) -> bytes:
    """Body of a question for all routes of a family."""
    return _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)


def encode_route_lookup(destination: IPAddress) -> bytes:
    """Body of the question how ``destination`` would be reached."""
    bits = destination.max_prefixlen
    head = _ROUTE.pack(_family(destination), bits, 0, 0, 0, 0, 0, 0, 0)
    return head + encode_attribute(RTA_DST, destination.packed)


def decode_route(body: bytes) -> RouteState | None:
    """Reads an ``rtmsg``; None for other families and for cached exceptions."""
    try:
        family, bits, _source_bits, _tos, table, protocol, _scope, kind, flags = _ROUTE.unpack_from(
            body
        )
    except error as bad:
        raise NetlinkMalformed("route message") from bad
    if family not in (AF_INET, AF_INET6):
        return None
    fields = dict(_attributes(body, _ROUTE.size))
    destination = _ip(family, fields.get(RTA_DST))
    if destination is None:
        destination = IPv4Address(0) if family == AF_INET else IPv6Address(0)
    if bits > destination.max_prefixlen:
        raise NetlinkMalformed("route prefix")
    return RouteState(
        network=ip_network((destination, bits), strict=False),
        gateway=_ip(family, fields.get(RTA_GATEWAY)) or _via(fields.get(RTA_VIA)),
        index=_word(fields.get(RTA_OIF)) or None,
        metric=_word(fields.get(RTA_PRIORITY)),
        table=_word(fields.get(RTA_TABLE)) or table,
        protocol=protocol,
        kind=kind,
        source=_ip(family, fields.get(RTA_PREFSRC)),
        message=_replayable(body, flags),
    )


def may_be_of_table(body: bytes, table: int) -> bool:
    """False for a route of another table, told without decoding it; most are of ``local``."""
    return table > _LARGEST_SHORT_TABLE or body[_TABLE_OFFSET : _TABLE_OFFSET + 1] == bytes(
        (table,)
    )


def is_cloned(body: bytes) -> bool:
    """True for a cached exception (path MTU, redirect), which is no configured route."""
    return len(body) >= _ROUTE.size and bool(_ROUTE.unpack_from(body)[8] & ROUTE_FLAG_CLONED)


def _replayable(body: bytes, flags: int) -> bytes:
    """Drops counters and state flags, which a request may not carry."""
    head = body[: _ROUTE.size - 4] + _WORD.pack(flags & ROUTE_FLAG_ONLINK)
    kept = [(k, v) for k, v in _attributes(body, _ROUTE.size) if k != RTA_CACHEINFO]
    return head + b"".join(encode_attribute(kind, value) for kind, value in kept)


def _attributes(body: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size or offset + length > len(body):
            raise NetlinkMalformed("attribute length")
        yield kind & _TYPE_MASK, body[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _word(value: bytes | None) -> int:
    return _WORD.unpack(value)[0] if value is not None and len(value) == _WORD.size else 0


def _ip(family: int, value: bytes | None) -> IPAddress | None:
    if value is None:
        return None
    if family == AF_INET and len(value) == 4:
        return IPv4Address(value)
    if family == AF_INET6 and len(value) == 16:
        return IPv6Address(value)
    return None


def _via(value: bytes | None) -> IPAddress | None:
    """A gateway of the other family: an IPv4 route by an IPv6 neighbour."""
    if value is None or len(value) < _FAMILY.size:
        return None
    return _ip(_FAMILY.unpack_from(value)[0], value[_FAMILY.size :])


def _family(address: IPAddress) -> int:
    return int(AF_INET if address.version == 4 else AF_INET6)
