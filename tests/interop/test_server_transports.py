"""A server's links and wrappings: Debian's client and ginnel's, at once, against ginnel's server.

With GINNEL_INTEROP_SERVER=openvpn the same scenarios hold for the real server.
"""

import pytest

from tests.interop.checks import addresses, assert_reaches
from tests.interop.lab import Fleet, ServerSetup, Wrapping
from tests.interop.lab.fleet import HOME, SERVER, SERVER_V6, client_address, variations
from tests.interop.lab.openvpn import PORT, command_of


def met(name: str, address: str) -> str:
    """The line that says which client connected from where."""
    return rf"\[{name}\] Peer Connection Initiated with \[AF_INET6?\]{address}:\d+"


def assert_pair_reaches(fleet: Fleet) -> None:
    for number in (1, 2):
        assert_reaches(fleet.client(number))


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_both_families_at_one_socket(fleet: Fleet, protocol: str) -> None:
    """A socket of IPv6 takes IPv4 as well; one client comes through a NAT."""
    ours, theirs = ("tcp6-server", "tcp{}-client") if protocol == "tcp" else ("udp6", "udp{}")
    server = fleet.start_server(ServerSetup(protocol=ours))
    links = {1: ("openvpn", 4), 2: ("openvpn", 6), 3: ("ginnel", 6), 4: ("ginnel", 4)}
    clients = []
    for number, (program, family) in links.items():
        setup = fleet.client_setup(
            number,
            program=program,
            protocol=theirs.format(family),
            remotes=[f"{SERVER if family == 4 else SERVER_V6} {PORT}"],
        )
        clients.append(fleet.client_process(number, setup))
    for client in clients:
        client.wait_connected()
    for number in links:
        assert_reaches(fleet.client(number))
    for name, address in (("client1", client_address(1)), ("client4", HOME)):
        server.wait_for(met(name, f"(::ffff:)?{address}"))
    server.wait_for(met("client2", "2001:db8:2::12"))


@pytest.mark.parametrize(
    ("ours", "theirs", "address", "client"),
    variations(
        [("tcp6-server", "tcp6-client", SERVER_V6, "2001:db8:2::11")],
        [
            ("udp4", "udp4", SERVER, client_address(1)),
            ("udp6", "udp6", SERVER_V6, "2001:db8:2::11"),
            ("tcp4-server", "tcp4-client", SERVER, client_address(1)),
        ],
    ),
)
def test_a_socket_of_one_family_and_address(
    fleet: Fleet, ours: str, theirs: str, address: str, client: str
) -> None:
    server = fleet.start_server(ServerSetup(protocol=ours, local=address, port=1195))
    fleet.start_pair(protocol=theirs, remotes=[f"{address} 1195"])
    assert_pair_reaches(fleet)
    server.wait_for(met("client1", client))


@pytest.mark.parametrize(
    ("wrapping", "protocol"),
    variations(
        [
            (Wrapping.PLAIN, "tcp"),
            (Wrapping.TLS_CRYPT_V2, "tcp"),
        ],
        [
            (Wrapping.TLS_AUTH, "udp"),
            (Wrapping.TLS_CRYPT, "tcp"),
            (Wrapping.PLAIN, "udp"),
            (Wrapping.TLS_AUTH, "tcp"),
            (Wrapping.TLS_CRYPT, "udp"),
            (Wrapping.TLS_CRYPT_V2, "udp"),
        ],
    ),
)
def test_every_wrapping(fleet: Fleet, wrapping: Wrapping, protocol: str) -> None:
    ours = "tcp-server" if protocol == "tcp" else protocol
    fleet.start_server(ServerSetup(wrapping=wrapping, protocol=ours))
    fleet.start_pair(wrapping=wrapping, protocol=protocol)
    assert_pair_reaches(fleet)


@pytest.mark.parametrize("mode", variations(["force-cookie"], ["allow-noncookie"]))
def test_both_modes_of_tls_crypt_v2(fleet: Fleet, mode: str) -> None:
    line = f"tls-crypt-v2 {fleet.pki.crypt_v2_server_key()} {mode}"
    fleet.start_server(ServerSetup(wrapping=Wrapping.PLAIN, lines=[line]))
    fleet.start_pair(wrapping=Wrapping.TLS_CRYPT_V2)
    assert_pair_reaches(fleet)


@pytest.mark.parametrize("beside", variations([Wrapping.TLS_CRYPT], [Wrapping.TLS_AUTH]))
def test_old_and_new_keys_beside_each_other(fleet: Fleet, beside: Wrapping) -> None:
    """An office that hands out tls-crypt-v2 keys, while old clients still have the shared one."""
    lines = Wrapping.TLS_CRYPT_V2.server_lines(fleet.pki)
    fleet.start_server(ServerSetup(wrapping=beside, lines=lines))
    fleet.start_pair(wrapping=beside)
    fleet.start_client(3, fleet.client_setup(3, wrapping=Wrapping.TLS_CRYPT_V2))
    for number in (1, 2, 3):
        assert_reaches(fleet.client(number))


@pytest.mark.parametrize("directed", variations([False], [True]))
def test_tls_auth_with_a_digest(fleet: Fleet, directed: bool) -> None:
    key = fleet.pki.static_key()
    ends = [" 0", " 1"] if directed else ["", ""]
    lines = [f"tls-auth {key}{ends[0]}", "auth SHA512"]
    fleet.start_server(ServerSetup(wrapping=Wrapping.PLAIN, lines=lines))
    fleet.start_pair(wrapping=Wrapping.PLAIN, lines=[f"tls-auth {key}{ends[1]}", "auth SHA512"])
    assert_pair_reaches(fleet)


@pytest.mark.parametrize("protocol", variations(["udp"], ["tcp"]))
def test_answers_come_from_the_address_that_was_asked(fleet: Fleet, protocol: str) -> None:
    """multihome: a server with two addresses; clients take no answer from another one."""
    second = "198.51.100.2"
    ours = "tcp-server" if protocol == "tcp" else protocol
    fleet.server.ip("address", "add", f"{second}/24", "dev", "eth0")
    try:
        fleet.start_server(ServerSetup(protocol=ours, lines=["multihome"]))
        fleet.start_pair(protocol=protocol, remotes=[f"{second} {PORT}"])
        assert_pair_reaches(fleet)
        fleet.end_programs()
    finally:
        fleet.server.ip("address", "del", f"{second}/24", "dev", "eth0")


@pytest.mark.parametrize("lines", [["fragment 1200", "mssfix"]], ids=["fragment"])
def test_packets_in_pieces(fleet: Fleet, lines: list[str]) -> None:
    """fragment on both ends: packets of full size pass through a path for small ones."""
    fleet.start_server(ServerSetup(lines=lines))
    fleet.start_pair(lines=lines)
    assert_pair_reaches(fleet)


def test_clients_with_and_without_compression(fleet: Fleet) -> None:
    """compress migrate: old clients are told to stop, new ones need nothing."""
    fleet.start_server(ServerSetup(lines=["compress migrate"]))
    setups = {
        1: fleet.client_setup(1, lines=["comp-lzo no"]),
        2: fleet.client_setup(2, lines=["comp-lzo no"], program="ginnel"),
        3: fleet.client_setup(3),
    }
    running = [fleet.client_process(number, setup) for number, setup in setups.items()]
    for client in running:
        client.wait_connected()
    for number in setups:
        assert_reaches(fleet.client(number))


def test_the_python_engine_serves_as_well(fleet: Fleet) -> None:
    program = f"env GINNEL_ENGINE=python {' '.join(command_of('ginnel'))}"
    server = fleet.start_server(ServerSetup(program=program, lines=["client-to-client"]))
    fleet.start_pair()
    assert_pair_reaches(fleet)
    server.wait_for("Data plane: python")
    inside = addresses(fleet, where=fleet.client(2))["inet"].local
    assert fleet.client(1).ping(inside, count=1) == 1
