"""A client that comes back from the address of its old self, without a word about that.

ginnel's server does not take it for a stranger, nor does it wait until the old session is given up.
"""

import signal

import pytest

from tests.deadlines import wait_until
from tests.interop.checks import assert_reaches
from tests.interop.lab import Fleet, ServerSetup

SAME_PORT = 5555


def test_a_client_that_died_takes_its_session_over(fleet: Fleet) -> None:
    """Not even the keys are of the same number: the old session had been renegotiated."""
    server = fleet.start_server(ServerSetup(program="ginnel", lines=["reneg-sec 3"]))
    setup = fleet.client_setup(1, program="openvpn", own_port=SAME_PORT)
    first = fleet.start_client(1, setup)
    server.wait_for("TLS: soft reset")
    assert_reaches(fleet.client(1))
    mark = server.mark()
    first.send(signal.SIGKILL)
    wait_until(lambda: first.process.status is not None, timeout=40, what="the client is dead")
    fleet.start_client(1, setup)
    assert_reaches(fleet.client(1))
    log = server.log(mark)
    assert "TLS: Initial packet from [AF_INET]192.0.2.11:5555" in log
    assert "MULTI_sva" not in log  # it is the client that was there
    server.wait_for("TLS: soft reset", since=server.mark())
    assert_reaches(fleet.client(1))


def test_another_program_may_come_back_in_its_place(fleet: Fleet) -> None:
    """It wants another format of data packets: the server begins anew with it."""
    fleet.start_server(ServerSetup(program="ginnel"))
    first = fleet.start_client(1, fleet.client_setup(1, program="openvpn", own_port=SAME_PORT))
    first.send(signal.SIGKILL)
    wait_until(lambda: first.process.status is not None, timeout=40, what="the client is dead")
    fleet.start_client(1, fleet.client_setup(1, program="ginnel", own_port=SAME_PORT), timeout=40.0)
    assert_reaches(fleet.client(1))


@pytest.mark.parametrize("program", ["ginnel", "openvpn"])
def test_a_server_that_wants_another_key_exchange_than_its_clients_guess(
    fleet: Fleet, program: str
) -> None:
    """It asks for another first message (HelloRetryRequest), also in a renegotiation."""
    lines = ["tls-groups secp384r1", "reneg-sec 3"]
    server = fleet.start_server(ServerSetup(program=program, lines=lines))
    theirs, _ = fleet.start_pair()
    theirs.wait_for("peer temporary key: 384 bits")
    for number in (1, 2):
        assert_reaches(fleet.client(number))
        server.wait_for(rf"client{number}/\S+ TLS: soft reset")
    theirs.process.wait_count("peer temporary key: 384 bits", 2, timeout=40)
    for number in (1, 2):
        assert_reaches(fleet.client(number))
