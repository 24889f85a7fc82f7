"""The arguments and environment of the scripts that OpenVPN calls, name for name. Pure.

Responsible for what a script is told; running it is ``host.scripts``'s. Names and values follow
what scripts of OpenVPN 2.6.14 received in recorded runs (``tests/vectors/script_env``). There is no
PATH among them.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from ginnel.compat.certificate_env import certificate_variables
from ginnel.core.actions import CertificateInfo
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass, replace
from ginnel.enumeration import Enum
from ginnel.hints import Protocol
from ginnel.options.model import (
    AddressFamily,
    ClientOptions,
    ConnectionProfile,
    DeviceType,
    DnsOptions,
    DnsServer,
    HttpProxy,
    Topology,
    TunOptions,
)

_DEFAULT_PORT = "1194"


class Hook(Enum):
    """A hook; the value is its ``script_type``."""

    UP = "up"
    DOWN = "down"
    ROUTE_UP = "route-up"
    ROUTE_PRE_DOWN = "route-pre-down"
    IPCHANGE = "ipchange"
    TLS_VERIFY = "tls-verify"
    DNS_UP = "dns-up"
    DNS_DOWN = "dns-down"


class Route4Facts(Protocol):
    """A route with its words resolved; ``host.plan`` makes these."""

    @property
    def network(self) -> IPv4Network: ...
    @property
    def gateway(self) -> IPv4Address: ...
    @property
    def metric(self) -> int | None: ...


class Route6Facts(Protocol):
    """An IPv6 route likewise."""

    @property
    def network(self) -> IPv6Network: ...
    @property
    def gateway(self) -> IPv6Address | None: ...
    @property
    def metric(self) -> int | None: ...


class RouteFacts(Protocol):
    """What scripts are told about routes; ``HostPlan.facts`` is one."""

    @property
    def vpn_gateway(self) -> IPv4Address | None: ...
    @property
    def net_gateway(self) -> IPv4Address | None: ...
    @property
    def net_gateway_ipv6(self) -> IPv6Address | None: ...
    @property
    def routes(self) -> Sequence[Route4Facts]: ...
    @property
    def routes_ipv6(self) -> Sequence[Route6Facts]: ...
    @property
    def redirect_gateway(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class TunnelState:
    """The device and what was agreed for it."""

    device: str
    mtu: int
    restart: bool = False
    """True when the device was kept over a restart (``script_context=restart``)."""


@dataclass(frozen=True, kw_only=True)
class ScriptContext:
    """Everything that scripts may be told at one moment. What is not known yet is left out."""

    options: ClientOptions
    """After the push, once there was one."""
    pid: int
    start_time: int
    """Unix time of the program's start."""
    log_redirected: bool = False
    verb: int | None = None
    """The verb in force when it was changed at run time; None for the configured one."""
    untrusted: Endpoint | None = None
    """Where packets of the session come from, before and after it is authenticated."""
    trusted: Endpoint | None = None
    certificates: tuple[CertificateInfo, ...] = ()
    """Verified so far, top depth first."""
    common_name: str | None = None
    """None takes the CN of the certificate at depth 0, when that one is there."""
    peer_certificate: str | None = None
    """Path of the peer's certificate as a file (``tls-export-cert``), for tls-verify only."""
    tunnel: TunnelState | None = None
    routes: RouteFacts | None = None
    routes_added: bool = False
    """True from ``route-up`` on, unless routes are left to the script (``route-noexec``)."""
    signal: str | None = None
    """Why it ends or restarts: ``sigterm``, ``sigusr1``, ``ping-restart`` ..."""


def script_arguments(hook: Hook, context: ScriptContext) -> tuple[str, ...]:
    """The words after the command's own."""
    match hook:
        case Hook.ROUTE_UP | Hook.DNS_UP | Hook.DNS_DOWN:
            return ()
        case Hook.TLS_VERIFY:
            certificate = context.certificates[-1]
            return (str(certificate.depth), certificate.subject)
        case Hook.IPCHANGE:
            # One word with a space in it, as OpenVPN 2.6 passes it.
            peer = context.trusted
            return (f"[{_family_name(peer)}]{peer.address} {peer.port}",) if peer else ()
        case Hook.UP | Hook.DOWN | Hook.ROUTE_PRE_DOWN:
            return _tunnel_arguments(context)


def script_environment(hook: Hook, context: ScriptContext) -> dict[str, str]:
    """The whole environment of one call."""
    if hook in (Hook.DNS_UP, Hook.DNS_DOWN):
        return _dns_updown_environment(hook, context)
    # What the program itself knows wins over a setenv of the same name.
    environment: dict[str, str] = dict(context.options.scripts.setenv)
    environment.update(_process_variables(context))
    environment.update(_remote_variables(context.options.profiles))
    environment.update(_peer_variables(context))
    tracked = context.options.tls.x509_track
    environment.update(certificate_variables(context.certificates, tracked))
    if context.common_name is not None:
        environment["common_name"] = context.common_name
    if context.peer_certificate is not None and hook is Hook.TLS_VERIFY:
        environment["peer_cert"] = context.peer_certificate
    if context.tunnel is None:
        # The file's own dhcp-options are told from the start, as they stand.
        environment.update(_foreign_variables(context.options.dns.dhcp_options))
    else:
        environment.update(_tunnel_variables(context.options.tun, context.tunnel))
        environment.update(dns_variables(context.options.dns))
        environment.update(_route_variables(context))
    if context.signal is not None:
        environment["signal"] = context.signal
    environment["script_type"] = hook.value
    cleaned = ((_clean_name(name), _clean(value)) for name, value in environment.items())
    return {name: value for name, value in cleaned if name}


def _dns_updown_environment(hook: Hook, context: ScriptContext) -> dict[str, str]:
    """A ``dns-updown`` command is told the device and the settings, and nothing else."""
    told = {"script_type": hook.value}
    if context.tunnel is not None:
        told["dev"] = context.tunnel.device
    told.update(_dns_settings(installable_dns(context.options.dns)))
    return {name: _clean(value) for name, value in told.items()}


# --- parts -------------------------------------------------------------------------------------


def _tunnel_arguments(context: ScriptContext) -> tuple[str, ...]:
    """``DEV MTU 0 LOCAL REMOTE-or-MASK init|restart``; the 0 stands where link_mtu was once."""
    tunnel, tun = context.tunnel, context.options.tun
    if tunnel is None:
        return ()
    local, second = ("", "") if tun.ifconfig is None else map(str, tun.ifconfig)
    return (tunnel.device, str(tunnel.mtu), "0", local, second, _context_word(tunnel))


def _process_variables(context: ScriptContext) -> Iterator[tuple[str, str]]:
    process = context.options.process
    if process.config is not None:
        yield "config", process.config
    yield "verb", str(process.verb if context.verb is None else context.verb)
    yield "daemon", _number(process.daemon is not None)
    yield "daemon_log_redirect", _number(context.log_redirected)
    yield "daemon_start_time", str(context.start_time)
    yield "daemon_pid", str(context.pid)


def _remote_variables(profiles: Sequence[ConnectionProfile]) -> Iterator[tuple[str, str]]:
    for number, profile in enumerate(profiles, start=1):
        yield f"proto_{number}", _protocol_name(profile)
        if profile.host:  # a server has none
            yield f"remote_{number}", profile.host
        yield f"remote_port_{number}", profile.port
        if profile.local is not None:
            yield f"local_{number}", profile.local
        if profile.bind:
            yield f"local_port_{number}", profile.lport or _DEFAULT_PORT
        if profile.proxy is not None:
            kind = "http" if isinstance(profile.proxy, HttpProxy) else "socks"
            yield f"{kind}_proxy_server_{number}", profile.proxy.host
            yield f"{kind}_proxy_port_{number}", profile.proxy.port


def _protocol_name(profile: ConnectionProfile) -> str:
    word, _dash, role = profile.protocol.value.partition("-")
    family = "" if profile.family is AddressFamily.ANY else profile.family.value
    return f"{word}{family}-{role}" if role else f"{word}{family}"


def _peer_variables(context: ScriptContext) -> Iterator[tuple[str, str]]:
    for prefix, peer in (("untrusted", context.untrusted), ("trusted", context.trusted)):
        if peer is not None:
            suffix = "ip" if peer.address.version == 4 else "ip6"
            yield f"{prefix}_{suffix}", str(peer.address)
            yield f"{prefix}_port", str(peer.port)


def _tunnel_variables(tun: TunOptions, tunnel: TunnelState) -> Iterator[tuple[str, str]]:
    yield "dev", tunnel.device
    yield "dev_type", tun.dev_type.value
    yield "tun_mtu", str(tunnel.mtu)
    yield "script_context", _context_word(tunnel)
    if tun.ifconfig is not None:
        local, second = tun.ifconfig
        subnet = tun.topology is Topology.SUBNET or tun.dev_type is DeviceType.TAP
        yield "ifconfig_local", str(local)
        yield "ifconfig_netmask" if subnet else "ifconfig_remote", str(second)
    if tun.ifconfig_ipv6 is not None:
        yield "ifconfig_ipv6_local", str(tun.ifconfig_ipv6.ip)
        yield "ifconfig_ipv6_netbits", str(tun.ifconfig_ipv6.network.prefixlen)
        if tun.ifconfig_ipv6_remote is not None:
            yield "ifconfig_ipv6_remote", str(tun.ifconfig_ipv6_remote)


def _route_variables(context: ScriptContext) -> Iterator[tuple[str, str]]:
    """Gateways are named only when there is any route option of that family."""
    facts, options = context.routes, context.options.routes
    if facts is None:
        return
    redirect = options.redirect_gateway is not None or options.redirect_private is not None
    if options.routes or redirect:
        if facts.vpn_gateway is not None:
            yield "route_vpn_gateway", str(facts.vpn_gateway)
        if facts.net_gateway is not None:
            yield "route_net_gateway", str(facts.net_gateway)
    if facts.routes_ipv6 and facts.net_gateway_ipv6 is not None:
        yield "net_gateway_ipv6", str(facts.net_gateway_ipv6)
    for number, route in enumerate(facts.routes, start=1):
        yield f"route_network_{number}", str(route.network.network_address)
        yield f"route_netmask_{number}", str(route.network.netmask)
        yield f"route_gateway_{number}", str(route.gateway)
        if route.metric is not None:
            yield f"route_metric_{number}", str(route.metric)
    for number, route6 in enumerate(facts.routes_ipv6, start=1):
        yield f"route_ipv6_network_{number}", str(route6.network)
        if route6.gateway is not None:
            yield f"route_ipv6_gateway_{number}", str(route6.gateway)
        if route6.metric is not None:
            yield f"route_ipv6_metric_{number}", str(route6.metric)
    if context.routes_added:
        yield "redirect_gateway", _number(facts.redirect_gateway)


def dns_variables(dns: DnsOptions) -> Iterator[tuple[str, str]]:
    """``dns_*`` and ``foreign_option_N``.

    Where ``dns`` options name servers or search domains, they take the place of the
    ``dhcp-option`` lines of the same purpose in ``foreign_option_N``.
    """
    yield from _dns_settings(dns)
    yield from _foreign_variables(_foreign_options(dns))


def installable_dns(dns: DnsOptions) -> DnsOptions:
    """Without ``dns`` servers those of ``dhcp-option`` are one, as OpenVPN 2.7 has it."""
    if dns.servers:
        return dns
    kinds = {"DNS": 0, "DNS6": 0, "DOMAIN": 1, "ADAPTER_DOMAIN_SUFFIX": 1, "DOMAIN-SEARCH": 1}
    addresses = [ip_address(w[1]) for w in dns.dhcp_options if kinds.get(w[0]) == 0]
    domains = [w[1] for w in dns.dhcp_options if kinds.get(w[0]) == 1]
    if not addresses:
        return dns
    server = DnsServer(number=0, addresses=tuple((address, None) for address in addresses))
    found = tuple(dict.fromkeys((*domains, *dns.search_domains)))
    return replace(dns, servers=(server,), search_domains=found)


def _dns_settings(dns: DnsOptions) -> Iterator[tuple[str, str]]:
    servers = sorted(dns.servers, key=lambda server: server.number)
    for number, domain in enumerate(dns.search_domains, start=1):
        yield f"dns_search_domain_{number}", domain
    for number, server in enumerate(servers, start=1):
        prefix = f"dns_server_{number}"
        for index, (address, port) in enumerate(server.addresses, start=1):
            yield f"{prefix}_address_{index}", str(address)
            if port is not None:
                yield f"{prefix}_port_{index}", str(port)
        for index, domain in enumerate(server.resolve_domains, start=1):
            yield f"{prefix}_resolve_domain_{index}", domain
        for word, value in (
            ("dnssec", server.dnssec),
            ("transport", server.transport),
            ("sni", server.sni),
        ):
            if value is not None:
                yield f"{prefix}_{word}", value


def _foreign_variables(options: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    for number, words in enumerate(options, start=1):
        yield f"foreign_option_{number}", " ".join(("dhcp-option", *words))


def _foreign_options(dns: DnsOptions) -> Iterator[tuple[str, ...]]:
    replaced: set[str] = set()
    if dns.servers:
        replaced |= {"DNS", "DNS6"}
    if dns.search_domains:
        replaced.add("DOMAIN-SEARCH")
    yield from (words for words in dns.dhcp_options if words[0] not in replaced)
    for server in sorted(dns.servers, key=lambda server: server.number):
        for address, _port in server.addresses:
            yield ("DNS" if address.version == 4 else "DNS6", str(address))
    for domain in dns.search_domains:
        yield ("DOMAIN-SEARCH", domain)


# --- words -------------------------------------------------------------------------------------


def _family_name(peer: Endpoint) -> str:
    return "AF_INET" if peer.address.version == 4 else "AF_INET6"


def _context_word(tunnel: TunnelState) -> str:
    return "restart" if tunnel.restart else "init"


def _number(flag: bool) -> str:
    return "1" if flag else "0"


def _clean_name(name: str) -> str:
    """Keeps ASCII letters, digits and ``_`` of a name, as OpenVPN does."""
    return "".join(char for char in name if char == "_" or (char.isascii() and char.isalnum()))


def _clean(value: str) -> str:
    """Drops what would end a value or start a new line where a script prints it."""
    return "".join(char for char in value if char not in "\0\r\n")
