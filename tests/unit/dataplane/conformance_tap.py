"""What every data plane must do for a server on tap: learn addresses, flood, keep VLANs apart."""

from ginnel.dataplane.api import NotificationKind, ServingRules
from ginnel.options.server_model import VlanAccept, VlanOptions
from tests.unit.dataplane.rig import Bench, until
from tests.unit.dataplane.serving import Client, Office

HOST = bytes((2, 0, 0, 0, 9, 9))
ALL = b"\xff" * 6
BETWEEN = ServingRules(client_to_client=True)


def frame(to: bytes, source: bytes, text: bytes = b"") -> bytes:
    return to + source + b"\x88\xb5" + text.ljust(46, b".")


def tagged(whole: bytes, number: int) -> bytes:
    return whole[:12] + b"\x81\x00" + number.to_bytes(2, "big") + whole[12:]


def bridge(made: Bench, engine: str, rules: ServingRules | None = None) -> Office:
    return Office(made, engine, rules, ethernet=True)


def speak(office: Office, *clients: Client) -> None:
    """Has each send a frame, so that its address is known."""
    before = len(office.delivered)
    for client in clients:
        client.send(frame(HOST, client.mac))
    office.settle(lambda: len(office.delivered) >= before + len(clients), "the first frames")


def learned(office: Office) -> set[tuple[bytes, int, int]]:
    return {(one.address, one.vlan, one.peer_id) for one in office.node.plane.learned()}


def test_addresses_are_learnt_and_used(made: Bench, engine: str) -> None:
    office = bridge(made, engine)
    first, second = office.client(), office.client()
    speak(office, first, second)

    def reports() -> list[tuple[NotificationKind, int | None]]:
        told = office.node.reports
        return [(report.kind, report.peer_id) for report in told if report.payload == first.mac]

    office.settle(reports, "what was learned")
    assert reports() == [(NotificationKind.LEARNED, first.peer_id)]
    assert learned(office) == {(first.mac, 0, first.peer_id), (second.mac, 0, second.peer_id)}
    answer = frame(second.mac, HOST)
    office.node.inject(answer)
    second.gets(answer)
    assert first.opened() == []
    office.node.inject(frame(b"\x02\x00\x00\x00\x00\x77", HOST))
    office.unassigned("no-route")


def test_broadcast_and_multicast_of_the_host_go_to_all(made: Bench, engine: str) -> None:
    office = bridge(made, engine)
    clients = [office.client() for _ in range(3)]
    frames = [frame(ALL, HOST), frame(b"\x01\x00\x5e\x00\x00\x01", HOST)]
    for one in frames:
        office.node.inject(one)
    for client in clients:
        client.gets(*frames)


def test_between_clients_only_where_that_is_wanted(made: Bench, engine: str) -> None:
    apart = bridge(made, engine)
    first, second = apart.client(), apart.client()
    speak(apart, first, second)
    sent = frame(second.mac, first.mac)
    first.send(sent)
    first.send(frame(ALL, first.mac))
    apart.settle(lambda: len(apart.delivered) == 4, "both frames at the host")
    assert second.opened() == []

    joined = bridge(made, engine, BETWEEN)
    first, second = joined.client(), joined.client()
    speak(joined, first, second)
    everybody = frame(ALL, first.mac)
    first.send(sent)
    first.send(everybody)
    second.gets(sent, everybody)
    joined.settle(lambda: len(joined.delivered) == 3, "the broadcast at the host")
    assert joined.delivered[-1] == everybody
    assert first.opened() == []


def test_an_address_moves_but_not_back_and_forth(made: Bench, engine: str) -> None:
    office = bridge(made, engine)
    first, second = office.client(), office.client()
    speak(office, first)
    second.send(frame(HOST, first.mac))
    second.dropped("source-address")
    assert learned(office) == {(first.mac, 0, first.peer_id)}

    def has_moved() -> bool:
        second.send(frame(HOST, first.mac))
        return NotificationKind.RELEARNED in office.node.kinds()

    office.settle(has_moved, "the move, a second later")
    assert learned(office) == {(first.mac, 0, second.peer_id)}
    office.node.plane.del_peer(second.peer_id)
    assert learned(office) == set()


def test_a_client_has_no_more_addresses_than_it_may(made: Bench, engine: str) -> None:
    office = bridge(made, engine)
    first = office.client(max_learned=3)
    for number in range(20):
        first.send(frame(HOST, bytes((2, 0, 0, 1, 0, number))))
    first.dropped("source-address", 17)
    assert len(learned(office)) == 3
    for source in (ALL, bytes(6), b"\x01\x00\x5e\x00\x00\x01"):
        first.send(frame(HOST, source))
    first.dropped("source-address", 20)
    bad = office.reported(NotificationKind.BAD_SOURCE)
    assert (bad.peer_id, bad.payload) == (first.peer_id, bytes((2, 0, 0, 1, 0, 3)))


def test_silent_addresses_are_forgotten(made: Bench, engine: str) -> None:
    office = bridge(made, engine, ServingRules(stale_age=1, stale_interval=1))
    first = office.client()
    speak(office, first)
    report = office.reported(NotificationKind.FORGOTTEN)
    assert (report.peer_id, report.payload) == (first.peer_id, first.mac)
    assert learned(office) == set()


def test_a_flood_of_new_addresses_is_bounded_and_nothing_goes_unreported(
    made: Bench, engine: str
) -> None:
    office = bridge(made, engine)
    first = office.client(max_learned=100_000)
    plane = office.node.plane
    for number in range(400):
        first.send(frame(HOST, b"\x02\x00\x00\x02" + number.to_bytes(2, "big")))
        until(plane, lambda: plane.stats(first.peer_id).link_read_packets > number, quiet=True)  # noqa: B023 # called at once
    assert first.drops()["source-address"] == 400 - 256
    assert len(learned(office)) == 256
    office.node.turn()
    told = [report for report in office.node.reports if report.kind is NotificationKind.LEARNED]
    assert len(told) == 256


# --- VLANs -------------------------------------------------------------------------------------


def with_vlans(made: Bench, engine: str, accept: VlanAccept) -> tuple[Office, Client, Client]:
    """Clients in VLAN 5 and in VLAN 9, which is the device's own."""
    rules = ServingRules(client_to_client=True, vlan=VlanOptions(accept=accept, pvid=9))
    office = bridge(made, engine, rules)
    return office, office.client(vlan=5), office.client(vlan=9)


def test_tags_are_seen_on_the_device_only(made: Bench, engine: str) -> None:
    office, five, nine = with_vlans(made, engine, VlanAccept.ALL)
    five.send(frame(HOST, five.mac))
    nine.send(frame(HOST, nine.mac))
    office.hands_out(tagged(frame(HOST, five.mac), 5), frame(HOST, nine.mac))
    assert learned(office) == {(five.mac, 5, five.peer_id), (nine.mac, 9, nine.peer_id)}
    office.node.inject(tagged(frame(five.mac, HOST), 5))
    office.node.inject(tagged(frame(nine.mac, HOST), 5))
    office.node.inject(frame(nine.mac, HOST))
    office.node.inject(tagged(frame(ALL, HOST), 5))
    office.node.inject(frame(ALL, HOST, b"own"))
    five.gets(frame(five.mac, HOST), frame(ALL, HOST))
    nine.gets(frame(nine.mac, HOST), frame(ALL, HOST, b"own"))
    office.unassigned("no-route")


def test_a_client_stays_in_its_vlan(made: Bench, engine: str) -> None:
    office, five, nine = with_vlans(made, engine, VlanAccept.ALL)
    other = office.client(vlan=5)
    for client in (five, nine, other):
        client.send(frame(HOST, client.mac))
    office.settle(lambda: len(office.delivered) == 3, "the first frames")
    five.send(frame(ALL, five.mac))
    five.send(frame(nine.mac, five.mac))
    five.send(tagged(frame(HOST, five.mac), 9))
    five.dropped("vlan")
    other.gets(frame(ALL, five.mac))
    office.settle(lambda: len(office.delivered) == 5, "both frames at the host")
    assert office.delivered[3:] == [
        tagged(frame(ALL, five.mac), 5),
        tagged(frame(nine.mac, five.mac), 5),
    ]
    assert nine.opened() == []


def test_the_device_takes_tagged_frames_only_where_that_is_so(made: Bench, engine: str) -> None:
    office, _five, nine = with_vlans(made, engine, VlanAccept.TAGGED)
    nine.send(frame(HOST, nine.mac))
    office.hands_out(tagged(frame(HOST, nine.mac), 9))
    office.node.inject(frame(ALL, HOST))
    office.node.inject(tagged(frame(ALL, HOST), 0))
    office.unassigned("vlan", 2)
    office.node.inject(tagged(frame(ALL, HOST), 9))
    nine.gets(frame(ALL, HOST))


def test_the_device_has_no_vlan_but_its_own_where_that_is_so(made: Bench, engine: str) -> None:
    office, five, nine = with_vlans(made, engine, VlanAccept.UNTAGGED)
    five.send(frame(HOST, five.mac))
    nine.send(frame(HOST, nine.mac))
    office.hands_out(frame(HOST, nine.mac))
    office.node.inject(tagged(frame(ALL, HOST), 5))
    office.unassigned("vlan")
    office.node.inject(frame(ALL, HOST))
    nine.gets(frame(ALL, HOST))
    assert five.opened() == []
