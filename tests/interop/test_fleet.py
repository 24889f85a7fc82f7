"""The fleet itself, with the real program on both ends: each path of it carries what it should."""

from dataclasses import replace

from tests.interop.checks import assert_carries
from tests.interop.lab import OFFICE_HOST, Fleet, ServerSetup
from tests.interop.lab.fleet import BRANCH_HOST, BRANCH_HOST_V6, HOME, client_address

REAL = ServerSetup(program="openvpn")


def test_five_clients_of_one_server(fleet: Fleet) -> None:
    """Three with addresses of their own, two that share one; all reach the office."""
    server = fleet.start_server(REAL)
    fleet.start_clients(range(1, 6))
    for number in range(1, 6):
        assert_carries(fleet, where=fleet.client(number))
    for number in (1, 2, 3):
        address = client_address(number)
        server.wait_for(rf"{address}:\d+ \[client{number}\] Peer Connection Initiated")
    for number in (4, 5):
        server.wait_for(rf"{HOME}:\d+ \[client{number}\] Peer Connection Initiated")


def test_the_branch_behind_the_first_client(fleet: Fleet) -> None:
    ccd = fleet.directory / "ccd-branch"
    ccd.mkdir()
    (ccd / "client1").write_text("iroute 172.16.1.0 255.255.255.0\niroute-ipv6 fd00:16:1::/64\n")
    lines = [f"client-config-dir {ccd}", "route 172.16.1.0 255.255.255.0"]
    fleet.start_server(replace(REAL, lines=[*lines, "route-ipv6 fd00:16:1::/64"]))
    fleet.start_client(1)
    fleet.office.wait_ping(BRANCH_HOST)
    assert fleet.office.ping(BRANCH_HOST_V6) == 3
    assert fleet.branch.ping(OFFICE_HOST) == 3


def test_a_client_that_moves(fleet: Fleet) -> None:
    server = fleet.start_server(replace(REAL, keepalive="1 60"))
    client = fleet.start_client(2)
    assert_carries(fleet, where=fleet.client(2))
    mark = client.mark()
    with fleet.moved(2, "192.0.2.77"):
        server.wait_for(r"floated from 192\.0\.2\.12:\d+ to \[AF_INET\]192\.0\.2\.77")
        assert_carries(fleet, where=fleet.client(2))
    assert "restarting" not in client.log(mark)
