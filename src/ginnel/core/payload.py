"""What is done to the payloads of one peer beside sealing them: the terms, not the work.

Responsible for: composing the terms from options (protocol-facts 14 and 15). The data planes carry
them out, in the order packet, compression framing, fragment header, seal.
"""

from ipaddress import IPv6Address

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.hints import Protocol
from ginnel.options.model import (
    CompressionKind,
    DataOptions,
    LinkOptions,
    NatRule,
    RouteOptions,
    TunOptions,
)

ERROR_SOURCE = IPv6Address("fe80::7")
"""Where the errors of ``block-ipv6`` come from when the tunnel has no IPv6 address of its own."""


class Framing(Enum):
    """How a payload tells whether it is compressed; ``value`` is the name for the engines."""

    PREFIX = "prefix"
    """One byte in front: ``comp-lzo``, ``compress lzo``."""
    SWAP = "swap"
    """One byte in the first one's place, which moves to the end: ``compress``, ``compress lz4``."""
    V2 = "v2"
    """Nothing, but for payloads that look framed: ``compress stub-v2``, ``lz4-v2``."""


FRAMING_OF = {
    CompressionKind.STUB: Framing.SWAP,
    CompressionKind.STUB_V2: Framing.V2,
    CompressionKind.LZO: Framing.PREFIX,
    CompressionKind.LZO_STUB: Framing.PREFIX,
    CompressionKind.LZ4: Framing.SWAP,
    CompressionKind.LZ4_V2: Framing.V2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadTerms:
    """The default is nothing at all."""

    framing: Framing | None = None
    decompress: bool = False
    """Take what the peer compressed; otherwise such packets are dropped."""
    fragment: int = 0
    """Most bytes behind a fragment header; 0 for no such headers."""
    client_nat: tuple[NatRule, ...] = ()
    block_ipv6: IPv6Address | None = None
    """Send no IPv6 and answer it with an error from this address."""
    shaper: int = 0
    """Bytes a second that may be sent; 0 for no limit."""
    passtos: bool = False


_MARKS = {
    0x66: "is compressed with LZO",
    0x69: "is compressed with LZ4",
    0x50: "has the framing of stub-v2 or lz4-v2",
    0xFA: "has the framing of comp-lzo",
    0xFB: "has the framing of compress",
}
_REMEDIES = {
    0x66: "allow-compression asym",
    0x69: "allow-compression asym",
    0x50: "compress stub-v2",
    0xFA: "comp-lzo no",
    0xFB: "compress",
}


def explain_framing(terms: PayloadTerms, first: int, peer: str = "server") -> str:
    """The warning about a payload whose framing is not ours: cause and remedy.

    ``peer`` is what the other end is called.
    """
    mark = _MARKS.get(first)
    if mark is None:
        return (
            "WARNING: Bad compression stub decompression header byte: "
            f"{first}: the {peer}'s packets have no compression framing, ours have: remove "
            f"comp-lzo and compress here, or set the same on the {peer}"
        )
    here = "none is set here" if terms.framing is None else "another one is set here"
    if terms.framing is not None and first in (0x66, 0x69, 0x50):
        here = "compressed packets are not taken here"
    return (
        f"WARNING: a packet of the {peer} {mark}, but {here} and it was dropped: add "
        f"'{_REMEDIES[first]}' here, or remove compression on the {peer}"
    )


class PayloadOptions(Protocol):
    """The groups of options that the terms come from: of a client or a server."""

    @property
    def data(self) -> DataOptions: ...
    @property
    def routes(self) -> RouteOptions: ...
    @property
    def tun(self) -> TunOptions: ...
    @property
    def link(self) -> LinkOptions: ...


def payload_terms(options: PayloadOptions, *, fragment: int) -> PayloadTerms:
    """Composes the terms. ``fragment`` is the room behind a fragment header, 0 without any."""
    kind = options.data.compression
    return PayloadTerms(
        framing=None if kind is None else FRAMING_OF[kind],
        decompress=options.data.allow_compression,
        fragment=fragment,
        client_nat=options.routes.client_nat,
        block_ipv6=(options.tun.ifconfig_ipv6_remote or ERROR_SOURCE)
        if options.routes.block_ipv6
        else None,
        shaper=options.link.shaper,
        passtos=options.link.passtos,
    )
