"""The fleet itself, with the real program on both ends: each path of it carries what it should."""

from tests.interop.checks import assert_carries
from tests.interop.lab import Fleet, ServerSetup
from tests.interop.lab.fleet import HOME, client_address

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
