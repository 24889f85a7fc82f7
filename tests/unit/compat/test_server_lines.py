"""The log of a server, word for word as openvpn 2.6.14 wrote it."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from ginnel.compat import server_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.notices import ControlMessage, InitialPacket, Outcome, PeerConnected
from ginnel.core.server_notices import (
    AuthenticationFailed,
    ClientMoved,
    ExitScheduled,
    PeerInfoReceived,
    PushSent,
    ServerNotice,
)
from ginnel.core.types import Endpoint, PeerId, SessionId, Transport
from ginnel.options.model import (
    KeyDirection,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    Topology,
    TunOptions,
)
from ginnel.options.server_model import Pool4, Pool6, PoolOptions
from ginnel.options.values import FileContent, Secret
from tests.unit.shell.server_stand_ins import HOME, ORIGIN, ended, server_options

POOL4 = Pool4(first=IPv4Address("10.8.0.2"), last=IPv4Address("10.8.0.254"))
POOL6 = Pool6(network=IPv6Network("fd00:8::/64"), first=IPv6Address("fd00:8::1000"))


def texts(*lines: LogLine) -> list[str]:
    return [line.text for line in lines]


def test_start() -> None:
    anywhere = Endpoint(ip_address("0.0.0.0"), 1194)
    six = Endpoint(ip_address("2001:db8::1"), 1194)
    assert texts(
        server_lines.listening(anywhere),
        *server_lines.bound(anywhere, Transport.TCP),
        *server_lines.bound(six, Transport.UDP),
        server_lines.multi_init(256, 256),
        server_lines.tcp_init(1024, 1029),
    ) == [
        "Listening for incoming TCP connection on [AF_INET][undef]:1194",
        "TCPv4_SERVER link local (bound): [AF_INET][undef]:1194",
        "TCPv4_SERVER link remote: [AF_UNSPEC]",
        "UDPv6 link local (bound): [AF_INET6]2001:db8::1:1194",
        "UDPv6 link remote: [AF_UNSPEC]",
        "MULTI: multi_init called, r=256 v=256",
        "MULTI: TCP INIT maxclients=1024 maxevents=1029",
    ]


def test_pools() -> None:
    options = replace(server_options(), pool=PoolOptions(ipv4=POOL4, ipv6=POOL6))
    assert texts(*server_lines.pool_lines(options)) == [
        "IFCONFIG POOL IPv4: base=10.8.0.2 size=253",
        "IFCONFIG POOL IPv6: base=fd00:8::1000 size=65536 netbits=64",
        "NOTE: IPv4 pool size is 253, IPv6 pool size is 65536. IPv4 pool size limits the number "
        "of clients that can be served from the pool",
    ]
    in_fours = Pool4(first=IPv4Address("10.8.0.4"), last=IPv4Address("10.8.0.251"))
    options = replace(
        options, pool=PoolOptions(ipv4=in_fours), tun=TunOptions(topology=Topology.NET30)
    )
    assert texts(*server_lines.pool_lines(options)) == ["IFCONFIG POOL IPv4: base=10.8.0.4 size=62"]
    assert server_lines.pool_lines(replace(options, pool=PoolOptions())) == ()


def test_clients() -> None:
    name = "client1/127.0.0.1:36384"
    assert texts(
        server_lines.about(name, LogLine(text="VERIFY OK")),
        server_lines.learnt(IPv4Address("10.8.0.2"), name),
        server_lines.primary_address(IPv4Address("10.8.0.2"), name),
        server_lines.primary_address(IPv6Address("fd00:8::1000"), name),
        server_lines.internal_route(IPv4Network("192.168.7.0/24"), name),
        server_lines.internal_route(IPv4Network("192.168.7.1/32"), name),
        server_lines.client_ended(ended("connection-reset")),
        server_lines.client_ended(ended("remote-exit", Outcome.TERMINATE)),
        server_lines.too_many_clients(1),
    ) == [
        "client1/127.0.0.1:36384 VERIFY OK",
        "MULTI: Learn: 10.8.0.2 -> client1/127.0.0.1:36384",
        "MULTI: primary virtual IP for client1/127.0.0.1:36384: 10.8.0.2",
        "MULTI: primary virtual IPv6 for client1/127.0.0.1:36384: fd00:8::1000",
        "MULTI: internal route 192.168.7.0/24 -> client1/127.0.0.1:36384",
        "MULTI: internal route 192.168.7.1 -> client1/127.0.0.1:36384",
        "SIGUSR1[soft,connection-reset] received, client-instance restarting",
        "SIGTERM[soft,remote-exit] received, client-instance exiting",
        "MULTI: new incoming connection would exceed maximum number of clients (1)",
    ]


def test_refusals_name_their_option() -> None:
    lines = texts(
        server_lines.too_frequent("192.0.2.7:4242"),
        server_lines.shutting_down("192.0.2.7:4242"),
        server_lines.routes_refused("anna", limit=3),
        server_lines.iroutes_useless("anna"),
        server_lines.bad_source("10.1.2.3"),
        server_lines.moved(PeerId(3), "anna", "192.0.2.7:40000", replace(HOME, port=9)),
    )
    assert "--connect-freq" in lines[0]
    assert "--max-routes-per-client" in lines[2]
    assert lines[4] == "MULTI: bad source address from client [10.1.2.3], packet dropped"
    assert lines[5] == ("peer 3 (anna) floated from 192.0.2.7:40000 to [AF_INET]192.0.2.7:9")


def test_notices_of_machines() -> None:
    def render(notice: ServerNotice) -> list[str]:
        return texts(*server_lines.render(notice, common_name="anna"))

    info = PeerInfoReceived(variables=(("IV_VER", "2.6.14"), ("UV_X", "a\nb")))
    assert render(info) == ["peer info: IV_VER=2.6.14", "peer info: UV_X=a?b"]
    pushed = PushSent(common_name="anna", text="PUSH_REPLY,ping 10")
    assert render(pushed) == ["SENT CONTROL [anna]: 'PUSH_REPLY,ping 10' (status=1)"]
    text = "TLS Auth Error: Auth Username/Password verification failed for peer"
    assert render(AuthenticationFailed(reason="no", by_login=True)) == [text]
    assert render(AuthenticationFailed(reason="no")) == []
    assert render(ExitScheduled(seconds=5.0)) == ["Delayed exit in 5 seconds"]
    exiting = ControlMessage(keyword="EXIT", text="")
    assert render(exiting) == ["CC-EEN exit message received by peer"]
    assert render(ClientMoved(remote=HOME)) == []
    connected = PeerConnected(common_name="anna", remote=HOME)
    assert render(connected) == ["[anna] Peer Connection Initiated with [AF_INET]192.0.2.7:40000"]


def test_what_is_left_out_at_low_verbosity_is_all_of_high_verbosity() -> None:
    details = (
        InitialPacket(source=HOME, session_id=SessionId(bytes(range(8)))),
        PushSent(common_name="anna", text="PUSH_REPLY,ping 10"),
        ExitScheduled(seconds=5.0),
    )
    assert {type(notice) for notice in details} == set(server_lines.DETAILS)
    for notice in details:
        lines = server_lines.render(notice, common_name="anna")
        assert {line.verb for line in lines} == {server_lines.DETAIL_VERB}


def test_strangers_are_told_apart_by_what_is_wrong() -> None:
    key = FileContent(option="tls-crypt", origin=ORIGIN, path=None, content=Secret(b""))
    crypt = TlsCrypt(key=key)
    auth = TlsAuth(key=key, direction=KeyDirection.NONE, digest="SHA1")

    def said(reason: str, wrapping: server_lines.Wrapping) -> list[str]:
        return texts(*server_lines.stranger_refused(reason, wrapping, HOME))

    assert said("hmac", crypt) == [f"TLS Error: tls-crypt unwrapping failed from {HOME}"]
    assert said("short", auth) == [f"TLS Error: cannot locate HMAC in incoming packet from {HOME}"]
    assert said("hmac", auth) == [
        "Authenticate/Decrypt packet error: packet HMAC authentication failed",
        f"TLS Error: incoming packet authentication failed from {HOME}",
    ]
    assert said("wkc", PlainWrapping()) == [
        f"TLS Error: can not extract tls-crypt-v2 client key from {HOME}"
    ]
    assert "ignoring connection attempt from old client" in said("force-cookie", crypt)[0]
    assert said("wrapping", crypt) == [f"TLS Error: could not determine wrapping from {HOME}"]
    assert said("short", PlainWrapping()) == said("opcode", crypt) == []
