"""Following a connection over changes of network and sleep, with clocks and events by hand."""

import asyncio
import socket
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, ip_address

import pytest

from ginnel.core.notices import Outcome
from ginnel.core.types import Endpoint
from ginnel.host.underlay import Gateway, LocalNetwork, UnderlaySnapshot
from ginnel.shell import roaming
from ginnel.shell.roaming import Followed, NetworkWatch, Roaming
from ginnel.shell.udp import UdpLink
from tests.unit.shell.loops import Lines, run, until

SERVER = Endpoint(ip_address("198.51.100.1"), 1194)


def network(address: str, gateway: str, device: str = "wlan0") -> UnderlaySnapshot:
    way = Gateway(address=ip_address(gateway), device=device, index=3)
    local = LocalNetwork(device=device, interface=IPv4Interface(f"{address}/24"))
    return UnderlaySnapshot(gateway_ipv4=way, server=way, networks=(local,))


HOME = network("192.0.2.10", "192.0.2.1")
AWAY = network("203.0.113.10", "203.0.113.1")
NOWHERE = UnderlaySnapshot()
NAMELESS = replace(HOME, networks=())
"""A way out, and no address to take it with: the kernel would use the tunnel's."""


class FakeChanges:
    """Events by hand."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.relevant = True

    def tell(self) -> None:
        self._theirs.send(b"x")

    def fileno(self) -> int:
        return self._ours.fileno()

    def drain(self) -> bool:
        try:
            self._ours.recv(100)
        except BlockingIOError:
            return False
        return self.relevant

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


@dataclass
class FakeDrive:
    over: bool = False
    floats: bool = True
    announced: int = 0
    closed: list[tuple[str, Outcome]] = field(default_factory=list)

    def announce(self) -> None:
        self.announced += 1

    def close(self, reason: str, outcome: Outcome) -> None:
        self.closed.append((reason, outcome))
        self.over = True


class Rig:
    def __init__(self) -> None:
        self.changes = FakeChanges()
        self.awake, self.asleep = 100.0, 0.0
        self.now = HOME
        self.looked = 0
        self.renewed = 0
        self.log = Lines()
        self.drive = FakeDrive()
        self.link = UdpLink(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), local=None)
        self.watch = NetworkWatch(
            self.changes,
            awake=lambda: self.awake,
            since_boot=lambda: self.awake + self.asleep,
        )
        self.roaming = Roaming(watch=self.watch, host=self, renew=self.renew, log=self.log)
        self.patience = 120.0
        self.bind_dev: str | None = None

    async def underlay(self, server: Endpoint | None) -> UnderlaySnapshot:
        assert server == SERVER
        self.looked += 1
        return self.now

    async def renew(self) -> None:
        self.renewed += 1

    def followed(self) -> Followed:
        return Followed(
            drive=self.drive,
            link=self.link,
            remote=SERVER,
            patience=lambda: self.patience,
            bind_dev=self.bind_dev,
        )

    async def change(self, to: UnderlaySnapshot) -> None:
        looked = self.looked
        self.now = to
        self.changes.tell()
        await until(lambda: self.looked > looked, "a look at the network")
        await asyncio.sleep(0)

    def close(self) -> None:
        self.watch.close()
        self.link.close()


async def following(made: Rig) -> "asyncio.Task[None]":
    task = asyncio.get_running_loop().create_task(made.roaming.follow(made.followed()))
    await until(lambda: made.looked == 1, "the first look")
    return task


async def stop(made: Rig, task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait((task,))
    made.close()


def test_each_change_renews_routes_and_is_announced() -> None:
    async def work() -> None:
        made = Rig()
        task = await following(made)
        await made.change(AWAY)
        assert (made.renewed, made.drive.announced) == (1, 1)
        assert made.log.has("the server is reached by 203.0.113.1 (wlan0) now, from 203.0.113.10")
        await made.change(NOWHERE)
        await made.change(NAMELESS)
        assert made.drive.announced == 1
        assert made.log.has("the network is gone")
        await made.change(HOME)
        await made.change(HOME)
        assert made.drive.announced == 3
        assert made.drive.closed == []
        await stop(made, task)

    run(work())


def test_a_handshake_begins_anew_on_another_network() -> None:
    async def work() -> None:
        made = Rig()
        made.drive.floats = False
        task = await following(made)
        await made.change(AWAY)
        await task
        assert made.drive.closed == [("network-changed", Outcome.RESTART)]
        await stop(made, task)

    run(work())


def test_what_is_no_change_is_passed_over() -> None:
    async def work() -> None:
        made = Rig()
        task = await following(made)
        made.changes.relevant = False
        made.changes.tell()
        await asyncio.sleep(0.01)
        assert made.looked == 1
        await stop(made, task)

    run(work())


def test_sleep_is_noticed_by_the_clocks() -> None:
    async def work() -> None:
        made = Rig()
        task = await following(made)
        made.asleep = 119.0
        made.changes.tell()
        await until(lambda: made.drive.announced == 1, "the announcement")
        assert made.log.has("this host slept for 119 seconds")
        made.asleep += 120.0
        made.changes.tell()
        await task
        assert made.drive.closed == [("resumed", Outcome.RESTART)]
        await stop(made, task)

    run(work())


def test_a_long_time_without_a_network_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        made = Rig()
        monkeypatch.setattr(roaming, "monotonic_now", lambda: made.awake)
        task = await following(made)
        for seconds in (119.0, 120.0):
            await made.change(NOWHERE)
            made.awake += seconds
            await made.change(HOME)
        await task
        assert made.drive.announced == 1
        assert made.drive.closed == [("network-changed", Outcome.RESTART)]
        await stop(made, task)

    run(work())


def test_a_pause_ends_when_the_network_comes_back() -> None:
    async def work() -> None:
        made = Rig()
        made.now = NOWHERE
        waiting = asyncio.get_running_loop().create_task(made.roaming.moved(SERVER))
        await until(lambda: made.looked == 1, "the first look")
        await made.change(NOWHERE)
        assert not waiting.done()
        await made.change(HOME)
        await waiting
        assert made.log.has("trying again at once")
        made.close()

    run(work())


def test_clocks_are_looked_at_without_events() -> None:
    async def work() -> None:
        made = Rig()
        made.asleep = 5.0
        waiting = asyncio.get_running_loop().create_task(made.watch.next())
        done, _ = await asyncio.wait((waiting,), timeout=10 * roaming.TICK)
        assert done
        assert waiting.result() == 5.0
        made.close()

    run(work())


@pytest.mark.parametrize(("device", "ends"), [("lo", True), ("no-such-device", False)])
def test_a_socket_bound_to_a_device_that_came_again_is_opened_anew(device: str, ends: bool) -> None:
    async def work() -> None:
        made = Rig()
        made.bind_dev = device
        task = await following(made)
        await made.change(network("192.0.2.10", "192.0.2.1", device))  # with another number
        if ends:
            await task
        assert made.drive.closed == ([("network-changed", Outcome.RESTART)] if ends else [])
        await stop(made, task)

    run(work())
