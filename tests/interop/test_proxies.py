"""Connections through HTTP and SOCKS5 proxies: Debian's own ones, and some that misbehave.

The lines that are looked for are those of openvpn 2.6.14; with GINNEL_INTEROP_CLIENT=openvpn most
scenarios hold for the real program. What it does otherwise is said where it is.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.interop.lab import OFFICE_HOST, THREE, Lab, Process, Running, ServerSetup, proxies
from tests.interop.lab.management import Gui, socket_path
from tests.interop.lab.openvpn import COMPLETED, PORT, client_is_ginnel
from tests.interop.lab.pki import SERVER_NAME
from tests.interop.lab.proxies import HTTP_PORT, PASSWORD, SOCKS_PORT, USER

HTTP = f"http-proxy {THREE.gateway} {HTTP_PORT}"
SOCKS = f"socks-proxy {THREE.gateway} {SOCKS_PORT}"
TCP_NETWORK = "10.10.96.0 255.255.240.0"
CLIENT = ("connect-timeout 10", "connect-retry 1 1", "connect-retry-max 2")
NAMED = f"{SERVER_NAME} {PORT} tcp-client"
"""The server by a name that only the proxies know."""


@pytest.fixture(scope="module")
def shared(shared_wide_lab: Lab) -> Lab:
    """One lab for all: a server over TCP and one over UDP, which only the proxies reach and name.

    The router forwards nothing, so whatever arrives came through a proxy.
    """
    proxies.require_proxies()
    lab = shared_wide_lab
    lab.internet.run(["sysctl", "-qw", "net.ipv4.ip_forward=0"])
    proxies.name_at_proxy(lab, SERVER_NAME, lab.server)
    lab.start_server(
        ServerSetup(protocol="tcp-server", network=TCP_NETWORK, network_v6=None), label="tcp"
    )
    lab.start_server(ServerSetup(protocol="udp6", lines=["multihome"]), label="udp")
    return lab


@pytest.fixture
def authfile(shared: Lab) -> Path:
    return credentials(shared, "authfile", PASSWORD)


@pytest.fixture
def wrong_authfile(shared: Lab) -> Path:
    return credentials(shared, "wrong-authfile", "open barley")


def credentials(lab: Lab, name: str, password: str) -> Path:
    path = lab.directory / name
    path.touch(mode=0o600)
    path.write_text(f"{USER}\n{password}\n")
    return path


@contextlib.contextmanager
def running(lab: Lab, process: Process) -> Iterator[Process]:
    try:
        yield process
    finally:
        proxies.end(lab, process)


@contextlib.contextmanager
def client_of(lab: Lab, remotes: Sequence[str], *lines: str, verb: int = 3) -> Iterator[Running]:
    """A client that has been started, and is ended with the block."""
    setup = lab.client_setup(remotes=remotes, retry=None, verb=verb, lines=[*CLIENT, *lines])
    client = lab.client_process(setup)
    try:
        yield client
    finally:
        client.stop(expect=None)
        lab.laptop.wait_empty()


def assert_lines(log: str, *expected: str) -> None:
    """Each line is there, after the one before it."""
    at = 0
    for line in expected:
        found = log.find(line, at)
        assert found >= 0, f"{line!r} is missing (or too early) in:\n{log}"
        at = found + len(line)


# --- HTTP --------------------------------------------------------------------------------------

ASKED = (
    f"Send to HTTP proxy: 'CONNECT {SERVER_NAME}:{PORT} HTTP/1.0'",
    f"Send to HTTP proxy: 'Host: {SERVER_NAME}'",
)
CONNECTED = (
    f"Attempting to establish TCP connection with [AF_INET]{THREE.gateway}:{HTTP_PORT}",
    f"TCP connection established with [AF_INET]{THREE.gateway}:{HTTP_PORT}",
)
WANTED = (
    "HTTP proxy returned: 'HTTP/1.1 407 Proxy Authentication Required'",
    "Proxy requires authentication",
)
BASIC = (
    "PROXY AUTH BASIC: 'Proxy-Authenticate: Basic realm=\"the office\"'",
    "HTTP proxy authenticate 'realm=\"the office\"'",
)


def assert_tunnelled(lab: Lab, client: Running, *lines: str) -> None:
    """The tunnel carries, and the lines are the real program's."""
    client.wait_connected()
    lab.laptop.wait_ping(OFFICE_HOST)
    assert_lines(
        client.log(),
        *lines,
        "TCPv4_CLIENT link local: (not bound)",
        f"TCPv4_CLIENT link remote: [AF_INET]{THREE.gateway}:{HTTP_PORT}",
        f"[{SERVER_NAME}] Peer Connection Initiated with [AF_INET]{THREE.gateway}:{HTTP_PORT}",
    )


def test_http_proxy_without_login(shared: Lab) -> None:
    with running(shared, proxies.start_squid(shared)), client_of(shared, [NAMED], HTTP) as client:
        assert_tunnelled(
            shared,
            client,
            *CONNECTED,
            *ASKED,
            "HTTP proxy returned: 'HTTP/1.1 200 Connection established'",
        )


def test_http_proxy_with_basic_login_on_demand(shared: Lab, authfile: Path) -> None:
    with (
        running(shared, proxies.start_squid(shared, "basic")),
        client_of(shared, [NAMED], f"{HTTP} auto", f"http-proxy-user-pass {authfile}") as client,
    ):
        login = "Attempting Basic Proxy-Authorization"
        steps = (*CONNECTED, *ASKED, *WANTED, *BASIC, *CONNECTED, *ASKED, login)
        assert_tunnelled(shared, client, *steps)
        assert PASSWORD not in client.log()


def test_http_proxy_with_digest_login(shared: Lab) -> None:
    inline = f"<http-proxy-user-pass>\n{USER}\n{PASSWORD}\n</http-proxy-user-pass>"
    with (
        running(shared, proxies.start_squid(shared, "digest")),
        client_of(shared, [NAMED], f"{HTTP} auto-nct", inline) as client,
    ):
        first = 'PROXY AUTH DIGEST: \'Proxy-Authenticate: Digest realm="the office", nonce="'
        steps = (*CONNECTED, *ASKED, *WANTED, first, *CONNECTED, WANTED[1], *ASKED)
        assert_tunnelled(shared, client, *steps)


def test_http_proxy_in_a_connection_block_after_a_dead_remote(shared: Lab, authfile: Path) -> None:
    """UDP first, which nobody answers; then TCP with a login at once and details of its own."""
    blocks = [
        f"<connection>\nremote {shared.server} 4\nproto udp\nconnect-timeout 1\n</connection>",
        f"<connection>\nremote {NAMED}\n{HTTP} {authfile} basic\n"
        "http-proxy-option VERSION 1.1\nhttp-proxy-option AGENT Lab/1.0\n"
        "http-proxy-option CUSTOM-HEADER X-Lab yes\n</connection>",
    ]
    with (
        running(shared, proxies.start_tinyproxy(shared, login=True)) as proxy,
        client_of(shared, [], *blocks) as client,
    ):
        steps = (
            *CONNECTED,
            f"Send to HTTP proxy: 'CONNECT {SERVER_NAME}:{PORT} HTTP/1.1'",
            "Send to HTTP proxy: 'X-Lab: yes'",
            f"Send to HTTP proxy: 'Host: {SERVER_NAME}'",
            "Send to HTTP proxy: 'User-Agent: Lab/1.0'",
            "Attempting Basic Proxy-Authorization",
            "HTTP proxy returned: 'HTTP/1.0 200 Connection established'",
        )
        assert_tunnelled(shared, client, *steps)
        proxy.wait_for(rf"CONNECT {SERVER_NAME}:{PORT} HTTP/1\.1")


def test_a_wrong_login_ends_each_attempt(shared: Lab, wrong_authfile: Path) -> None:
    line = f"{HTTP} {wrong_authfile} basic"
    with (
        running(shared, proxies.start_squid(shared, "basic")),
        client_of(shared, [NAMED], line) as client,
    ):
        assert client.process.wait_exit() == 1
        attempt = (
            "Attempting Basic Proxy-Authorization",
            *WANTED,
            WANTED[1],
            "SIGUSR1[soft,HTTP proxy error] received, process restarting",
        )
        assert_lines(client.log(), *attempt, *attempt, "Exiting due to fatal error")


# --- misbehaving ones --------------------------------------------------------------------------

ERROR = "SIGUSR1[soft,HTTP proxy error] received, process restarting"
BAD_STATUS = "HTTP proxy returned bad status"


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("forbidden", ("HTTP proxy returned: 'HTTP/1.1 403 Forbidden'", BAD_STATUS)),
        ("garbage", ("HTTP proxy returned: '", BAD_STATUS)),
        ("hang", ("recv_line: TCP port read timeout expired",)),
    ],
)
def test_a_bad_http_proxy_is_named(shared: Lab, kind: str, lines: tuple[str, ...]) -> None:
    assert_given_up(shared, kind, lines)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("endless", ("the head of its answer is longer than 65536 bytes",)),
        ("close", ("it closed the connection before its answer was complete",)),
        ("ntlm", (*WANTED, "it offers ntlm; Basic and Digest are supported, NTLM is not")),
    ],
)
def test_a_worse_http_proxy_is_named(shared: Lab, kind: str, lines: tuple[str, ...]) -> None:
    """The real program reads on for ever, only says that it could not read, speaks NTLM."""
    if client_is_ginnel():
        assert_given_up(shared, kind, lines)


def assert_given_up(lab: Lab, kind: str, lines: tuple[str, ...]) -> None:
    with (
        running(lab, proxies.start_fake(lab, kind, HTTP_PORT)),
        client_of(lab, [NAMED], f"{HTTP} auto", "connect-timeout 1") as client,
    ):
        client.wait_for(re.escape(ERROR))
        assert_lines(client.log(), *ASKED, *lines, ERROR)


def test_a_proxy_that_is_down_is_a_failed_connection(shared: Lab) -> None:
    with client_of(shared, [NAMED], HTTP) as client:
        assert client.process.wait_exit() == 1
        failed = f"TCP: connect to [AF_INET]{THREE.gateway}:{HTTP_PORT} failed: Connection refused"
        ended = "SIGUSR1[connection failed(soft),connection-failed] received, process restarting"
        assert_lines(client.log(), failed, ended)


# --- SOCKS -------------------------------------------------------------------------------------

VIA_SOCKS = f"[AF_INET]{THREE.gateway}:{SOCKS_PORT}"


def test_socks_proxy_over_tcp(shared: Lab, authfile: Path) -> None:
    with (
        running(shared, proxies.start_microsocks(shared, login=True)),
        client_of(shared, [NAMED], f"{SOCKS} {authfile}") as client,
    ):
        client.wait_connected()
        shared.laptop.wait_ping(OFFICE_HOST)
        assert f"TCPv4_CLIENT link remote: {VIA_SOCKS}" in client.log()


def test_socks_logins_that_do_not_fit(shared: Lab, wrong_authfile: Path) -> None:
    refused = "socks_username_password_auth: server refused the authentication"
    with running(shared, proxies.start_microsocks(shared, login=True)):
        for line, expected in (
            (f"{SOCKS} {wrong_authfile}", refused),
            (SOCKS, "socks_handshake: Socks proxy returned unexpected auth"),
        ):
            with client_of(shared, [NAMED], line) as client:
                client.wait_for(r"SIGUSR1\[soft,socks-error\] received, process restarting")
                assert expected in client.log()


def test_socks_relays_datagrams(shared: Lab, authfile: Path) -> None:
    """Volume and large packets both ways, all traffic redirected: only the relay stays outside."""
    remote = f"{shared.server} {PORT} udp"
    with (
        running(shared, proxies.start_dante(shared, login=True)) as proxy,
        client_of(shared, [remote], f"{SOCKS} {authfile}", "redirect-gateway def1") as client,
    ):
        client.wait_connected()
        relay = client.wait_for(r"SOCKS proxy wants us to send UDP to \S+")
        assert_lines(
            client.log(),
            f"TCP connection established with {VIA_SOCKS}",
            relay,
            "UDPv4 link local: (not bound)",
            f"UDPv4 link remote: [AF_INET]{shared.server}:{PORT}",
            f"Peer Connection Initiated with [AF_INET]{shared.server}:{PORT}",
        )
        if client_is_ginnel():  # the real one would send what is for the relay into the tunnel
            shared.laptop.wait_ping(OFFICE_HOST)
            assert shared.laptop.route_to(THREE.gateway)["dev"] == "wlan0"
            assert shared.laptop.route_to(shared.server)["dev"] == "tun0"
            streams = [
                shared.start_stream(OFFICE_HOST, push=push, size=8 << 20) for push in (True, False)
            ]
            assert [shared.stream_result(stream).intact for stream in streams] == [True, True]
            lost = client.mark()
            proxies.end(shared, proxy)
            client.wait_for(r"SOCKS proxy: it ended the relaying of UDP", since=lost)
            client.wait_for(r"SIGUSR1\[soft,socks-error\]", since=lost)
            with running(shared, proxies.start_dante(shared, login=True)):
                client.wait_for(COMPLETED, since=lost)
                shared.laptop.wait_ping(OFFICE_HOST)


def test_socks_relays_datagrams_to_ipv6(shared: Lab) -> None:
    """The real program knows relays to IPv4 only."""
    remote = f"{shared.server_v6} {PORT} udp6"
    with (
        running(shared, proxies.start_dante(shared)),
        client_of(shared, [remote], SOCKS) as client,
    ):
        if client_is_ginnel():
            client.wait_connected()
            shared.laptop.wait_ping(OFFICE_HOST)
            assert f"UDPv6 link remote: [AF_INET6]{shared.server_v6}:{PORT}" in client.log()


# --- management --------------------------------------------------------------------------------


def test_a_gui_answers_for_proxies(shared: Lab) -> None:
    """Which proxy, and after a wrong password again; openvpn 2.6.14 would hammer the wrong one."""
    path = socket_path(shared)
    lines = (
        f"management {path} unix",
        "management-query-passwords",
        "management-query-proxy",
    )
    with (
        running(shared, proxies.start_squid(shared, "basic")),
        client_of(shared, [NAMED], *lines) as client,
        Gui(path) as gui,
    ):
        gui.hear(rf">PROXY:1,TCP,{re.escape(SERVER_NAME)}\r\n")
        assert gui.say("proxy FOO") == "ERROR: proxy command failed\r\n"
        reply = gui.say(f"proxy HTTP {THREE.gateway} {HTTP_PORT}")
        assert reply == "SUCCESS: proxy command succeeded\r\n"
        gui.hear(">PASSWORD:Need 'HTTP Proxy' username/password\r\n")
        if not client_is_ginnel():
            return
        gui.say(f'username "HTTP Proxy" {USER}')
        gui.say('password "HTTP Proxy" wrong')
        gui.hear(">PASSWORD:Verification Failed: 'HTTP Proxy'\r\n")
        gui.hear(">PASSWORD:Need 'HTTP Proxy' username/password\r\n")
        gui.say(f'username "HTTP Proxy" {USER}')
        gui.say(f'password "HTTP Proxy" "{PASSWORD}"')
        client.wait_connected()
        shared.laptop.wait_ping(OFFICE_HOST)


def test_a_gui_answers_for_a_socks_proxy(shared: Lab) -> None:
    path = socket_path(shared)
    lines = (f"management {path} unix", "management-query-passwords", f"{SOCKS} stdin")
    with (
        running(shared, proxies.start_microsocks(shared, login=True)),
        client_of(shared, [NAMED], *lines) as client,
        Gui(path) as gui,
    ):
        gui.hear(">PASSWORD:Need 'SOCKS Proxy' username/password\r\n")
        gui.say(f'username "SOCKS Proxy" {USER}')
        gui.say(f'password "SOCKS Proxy" "{PASSWORD}"')
        client.wait_connected()
