"""The registry of a server's clients."""

from ipaddress import IPv4Address, IPv4Network, ip_address

from ginnel.core.types import Endpoint, PeerId, Transport
from ginnel.dataplane.api import LinkId
from ginnel.options.server_model import ClientConfig
from ginnel.shell.clients import INBOX, Client, Clients, addresses_of, client_name, iroutes_of
from ginnel.shell.peer_log import PeerLog
from tests.unit.shell.loops import Lines
from tests.unit.shell.server_stand_ins import ELSEWHERE, HOME, Clock, FakeMachine, agreed, facts

LINK = LinkId(1)


def enter(
    clients: Clients, remote: Endpoint = HOME, transport: Transport = Transport.UDP
) -> Client:
    client_id, peer_id = clients.new_ids()
    client = Client(
        client_id=client_id,
        peer_id=peer_id,
        link=LINK,
        remote=remote,
        local=None,
        transport=transport,
        machine=FakeMachine(facts(client_id)),
        log=PeerLog(Lines(), Clock()),
        began=0.0,
    )
    clients.add(client)
    return client


def test_client_ids_are_new_and_peer_ids_the_lowest_free() -> None:
    clients = Clients()
    first, second, third = (enter(clients, Endpoint(HOME.address, port)) for port in (1, 2, 3))
    assert [c.peer_id for c in (first, second, third)] == [0, 1, 2]
    clients.remove(second)
    clients.remove(second)
    clients.remove(first)
    again = enter(clients, Endpoint(HOME.address, 4))
    assert (again.id, again.peer_id) == (3, 0)
    assert enter(clients, Endpoint(HOME.address, 5)).peer_id == 1
    assert [c.id for c in clients] == [2, 3, 4]


def test_a_client_is_found_by_all_that_is_known_of_it_and_gone_from_all() -> None:
    clients = Clients()
    client = enter(clients)
    clients.name(client, "anna")
    assert clients.at((LINK, HOME)) is client
    assert clients.at((LinkId(2), HOME)) is None
    assert clients.by_id(client.id) is clients.by_peer(PeerId(0)) is client
    assert clients.named("anna") == (client,)
    clients.remove(client)
    assert clients.at((LINK, HOME)) is clients.by_id(client.id) is None
    assert clients.named("anna") == ()
    assert len(clients) == 0


def test_a_stream_has_one_client_whatever_the_address() -> None:
    clients = Clients()
    client = enter(clients, transport=Transport.TCP)
    assert clients.at((LINK, None)) is client


def test_a_move_tells_who_was_known_there() -> None:
    clients = Clients()
    client, other = enter(clients), enter(clients, ELSEWHERE)
    assert clients.move(client, LINK, ELSEWHERE, None) is other
    assert clients.at((LINK, ELSEWHERE)) is client
    assert clients.at((LINK, HOME)) is None
    clients.remove(other)
    assert clients.at((LINK, ELSEWHERE)) is client
    assert clients.move(client, LINK, ELSEWHERE, None) is None


def test_a_name_may_change_and_be_shared() -> None:
    clients = Clients()
    one, two = enter(clients), enter(clients, ELSEWHERE)
    clients.name(one, "anna")
    clients.name(two, "anna")
    assert clients.named("anna") == (one, two)
    clients.name(one, "berta")
    assert clients.named("anna") == (two,)
    assert one.name == "berta/192.0.2.7:40000"


def test_the_inbox_is_bounded() -> None:
    client = enter(Clients())
    taken = [client.take(b"x", HOME) for _ in range(INBOX + 5)]
    assert taken.count(True) == INBOX
    assert not taken[-1]


def test_addresses_and_networks_of_a_client() -> None:
    config = ClientConfig(
        ifconfig_push_alias=IPv4Address("10.9.0.9"),
        iroutes=(IPv4Network("192.168.7.0/24"),),
    )
    has = agreed(config=config)
    assert addresses_of(has) == (IPv4Address("10.9.0.9"),)
    assert iroutes_of(has) == (IPv4Network("192.168.7.0/24"),)


def test_names_show_ipv4_in_ipv6_as_ipv4() -> None:
    assert client_name("", Endpoint(ip_address("::ffff:192.0.2.7"), 5)) == "192.0.2.7:5"
    assert client_name("anna", Endpoint(ip_address("2001:db8::7"), 5)) == "anna/2001:db8::7:5"
