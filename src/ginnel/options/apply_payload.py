"""What options about the payload of data packets do: compression framing, fragments, address rules.

Rows in ``rows.data``, ``rows.link``, ``rows.routes`` and ``rows.tun``.
"""

from ginnel.dataclass import replace
from ginnel.options.apply_tun import ipv4
from ginnel.options.draft import Draft, Handler, Use
from ginnel.options.model import CompressionKind, NatRule
from ginnel.options.notes import Note

MAX_NAT_RULES = 64
LOWEST_FRAGMENT = 68
_COMP_LZO = {
    "": CompressionKind.LZO,
    "yes": CompressionKind.LZO,
    "adaptive": CompressionKind.LZO,
    "no": CompressionKind.LZO_STUB,
}
_COMPRESS = {
    "": CompressionKind.STUB,
    "stub": CompressionKind.STUB,
    "stub-v2": CompressionKind.STUB_V2,
    "lzo": CompressionKind.LZO,
    "lz4": CompressionKind.LZ4,
    "lz4-v2": CompressionKind.LZ4_V2,
    "migrate": None,
}
_HEX = frozenset("0123456789abcdefABCDEF")


def _comp_lzo(draft: Draft, use: Use) -> None:
    _set_compression(draft, use, _COMP_LZO[use.text(0)])


def _compress(draft: Draft, use: Use) -> None:
    """``migrate`` means a server that adapts to each client: no framing of our own."""
    draft.set_field("server.compress_migrate", use.text(0) == "migrate")
    _set_compression(draft, use, _COMPRESS[use.text(0)])


def _set_compression(draft: Draft, use: Use, kind: CompressionKind | None) -> None:
    draft.set_field("data.compression", kind)
    asked = kind is None or kind.may_compress
    if asked and not use.pushed and not draft.places.has("allow-compression"):
        draft.set_field("data.allow_compression", True)
        if kind is not None:
            draft.warn(
                "WARNING: Compression for receiving enabled. Compression has been used in the past "
                "to break encryption. Sent packets are not compressed.",
                use,
            )


def _allow_compression(draft: Draft, use: Use) -> None:
    word = use.text(0)
    if word != "no" and draft.actions.get("allow-compression") == ("no",):
        raise use.wrong(f"Cannot set allow-compression to '{word}' after set to 'no'")
    draft.actions["allow-compression"] = (word,)
    draft.set_field("data.allow_compression", word != "no")
    if word == "yes":
        text = "--allow-compression yes: nothing sent is compressed; it is taken as 'asym'"
        draft.notes.append(Note(text=text, origin=use.origin, option="allow-compression"))


def _fragment(draft: Draft, use: Use) -> None:
    size = use.number(0)
    if 0 < size < LOWEST_FRAGMENT:
        raise use.wrong(f"--fragment needs to be at least {LOWEST_FRAGMENT}")
    draft.profile = replace(draft.profile, fragment=size, fragment_mtu=use.text(1) == "mtu")


def _link_mtu(draft: Draft, use: Use) -> None:
    draft.profile = replace(draft.profile, link_mtu=use.number(0))


def _client_nat(draft: Draft, use: Use) -> None:
    rules = draft.options.routes.client_nat
    if len(rules) >= MAX_NAT_RULES:
        raise use.wrong(f"client-nat table overflow (max {MAX_NAT_RULES} entries)")
    network, netmask, alias = (ipv4(use.text(index), use) for index in (1, 2, 3))
    is_source = use.text(0) == "snat"
    rule = NatRule(is_source=is_source, network=network, netmask=netmask, alias=alias)
    draft.set_field("routes.client_nat", (*rules, rule))


def _lladdr(draft: Draft, use: Use) -> None:
    parts = use.text(0).replace("-", ":").split(":")
    well_formed = len(parts) == 6 and all(
        len(part) in (1, 2) and set(part) <= _HEX for part in parts
    )
    if not well_formed:
        raise use.wrong(
            "lladdr parm is not a MAC address: expected six pairs such as 02:00:5e:0:53:1"
        )
    address = ":".join(part.lower().zfill(2) for part in parts)
    if int(parts[0], 16) & 1:
        raise use.wrong("a device cannot have a multicast address")
    draft.set_field("tun.lladdr", address)


HANDLERS: dict[str, Handler] = {
    "comp-lzo": _comp_lzo,
    "compress": _compress,
    "allow-compression": _allow_compression,
    "fragment": _fragment,
    "link-mtu": _link_mtu,
    "udp-mtu": _link_mtu,
    "client-nat": _client_nat,
    "lladdr": _lladdr,
}
