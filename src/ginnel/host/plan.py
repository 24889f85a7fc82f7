"""Decides what to configure on the host for a tunnel: pure, from options and the underlay.

Responsible for addresses by topology, routes with their keywords, redirection of the default route
and the bypass route that keeps the server reachable outside the tunnel. Carrying it out is
``executor``'s. Rules follow OpenVPN's ``route.c`` and ``tun.c`` as observed in 2.6.14, with one
addition: a bypass route is also made when a pushed IPv4 route, or the tunnel's own subnet, covers
the server's address, where OpenVPN would route the tunnel into itself.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from ginnel.core.actions import TunnelConfig
from ginnel.core.types import IPAddress, IPNetwork
from ginnel.dataclass import dataclass, field, replace
from ginnel.host.route_words import (
    IPV6_REDIRECT,
    ResolvedRoutes,
    RouteFacts,
    net_gateway,
    redirect_flags,
    resolve_routes,
    vpn_gateway,
)
from ginnel.host.rtnetlink import TABLE_MAIN
from ginnel.host.steps import (
    AddAddress,
    AddRoute,
    RemoveRoute,
    SetLink,
    Step,
    describe,
    kernel_metric,
)
from ginnel.host.underlay import Gateway, UnderlaySnapshot
from ginnel.options.model import DeviceType, RedirectFlag, Topology
from ginnel.options.values import PUSH_OPTIONS, Origin

_HALVES = (IPv4Network("0.0.0.0/1"), IPv4Network("128.0.0.0/1"))
_DEFAULT_IPV4 = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True)
class Device:
    """The tunnel's device."""

    name: str
    index: int


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A step and, in plain words, why it is there."""

    step: Step
    reason: str
    bypass: bool = False
    """True for routes that keep something outside the tunnel."""


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """What to do, in order: the interface first, routes when it is time for them."""

    interface: tuple[Planned, ...] = ()
    routes: tuple[Planned, ...] = ()
    warnings: tuple[str, ...] = ()
    """What could not be planned and why, each a line for the log."""
    facts: RouteFacts = field(default_factory=RouteFacts)


def plan_tunnel(config: TunnelConfig, device: Device, underlay: UnderlaySnapshot) -> HostPlan:
    """Plans addresses and routes of a tunnel on ``device``. Never fails: what cannot be done is a
    warning, as in OpenVPN."""
    drawing = _Drawing(config, device, underlay, resolve_routes(config, underlay))
    drawing.interface()
    drawing.routes()
    return drawing.result()


def plan_bypass(server: IPAddress, underlay: UnderlaySnapshot, reason: str) -> Planned | None:
    """The route that keeps ``server`` outside the tunnel; None when there is no way to it."""
    path = underlay.server
    if path is None:
        return None
    return Planned(step=_via(_host_network(server), path), reason=reason, bypass=True)


@dataclass(slots=True)
class _Drawing:
    """A plan while it is drawn up."""

    config: TunnelConfig
    device: Device
    underlay: UnderlaySnapshot
    resolved: ResolvedRoutes
    _interface: list[Planned] = field(default_factory=list)
    _routes: list[Planned] = field(default_factory=list)
    _warnings: list[str] = field(default_factory=list)
    _redirected: bool = False

    # --- interface -----------------------------------------------------------------------------

    def interface(self) -> None:
        tun = self.config.options.tun
        if tun.ifconfig_noexec:
            return
        addresses = self._ipv4_address() + self._ipv6_address()
        if not addresses and tun.txqueuelen is None:
            return
        step = SetLink(
            device=self.device.name,
            index=self.device.index,
            mtu=self.config.tun_mtu,
            txqueuelen=tun.txqueuelen,
            up=bool(addresses),
        )
        reason = f"packets of up to {self.config.tun_mtu} bytes fit the tunnel (tun-mtu)"
        self._interface.append(Planned(step=step, reason=reason))
        self._interface.extend(addresses)

    def _ipv4_address(self) -> list[Planned]:
        tun = self.config.options.tun
        if tun.ifconfig is None:
            return []
        local, second = tun.ifconfig
        if tun.topology is Topology.SUBNET or tun.dev_type is DeviceType.TAP:
            bits = _mask_bits(second)
            if bits is None:
                self._warnings.append(
                    f"NOTE: ifconfig {local} {second}: {second} is not a netmask; the device gets "
                    "no IPv4 address"
                )
                return []
            prefix, peer = bits, None
            reason = "this host's address in the VPN's subnet (ifconfig, topology subnet)"
        else:
            prefix, peer = 32, second
            reason = f"this host's end of the tunnel (ifconfig, topology {tun.topology.value})"
        return [Planned(step=self._address(local, prefix, peer), reason=reason)]

    def _ipv6_address(self) -> list[Planned]:
        interface = self.config.options.tun.ifconfig_ipv6
        if interface is None:
            return []
        step = self._address(interface.ip, interface.network.prefixlen, None)
        return [Planned(step=step, reason="this host's IPv6 address in the VPN (ifconfig-ipv6)")]

    def _address(self, local: IPAddress, prefix: int, peer: IPAddress | None) -> AddAddress:
        return AddAddress(
            device=self.device.name,
            index=self.device.index,
            local=local,
            prefix=prefix,
            peer=peer,
        )

    @property
    def _server(self) -> IPAddress:
        return self.config.remote.address

    # --- routes --------------------------------------------------------------------------------

    def routes(self) -> None:
        """Plans the routes, those that must stay outside the tunnel first."""
        self._redirected = self._redirect_possible()
        planned = [
            *self._redirect_ipv4(),
            *(self._in_table(item) for item in self._tunnel_routes4()),
            *self._tunnel_routes6(),
        ]
        planned = [*self._server_bypass(planned), *self._other_bypasses(), *planned]
        if self.config.options.routes.route_noexec:
            return
        taken: dict[tuple[IPNetwork, int, int], AddRoute] = {}
        for item in planned:
            if isinstance(item.step, AddRoute):
                step = item.step
                place = (step.network, kernel_metric(step.network, step.metric), step.table)
                first = taken.setdefault(place, item.step)
                if first is not item.step:
                    self._warn_taken(first, item.step)
                    continue
            self._routes.append(item)

    def _in_table(self, item: Planned) -> Planned:
        """Routes by name of an option go to ``route-table``; those of redirection do not."""
        table = self.config.options.routes.route_table
        if table is None or not isinstance(item.step, AddRoute):
            return item
        return replace(item, step=replace(item.step, table=table))

    def _warn_taken(self, first: AddRoute, second: AddRoute) -> None:
        """The kernel holds one route for a destination and metric: the first one counts."""
        if (first.gateway, first.index) != (second.gateway, second.index):
            self._warnings.append(
                f"ROUTE: {describe(second)} was left out: {describe(first)} is in its place"
            )

    @property
    def _redirects(self) -> bool:
        """True when either redirect option is in force."""
        options = self.config.options.routes
        return options.redirect_gateway is not None or options.redirect_private is not None

    @property
    def _handles_ipv4(self) -> bool:
        """True when either redirect option is in force for IPv4."""
        return self._redirects and RedirectFlag.NO_IPV4 not in redirect_flags(
            self.config.options.routes
        )

    @property
    def _server_is_local(self) -> bool:
        flags = redirect_flags(self.config.options.routes)
        if RedirectFlag.LOCAL in flags:
            return True
        return RedirectFlag.AUTOLOCAL in flags and any(
            self._server in net.interface.network for net in self.underlay.networks
        )

    @property
    def _wants_default(self) -> bool:
        return self.config.options.routes.redirect_gateway is not None and self._handles_ipv4

    def _redirect_possible(self) -> bool:
        if not self._wants_default:
            return False
        note = "NOTE: unable to redirect IPv4 default gateway --"
        if vpn_gateway(self.config.options) is None:
            self._warnings.append(
                f"{note} VPN gateway parameter (--route-gateway or --ifconfig) is missing"
            )
            return False
        if self.config.remote.is_anybody and not self._server_is_local:
            self._warnings.append(f"{note} Cannot obtain current remote host address")
            return False
        needs_path = self._server.version == 4 and not self._server_is_local
        if needs_path and self.underlay.gateway_ipv4 is None and self.underlay.server is None:
            self._warnings.append(f"{note} Cannot read current default gateway from system")
            return False
        return True

    def _redirect_ipv4(self) -> list[Planned]:
        gateway = vpn_gateway(self.config.options)
        if not self._redirected or gateway is None:
            return []
        if RedirectFlag.DEF1 in redirect_flags(self.config.options.routes):
            reason = (
                "half of all IPv4 addresses go through the tunnel; two halves win over the "
                "default route without touching it (redirect-gateway def1)"
            )
            return [Planned(step=self._into(net, gateway, None), reason=reason) for net in _HALVES]
        planned = []
        old = self.underlay.gateway_ipv4
        if old is not None:
            step = RemoveRoute(
                network=_DEFAULT_IPV4,
                gateway=old.address,
                device=old.device,
                index=old.index,
                metric=old.metric,
            )
            reason = "the default route makes way for the tunnel's (redirect-gateway without def1)"
            planned.append(Planned(step=step, reason=reason))
        reason = "everything else goes through the tunnel (redirect-gateway)"
        planned.append(Planned(step=self._into(_DEFAULT_IPV4, gateway, None), reason=reason))
        return planned

    def _tunnel_routes4(self) -> list[Planned]:
        planned = []
        for route in self.resolved.ipv4:
            source = _source(route.origin)
            if route.gateway == net_gateway(self.underlay) and route.gateway != vpn_gateway(
                self.config.options
            ):
                reason = f"stays outside the tunnel (route by net_gateway, {source})"
                path = self.underlay.gateway_ipv4
                assert path is not None
                step = _via(route.network, path, route.metric)
                planned.append(Planned(step=step, reason=reason, bypass=True))
                continue
            step = self._into(route.network, route.gateway, route.metric)
            if step.index is None:
                reason = f"goes by {route.gateway}, a gateway outside the tunnel (route, {source})"
            else:
                reason = f"a network behind the server (route, {source})"
            planned.append(Planned(step=step, reason=reason))
        return planned

    def _tunnel_routes6(self) -> list[Planned]:
        planned = []
        tun = self.config.options.tun
        for route in self.resolved.ipv6:
            reason = (
                "a part of all IPv6 addresses goes through the tunnel (redirect-gateway ipv6)"
                if route.origin is None
                else f"an IPv6 network behind the server (route-ipv6, {_source(route.origin)})"
            )
            step = AddRoute(
                network=route.network,
                # A tun device has no neighbours to resolve: the device alone says where to go.
                gateway=route.gateway if tun.dev_type is DeviceType.TAP else None,
                device=self.device.name,
                index=self.device.index,
                metric=route.metric,
            )
            item = Planned(step=step, reason=reason)
            planned.append(item if route.origin is None else self._in_table(item))
        if planned and tun.ifconfig_ipv6 is None and not tun.ifconfig_noexec:
            self._warnings.append(
                "ROUTE6: WARNING: IPv6 routes are set up but the tunnel has no IPv6 address "
                "(ifconfig-ipv6): packets will not find a source address"
            )
        return planned

    def _into(self, network: IPv4Network, gateway: IPv4Address, metric: int | None) -> AddRoute:
        """A route by ``gateway``, bound to the tunnel when that is where the gateway is."""
        inside = gateway == vpn_gateway(self.config.options) or gateway in (self._subnet(4) or ())
        return AddRoute(
            network=network,
            gateway=gateway,
            device=self.device.name if inside else None,
            index=self.device.index if inside else None,
            metric=metric,
        )

    def _subnet(self, version: int) -> IPNetwork | None:
        """The network that the kernel routes to the tunnel because of its address."""
        for item in self._interface:
            if isinstance(item.step, AddAddress) and item.step.local.version == version:
                if isinstance(item.step.local, IPv4Address):
                    base = item.step.peer or item.step.local
                    assert isinstance(base, IPv4Address)
                    return IPv4Network((base, item.step.prefix), strict=False)
                return IPv6Network((item.step.local, item.step.prefix), strict=False)
        return None

    # --- what stays outside --------------------------------------------------------------------

    def _server_bypass(self, planned: list[Planned]) -> list[Planned]:
        """The host route to the server, when something would otherwise swallow it."""
        reason = None if self.config.remote.is_anybody else self._bypass_reason(planned)
        if reason is None:
            return []
        item = plan_bypass(self._server, self.underlay, reason)
        if item is None:
            self._warnings.append(
                f"ROUTE: {reason}, but no gateway to {self._server} is known: expect the tunnel "
                "to stop working"
            )
            return []
        return [item]

    def _bypass_reason(self, planned: list[Planned]) -> str | None:
        server = self._server
        subnet = self._subnet(server.version)
        if subnet is not None and server in subnet:
            return f"the tunnel's own subnet {subnet} covers the server's address"
        covering = [
            item.step.network
            for item in planned
            if isinstance(item.step, AddRoute)
            and item.step.table == TABLE_MAIN
            and not item.bypass
            and server in item.step.network
        ]
        redirect = {*_HALVES, _DEFAULT_IPV4, *IPV6_REDIRECT} if self._redirects else set()
        pushed = [net for net in covering if net not in redirect]
        if pushed:
            widest = max(pushed, key=lambda net: net.prefixlen)
            return f"the route {widest} into the tunnel covers the server's address"
        if self._server_is_local:
            return None
        if covering or (server.version == 4 and self._handles_ipv4):
            return "the server itself must stay reachable outside the tunnel"
        return None

    def _other_bypasses(self) -> list[Planned]:
        flags, gateway = redirect_flags(self.config.options.routes), self.underlay.gateway_ipv4
        if not self._handles_ipv4 or gateway is None:
            return []
        planned: list[Planned] = []
        if RedirectFlag.BYPASS_DHCP in flags:
            reason = "the DHCP server stays reachable outside the tunnel (bypass-dhcp)"
            for dhcp in self.underlay.dhcp_servers:
                planned.extend(self._bypass_of(dhcp, reason))
        if RedirectFlag.BYPASS_DNS in flags:
            reason = "the present DNS server stays reachable outside the tunnel (bypass-dns)"
            for dns in self.underlay.dns_servers:
                planned.extend(self._bypass_of(dns, reason))
        if RedirectFlag.BLOCK_LOCAL in flags:
            planned.extend(self._block_local(gateway))
        return planned

    def _bypass_of(self, address: IPAddress, reason: str) -> list[Planned]:
        gateway = self.underlay.gateway_ipv4 if address.version == 4 else self.underlay.gateway_ipv6
        if gateway is None or address.is_loopback or address.is_link_local:
            return []
        for net in self.underlay.networks:
            if address in net.interface.network and net.device == gateway.device:
                gateway = Gateway(address=None, device=gateway.device, index=gateway.index)
                break
        step = _via(_host_network(address), gateway)
        return [Planned(step=step, reason=reason, bypass=True)]

    def _block_local(self, gateway: Gateway) -> list[Planned]:
        """Sends the local network into the tunnel, all but the gateway itself."""
        vpn = vpn_gateway(self.config.options)
        local = any(self._server in net.interface.network for net in self.underlay.networks)
        if vpn is None or local or not isinstance(gateway.address, IPv4Address):
            return []  # a server on the local network needs that network
        keep = "the local gateway stays reachable, or the tunnel would end (block-local)"
        planned = self._bypass_of(gateway.address, keep)
        for net in self.underlay.networks:
            network = net.interface.network
            if net.device != gateway.device or not isinstance(network, IPv4Network):
                continue
            if network.prefixlen < 31:
                reason = f"half of the local network {network} is out of reach (block-local)"
                for half in network.subnets():
                    planned.append(Planned(step=self._into(half, vpn, None), reason=reason))
        return planned

    def result(self) -> HostPlan:
        gateway_ipv6 = self.underlay.gateway_ipv6
        net_ipv6 = gateway_ipv6.address if gateway_ipv6 is not None else None
        facts = RouteFacts(
            vpn_gateway=vpn_gateway(self.config.options),
            net_gateway=net_gateway(self.underlay),
            net_gateway_ipv6=net_ipv6 if isinstance(net_ipv6, IPv6Address) else None,
            routes=self.resolved.ipv4,
            routes_ipv6=self.resolved.ipv6,
            redirect_gateway=self._handles_ipv4 and (self._redirected or not self._wants_default),
        )
        return HostPlan(
            interface=tuple(self._interface),
            routes=tuple(self._routes),
            warnings=(*self.resolved.warnings, *self._warnings),
            facts=facts,
        )


def _via(network: IPNetwork, gateway: Gateway, metric: int | None = None) -> AddRoute:
    """A route on the underlay, straight on the link when there is no gateway in between."""
    return AddRoute(
        network=network,
        gateway=gateway.address,
        device=gateway.device,
        index=gateway.index,
        metric=metric,
    )


def _host_network(address: IPAddress) -> IPNetwork:
    return IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)


def _source(origin: Origin) -> str:
    return "pushed by the server" if origin.source == PUSH_OPTIONS else str(origin)


def _mask_bits(mask: IPv4Address) -> int | None:
    inverted = int(mask) ^ 0xFFFFFFFF
    return None if inverted & (inverted + 1) else 32 - inverted.bit_length()
