"""What the tunnel and route options set."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.model import HostName, RedirectFlag, Route4, RouteKeyword, Topology
from ginnel.options.values import COMMAND_LINE, Origin
from tests.unit.options.memory_files import run

HERE = Origin(COMMAND_LINE, 1)


def route(*words: str) -> Route4:
    (only,) = run("--route", *words).options.routes.routes
    return only


@pytest.mark.parametrize(
    ("words", "network", "gateway", "metric"),
    [
        (("10.0.0.0", "255.0.0.0"), "10.0.0.0/8", None, None),
        (("10.1.2.3",), "10.1.2.3/32", None, None),
        (("10.1.2.3", "255.255.255.0"), "10.1.2.0/24", None, None),
        (("0.0.0.0", "0.0.0.0"), "0.0.0.0/0", None, None),
        (("10.0.0.0", "default", "10.8.0.1", "5"), "10.0.0.0/32", "10.8.0.1", 5),
        (("10.0.0.0", "255.0.0.0", "default", "7"), "10.0.0.0/8", None, 7),
    ],
)
def test_routes(
    words: tuple[str, ...], network: str, gateway: str | None, metric: int | None
) -> None:
    assert route(*words) == Route4(
        network=IPv4Network(network),
        gateway=None if gateway is None else IPv4Address(gateway),
        metric=metric,
        origin=HERE,
    )


def test_route_keywords() -> None:
    got = route("remote_host", "255.255.255.255", "net_gateway")
    assert (got.network, got.gateway) == (RouteKeyword.REMOTE_HOST, RouteKeyword.NET_GATEWAY)


@pytest.mark.parametrize(
    "words",
    [
        ("x:y",),
        ("10.0.0.0", "255.0.255.0"),
        ("10.0.0.0", "24"),
        ("10.0.0.0", "255.0.0.0", "g/w"),
        ("10.0.0.0", "255.0.0.0", "default", "-1"),
        ("10.0.0.0", "255.0.0.0", "default", "x"),
        ("net_gateway", "255.0.0.0"),
        ("2001:db8::1",),
        ("010.1.1.1",),
        ("",),
    ],
)
def test_bad_routes(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"\[CMD-LINE\]:1: route: "):
        run("--route", *words)


def test_ipv6_routes() -> None:
    (got,) = run("--route-ipv6", "2001:db8::1/32", "fd00::1", "9").options.routes.routes_ipv6
    assert got.network == IPv6Network("2001:db8::/32")
    assert (got.gateway, got.metric) == (IPv6Address("fd00::1"), 9)
    (got,) = run("--route-ipv6", "::/0", "default").options.routes.routes_ipv6
    assert (got.network, got.gateway) == (IPv6Network("::/0"), None)
    (got,) = run("--route-ipv6", "2001:db8::1").options.routes.routes_ipv6
    assert got.network.prefixlen == 128


@pytest.mark.parametrize(
    "text", ["x/64", "2001:db8::/129", "2001:db8::/", "fe80::1%eth0/64", "1.2.3.4/8"]
)
def test_bad_ipv6_routes(text: str) -> None:
    with pytest.raises(ConfigError, match="route-ipv6"):
        run("--route-ipv6", text)


def test_gateways_and_metric() -> None:
    words = (
        "--route-gateway",
        "10.8.0.1",
        "--route-ipv6-gateway",
        "fd00::1",
        "--route-metric",
        "4",
    )
    routes = run(*words).options.routes
    assert routes.route_gateway == IPv4Address("10.8.0.1")
    assert routes.route_ipv6_gateway == IPv6Address("fd00::1")
    assert routes.route_metric == 4
    resolved = run("--route-gateway", "dhcp")
    assert resolved.options.routes.route_gateway_dhcp
    assert any("it is for a tap device" in note.text for note in resolved.notes)
    tap = run("--route-gateway", "dhcp", "--dev", "tap0")
    assert not any("it is for a tap device" in note.text for note in tap.notes)


@pytest.mark.parametrize(
    ("words", "delay", "window"), [((), 0, 30), (("5",), 5, 30), (("5", "60"), 5, 60)]
)
def test_route_delay(words: tuple[str, ...], delay: int, window: int) -> None:
    routes = run("--route-delay", *words).options.routes
    assert (routes.route_delay, routes.route_delay_window) == (delay, window)


def test_no_route_delay_is_none() -> None:
    assert run().options.routes.route_delay is None


def test_redirect_flags_add_up() -> None:
    assert run().options.routes.redirect_gateway is None
    assert run("--redirect-gateway").options.routes.redirect_gateway == frozenset()
    words = ("--redirect-gateway", "def1", "!ipv4", "--redirect-gateway", "ipv6")
    assert run(*words).options.routes.redirect_gateway == frozenset(
        {RedirectFlag.DEF1, RedirectFlag.NO_IPV4, RedirectFlag.IPV6}
    )
    assert run("--redirect-private", "local").options.routes.redirect_private == frozenset(
        {RedirectFlag.LOCAL}
    )
    with pytest.raises(ConfigError, match="'def2' is not one of 'local', "):
        run("--redirect-gateway", "def2")


def test_addresses() -> None:
    words = ("--ifconfig", "10.8.0.2", "255.255.255.0", "--topology", "subnet")
    tun = run(*words, "--ifconfig-ipv6", "fd00::2/64", "fd00::1").options.tun
    assert tun.ifconfig == (IPv4Address("10.8.0.2"), IPv4Address("255.255.255.0"))
    assert tun.topology is Topology.SUBNET
    assert tun.ifconfig_ipv6 == IPv6Interface("fd00::2/64")
    assert tun.ifconfig_ipv6_remote == IPv6Address("fd00::1")


@pytest.mark.parametrize("text", ["fd00::2", "fd00::2/63", "fd00::2/125", "x/64"])
def test_bad_ipv6_addresses(text: str) -> None:
    with pytest.raises(ConfigError, match="ifconfig-ipv6"):
        run("--ifconfig-ipv6", text, "fd00::1")


@pytest.mark.parametrize("name", ["", "x" * 16, "a/b", "a b", "..", "tun0\n", "é"])
def test_device_names_are_checked(name: str) -> None:
    with pytest.raises(ConfigError, match="expected a device name"):
        run("--dev", name)


def test_device_node() -> None:
    assert run("--dev-node", "/dev/tun9").options.tun.dev_node == "/dev/tun9"
    resolved = run("--dev-node", "MyTap")
    assert resolved.options.tun.dev_node == "/dev/net/tun"
    assert any("names a Windows adapter" in note.text for note in resolved.notes)
    with pytest.raises(ConfigError, match="dev-node unix:"):
        run("--dev-node", "unix:/bin/x")


@pytest.mark.parametrize("mtu", ["99", "65537"])
def test_mtu_bounds(mtu: str) -> None:
    with pytest.raises(ConfigError, match="from 100 to 65536"):
        run("--tun-mtu", mtu)


def test_the_mtu_reaches_profile_and_device() -> None:
    options = run("--tun-mtu", "1400").options
    assert options.tun.tun_mtu == 1400
    assert options.profiles[0].tun_mtu == 1400


def test_a_route_of_a_file_may_name_a_host() -> None:
    assert route("www.example.com").network == HostName("www.example.com")
    got = route("x.example", "255.255.255.0", "gw.example")
    assert (got.network, got.gateway) == (HostName("x.example", 24), HostName("gw.example"))


@pytest.mark.parametrize(
    "word", ["-x.example", ".x", "a b", "a/b", "x" * 254, "10.0.0", "1.2.3.4.5"]
)
def test_what_is_no_name(word: str) -> None:
    with pytest.raises(ConfigError, match="expected an IPv4 address"):
        run("--route", word)


def test_names_for_the_tunnel_itself() -> None:
    options = run("--ifconfig", "a.example", "10.8.0.1", "--route-gateway", "g.example").options
    assert options.tun.ifconfig is None
    assert options.tun.ifconfig_names == (HostName("a.example"), HostName("10.8.0.1"))
    assert options.routes.route_gateway is None
    assert options.routes.route_gateway_name == HostName("g.example")


@pytest.mark.parametrize(("number", "table"), [("0", None), ("254", None), ("1000", 1000)])
def test_route_table(number: str, table: int | None) -> None:
    assert run("--route-table", number).options.routes.route_table == table
