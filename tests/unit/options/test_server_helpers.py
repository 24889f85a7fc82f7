"""The short forms of a server come to what openvpn 2.6 makes of them."""

from ipaddress import IPv4Network

import pytest

from ginnel.options.model import Topology
from ginnel.options.server_model import ServerOptions
from tests.unit.options.memory_files import VECTORS, resolve_case, serve

UNDEFINED = "[UNDEF]"
TOPOLOGIES = {Topology.NET30: "1", Topology.P2P: "2", Topology.SUBNET: "3"}


def switch(value: bool) -> str:
    return "ENABLED" if value else "DISABLED"


def shown(options: ServerOptions) -> dict[str, object]:
    """The settings in the words of openvpn's log."""
    tun, pool, link, limits = options.tun, options.pool, options.link, options.limits
    local, second = tun.ifconfig or (UNDEFINED, UNDEFINED)
    six, four = pool.ipv6, pool.ipv4
    netmask = four.netmask if four is not None else None
    per_second = limits.connect_freq or (0, 0)
    return {
        "topology": TOPOLOGIES[tun.topology],
        "ifconfig_local": str(local),
        "ifconfig_remote_netmask": str(second),
        "ifconfig_ipv6_local": str(tun.ifconfig_ipv6.ip) if tun.ifconfig_ipv6 else UNDEFINED,
        "ifconfig_ipv6_netbits": str(tun.ifconfig_ipv6.network.prefixlen)
        if tun.ifconfig_ipv6
        else "0",
        "ifconfig_ipv6_remote": str(tun.ifconfig_ipv6_remote or UNDEFINED),
        "ping_send_timeout": str(link.ping),
        "ping_rec_timeout": str(link.ping_restart or link.ping_exit),
        "ping_rec_timeout_action": "2" if link.ping_restart else "1" if link.ping_exit else "0",
        "route_default_gateway": str(options.routes.route_gateway or UNDEFINED),
        "ifconfig_pool_defined": switch(four is not None),
        "ifconfig_pool_start": str(four.first if four else "0.0.0.0"),
        "ifconfig_pool_end": str(four.last if four else "0.0.0.0"),
        "ifconfig_pool_netmask": str(netmask or "0.0.0.0"),
        "ifconfig_ipv6_pool_defined": switch(six is not None),
        "ifconfig_ipv6_pool_base": str(six.first if six else "::"),
        "ifconfig_ipv6_pool_netbits": str(six.network.prefixlen if six else 0),
        "local_port": options.listeners[0].port,
        "tcp_queue_limit": str(limits.tcp_queue_limit),
        "ccd_exclusive": switch(options.access.ccd_exclusive),
        "enable_c2c": switch(options.client_to_client),
        "duplicate_cn": switch(options.access.duplicate_cn),
        "cf_max": str(per_second[0]),
        "cf_per": str(per_second[1]),
        "cf_initial_max": str(limits.connect_freq_initial[0]),
        "cf_initial_per": str(limits.connect_freq_initial[1]),
        "max_clients": str(limits.max_clients),
        "pushes": list(options.push),
        "routes": [
            f"{route.network.network_address}/{route.network.netmask}"
            for route in options.routes.routes
            if isinstance(route.network, IPv4Network)
        ],
    }


@pytest.mark.parametrize("case", VECTORS["expansions"], ids=lambda case: case["lines"])
def test_settings_are_those_of_openvpn(case: dict[str, object]) -> None:
    ours = shown(resolve_case(str(case["lines"])).options)
    assert ours == {name: case[name] for name in ours}


@pytest.mark.parametrize(("given", "interval"), [("7", 7), ("0", 0)])
def test_the_file_of_addresses_may_never_be_written(given: str, interval: int) -> None:
    options = serve("--server", "10.8.0.0", "255.255.255.0", "--ifconfig-pool-persist", "x", given)
    assert options.options.pool.persist_interval == interval
    assert options.options.pool.persist_path == "x"
