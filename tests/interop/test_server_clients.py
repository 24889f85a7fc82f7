"""What a server gives its clients: addresses, routes, options, ciphers; and whom it tells apart.

Debian's client and ginnel's against ginnel's server; with GINNEL_INTEROP_SERVER=openvpn the same
scenarios hold for the real server.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.interop.checks import (
    Address,
    addresses,
    assert_reaches,
    pushed,
    tunnel_routes,
    wait_file,
)
from tests.interop.lab import OFFICE_HOST, Fleet, ServerSetup
from tests.interop.lab.fleet import BRANCH_HOST, BRANCH_HOST_V6, HOME, variations
from tests.interop.lab.openvpn import TUNNEL_SERVER, TUNNEL_SERVER_V6

FIVE = range(1, 6)
SMALL = "10.10.112.0 255.255.255.0"
BRANCH_ROUTES = ("route 172.16.1.0 255.255.255.0", "route-ipv6 fd00:16:1::/64")
BRANCH_IROUTES = ("iroute 172.16.1.0 255.255.255.0", "iroute-ipv6 fd00:16:1::/64")


def tunnel_address(fleet: Fleet, number: int) -> str:
    return addresses(fleet, where=fleet.client(number))["inet"].local


@contextmanager
def kernel_forwards_nothing_back(fleet: Fleet) -> Iterator[None]:
    """Keeps the server's kernel from doing what only the server may do: client to client."""
    rules = fleet.spare_file("forward.nft", _NOTHING_BACK)
    fleet.server.run(["nft", "-f", str(rules)])
    try:
        yield
    finally:
        fleet.server.run(["nft", "delete", "table", "inet", "back"])


_NOTHING_BACK = """
table inet back {
    chain forward {
        type filter hook forward priority filter;
        iifname "tun0" oifname "tun0" drop
    }
}
"""

# --- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", variations(["net30", "p2p"], ["subnet"]))
def test_every_topology(fleet: Fleet, topology: str) -> None:
    """Each client gets what the topology makes of the pool, in both families."""
    fleet.start_server(ServerSetup(topology=topology, network=SMALL))
    fleet.start_pair()
    expected: list[tuple[str, int, str | None]] = {  # type: ignore[assignment]
        "subnet": [("10.10.112.2", 24, None), ("10.10.112.3", 24, None)],
        "net30": [("10.10.112.6", 32, "10.10.112.5"), ("10.10.112.10", 32, "10.10.112.9")],
        "p2p": [("10.10.112.4", 32, TUNNEL_SERVER), ("10.10.112.5", 32, TUNNEL_SERVER)],
    }[topology]
    seen: list[tuple[str, int, str | None]] = []
    for number in (1, 2):
        host = fleet.client(number)
        assert_reaches(host)
        found = addresses(fleet, where=host)
        seen.append((found["inet"].local, found["inet"].prefix, found["inet"].peer))
        assert found["inet6"].local in ("fd00:10:112::1000", "fd00:10:112::1001")
        assert host.ping(TUNNEL_SERVER, count=1) == host.ping(TUNNEL_SERVER_V6, count=1) == 1
    assert set(seen) == set(expected)


def test_static_addresses_of_one_client_and_defaults_for_the_rest(fleet: Fleet) -> None:
    ccd = fleet.spare_directory(
        "ccd",
        {
            "client1": [
                "ifconfig-push 10.10.112.50 255.255.240.0",
                "ifconfig-ipv6-push fd00:10:112::50/64 fd00:10:112::1",
                'push "route 10.77.0.0 255.255.0.0"',
            ],
            "client3": ["disable"],
            "DEFAULT": ['push "route 10.88.0.0 255.255.0.0"'],
        },
    )
    server = fleet.start_server(ServerSetup(lines=[f"client-config-dir {ccd}"]))
    fleet.start_pair()
    third = fleet.client_process(3)
    found = addresses(fleet, where=fleet.client(1))
    assert (found["inet"].local, found["inet6"].local) == ("10.10.112.50", "fd00:10:112::50")
    assert any("10.77.0.0/16" in line for line in tunnel_routes(fleet.client(1)))
    assert any("10.88.0.0/16" in line for line in tunnel_routes(fleet.client(2)))
    for number in (1, 2):
        assert_reaches(fleet.client(number))
    third.wait_for("AUTH_FAILED")
    server.wait_for("MULTI: client has been rejected due to 'disable' directive")
    third.process.wait_exit()


def test_only_clients_with_a_file(fleet: Fleet) -> None:
    ccd = fleet.spare_directory("ccd", {"client1": []})
    lines = [f"client-config-dir {ccd}", "ccd-exclusive"]
    server = fleet.start_server(ServerSetup(lines=lines))
    fleet.start_client(1)
    second = fleet.client_process(2)
    second.wait_for("AUTH_FAILED")
    server.wait_for(
        rf"could not access .*{ccd.name}/client2|client2.*client-config-dir|AUTH_FAILED"
    )
    assert_reaches(fleet.client(1))


def test_addresses_outlive_a_restart(fleet: Fleet) -> None:
    """ifconfig-pool-persist: who comes in another order gets the same address as before."""
    persist = fleet.directory / "pool.txt"
    setup = ServerSetup(lines=[f"ifconfig-pool-persist {persist} 1"])
    server = fleet.start_server(setup)
    clients = [fleet.start_client(number) for number in (1, 2)]
    before = [tunnel_address(fleet, number) for number in (1, 2)]
    assert before == ["10.10.112.2", "10.10.112.3"]
    for client in clients:
        client.stop()
    server.stop()
    assert persist.read_text().splitlines() == [
        "client1,10.10.112.2,fd00:10:112::1000",
        "client2,10.10.112.3,fd00:10:112::1001",
    ]
    fleet.start_server(setup)
    for number in (3, 2, 1):
        fleet.start_client(number)
    assert [tunnel_address(fleet, number) for number in (1, 2)] == before
    wait_file(persist, containing="client3,10.10.112.4,")


def test_a_pool_that_is_used_up(fleet: Fleet) -> None:
    """The third client of two addresses is told so; the others go on, and a place comes free."""
    lines = ["ifconfig-pool 10.10.112.20 10.10.112.21 255.255.240.0", "topology subnet"]
    own = ["mode server", "tls-server", "ifconfig 10.10.112.1 255.255.240.0"]
    push = ['push "topology subnet"', 'push "route-gateway 10.10.112.1"']
    setup = ServerSetup(network=None, network_v6=None, lines=[*own, *lines, *push])
    server = fleet.start_server(setup)
    first, _ = (fleet.start_client(number) for number in (1, 2))
    third = fleet.client_process(3)
    server.wait_for(r"MULTI: no free --ifconfig-pool addresses are available")
    for number in (1, 2):
        assert_reaches(fleet.client(number), ipv6=False)
    third.stop(expect=None)
    first.stop()
    assert fleet.client(2).ping(OFFICE_HOST) == 3


# --- several clients ---------------------------------------------------------------------------


@pytest.mark.parametrize("among_clients", [True, False])
def test_five_clients(fleet: Fleet, among_clients: bool) -> None:
    """Five at once, two behind one NAT; they see each other with client-to-client only."""
    lines = ["client-to-client"] if among_clients else []
    server = fleet.start_server(ServerSetup(lines=lines))
    running = [
        fleet.client_process(n, fleet.client_setup(n, program="ginnel" if n % 2 else "openvpn"))
        for n in FIVE
    ]
    for client in running:
        client.wait_connected(timeout=40)
    with kernel_forwards_nothing_back(fleet):
        inside = {n: addresses(fleet, where=fleet.client(n)) for n in FIVE}
        assert len({found["inet"].local for found in inside.values()}) == len(FIVE)
        for number in FIVE:
            assert_reaches(fleet.client(number))
        for number, other, family in ((1, 2, "inet"), (2, 3, "inet6"), (4, 5, "inet")):
            address = inside[other][family].local
            answers = fleet.client(number).ping(address, count=1, wait=2 if among_clients else 1)
            assert answers == int(among_clients), (number, other)
    for number in (4, 5):
        server.wait_for(rf"\[client{number}\] Peer Connection Initiated with \S*{HOME}:\d+")


def test_the_office_of_a_client(fleet: Fleet) -> None:
    """iroute: a network behind one client, for the office and for the other clients."""
    ccd = fleet.spare_directory("ccd", {"client1": BRANCH_IROUTES})
    pushes = [f'push "{route}"' for route in BRANCH_ROUTES]
    lines = [f"client-config-dir {ccd}", "client-to-client", *BRANCH_ROUTES, *pushes]
    fleet.start_server(ServerSetup(lines=lines))
    fleet.start_pair()
    for address in (BRANCH_HOST, BRANCH_HOST_V6):
        fleet.office.wait_ping(address)
        fleet.client(2).wait_ping(address)
    assert fleet.branch.ping(OFFICE_HOST) == 3
    assert fleet.branch.ping(tunnel_address(fleet, 2)) == 3
    routes = tunnel_routes(fleet.client(1))
    assert not any("172.16.1.0" in line or "fd00:16:1::" in line for line in routes)


def test_a_network_behind_a_client_that_has_none(fleet: Fleet) -> None:
    """What comes from an address that is not the client's goes nowhere."""
    fleet.start_server(ServerSetup(lines=list(BRANCH_ROUTES)))
    fleet.start_client(1)
    assert_reaches(fleet.client(1))
    assert fleet.branch.ping(OFFICE_HOST, count=2, wait=1) == 0
    assert fleet.client(1).ping(OFFICE_HOST) == 3


def test_one_certificate_for_two(fleet: Fleet) -> None:
    """duplicate-cn: both stay, each with an address of its own."""
    fleet.start_server(ServerSetup(lines=["duplicate-cn"]))
    same = fleet.identity(1)
    fleet.start_pair(identity=same)
    for number in (1, 2):
        assert_reaches(fleet.client(number))
    assert tunnel_address(fleet, 1) != tunnel_address(fleet, 2)


def test_the_same_certificate_again(fleet: Fleet) -> None:
    """Without duplicate-cn the newcomer takes the place, and the address, of the one before."""
    server = fleet.start_server()
    fleet.start_client(1)
    before = tunnel_address(fleet, 1)
    again = fleet.client_setup(2, identity=fleet.identity(1))
    first = fleet.start_client(2, again)
    server.wait_for(
        "MULTI: new connection by client 'client1' will cause previous active sessions by this"
        " client to be dropped"
    )
    assert_reaches(fleet.client(2))
    assert tunnel_address(fleet, 2) == before
    assert first.process.status is None


def test_no_more_than_max_clients(fleet: Fleet) -> None:
    server = fleet.start_server(ServerSetup(lines=["max-clients 1"]))
    first = fleet.start_client(1, fleet.client_setup(1, lines=["explicit-exit-notify 1"]))
    quick = fleet.client_setup(2, lines=["hand-window 2"], retry="1 1")
    second = fleet.client_process(2, quick)
    server.wait_for(r"new incoming connection would exceed maximum number of clients \(1\)")
    assert_reaches(fleet.client(1))
    first.stop()
    second.wait_connected(timeout=40)


# --- options -----------------------------------------------------------------------------------

PUSHES = (
    'push "route 10.20.0.0 255.255.0.0"',
    'push "dhcp-option DNS 10.11.5.53"',
    'push "dhcp-option DOMAIN office.example"',
    'push "block-ipv6"',
)
CCD_OF_PUSHES = {
    "client1": ['push-remove "dhcp-option DNS"', "push-remove route", 'push "echo one"'],
    "client2": ["push-reset", 'push "route 10.30.0.0 255.255.0.0"'],
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one client has of a server."""

    options: list[str]
    inside: Mapping[str, Address]
    routes: list[str]


def outcomes(fleet: Fleet, program: str, topology: str) -> list[Outcome]:
    """What three clients get: one with removals, one reset, one as all."""
    ccd = fleet.spare_directory("ccd", CCD_OF_PUSHES)
    lines = [f"client-config-dir {ccd}", *PUSHES]
    setup = ServerSetup(program=program, topology=topology, network=SMALL, lines=lines)
    server = fleet.start_server(setup)
    found = []
    for number in (1, 2, 3):
        client = fleet.start_client(number, fleet.client_setup(number, program="openvpn"))
        host = fleet.client(number)
        inside = addresses(fleet, where=host)
        found.append(Outcome(pushed(client), inside, tunnel_routes(host)))
        client.stop()
    server.stop()
    return found


@pytest.mark.parametrize("topology", variations(["subnet", "net30"], ["p2p"]))
def test_clients_get_what_the_real_server_gives(fleet: Fleet, topology: str) -> None:
    """Option by option and in the same order, also after push-remove and push-reset."""
    theirs = outcomes(fleet, "openvpn", topology)
    ours = outcomes(fleet, "ginnel", topology)
    assert ours == theirs
    first, second, third = (outcome.options for outcome in ours)
    assert not any(option.startswith(("route 10.11", "dhcp-option DNS")) for option in first)
    assert "route 10.30.0.0 255.255.0.0" in second
    assert "dhcp-option DNS 10.11.5.53" in third


# --- ciphers -----------------------------------------------------------------------------------


def test_old_and_new_ciphers_beside_each_other(fleet: Fleet) -> None:
    """Every client its own cipher, down to one that never learnt to negotiate."""
    accepted = ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305", "AES-256-CBC"]
    lines = ["data-ciphers-fallback AES-256-CBC", "auth SHA256"]
    server = fleet.start_server(ServerSetup(ciphers=accepted, lines=lines))
    cbc = ["cipher AES-256-CBC", "auth SHA256"]
    setups = {
        1: fleet.client_setup(1, ciphers=["AES-128-GCM", "AES-256-GCM"]),
        2: fleet.client_setup(2, ciphers=["AES-128-GCM"], program="ginnel"),
        3: fleet.client_setup(3, ciphers=["CHACHA20-POLY1305"]),
        4: fleet.client_setup(4, ciphers=["AES-256-CBC"], lines=cbc),
        5: fleet.client_setup(5, lines=[*cbc, "ncp-disable"], program="ginnel"),
    }
    clients = [fleet.client_process(number, setup) for number, setup in setups.items()]
    for client in clients:
        client.wait_connected(timeout=40)
    for number in FIVE:
        assert_reaches(fleet.client(number))
    wanted = ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305", "AES-256-CBC", "AES-256-CBC"]
    for client, cipher in zip(clients, wanted, strict=True):
        client.wait_for(rf"Data Channel: cipher '{cipher}'")
    for number, cipher in enumerate(wanted, 1):
        server.wait_for(rf"client{number}/\S+ Data Channel: cipher '{cipher}'")
