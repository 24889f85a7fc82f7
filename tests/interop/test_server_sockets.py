"""Several sockets of one server, and a port that is shared with a web server."""

import sys
from dataclasses import replace

from tests.interop.checks import addresses, assert_reaches
from tests.interop.lab import Fleet, ServerSetup
from tests.interop.lab.fleet import SERVER, SERVER_V6
from tests.interop.lab.openvpn import PORT

WEB = "8443"


def test_sockets_of_both_transports_and_one_pool(fleet: Fleet) -> None:
    """UDP and TCP, IPv4 and IPv6, in one process: every client its own address, all meet."""
    lines = [
        f"local {SERVER} {PORT} udp4",
        f"local {SERVER} 443 tcp4-server",
        f"local {SERVER_V6} {PORT} udp6",
        f"local {SERVER_V6} 443 tcp6-server",
        "client-to-client",
    ]
    fleet.start_server(ServerSetup(lines=lines))
    links = {
        1: (f"{SERVER} {PORT}", "udp"),
        2: (f"{SERVER} 443", "tcp-client"),
        3: (f"{SERVER_V6} {PORT}", "udp6"),
        4: (f"{SERVER} 443", "tcp-client"),
        5: (f"{SERVER} {PORT}", "udp"),
    }
    setups = {
        number: fleet.client_setup(number, remotes=[remote], protocol=protocol)
        for number, (remote, protocol) in links.items()
    }
    setups[2] = replace(setups[2], program="ginnel", remotes=[f"{SERVER_V6} 443"], protocol="tcp6")
    running = [fleet.client_process(number, setup) for number, setup in setups.items()]
    for client in running:
        client.wait_connected(timeout=40)
    inside = {n: addresses(fleet, where=fleet.client(n))["inet"].local for n in setups}
    assert len(set(inside.values())) == len(setups)
    for number in setups:
        assert_reaches(fleet.client(number))
        assert fleet.client(number).ping(inside[number % 5 + 1], count=1) == 1


def test_a_port_shared_with_a_web_server(fleet: Fleet) -> None:
    """What does not speak OpenVPN is handed on, byte by byte, and what does is served."""
    page = fleet.spare_directory("web", {"index.html": ["<p>the office</p>"]})
    where = ["--bind", "127.0.0.1", "--directory", str(page)]
    web = fleet.spawn(
        fleet.server, [sys.executable, "-u", "-m", "http.server", WEB, *where], label="web"
    )
    web.wait_for("Serving HTTP")
    setup = ServerSetup(protocol="tcp-server", lines=[f"port-share 127.0.0.1 {WEB}"])
    fleet.start_server(setup)
    fleet.start_pair(protocol="tcp-client")
    code = f"import urllib.request as u; print(u.urlopen('http://{SERVER}:{PORT}/').read())"
    answer = fleet.client(3).run([sys.executable, "-c", code], timeout=40)
    assert "<p>the office</p>" in answer.output
    for number in (1, 2):
        assert_reaches(fleet.client(number))
