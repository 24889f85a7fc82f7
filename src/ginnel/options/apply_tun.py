"""What the tunnel and route options do. Rows in ``rows.tun`` and ``rows.routes``."""

from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Interface

from ginnel.dataclass import replace
from ginnel.options.arguments import parse_number
from ginnel.options.draft import Draft, Handler, Use
from ginnel.options.model import (
    DeviceType,
    HostName,
    RedirectFlag,
    Route4,
    Route6,
    RouteKeyword,
    Topology,
)

MAX_ROUTES = 16384
"""Routes of each family: far above any real profile, low enough that a hostile push cannot hurt."""

_MAX_METRIC = 2**32 - 1
_MAIN_TABLES = (0, 254)
_HOST_MASK = "255.255.255.255"
_KEYWORDS = {keyword.value: keyword for keyword in RouteKeyword}
_DEVICE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+@")
_MAX_DEVICE = 15
_MAX_NAME = 253
_ADDRESS_LETTERS = frozenset("0123456789.")
_NAME_LETTERS = _ADDRESS_LETTERS | frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
)


def ipv4(text: str, use: Use) -> IPv4Address:
    """Reads a dotted IPv4 address. Raises ConfigError."""
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise use.wrong("expected an IPv4 address") from error


def ipv6(text: str, use: Use) -> IPv6Address:
    """Reads an IPv6 address without a scope. Raises ConfigError."""
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        raise use.wrong("expected an IPv6 address") from error
    if address.scope_id is not None:
        raise use.wrong("expected an IPv6 address without a scope")
    return address


def ipv4_mask(text: str, use: Use) -> int:
    """Reads a netmask as a prefix length. Raises ConfigError."""
    value = int(ipv4(text, use))
    inverted = value ^ 0xFFFFFFFF
    if inverted & (inverted + 1):
        raise use.wrong("expected a netmask such as 255.255.255.0")
    return 32 - inverted.bit_length()


def ipv6_bits(text: str, use: Use, default: int | None) -> tuple[IPv6Address, int]:
    """Reads ``address/bits``; without a default the bits must be there. Raises ConfigError."""
    head, slash, bits = text.partition("/")
    address = ipv6(head, use)
    if not slash and default is not None:
        return address, default
    if not slash:
        raise use.wrong("expected an IPv6 address with /bits")
    return address, parse_number(use.row.name, bits, 0, 128, use.origin)


def _dev(draft: Draft, use: Use) -> None:
    name = use.text(0)
    if not 1 <= len(name) <= _MAX_DEVICE or not set(name) <= _DEVICE_LETTERS or name in {".", ".."}:
        raise use.wrong(f"expected a device name of at most {_MAX_DEVICE} characters")
    draft.set_field("tun.dev", name)


def _dev_type(draft: Draft, use: Use) -> None:
    draft.set_field("tun.dev_type", DeviceType(use.text(0)))


def _dev_node(draft: Draft, use: Use) -> None:
    path = use.text(0)
    if path.startswith("unix:"):
        raise use.later("--dev-node unix:")
    if path.startswith("/"):
        draft.set_field("tun.dev_node", path)
    else:
        draft.warn(f"--dev-node {path!r} has no effect here: it names a Windows adapter", use)


def _topology(draft: Draft, use: Use) -> None:
    draft.set_field("tun.topology", Topology(use.text(0)))


def _ifconfig(draft: Draft, use: Use) -> None:
    if any(_is_name(word, draft, use) for word in use.words):
        names = (HostName(use.text(0)), HostName(use.text(1)))
        draft.set_field("tun.ifconfig", None)
        draft.set_field("tun.ifconfig_names", names)
        return
    draft.set_field("tun.ifconfig", (ipv4(use.text(0), use), ipv4(use.text(1), use)))
    draft.set_field("tun.ifconfig_names", None)


def _ifconfig_ipv6(draft: Draft, use: Use) -> None:
    address, bits = ipv6_bits(use.text(0), use, None)
    if not 64 <= bits <= 124:
        raise use.wrong("the prefix length must be from 64 to 124")
    remote = ipv6(use.text(1), use)
    draft.options = replace(
        draft.options,
        tun=replace(
            draft.options.tun,
            ifconfig_ipv6=IPv6Interface((address, bits)),
            ifconfig_ipv6_remote=remote,
        ),
    )


def _tun_mtu(draft: Draft, use: Use) -> None:
    mtu = use.number(0)
    tun = draft.options.tun
    if not use.pushed:
        draft.set_field("profile.tun_mtu", mtu)
        draft.options = replace(draft.options, tun=replace(tun, tun_mtu=mtu, tun_mtu_defined=True))
        return
    if mtu > tun.tun_mtu_max:
        raise use.wrong(f"larger than tun-mtu-max, which is {tun.tun_mtu_max}")
    draft.options = replace(draft.options, tun=replace(tun, tun_mtu=mtu, tun_mtu_pushed=True))


def _route(draft: Draft, use: Use) -> None:
    routes = draft.options.routes
    if len(routes.routes) >= MAX_ROUTES:
        raise use.wrong(f"there are more than {MAX_ROUTES} routes")
    route = Route4(
        network=_route_network(draft, use),
        gateway=_route_gateway4(draft, use),
        metric=_metric(use, 3),
        origin=use.origin,
    )
    draft.options = replace(draft.options, routes=replace(routes, routes=(*routes.routes, route)))


def _route_network(draft: Draft, use: Use) -> IPv4Network | RouteKeyword | HostName:
    mask = use.text(1, "default")
    bits = 32 if mask in {"default", ""} else ipv4_mask(mask, use)
    keyword = _KEYWORDS.get(use.text(0))
    if keyword is not None:
        if bits != 32:
            raise use.wrong(f"{keyword.value} is one address, its netmask can only be {_HOST_MASK}")
        return keyword
    if _is_name(use.text(0), draft, use):
        return HostName(use.text(0), bits)
    return IPv4Network((ipv4(use.text(0), use), bits), strict=False)


def _route_gateway4(draft: Draft, use: Use) -> IPv4Address | RouteKeyword | HostName | None:
    text = use.text(2, "default")
    if text in {"default", ""}:
        return None
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    return HostName(text) if _is_name(text, draft, use) else ipv4(text, use)


def _is_name(text: str, draft: Draft, use: Use) -> bool:
    """True for what can only be a host's name. A server may send one with allow-pull-fqdn only."""
    if use.pushed and not draft.options.routes.allow_pull_fqdn:
        return False
    letters = 1 <= len(text) <= _MAX_NAME and set(text) <= _NAME_LETTERS
    return letters and not set(text) <= _ADDRESS_LETTERS and text[0] not in "-."


def _metric(use: Use, index: int) -> int | None:
    text = use.text(index, "default")
    if text in {"default", ""}:
        return None
    return parse_number(use.row.name, text, 0, _MAX_METRIC, use.origin)


def _route_ipv6(draft: Draft, use: Use) -> None:
    routes = draft.options.routes
    if len(routes.routes_ipv6) >= MAX_ROUTES:
        raise use.wrong(f"there are more than {MAX_ROUTES} routes")
    address, bits = ipv6_bits(use.text(0), use, 128)
    gateway = use.text(1, "default")
    route = Route6(
        network=IPv6Interface((address, bits)).network,
        gateway=None if gateway in {"default", ""} else ipv6(gateway, use),
        metric=_metric(use, 2),
        origin=use.origin,
    )
    draft.options = replace(
        draft.options, routes=replace(routes, routes_ipv6=(*routes.routes_ipv6, route))
    )


def _route_gateway(draft: Draft, use: Use) -> None:
    if use.text(0) == "dhcp":
        draft.set_field("routes.route_gateway_dhcp", True)
        return
    name = HostName(use.text(0)) if _is_name(use.text(0), draft, use) else None
    draft.set_field("routes.route_gateway_name", name)
    draft.set_field("routes.route_gateway", None if name else ipv4(use.text(0), use))


def _route_ipv6_gateway(draft: Draft, use: Use) -> None:
    draft.set_field("routes.route_ipv6_gateway", ipv6(use.text(0), use))


def _route_delay(draft: Draft, use: Use) -> None:
    draft.set_field("routes.route_delay", use.number(0, 0))
    draft.set_field("routes.route_delay_window", use.number(1, 30))


def _route_table(draft: Draft, use: Use) -> None:
    number = use.number(0)
    draft.set_field("routes.route_table", None if number in _MAIN_TABLES else number)


def _redirect_gateway(draft: Draft, use: Use) -> None:
    earlier = draft.options.routes.redirect_gateway or frozenset()
    draft.set_field("routes.redirect_gateway", earlier | _flags(use))


def _redirect_private(draft: Draft, use: Use) -> None:
    earlier = draft.options.routes.redirect_private or frozenset()
    draft.set_field("routes.redirect_private", earlier | _flags(use))


def _flags(use: Use) -> frozenset[RedirectFlag]:
    return frozenset(RedirectFlag(flag) for flag in use.words)


HANDLERS: dict[str, Handler] = {
    "dev": _dev,
    "dev-type": _dev_type,
    "dev-node": _dev_node,
    "topology": _topology,
    "ifconfig": _ifconfig,
    "ifconfig-ipv6": _ifconfig_ipv6,
    "tun-mtu": _tun_mtu,
    "route": _route,
    "route-ipv6": _route_ipv6,
    "route-gateway": _route_gateway,
    "route-ipv6-gateway": _route_ipv6_gateway,
    "route-delay": _route_delay,
    "route-table": _route_table,
    "redirect-gateway": _redirect_gateway,
    "redirect-private": _redirect_private,
}
