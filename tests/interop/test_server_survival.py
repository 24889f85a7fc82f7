"""Sessions that last: clients that move, fall silent or leave; servers that restart or reload.

With GINNEL_INTEROP_SERVER=openvpn the same scenarios hold for the real server.
"""

import signal
from dataclasses import replace

import pytest

from tests.deadlines import wait_until
from tests.interop.checks import addresses, assert_reaches, pushed
from tests.interop.lab import OFFICE_HOST, Fleet, Running, ServerSetup
from tests.interop.lab.fleet import client_address, variations

PATIENT = ServerSetup(keepalive="1 60")
QUICK = ServerSetup(keepalive="1 4")
NEW_KEY = r"Control Channel: TLSv1\.\d"
MOST_STREAMS = 60


def tunnel_address(fleet: Fleet, number: int) -> str:
    return addresses(fleet, where=fleet.client(number))["inet"].local


# --- clients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("program", variations(["openvpn"], ["ginnel"]))
def test_a_client_that_moves_keeps_its_session(fleet: Fleet, program: str) -> None:
    server = fleet.start_server(PATIENT)
    client = fleet.start_client(2, fleet.client_setup(2, program=program))
    assert_reaches(fleet.client(2))
    mark = client.mark()
    with fleet.moved(2, "192.0.2.77"):
        server.wait_for(
            rf"peer 0 \(client2\) floated from {client_address(2)}:\d+ to "
            r"\[AF_INET\]192\.0\.2\.77:\d+"
        )
        assert_reaches(fleet.client(2))
    fleet.client(2).wait_ping(OFFICE_HOST)
    server.process.wait_count(r"peer 0 \(client2\) floated from ", 2, timeout=40)
    assert "restarting" not in client.log(mark)


def test_a_client_that_says_good_bye(fleet: Fleet) -> None:
    """explicit-exit-notify: the server forgets it at once, in whichever way it was told."""
    server = fleet.start_server(PATIENT)
    pair = fleet.start_pair(lines=["explicit-exit-notify 1"])
    for client in pair:
        client.stop()
    for number in (1, 2):
        server.wait_for(
            rf"client{number}/\S+ (CC-EEN exit message received by peer|"
            r"SIGTERM\[soft,remote-exit\] received, client-instance exiting)"
        )


def test_a_tcp_client_that_hangs_up(fleet: Fleet) -> None:
    server = fleet.start_server(replace(PATIENT, protocol="tcp-server"))
    pair = fleet.start_pair(protocol="tcp-client")
    for number, client in enumerate(pair, 1):
        client.process.kill()
        server.wait_for(
            rf"client{number}/\S+ SIGUSR1\[soft,connection-reset\] received, "
            "client-instance restarting"
        )
    for number in (1, 2):
        _remove_tun(fleet, number)


def test_a_client_that_falls_silent(fleet: Fleet) -> None:
    server = fleet.start_server(ServerSetup(keepalive="1 2"))
    client = fleet.start_client(3)
    client.process.kill()
    server.wait_for(r"client3/\S+ \[client3\] Inactivity timeout \(--ping-restart\), restarting")
    server.wait_for(r"client3/\S+ SIGUSR1\[soft,ping-restart\] received, client-instance restart")
    _remove_tun(fleet, 3)
    fleet.start_client(3)
    assert_reaches(fleet.client(3))


def _remove_tun(fleet: Fleet, number: int) -> None:
    """The kernel removes a dead program's device; the routes through it go with it."""
    host = fleet.client(number)
    wait_until(lambda: "tun0" not in host.devices(), timeout=40, what="the device's end")


@pytest.mark.parametrize("program", variations(["openvpn"], ["ginnel"]))
def test_renegotiations_under_traffic(fleet: Fleet, program: str) -> None:
    """The server asks for new keys again and again; not a byte of the streams is hurt."""
    server = fleet.start_server(replace(PATIENT, lines=["reneg-sec 2"]))
    fleet.start_client(2, fleet.client_setup(2, program=program, lines=["reneg-sec 0"]))
    where = fleet.client(2)
    start = server.mark()
    for number in range(MOST_STREAMS):
        process = fleet.start_stream(OFFICE_HOST, push=bool(number % 2), size=4 << 20, where=where)
        assert fleet.stream_result(process).intact
        if server.process.count(NEW_KEY, since=start) >= 2:
            break
    assert server.process.count(NEW_KEY, since=start) >= 2


# --- servers -----------------------------------------------------------------------------------


def wait_again(fleet: Fleet, clients: dict[int, Running], marks: dict[int, int]) -> None:
    """Waits until all clients connected once more, and carry."""
    for number, client in clients.items():
        client.wait_connected(since=marks[number], timeout=40)
    for number in clients:
        assert_reaches(fleet.client(number))


@pytest.mark.parametrize("number", variations([signal.SIGHUP], [signal.SIGUSR1, signal.SIGTERM]))
def test_a_server_that_restarts_tells_its_clients(fleet: Fleet, number: signal.Signals) -> None:
    """The clients come back at once, to the same two addresses.

    SIGHUP takes a new configuration, SIGTERM ends the server, which somebody starts again.
    """
    setup = replace(PATIENT, lines=["explicit-exit-notify 1"])
    server = fleet.start_server(setup)
    theirs, ours = fleet.start_pair(retry="1 1")
    clients = {1: theirs, 2: ours}
    before = sorted(tunnel_address(fleet, client) for client in clients)
    marks = {which: client.mark() for which, client in clients.items()}
    mark = server.mark()
    changed = replace(setup, lines=[*setup.lines, 'push "route 10.99.0.0 255.255.0.0"'])
    server.config.write_text(changed.render(fleet.pki))
    server.send(number)
    for name in ("client1", "client2"):
        server.wait_for(rf"SENT CONTROL \[{name}\]: 'RESTART' \(status=1\)", since=mark)
    server.wait_for(
        r"MULTI: Connection attempt from [\d.]+:\d+ ignored while server is shutting down",
        since=mark,
    )
    if number is signal.SIGTERM:
        assert server.process.wait_exit() == 0
        fleet.start_server(changed, label="server-again")
    else:
        server.wait_for(rf"{number.name}\[hard,\] received, process restarting", since=mark)
    for which, client in clients.items():
        client.wait_for("server-pushed-connection-reset", since=marks[which])
    wait_again(fleet, clients, marks)
    assert sorted(tunnel_address(fleet, client) for client in clients) == before
    rereads = number is not signal.SIGUSR1
    assert ("route 10.99.0.0 255.255.0.0" in pushed(theirs)) == rereads


def test_a_server_that_is_killed(fleet: Fleet) -> None:
    """No farewell, no tidying: clients resume by themselves, with the same addresses."""
    persist = fleet.directory / "killed-pool.txt"
    setup = replace(QUICK, lines=[f"ifconfig-pool-persist {persist} 1"])
    server = fleet.start_server(setup)
    theirs, ours = fleet.start_pair(retry="1 1")
    clients = {1: theirs, 2: ours}
    before = [tunnel_address(fleet, client) for client in clients]
    wait_until(lambda: persist.exists() and persist.read_text(), timeout=40, what="the pool file")
    wait_until(
        lambda: all(f"client{number}," in persist.read_text() for number in clients),
        timeout=40,
        what="both clients in the pool file",
    )
    marks = {which: client.mark() for which, client in clients.items()}
    server.process.kill()
    wait_until(
        lambda: not any(line.startswith("server: ") for line in fleet.differences()),
        timeout=40,
        what="the server's host as it was before it began",
    )
    fleet.start_server(setup, label="server-again")
    wait_again(fleet, clients, marks)
    assert [tunnel_address(fleet, client) for client in clients] == before
