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

INSTALLED = """
port 1194
proto udp
dev tun
user nobody
group nogroup
persist-key
persist-tun
keepalive 10 120
topology subnet
server 10.8.0.0 255.255.255.0
ifconfig-pool-persist ipp.txt
push "dhcp-option DNS 94.140.14.14"
push "redirect-gateway def1 bypass-dhcp"
server-ipv6 fd42:42:42:42::/112
tun-ipv6
push tun-ipv6
push "route-ipv6 2000::/3"
push "redirect-gateway ipv6"
dh none
ecdh-curve prime256v1
tls-crypt ta.key
crl-verify list.crl
ca ca.crt
cert me.crt
key me.key
auth SHA256
cipher AES-128-GCM
ncp-ciphers AES-128-GCM
tls-server
tls-version-min 1.2
tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256
client-config-dir dir
status /var/log/openvpn/status.log
verb 3
"""
"""As scripts that install a server write it."""

APPLIANCE = """
dev ovpns1
dev-type tun
verb 1
writepid /run/x.pid
script-security 3
daemon
keepalive 10 60
ping-timer-rem
persist-tun
persist-key
proto udp4
auth SHA256
up /bin/true
down /bin/true
client-connect /bin/true
client-disconnect /bin/true
local 192.0.2.1
tls-server
server 10.0.8.0 255.255.255.0
client-config-dir dir
ifconfig 10.0.8.1 10.0.8.2
lport 1194
management /run/sock unix
max-clients 10
push "route 192.168.1.0 255.255.255.0"
push "dhcp-option DOMAIN example.com"
push "register-dns"
client-to-client
duplicate-cn
ca ca.crt
cert me.crt
key me.key
dh dh.pem
tls-auth ta.key 0
data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305
data-ciphers-fallback AES-256-CBC
allow-compression no
persist-remote-ip
float
topology subnet
explicit-exit-notify 1
inactive 300
auth-user-pass-verify "/bin/true user 1" via-env
tls-verify "/bin/true x"
verify-client-cert none
username-as-common-name
reneg-sec 0
sndbuf 393216
rcvbuf 393216
push "sndbuf 393216"
mssfix 1400
tls-version-max 1.3
remote-cert-tls client
opt-verify
setenv opt block-outside-dns
tun-mtu 1400
txqueuelen 1000
fast-io
max-routes-per-client 1000
"""
"""As the web interface of a firewall writes it."""


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (INSTALLED, "persist-key tun-ipv6 ecdh-curve"),
        (APPLIANCE, "persist-key block-outside-dns fast-io management verify-client-cert"),
    ],
)
def test_what_others_write_is_taken(text: str, said: str) -> None:
    """Nothing is refused, and what is said is about options that do nothing or are dangerous."""
    assert [note.option for note in configured(text).notes] == said.split()


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
