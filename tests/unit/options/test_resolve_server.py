"""From an administrator's server.conf to the options of a server."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

import pytest

from ginnel.options.actions import RunServer
from ginnel.options.errors import ConfigError
from ginnel.options.model import AddressFamily, LinkProtocol, PlainWrapping, TlsAuth, Topology
from ginnel.options.server_model import Pool4, Pool6
from tests.unit.options.memory_files import NET, SERVER_KEY, STANDARD, resolve_words, serve

PLAIN = """
port 1195
proto udp
dev tun
ca ca.crt
cert me.crt
key me.key
dh dh.pem
topology subnet
server 10.8.0.0 255.255.255.0
ifconfig-pool-persist /var/log/openvpn/ipp.txt
push "redirect-gateway def1 bypass-dhcp"
push "dhcp-option DNS 192.0.2.53"
client-config-dir dir
client-to-client
keepalive 10 120
tls-auth ta.key 0
cipher AES-256-CBC
max-clients 100
user nobody
group nogroup
persist-key
persist-tun
status openvpn-status.log
verb 3
explicit-exit-notify 1
"""


def configured(text: str, **files: bytes | None) -> RunServer:
    resolved = resolve_words("s.conf", files={**STANDARD, **files, "s.conf": text.encode()})
    assert isinstance(resolved, RunServer)
    return resolved


def test_a_plain_server_is_what_its_file_says() -> None:
    run = configured(PLAIN)
    options = run.options
    (listener,) = options.listeners
    assert (listener.protocol, listener.family) == (LinkProtocol.UDP, AddressFamily.ANY)
    assert (listener.local, listener.port) == (None, "1195")
    assert options.tun.topology is Topology.SUBNET
    assert options.tun.ifconfig == (IPv4Address("10.8.0.1"), IPv4Address("255.255.255.0"))
    assert options.pool.ipv4 == Pool4(
        first=IPv4Address("10.8.0.2"),
        last=IPv4Address("10.8.0.254"),
        netmask=IPv4Address("255.255.255.0"),
    )
    assert options.push == (
        "redirect-gateway def1 bypass-dhcp",
        "dhcp-option DNS 192.0.2.53",
        "route-gateway 10.8.0.1",
        "topology subnet",
        "ping 10",
        "ping-restart 120",
    )
    assert (options.link.ping, options.link.ping_restart) == (10, 240)
    assert options.access.client_config_dir == "dir"
    assert options.client_to_client
    assert isinstance(options.wrapping, TlsAuth)
    assert options.crypt_v2 is None
    assert options.limits.max_clients == 100
    assert options.limits.reneg_sec_range == (3240, 3600)
    assert (options.process.user, options.process.status) == ("nobody", "openvpn-status.log")
    assert options.tls.tls_server
    assert options.profile.explicit_exit_notify == 1


def test_ipv6_and_net30() -> None:
    options = serve(*NET, "--server-ipv6", "fd00:1::/64").options
    assert options.tun.topology is Topology.NET30
    assert options.tun.ifconfig == (IPv4Address("10.8.0.1"), IPv4Address("10.8.0.2"))
    assert options.tun.ifconfig_ipv6 == IPv6Interface("fd00:1::1/64")
    assert options.tun.ifconfig_ipv6_remote == IPv6Address("fd00:1::2")
    first = IPv6Address("fd00:1::1000")
    assert options.pool.ipv6 == Pool6(network=IPv6Network("fd00:1::/64"), first=first)
    (route,) = options.routes.routes
    assert route.network == IPv4Network("10.8.0.0/24")
    assert options.push[:3] == ("tun-ipv6", "route 10.8.0.1", "topology net30")


def test_several_sockets_have_ports_and_protocols_of_their_own() -> None:
    options = serve(
        *(*NET, "--port", "1200", "--proto", "udp6"),
        *("--local", "192.0.2.1"),
        *("--local", "*", "443", "tcp4"),
        *("--local", "vpn.example", "1201", "tcp6-server"),
    ).options
    assert [(x.local, x.port, x.protocol, x.family) for x in options.listeners] == [
        ("192.0.2.1", "1200", LinkProtocol.UDP, AddressFamily.IPV6),
        (None, "443", LinkProtocol.TCP_SERVER, AddressFamily.IPV4),
        ("vpn.example", "1201", LinkProtocol.TCP_SERVER, AddressFamily.IPV6),
    ]


def test_clients_over_udp_are_told_of_the_end_whatever_socket_comes_first() -> None:
    words = ("--local", "*", "443", "tcp", "--local", "*", "1194", "udp")
    profile = serve(*NET, *words, "--explicit-exit-notify", "2").options.profile
    assert (profile.protocol, profile.explicit_exit_notify) == (LinkProtocol.UDP, 2)


@pytest.mark.parametrize("word", ["tcp", "tcp-server", "tcp4-server", "tcp6"])
def test_a_bare_tcp_is_a_servers(word: str) -> None:
    (listener,) = serve(*NET, "--proto", word).options.listeners
    assert listener.protocol is LinkProtocol.TCP_SERVER


def test_tls_crypt_v2_has_the_servers_key() -> None:
    options = serve(*NET, "--tls-crypt-v2", "v2-server.key", "force-cookie").options
    assert options.crypt_v2 is not None
    assert options.crypt_v2.key.content.reveal() == SERVER_KEY
    assert options.crypt_v2.force_cookie
    assert isinstance(options.wrapping, PlainWrapping)
    assert isinstance(options.profile.wrapping, PlainWrapping)
    with pytest.raises(ConfigError, match="is not a tls-crypt-v2 server key"):
        serve(*NET, "--tls-crypt-v2", "v2.key")


def test_both_keys_can_be_taken_at_once() -> None:
    options = serve(*NET, "--tls-crypt-v2", "v2-server.key", "--tls-auth", "ta.key", "0").options
    assert options.crypt_v2 is not None
    assert isinstance(options.wrapping, TlsAuth)


def test_files_are_looked_for() -> None:
    with pytest.raises(ConfigError, match="--dh fails with 'none"):
        serve(*NET, "--dh", "none.pem")
    with pytest.raises(ConfigError, match="--client-config-dir fails with 'nowhere'"):
        serve(*NET, "--client-config-dir", "nowhere")
    serve(*NET, "--client-config-dir", "nowhere", "--chroot", "dir")
    with pytest.raises(ConfigError, match="--tmp-dir fails with 'nowhere'"):
        serve(*NET, "--tmp-dir", "nowhere")
    with pytest.raises(ConfigError, match="--client-connect script fails with '/none'"):
        serve(*NET, "--client-connect", "/none")


def test_tokens_take_their_secret_along() -> None:
    words = ("--auth-gen-token", "3600", "--auth-gen-token-secret", "token.key")
    token = serve(*NET, *words).options.access.token
    assert token is not None
    assert token.secret is not None
    assert (token.lifetime, token.renewal, token.external) == (3600, None, False)


def test_the_interval_of_new_keys_may_be_given() -> None:
    assert serve(*NET, "--reneg-sec", "200", "100").options.limits.reneg_sec_range == (100, 200)
    assert serve(*NET, "--reneg-sec", "0").options.limits.reneg_sec_range is None
