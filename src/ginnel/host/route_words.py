"""Turns the words of route options into addresses: gateways, keywords, defaults. Pure.

Responsible for what ``route`` and ``route-ipv6`` lines mean on this host at this moment, also for
the scripts' environment. Which of them are needed, and what else, is ``plan``'s.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from ginnel.core.actions import TunnelConfig
from ginnel.dataclass import dataclass, field
from ginnel.host.underlay import UnderlaySnapshot
from ginnel.options.model import (
    ClientOptions,
    DeviceType,
    HostName,
    RedirectFlag,
    Route4,
    RouteKeyword,
    RouteOptions,
    Topology,
)
from ginnel.options.values import Origin

IPV6_REDIRECT = tuple(IPv6Network(n) for n in ("::/3", "2000::/4", "3000::/4", "fc00::/7"))
"""All of IPv6 that is or may become global, and unique local addresses; as OpenVPN splits it."""


@dataclass(frozen=True, kw_only=True)
class ResolvedRoute4:
    """A ``route`` with its words resolved, as the scripts' environment shows it."""

    network: IPv4Network
    gateway: IPv4Address
    metric: int | None
    origin: Origin = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class ResolvedRoute6:
    """A ``route-ipv6`` likewise."""

    network: IPv6Network
    gateway: IPv6Address | None
    metric: int | None
    origin: Origin | None = field(default=None, compare=False)
    """None for a part of redirection."""


@dataclass(frozen=True, kw_only=True)
class RouteFacts:
    """What scripts are told about routes, also when ``route-noexec`` leaves them to a script."""

    vpn_gateway: IPv4Address | None = None
    net_gateway: IPv4Address | None = None
    net_gateway_ipv6: IPv6Address | None = None
    routes: tuple[ResolvedRoute4, ...] = ()
    routes_ipv6: tuple[ResolvedRoute6, ...] = ()
    redirect_gateway: bool = False
    """True when ``redirect-gateway`` or ``redirect-private`` took effect for IPv4."""


@dataclass(frozen=True, kw_only=True)
class ResolvedRoutes:
    """All routes with their words resolved, and a warning for each that could not be."""

    ipv4: tuple[ResolvedRoute4, ...] = ()
    ipv6: tuple[ResolvedRoute6, ...] = ()
    warnings: tuple[str, ...] = ()


def resolve_routes(config: TunnelConfig, underlay: UnderlaySnapshot) -> ResolvedRoutes:
    """Resolves configured and pushed routes, and those of redirection of IPv6."""
    options = config.options
    warnings: list[str] = []
    routes = (_resolve(route, config, underlay, warnings) for route in options.routes.routes)
    return ResolvedRoutes(
        ipv4=tuple(dict.fromkeys(route for route in routes if route is not None)),
        ipv6=tuple(dict.fromkeys(_resolve_ipv6(options))),
        warnings=tuple(warnings),
    )


def redirect_flags(routes: RouteOptions) -> frozenset[RedirectFlag]:
    """The flags of ``redirect-gateway`` and ``redirect-private`` together."""
    return (routes.redirect_gateway or frozenset()) | (routes.redirect_private or frozenset())


def vpn_gateway(options: ClientOptions) -> IPv4Address | None:
    """Where packets for networks behind the server go: ``route-gateway``, or the tunnel's peer."""
    if options.routes.route_gateway is not None:
        return options.routes.route_gateway
    tun = options.tun
    names_peer = tun.topology is not Topology.SUBNET and tun.dev_type is not DeviceType.TAP
    return tun.ifconfig[1] if tun.ifconfig is not None and names_peer else None


def net_gateway(underlay: UnderlaySnapshot) -> IPv4Address | None:
    """The IPv4 default gateway outside the tunnel."""
    gateway = underlay.gateway_ipv4
    if gateway is None or not isinstance(gateway.address, IPv4Address):
        return None
    return gateway.address


def _resolve_ipv6(options: ClientOptions) -> list[ResolvedRoute6]:
    routes = options.routes
    default = routes.route_ipv6_gateway or options.tun.ifconfig_ipv6_remote
    resolved = []
    for route in routes.routes_ipv6:
        metric = route.metric if route.metric is not None else routes.route_metric
        gateway = route.gateway or default
        resolved.append(
            ResolvedRoute6(
                network=route.network,
                gateway=gateway,
                metric=metric or None,
                origin=route.origin,
            )
        )
    # OpenVPN heeds this flag of redirect-private too.
    if RedirectFlag.IPV6 in redirect_flags(routes):
        metric = routes.route_metric or None
        resolved.extend(
            ResolvedRoute6(network=network, gateway=default, metric=metric)
            for network in IPV6_REDIRECT
        )
    return resolved


def _resolve(
    route: Route4, config: TunnelConfig, underlay: UnderlaySnapshot, warnings: list[str]
) -> ResolvedRoute4 | None:
    network = route.network
    if isinstance(network, HostName):
        warnings.append(_unresolved(route, network))
        return None
    if isinstance(network, RouteKeyword):
        address = _keyword(network, config, underlay)
        if address is None:
            warnings.append(_left_out(route, network))
            return None
        network = IPv4Network(address)
    gateway = RouteKeyword.VPN_GATEWAY if route.gateway is None else route.gateway
    if isinstance(gateway, HostName):
        warnings.append(_unresolved(route, gateway))
        return None
    if isinstance(gateway, RouteKeyword):
        address = _keyword(gateway, config, underlay)
        if address is None:
            warnings.append(_left_out(route, gateway))
            return None
        gateway = address
    metric = route.metric if route.metric is not None else config.options.routes.route_metric
    return ResolvedRoute4(
        network=network, gateway=gateway, metric=metric or None, origin=route.origin
    )


def _keyword(
    keyword: RouteKeyword, config: TunnelConfig, underlay: UnderlaySnapshot
) -> IPv4Address | None:
    match keyword:
        case RouteKeyword.VPN_GATEWAY:
            return vpn_gateway(config.options)
        case RouteKeyword.NET_GATEWAY:
            return net_gateway(underlay)
        case RouteKeyword.REMOTE_HOST:
            server = config.remote.address
            return server if isinstance(server, IPv4Address) else None


def _unresolved(route: Route4, name: HostName) -> str:
    return f"ROUTE: a route ({route.origin}) was left out: {name.name} does not resolve"


def _left_out(route: Route4, keyword: RouteKeyword) -> str:
    cause = {
        RouteKeyword.VPN_GATEWAY: (
            "OpenVPN needs a gateway parameter for a --route option and no default was "
            "specified by either --route-gateway or --ifconfig options"
        ),
        RouteKeyword.NET_GATEWAY: "there is no IPv4 default gateway to use as net_gateway",
        RouteKeyword.REMOTE_HOST: "the server is not reached over IPv4",
    }[keyword]
    network = route.network
    shown = network.value if isinstance(network, RouteKeyword) else network
    return f"ROUTE: route {shown} ({route.origin}) was left out: {cause}"
