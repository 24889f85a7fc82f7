"""Expands the short forms of a server: ``server``, ``server-bridge``, ``keepalive`` and so on.

They set addresses, pool, routes and pushes as openvpn 2.6 does (protocol-facts 24), its pushes in
its order and behind what the configuration pushes itself.
"""

from ipaddress import IPv4Network, IPv6Address, IPv6Interface

from ginnel.dataclass import replace
from ginnel.options.draft import Draft
from ginnel.options.errors import ConfigError
from ginnel.options.freeze import device_type
from ginnel.options.model import DeviceType, Route4, Topology
from ginnel.options.server_draft import BridgeDraft
from ginnel.options.server_model import Pool4, Pool6
from ginnel.options.values import COMMAND_LINE, Origin

_POOL_OFFSET = 0x1000
"""Where the IPv6 pool begins, if there is room for so much: before it are fixed addresses."""


def expand_server(draft: Draft) -> None:
    """Applies the short forms. Raises ConfigError when they contradict each other."""
    server = draft.server
    if server.network is not None and server.bridge is not None:
        raise _wrong(draft, "--server and --server-bridge cannot be used together", "server-bridge")
    _refuse_roles(draft)
    if server.network_ipv6 is not None:
        _expand_ipv6(draft, server.network_ipv6)
    if server.network is not None:
        _expand_ipv4(draft, server.network)
    if server.bridge is not None:
        _expand_bridge(draft, server.bridge)
    _expand_keepalive(draft)
    if server.tcp_nodelay:
        _push(draft, "socket-flags TCP_NODELAY")


def _refuse_roles(draft: Draft) -> None:
    for name in ("server", "server-ipv6", "server-bridge"):
        if not draft.places.has(name):
            continue
        for other, why in (("client", ""), ("secret", " (you must use SSL/TLS keys)")):
            if draft.places.has(other):
                text = f"--{name} and --{other} cannot be used together{why}"
                raise _wrong(draft, text, other)
        draft.set_field("server.mode", True)
        draft.set_field("tls.tls_server", True)


def _expand_ipv6(draft: Draft, base: IPv6Interface) -> None:
    server = draft.server
    if not server.has_pool:
        text = "--server-ipv6 is incompatible with 'nopool' option"
        raise _wrong(draft, text, "server-ipv6")
    if server.pool.ipv6 is not None:
        text = (
            "--server-ipv6 already defines an ifconfig-ipv6-pool, so you can't also specify "
            "--ifconfig-ipv6-pool explicitly"
        )
        raise _wrong(draft, text, "ifconfig-ipv6-pool")
    bits = base.network.prefixlen
    first = base.ip + (_POOL_OFFSET if bits < 112 else 2)
    draft.set_field("tun.ifconfig_ipv6", IPv6Interface((base.ip + 1, bits)))
    draft.set_field("tun.ifconfig_ipv6_remote", base.ip + 2)
    draft.set_field("pool.ipv6", Pool6(network=base.network, first=IPv6Address(first)))
    _push(draft, "tun-ipv6")


def _expand_ipv4(draft: Draft, network: IPv4Network) -> None:
    if draft.server.pool.ipv4 is not None:
        text = (
            "--server already defines an ifconfig-pool, so you can't also specify "
            "--ifconfig-pool explicitly"
        )
        raise _wrong(draft, text, "ifconfig-pool")
    kind = device_type(draft)
    if kind is DeviceType.NULL:
        text = "--server directive only makes sense with --dev tun or --dev tap"
        raise _wrong(draft, text, "server")
    if kind is DeviceType.TUN and network.prefixlen > 29:
        text = (
            "--server directive when used with --dev tun must define a subnet of 255.255.255.248 "
            "(/29) or lower"
        )
        raise _wrong(draft, text, "server")
    topology = draft.options.tun.topology
    if kind is DeviceType.TAP or topology is Topology.SUBNET:
        _expand_subnet(draft, network)
    else:
        _expand_point_to_point(draft, network, topology)
    if kind is DeviceType.TUN:
        _push(draft, f"topology {topology.value}")


def _expand_subnet(draft: Draft, network: IPv4Network) -> None:
    """Everybody shares the network: the first address is ours, the others are the pool."""
    ours = network.network_address + 1
    draft.set_field("tun.ifconfig", (ours, network.netmask))
    if draft.server.has_pool:
        last = network.broadcast_address - 1
        pool = Pool4(first=ours + 1, last=last, netmask=network.netmask)
        draft.set_field("pool.ipv4", pool)
    routes = draft.options.routes
    no_gateway = routes.route_gateway is None and routes.route_gateway_name is None
    if device_type(draft) is DeviceType.TUN and no_gateway:
        # Any address but ours does as the gateway of our own routes into the tunnel.
        draft.set_field("routes.route_gateway", ours + 1)
    _push(draft, f"route-gateway {ours}")


def _expand_point_to_point(draft: Draft, network: IPv4Network, topology: Topology) -> None:
    """Each client has an end of its own, reached by a route."""
    base = network.network_address
    draft.set_field("tun.ifconfig", (base + 1, base + 2))
    if draft.server.has_pool:
        # A network of eight addresses has room for one client: all four behind ours.
        spare = 0 if network.prefixlen == 29 else 4
        pool = Pool4(first=base + 4, last=network.broadcast_address - spare)
        draft.set_field("pool.ipv4", pool)
    origin = draft.places.of("server") or Origin(COMMAND_LINE, 1)
    route = Route4(network=network, gateway=None, metric=None, origin=origin)
    draft.set_field("routes.routes", (*draft.options.routes.routes, route))
    if draft.server.client_to_client:
        _push(draft, f"route {base} {network.netmask}")
    elif topology is Topology.NET30:
        _push(draft, f"route {base + 1}")


def _expand_bridge(draft: Draft, bridge: BridgeDraft) -> None:
    if device_type(draft) is not DeviceType.TAP:
        text = "--server-bridge directive only makes sense with --dev tap"
        raise _wrong(draft, text, "server-bridge")
    if draft.server.pool.ipv4 is not None:
        text = (
            "--server-bridge already defines an ifconfig-pool, so you can't also specify "
            "--ifconfig-pool explicitly"
        )
        raise _wrong(draft, text, "ifconfig-pool")
    if bridge.first is not None and bridge.last is not None:
        pool = Pool4(first=bridge.first, last=bridge.last, netmask=bridge.netmask)
        draft.set_field("pool.ipv4", pool)
        _push(draft, f"route-gateway {bridge.gateway}")
    elif bridge.pushes_dhcp:
        _push(draft, "route-gateway dhcp")


def _expand_keepalive(draft: Draft) -> None:
    """Clients give up first: the server waits twice as long."""
    if draft.server.keepalive is None:
        return
    interval, timeout = draft.server.keepalive
    for name in ("ping", "ping-exit", "ping-restart"):
        if draft.places.has(name):
            text = (
                "--keepalive conflicts with --ping, --ping-exit, or --ping-restart.  If you use "
                "--keepalive, you don't need any of the other --ping directives."
            )
            raise _wrong(draft, text, name)
    link = replace(draft.options.link, ping=interval, ping_restart=2 * timeout, ping_exit=0)
    draft.options = replace(draft.options, link=link)
    _push(draft, f"ping {interval}")
    _push(draft, f"ping-restart {timeout}")


def _push(draft: Draft, text: str) -> None:
    draft.set_field("server.push", (*draft.server.push, text))


def _wrong(draft: Draft, text: str, option: str) -> ConfigError:
    return ConfigError(text, origin=draft.places.of(option), option=option)
