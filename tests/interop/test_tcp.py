"""Links over TCP: both families, volume, renegotiation, servers that vanish, and strangers.

With GINNEL_INTEROP_CLIENT=openvpn the same scenarios hold for the real program.
"""

import re

import pytest

from tests.interop.checks import assert_carries
from tests.interop.lab import OFFICE_HOST, OFFICE_HOST_V6, Lab, ServerSetup
from tests.interop.lab.management import Gui, socket_path
from tests.interop.lab.openvpn import PORT
from tests.interop.lab.process import Process, module_command
from tests.interop.test_streams import NEW_KEY

TCP = ServerSetup(protocol="tcp-server")


@pytest.mark.parametrize("word", ["tcp", "tcp6-client"])
def test_volume_both_ways_while_keys_change(lab: Lab, word: str) -> None:
    """64 MiB each way at once, hashed, with a new key every three seconds."""
    family = "6" if "6" in word else "4"
    server = lab.start_server(
        ServerSetup(protocol=f"tcp{family}-server", lines=["reneg-sec 0"], keepalive="1 10")
    )
    host = lab.server if family == "4" else lab.server_v6
    setup = lab.client_setup(remotes=[f"{host} {PORT}"], protocol=word, lines=["reneg-sec 3"])
    client = lab.start_client(setup)
    shown = f"[AF_INET{'6' if family == '6' else ''}]{host}:{PORT}"
    log = client.log()
    for line in (
        f"Attempting to establish TCP connection with {shown}",
        f"TCP connection established with {shown}",
        f"TCPv{family}_CLIENT link local: (not bound)",
        f"TCPv{family}_CLIENT link remote: {shown}",
    ):
        assert line in log
    assert_carries(lab)
    start = server.mark()
    size = (64 << 20) if word == "tcp" else (4 << 20)
    streams = [lab.start_stream(OFFICE_HOST, push=push, size=size) for push in (True, False)]
    streams.append(lab.start_stream(OFFICE_HOST_V6, push=True, size=1 << 20))
    assert [lab.stream_result(stream).intact for stream in streams] == [True] * 3
    server.process.wait_count(NEW_KEY, 1, timeout=40, since=start)
    assert_carries(lab)
    assert "process restarting" not in client.log()


def test_server_killed_and_restarted(lab: Lab) -> None:
    """The end of the connection is noticed at once; refusals are waited out."""
    server = lab.start_server(TCP)
    path = socket_path(lab)
    client = lab.start_client(
        lab.client_setup(protocol="tcp-client", lines=[f"management {path} unix", "persist-tun"])
    )
    with Gui(path) as gui:
        gui.say("state on")
        gui.say("state all", r"END\r\n")
        assert_carries(lab)
        lost = client.mark()
        server.process.kill()
        client.wait_for(r"Connection reset, restarting \[0\]", since=lost)
        client.wait_for(
            r"SIGUSR1\[soft,connection-reset\] received, process restarting", since=lost
        )
        client.wait_for(
            rf"TCP: connect to \[AF_INET\]{lab.server}:{PORT} failed: Connection refused"
        )
        client.wait_for(
            r"SIGUSR1\[connection failed\(soft\),connection-failed\] received, process restarting"
        )
        gui.hear(r">STATE:\d+,RECONNECTING,connection-reset,")
        gui.hear(r">STATE:\d+,TCP_CONNECT,,,,,,\r\n")
        gui.hear(r">STATE:\d+,RECONNECTING,connection-failed,")
        lab.start_server(TCP, label="server-again")
        client.wait_connected(since=lost, timeout=40)
        gui.hear(r">STATE:\d+,TCP_CONNECT,,,,,,\r\n")
        gui.hear(
            r">STATE:\d+,CONNECTED,SUCCESS,10\.10\.112\.2,192\.0\.2\.1,1194,192\.0\.2\.10,\d+,"
        )
    assert_carries(lab)


def start_strangers(lab: Lab, port: int, *kinds: str) -> Process:
    argv = module_command("strangers", lab.server, str(port), *kinds)
    process = lab.office.spawn(argv, name="strangers")
    process.wait_for("^ready$")
    return process


def test_strangers_are_left_for_the_next_remote(lab: Lab) -> None:
    """Whatever answers on a port, a list of remotes of both transports gets to the VPN."""
    strangers = start_strangers(lab, 1180, "http", "zero", "closes", "resets", "silent")
    try:
        lab.start_server(ServerSetup(lines=["explicit-exit-notify 1"]))
        remotes = [f"{lab.server} {port} tcp" for port in range(1179, 1185)]
        setup = lab.client_setup(
            remotes=[*remotes, f"{lab.server} {PORT} udp"],
            lines=["connect-timeout 2", "explicit-exit-notify 1", "connect-retry 1 1"],
        )
        client = lab.start_client(setup, timeout=40)
    finally:
        strangers.stop()
    log = client.log()
    assert "NOTICE: --explicit-exit-notify ignored for --proto tcp" in log
    ends = re.findall(r"SIGUSR1\[(.*)\] received, process restarting", log)
    assert ends == [
        "connection failed(soft),connection-failed",
        *["soft,connection-reset"] * 4,
        "soft,server_poll",
    ]
    assert (
        len(re.findall(r"WARNING: Bad encapsulated packet length from peer \(\d+\), which", log))
        == 2
    )
    assert len(re.findall(r"Connection reset, restarting \[0\]", log)) >= 2
    assert "UDPv4 link remote" in log
    assert_carries(lab)
    client.stop(expect=0)
    assert "SIGTERM received, sending exit notification to peer" in client.log()


def test_a_block_for_each_transport(lab: Lab) -> None:
    lab.start_server(TCP)
    blocks = [
        f"<connection>\nremote {lab.server} {PORT} udp\nconnect-timeout 2\n</connection>",
        f"<connection>\nremote {lab.server} {PORT} tcp\n</connection>",
    ]
    client = lab.start_client(lab.client_setup(remotes=[], lines=blocks))
    client.wait_for("UDPv4 link remote")
    client.wait_for("TCPv4_CLIENT link remote")
    assert_carries(lab)


def test_failed_tls_ends_the_connection_at_once(lab: Lab) -> None:
    lab.start_server(TCP)
    client = lab.client_process(lab.client_setup(protocol="tcp", verify_name="somebody.else"))
    client.wait_for(r"Fatal TLS error \(check_tls_errors_co\), restarting")
    client.wait_for(r"SIGUSR1\[soft,tls-error\] received, process restarting")
    client.stop(expect=None)


def test_signals_end_a_connection_that_is_being_made(lab: Lab) -> None:
    """The server's host drops what comes: connecting hangs."""
    rules = lab.directory / "drop.nft"
    rules.write_text(
        "table ip silent {\n chain in {\n  type filter hook input priority 0;\n"
        "  tcp dport 1194 drop\n }\n}\n"
    )
    lab.office.run(["nft", "-f", str(rules)])
    try:
        client = lab.client_process(lab.client_setup(protocol="tcp", lines=["connect-timeout 2"]))
        client.wait_for(r"TCP: connect to .* failed: Connection timed out")
        mark = client.mark()
        client.wait_for("Attempting to establish TCP connection", since=mark)
        assert client.stop(expect=0) == 0
    finally:
        lab.office.run(["nft", "delete", "table", "ip", "silent"])


def test_pushed_socket_options_on_tcp(lab: Lab) -> None:
    lines = [
        'push "sndbuf 200000"',
        'push "explicit-exit-notify 2"',
        'push "socket-flags TCP_NODELAY"',
    ]
    lab.start_server(ServerSetup(protocol="tcp-server", lines=lines))
    client = lab.start_client(lab.client_setup(protocol="tcp"))
    client.wait_for("OPTIONS IMPORT: --explicit-exit-notify can only be used with --proto udp")
    assert_carries(lab)
    assert "200000" in client.log()
