"""The running server as management and status file see it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Network, ip_address

from ginnel.core.server_actions import AddClient, ClientId
from ginnel.core.server_notices import ClientConnected
from ginnel.core.types import ActionId, Endpoint, PeerId, Transport
from ginnel.dataplane.api import Learned, PeerStats
from ginnel.options.model import DataOptions, DeviceType, TunOptions
from ginnel.options.server_model import ClientConfig
from ginnel.shell.clients import Client
from ginnel.shell.server_control import Control, real_address
from tests.unit.shell import test_server_drive as drives
from tests.unit.shell.server_stand_ins import ELSEWHERE, HOME, FakeMachine, agreed, server_options


def connected(rig: drives.Rig, name: str = "anna", remote: Endpoint = HOME) -> Client:
    client, machine = rig.named(name, remote)
    config = ClientConfig(iroutes=(IPv4Network("192.168.7.0/24"),))
    has = agreed(machine.facts, config)
    machine.actions.append(AddClient(id=ActionId(2), agreed=has))
    machine.notices.append(ClientConnected(agreed=has))
    rig.drive.receive(client, [(b"y", remote)])
    return client


def with_control(work: Callable[[drives.Rig, Control], Awaitable[None]]) -> None:
    async def whole(rig: drives.Rig) -> None:
        control = Control(server_options(), rig.clients, rig.drive, rig.plane)
        rig.drive.watch(control)
        await work(rig, control)

    drives.with_rig(whole)


def test_rows_of_clients_and_routes() -> None:
    async def work(rig: drives.Rig, control: Control) -> None:
        client = connected(rig)
        rig.enter(ELSEWHERE)
        client.control_read, client.control_written = 3, 4
        rig.plane.counters = PeerStats(link_read_bytes=10, link_write_bytes=20)
        first, second = control.clients()
        assert (first.common_name, first.real_address) == ("anna", "192.0.2.7:40000")
        assert (first.virtual_ip4, first.virtual_ip6) == ("10.8.0.2", "")
        assert (first.received, first.sent, first.cipher) == (13, 24, "AES-256-GCM")
        assert (second.common_name, second.cipher, second.sent) == ("", "BF-CBC", 0)
        assert [row.address for row in control.routes()] == ["10.8.0.2", "192.168.7.0/24"]
        (moved,) = control.traffic()
        assert (moved.received, moved.sent) == (13, 24)
        assert list(control.status(1))[-1] == "END"

    with_control(work)


def test_sums_count_those_that_are_gone() -> None:
    async def work(rig: drives.Rig, control: Control) -> None:
        client = connected(rig)
        rig.plane.counters = PeerStats(link_read_bytes=10, link_write_bytes=20)
        client.control_read, client.control_written = 3, 4
        rig.drive.close(client, "gone")
        other = connected(rig, "berta")
        other.control_read, other.control_written = 1, 2
        stats = control.load_stats()
        assert (stats.clients, stats.bytes_in, stats.bytes_out) == (1, 24, 46)

    with_control(work)


def test_clients_are_killed_by_name_and_address() -> None:
    async def work(rig: drives.Rig, control: Control) -> None:
        one, two = connected(rig), connected(rig, "berta", ELSEWHERE)
        assert control.kill_by_name("nobody") == 0
        late, _machine = rig.enter(Endpoint(HOME.address, 40001))
        late.judged = replace(late.facts, common_name="anna")
        assert control.kill_by_name("anna") == 2
        assert late.over
        assert one.over
        assert control.kill_by_address(ELSEWHERE, Transport.TCP) == 0
        assert control.kill_by_address(ELSEWHERE, None) == 1
        assert two.over

    with_control(work)


def test_wishes_reach_the_machine_of_a_client_that_is_there() -> None:
    async def work(rig: drives.Rig, control: Control) -> None:
        client = connected(rig)
        machine = client.machine
        assert isinstance(machine, FakeMachine)
        assert control.restart_client(client.id, "HALT,bye")
        assert control.refuse(client.id, "no")
        assert control.push_update(client.id, ["route 10.9.0.0"])
        assert control.push_update_all(["route 10.9.0.0"]) == 1
        assert machine.inputs[-4:] == [
            "HALT,bye",
            "AUTH_FAILED,no",
            ("route 10.9.0.0",),
            ("route 10.9.0.0",),
        ]
        assert control.facts(client.id) == machine.facts
        nobody = ClientId(99)
        assert control.facts(nobody) is None
        assert not control.restart_client(nobody, "HALT")
        assert not control.refuse(nobody, "")
        assert not control.push_update(nobody, [])

    with_control(work)


def test_on_tap_routes_are_what_was_learnt() -> None:
    async def work(rig: drives.Rig) -> None:
        options = replace(
            server_options(),
            tun=TunOptions(dev_type=DeviceType.TAP),
            data=DataOptions(data_ciphers_fallback="AES-128-CBC"),
        )
        control = Control(options, rig.clients, rig.drive, rig.plane)
        client, _ = rig.enter()
        mac = bytes.fromhex("00005e005301")
        rig.plane.learned = lambda: [  # type: ignore[method-assign]
            Learned(address=mac, vlan=7, peer_id=client.peer_id, age=3),
            Learned(address=mac, vlan=0, peer_id=PeerId(77), age=3),
        ]
        assert [row.address for row in control.routes()] == ["00:00:5e:00:53:01@7"]
        assert [row.cipher for row in control.clients()] == ["AES-128-CBC"]
        assert control.broadcast_queue() == 0

    drives.with_rig(work)


def test_ports_of_ipv6_addresses_are_not_shown() -> None:
    assert real_address(Endpoint(ip_address("2001:db8::7"), 5)) == "2001:db8::7"
    assert real_address(Endpoint(ip_address("::ffff:192.0.2.7"), 5)) == "192.0.2.7:5"
