"""A server that dies, is silent, comes back or is one of several: traffic resumes."""

import signal

from tests.deadlines import wait_until
from tests.interop.checks import assert_carries
from tests.interop.lab import OFFICE_HOST, Faults, Lab, ServerSetup
from tests.interop.lab.openvpn import PORT

QUICK = ServerSetup(keepalive="1 4")


def test_server_killed_and_restarted(lab: Lab) -> None:
    """No farewell: the client notices by silence, and connects again to the new process."""
    server = lab.start_server(QUICK)
    client = lab.start_client()
    assert_carries(lab)
    lost = client.mark()
    server.process.kill()
    lab.start_server(QUICK, label="server-again")
    client.wait_for(
        r"SIGUSR1\[soft,(ping-restart|tls-error)\] received, process restarting", since=lost
    )
    client.wait_connected(since=lost, timeout=40)
    assert_carries(lab)


def test_server_restarted_with_a_kept_device(lab: Lab) -> None:
    """persist-tun: the device and its addresses stay while the server is away."""
    server = lab.start_server(QUICK)
    client = lab.start_client(lab.client_setup(lines=["persist-tun"]))
    index = lab.laptop.ip_json("link", "show", "dev", "tun0")[0]["ifindex"]
    lost = client.mark()
    server.process.kill()
    client.wait_for(r"SIGUSR1\[soft,ping-restart\] received", since=lost)
    assert "tun0" in lab.laptop.devices()
    lab.start_server(QUICK, label="server-again")
    client.wait_for("Preserving previous TUN/TAP instance: tun0", since=lost, timeout=40)
    client.wait_connected(since=lost, timeout=40)
    assert lab.laptop.ip_json("link", "show", "dev", "tun0")[0]["ifindex"] == index
    assert_carries(lab)


def test_traffic_resumes_after_a_short_outage(lab: Lab) -> None:
    """Shorter than ping-restart: no reconnect is needed."""
    lab.start_server(ServerSetup(keepalive="1 20"))
    path = lab.start_relay(Faults())
    client = lab.start_client(lab.client_setup(remotes=[f"{lab.server} 1195"]))
    assert_carries(lab)
    mark = client.mark()
    path.send(signal.SIGUSR1)
    wait_until(
        lambda: lab.laptop.ping(OFFICE_HOST, count=1, wait=1) == 0, timeout=40, what="silence"
    )
    path.send(signal.SIGUSR2)
    lab.laptop.wait_ping(OFFICE_HOST)
    assert "process restarting" not in client.log(mark)


def test_ping_restart_after_a_long_outage(lab: Lab) -> None:
    lab.start_server(QUICK)
    path = lab.start_relay(Faults())
    client = lab.start_client(lab.client_setup(remotes=[f"{lab.server} 1195"]))
    assert_carries(lab)
    lost = client.mark()
    path.send(signal.SIGUSR1)
    client.wait_for(r"Inactivity timeout \(--ping-restart\), restarting", since=lost)
    client.wait_for(r"SIGUSR1\[soft,ping-restart\] received, process restarting", since=lost)
    client.wait_for(r"Restart pause, \d+ second\(s\)", since=lost)
    path.send(signal.SIGUSR2)
    client.wait_connected(since=lost, timeout=40)
    assert_carries(lab)


def test_ping_exit_ends_the_client(lab: Lab) -> None:
    server = lab.start_server(ServerSetup(keepalive=None))
    client = lab.start_client(lab.client_setup(lines=["ping 1", "ping-exit 3"]))
    server.process.kill()
    assert client.process.wait_exit(15) == 0
    assert "Inactivity timeout (--ping-exit), exiting" in client.log()
    assert "SIGTERM[soft,ping-exit] received, process exiting" in client.log()


def test_second_remote_is_tried(lab: Lab) -> None:
    """Nothing answers at the first one."""
    lab.start_server()
    setup = lab.client_setup(
        remotes=["192.0.2.77 1194", f"{lab.server} {PORT}"], lines=["connect-timeout 2"]
    )
    client = lab.start_client(setup, timeout=40)
    assert "link remote: [AF_INET]192.0.2.77:1194" in client.log()
    assert f"Peer Connection Initiated with [AF_INET]{lab.server}:{PORT}" in client.log()
    assert_carries(lab)


def test_other_remote_takes_over(lab: Lab) -> None:
    """The server in use dies for good; the second of the list carries on."""
    first = lab.start_server(QUICK)
    second = ServerSetup(
        keepalive="1 4",
        port=1197,
        network="10.10.128.0 255.255.240.0",
        network_v6="fd00:10:128::/64",
    )
    setup = lab.client_setup(
        remotes=[f"{lab.server} {PORT}", f"{lab.server} 1197"], lines=["connect-timeout 2"]
    )
    client = lab.start_client(setup)
    assert_carries(lab)
    lost = client.mark()
    first.process.kill()
    lab.start_server(second, label="second")
    client.wait_for(
        rf"Peer Connection Initiated with \[AF_INET\]{lab.server}:1197", since=lost, timeout=40
    )
    client.wait_connected(since=lost)
    assert_carries(lab)


def test_connection_blocks(lab: Lab) -> None:
    """Each block carries its own port; the dead one is skipped."""
    lab.start_server(ServerSetup(port=1197))
    block = "<connection>\nremote {host} {port} udp\nconnect-timeout 2\n</connection>"
    blocks = [block.format(host=lab.server, port=port) for port in (1199, 1197)]
    client = lab.start_client(lab.client_setup(remotes=[], lines=blocks), timeout=40)
    assert f"Peer Connection Initiated with [AF_INET]{lab.server}:1197" in client.log()
    assert_carries(lab)


def test_remote_random_still_connects(lab: Lab) -> None:
    lab.start_server()
    remotes = ["192.0.2.77 1194", "192.0.2.78 1194", f"{lab.server} {PORT}"]
    setup = lab.client_setup(remotes=remotes, lines=["remote-random", "connect-timeout 1"])
    lab.start_client(setup, timeout=40)
    assert_carries(lab)


def test_server_says_restart(lab: Lab) -> None:
    """A server that stops in good order tells its clients, who come back at once."""
    setup = ServerSetup(keepalive="2 60", lines=["explicit-exit-notify 1"])
    server = lab.start_server(setup)
    client = lab.start_client()
    lost = client.mark()
    server.stop(expect=0)
    client.wait_for(r"SIGUSR1\[soft,server-pushed-connection-reset\] received", since=lost)
    lab.start_server(setup, label="server-again")
    client.wait_connected(since=lost, timeout=40)
    assert_carries(lab)


def test_new_source_port_of_the_client(lab: Lab) -> None:
    """A NAT box forgets the mapping: the session goes on, found by its peer-id."""
    server = lab.start_server(ServerSetup(keepalive="2 60"))
    path = lab.start_relay(Faults())
    client = lab.start_client(lab.client_setup(remotes=[f"{lab.server} 1195"]))
    assert_carries(lab)
    mark = client.mark()
    path.send(signal.SIGHUP)
    lab.laptop.wait_ping(OFFICE_HOST)
    server.wait_for(r"peer 0 \(laptop\) floated from 192\.0\.2\.1:\d+ to ")
    assert_carries(lab)
    assert "process restarting" not in client.log(mark)


def test_silent_server_is_asked_again(lab: Lab) -> None:
    """Nothing ever answers: the client says so and keeps trying."""
    setup = lab.client_setup(lines=["connect-timeout 2"])
    client = lab.client_process(setup)
    client.wait_for(r"Server poll timeout, restarting")
    client.wait_for(r"SIGUSR1\[soft,server_poll\] received, process restarting")
    client.process.wait_count(r"link remote: \[AF_INET\]", 2, timeout=40)
    lab.start_server()
    client.wait_connected(timeout=40)
    assert_carries(lab)


def test_silent_server_with_limited_attempts(lab: Lab) -> None:
    """connect-retry-max ends the program with an error when no remote ever answered."""
    client = lab.client_process(
        lab.client_setup(lines=["connect-timeout 1", "connect-retry-max 2"])
    )
    assert client.process.wait_exit(25) == 1
    assert "All connections have been connect-retry-max (2) times unsuccessful" in client.log()


def test_handshake_window_of_a_silent_server(lab: Lab) -> None:
    """A server that dies in mid-handshake: the hand-window limits the wait."""
    path = lab.start_relay(Faults(loss=1.0))
    setup = lab.client_setup(
        remotes=[f"{lab.server} 1195"], lines=["hand-window 3", "connect-timeout 30"]
    )
    client = lab.client_process(setup)
    client.wait_for(r"TLS Error: TLS key negotiation failed to occur within 3 seconds")
    client.wait_for(r"TLS Error: TLS handshake failed")
    client.wait_for(r"SIGUSR1\[soft,tls-error\] received, process restarting")
    assert lab.relay_counts(path)["lost"] > 0


def test_tls_exit_ends_the_client(lab: Lab) -> None:
    setup = lab.client_setup(lines=["hand-window 2", "tls-exit"])
    client = lab.client_process(setup)
    assert client.process.wait_exit(20) == 0
    assert "SIGTERM[soft,tls-error] received, process exiting" in client.log()
