"""The tunnel on the host: the order of calls, what is logged, and what a failure leaves behind."""

import asyncio
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_address

import pytest

from ginnel.core.actions import Done, Failed, TunnelConfig
from ginnel.core.errors import HostError
from ginnel.core.notices import Advance, Ended, Outcome
from ginnel.core.types import Endpoint
from ginnel.dataplane.api import DataPlane, TunDevice
from ginnel.host.underlay import Gateway, UnderlaySnapshot
from ginnel.options.model import (
    DeviceType,
    LinkOptions,
    RedirectFlag,
    RouteOptions,
    ScriptOptions,
    TunOptions,
)
from ginnel.shell.tunnel import MAX_LINES, Tunnel
from ginnel.shell.udp import UdpLink
from tests.unit.host.plans import DUAL, UNDERLAY, VPN_GATEWAY, config, route
from tests.unit.shell.loops import Lines, run
from tests.unit.shell.stand_ins import FakeHost, FakePlane, FakeScripts, Story

ROUTES = RouteOptions(routes=(route("10.1.0.0/16"),), route_gateway=VPN_GATEWAY)
PLANE_SET_UP = [
    *("plane attach", "plane new-peer", "plane add-iroute", "plane add-iroute", "plane set-peer")
]
OPENED = ["open-tun", "apply", "up", *PLANE_SET_UP]
NO_SCRIPTS = ScriptOptions()
END = Ended(outcome=Outcome.TERMINATE, signal_text="x", advance=Advance.SAME, explanation="")


@dataclass
class Rig:
    story: Story = field(default_factory=Story)
    log: Lines = field(default_factory=Lines)
    refuse_plane: str = ""
    started: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.host = FakeHost(self.story)
        self.scripts = FakeScripts(self.story)
        self.planes: list[FakePlane] = []
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link = UdpLink(sock, local=None)
        self.tunnel = Tunnel(
            host=self.host,
            scripts=self.scripts,
            log=self.log,
            on_started=self.started.append,
            open_plane=self._open_plane,
        )

    def _open_plane(self, _tun: TunDevice | None) -> tuple[DataPlane, tuple[str, ...]]:
        self.planes.append(FakePlane(self.story, self.refuse_plane))
        return self.planes[-1], ("it was asked for",)

    async def open(self, wanted: TunnelConfig, *, over: bool = False) -> DataPlane | Failed:
        return await self.tunnel.open(wanted, self.link, _future(over=over))

    async def start(self, wanted: TunnelConfig) -> None:
        assert not isinstance(await self.open(wanted), Failed)
        await self.tunnel.finish_start(_future())

    def close(self) -> None:
        self.link.close()
        for plane in self.planes:
            plane.close()


def _future(*, over: bool = False) -> asyncio.Future[Ended]:
    future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    if over:
        future.set_result(END)
    return future


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names, of no directory on disk
    yield made
    made.close()
    assert len(os.listdir("/proc/self/fd")) <= len(before), "a descriptor was left open"  # noqa: PTH208


def wanted(routes: RouteOptions = ROUTES, scripts: ScriptOptions = NO_SCRIPTS) -> TunnelConfig:
    made = config(routes, DUAL)
    options = replace(
        made.options,
        scripts=scripts,
        link=LinkOptions(ping=10, ping_restart=60),
    )
    return replace(made, options=options, device_items=("one",))


def test_start_and_end_in_order(rig: Rig) -> None:
    async def life() -> None:
        await rig.start(wanted())
        await rig.tunnel.take_down("sigterm")

    run(life())
    assert rig.story.told == [
        *OPENED,
        *("apply", "route-up"),
        *("plane close", "route-pre-down", "undo-routes", "close-tun tun0", "down sigterm"),
    ]
    assert rig.started == [False]
    assert rig.planes[0].keepalive.ping_interval == 10
    assert rig.planes[0].keepalive.ping_timeout == 60
    assert rig.host.applied == []
    assert [text for text in rig.log.texts if not text.startswith("Data plane")] == [
        "TUN/TAP device tun0 opened",
        "net_iface_mtu_set: mtu 1360 for tun0",
        "net_iface_up: set tun0 up",
        "net_addr_v4_add: 10.8.0.4/24 dev tun0",
        "net_addr_v6_add: fd00:8::4/64 dev tun0",
        "net_route_v4_add: 10.1.0.0/16 via 10.8.0.1 dev [NULL] table 0 metric -1",
        "net_route_v4_del: 10.1.0.0/16 via 10.8.0.1 dev [NULL] table 0 metric -1",
        "Closing TUN/TAP interface",
        "net_addr_v6_del: fd00:8::4/64 dev tun0",
        "net_addr_v4_del: 10.8.0.4 dev tun0",
    ]


def test_down_pre_runs_the_script_while_the_device_stands(rig: Rig) -> None:
    async def life() -> None:
        await rig.start(wanted(scripts=ScriptOptions(down_pre=True)))
        await rig.tunnel.take_down("sigterm")

    run(life())
    assert rig.story.told[-2:] == ["down sigterm", "close-tun tun0"]


def test_nothing_to_take_down_is_no_work(rig: Rig) -> None:
    run(rig.tunnel.take_down("sigterm"))
    run(rig.tunnel.restart("sigusr1"))
    assert rig.story.told == []


def test_dev_null_touches_nothing(rig: Rig) -> None:
    made = wanted()
    tun = TunOptions(dev="null", dev_type=DeviceType.NULL)
    made = replace(made, options=replace(made.options, tun=tun))

    async def life() -> None:
        await rig.start(made)
        await rig.tunnel.take_down("sigterm")

    run(life())
    assert rig.story.told == [*PLANE_SET_UP, "plane close"]
    assert rig.started == [False]


# --- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", ["open-tun", "SetLink", "AddAddress"])
def test_a_refusal_of_the_host_is_an_answer_and_is_taken_back(rig: Rig, refused: str) -> None:
    rig.host.refuse.add(refused)

    async def life() -> DataPlane | Failed:
        answer = await rig.open(wanted())
        await rig.tunnel.take_down("tun-abort")
        return answer

    assert isinstance(run(life()), Failed)
    assert rig.host.applied == []
    assert rig.planes == []
    assert ("close-tun tun0" in rig.story.told) is (refused != "open-tun")
    assert not rig.log.has("route add command failed"), "an address is not a route"


def test_a_failing_up_is_an_answer(rig: Rig) -> None:
    rig.scripts.failing.add("up")

    async def life() -> DataPlane | Failed:
        answer = await rig.open(wanted())
        await rig.tunnel.take_down("tun-abort")
        return answer

    assert run(life()) == Failed(reason="Failed running command (--up)")
    assert rig.host.applied == []


@pytest.mark.parametrize("call", ["attach", "new-peer", "add-iroute", "set-peer"])
def test_a_data_plane_that_refuses_is_closed(rig: Rig, call: str) -> None:
    rig.refuse_plane = call

    async def life() -> DataPlane | Failed:
        answer = await rig.open(wanted())
        await rig.tunnel.take_down("tun-abort")
        return answer

    assert isinstance(run(life()), Failed)
    assert [plane.closed for plane in rig.planes] == [True]
    assert rig.host.applied == []


def test_a_route_that_fails_is_a_warning_and_an_incomplete_start(rig: Rig) -> None:
    rig.host.refuse.add("AddRoute")
    run(rig.start(wanted()))
    assert rig.started == [True]
    assert rig.log.has(
        "ERROR: Linux route add command failed: route 10.1.0.0/16 via 10.8.0.1 dev tun0: no"
    )
    run(rig.tunnel.take_down(""))


def test_a_route_that_was_there_is_said(rig: Rig) -> None:
    rig.host.present.add("AddRoute")
    run(rig.start(wanted()))
    assert rig.started == [False]
    assert rig.log.has("route exists: route 10.1.0.0/16")
    assert not rig.log.has("net_route_v4_add")
    run(rig.tunnel.take_down(""))


@pytest.mark.parametrize("refused", ["undo-routes", "close-tun"])
def test_taking_down_goes_on_after_a_refusal(rig: Rig, refused: str) -> None:
    async def life() -> None:
        await rig.start(wanted())
        rig.host.refuse.add(refused)
        with pytest.raises(HostError, match="refused"):
            await rig.tunnel.take_down("sigterm")

    run(life())
    assert rig.story.told[-4:] == [
        *("route-pre-down", "undo-routes", "close-tun tun0", "down sigterm")
    ]


# --- ends that come early ----------------------------------------------------------------------


def test_a_connection_that_ended_during_up_gets_no_data_plane(rig: Rig) -> None:
    async def life() -> DataPlane | Failed:
        answer = await rig.open(wanted(), over=True)
        await rig.tunnel.take_down("sigterm")
        return answer

    assert isinstance(run(life()), Failed)
    assert rig.planes == []
    assert rig.host.applied == []


def test_an_end_cuts_route_delay_short(rig: Rig) -> None:
    async def life() -> None:
        await rig.open(wanted(replace(ROUTES, route_delay=3600)))
        over = _future()
        async with asyncio.TaskGroup() as tasks:
            start = tasks.create_task(rig.tunnel.finish_start(over))
            await asyncio.sleep(0)
            assert not start.done()
            over.set_result(END)
        await rig.tunnel.take_down("sigterm")

    run(life())
    assert rig.started == []
    assert "route-up" not in rig.story.told


def test_an_end_while_routes_are_added_runs_no_route_up(rig: Rig) -> None:
    async def life() -> None:
        await rig.open(wanted())
        over = _future()

        def end(_name: str) -> None:
            if not over.done():
                over.set_result(END)

        rig.host.on_call = end
        await rig.tunnel.finish_start(over)
        await rig.tunnel.take_down("sigterm")

    run(life())
    assert rig.started == []
    assert "route-up" not in rig.story.told
    assert rig.host.applied == []


# --- restarts ----------------------------------------------------------------------------------


def persistent(items: tuple[str, ...] = ("one",), *, up_restart: bool = False) -> TunnelConfig:
    made = wanted(scripts=ScriptOptions(up_restart=up_restart))
    tun = replace(made.options.tun, persist_tun=True)
    return replace(made, options=replace(made.options, tun=tun), device_items=items)


def test_without_persist_tun_a_restart_takes_all_down(rig: Rig) -> None:
    async def life() -> None:
        await rig.start(wanted())
        await rig.tunnel.restart("ping-restart")
        assert rig.host.applied == []
        await rig.start(wanted())
        await rig.tunnel.take_down("")

    run(life())
    assert rig.story.told.count("open-tun") == 2
    assert "down ping-restart" in rig.story.told


def test_persist_tun_keeps_device_and_routes(rig: Rig) -> None:
    async def life() -> list[str]:
        await rig.start(persistent())
        await rig.tunnel.restart("ping-restart")
        kept = list(rig.host.applied)
        await rig.start(persistent())
        await rig.tunnel.take_down("")
        return kept

    assert "route 10.1.0.0/16 via 10.8.0.1 dev tun0" in run(life())
    assert rig.story.told.count("open-tun") == 1
    assert rig.story.told.count("up") == 1
    assert rig.story.told.count("route-up") == 1
    assert rig.log.has("Preserving previous TUN/TAP instance: tun0")
    assert rig.started == [False, False]
    assert [plane.closed for plane in rig.planes] == [True, True]


def test_up_restart_tells_scripts_of_a_kept_device(rig: Rig) -> None:
    async def life() -> None:
        await rig.start(persistent(up_restart=True))
        await rig.tunnel.restart("ping-restart")
        await rig.start(persistent(up_restart=True))
        await rig.tunnel.take_down("")

    run(life())
    scripts = [what for what in rig.story.told if what.startswith(("up", "down"))]
    assert scripts == ["up", "down restart ping-restart", "up restart", "down"]


def test_other_pushed_options_reopen_the_device(rig: Rig) -> None:
    async def life() -> None:
        await rig.start(persistent())
        await rig.tunnel.restart("ping-restart")
        await rig.start(persistent(("two",)))
        await rig.tunnel.take_down("")

    run(life())
    assert rig.story.told.count("open-tun") == 2
    assert rig.log.has("NOTE: Pulled options changed on restart")
    assert rig.host.applied == []


OTHER = Endpoint(ip_address("203.0.113.9"), 1194)


def test_a_kept_tunnel_makes_way_for_another_server(rig: Rig) -> None:
    """Redirected traffic must not swallow the first packet to a further remote."""
    redirect = replace(ROUTES, redirect_gateway=frozenset({RedirectFlag.DEF1}))

    async def life() -> list[list[str]]:
        made = persistent()
        made = replace(made, options=replace(made.options, routes=redirect))
        seen = []
        await rig.tunnel.make_way(OTHER)  # nothing is kept yet
        await rig.start(made)
        seen.append(list(rig.host.applied))
        await rig.tunnel.restart("ping-restart")
        await rig.tunnel.make_way(OTHER)
        await rig.tunnel.make_way(OTHER)
        seen.append(list(rig.host.applied))
        await rig.start(replace(made, remote=OTHER))
        seen.append(list(rig.host.applied))
        await rig.tunnel.take_down("")
        return seen

    first, between, second = run(life())
    way = f"route {OTHER.address}/32 via 192.0.2.1 dev wlan0"
    old = [what for what in first if what.endswith("dev wlan0")]
    assert len(old) == 1
    assert sorted(between) == sorted([*first, way])
    left = {what for what in second if f"-{what}" not in second and not what.startswith("-")}
    assert left == {way if what in old else what for what in first}
    assert rig.host.applied == []


def test_nothing_is_moved_where_nothing_covers_the_next_server(rig: Rig) -> None:
    async def life() -> None:
        await rig.start(persistent())
        await rig.tunnel.restart("ping-restart")
        rig.story.told.clear()
        await rig.tunnel.make_way(OTHER)

    run(life())
    assert rig.story.told == ["underlay"]


def test_a_network_that_changes_moves_what_stays_outside(rig: Rig) -> None:
    redirect = replace(ROUTES, redirect_gateway=frozenset({RedirectFlag.DEF1}))
    elsewhere = Gateway(address=ip_address("192.0.2.253"), device="wlan0", index=3)

    async def life() -> None:
        made = persistent()
        made = replace(made, options=replace(made.options, routes=redirect))
        await rig.tunnel.renew()  # there is nothing yet
        await rig.start(made)
        rig.host.applied.clear()
        rig.host.network = UnderlaySnapshot()
        await rig.tunnel.renew()
        assert rig.host.applied == [], "with no network there is nothing to lead to"
        rig.host.network = replace(UNDERLAY, server=elsewhere)
        await rig.tunnel.renew()
        server = f"route {made.remote.address}/32 via"
        moved = [f"-{server} 192.0.2.1 dev wlan0", f"{server} 192.0.2.253 dev wlan0"]
        assert rig.host.applied == moved
        rig.host.present.add("AddRoute")
        logged = len(rig.log.texts)
        await rig.tunnel.renew()
        assert len(rig.log.texts) == logged, "what stands as it should is not worth a line"

    run(life())


def test_a_tunnel_that_is_not_up_yet_is_not_renewed(rig: Rig) -> None:
    async def life() -> None:
        assert not isinstance(await rig.open(wanted()), Failed)
        rig.story.told.clear()
        await rig.tunnel.renew()

    run(life())
    assert rig.story.told == []


def test_the_configuration_of_what_is_set_up_can_be_asked_for(rig: Rig) -> None:
    made = wanted()
    seen = [rig.tunnel.config]

    async def life() -> None:
        await rig.start(made)
        seen.append(rig.tunnel.config)
        await rig.tunnel.take_down("")
        seen.append(rig.tunnel.config)

    run(life())
    assert seen == [None, made, None]


# --- updates -----------------------------------------------------------------------------------


def updated(made: TunnelConfig) -> TunnelConfig:
    routes = replace(made.options.routes, routes=(route("10.2.0.0/16"),))
    link = LinkOptions(ping=3, ping_restart=9)
    return replace(made, options=replace(made.options, routes=routes, link=link))


def test_an_update_changes_what_differs_and_runs_the_scripts(rig: Rig) -> None:
    async def life() -> list[str]:
        await rig.start(wanted())
        rig.story.told.clear()
        answer = await rig.tunnel.update(updated(wanted()), _future())
        assert answer == Done()
        found = list(rig.host.applied)
        await rig.tunnel.take_down("")
        return found

    found = run(life())
    assert found[-2:] == [
        "-route 10.1.0.0/16 via 10.8.0.1 dev tun0",
        "route 10.2.0.0/16 via 10.8.0.1 dev tun0",
    ]
    assert rig.story.told[:7] == [
        *("plane set-peer", "underlay", "route-pre-down", "down", "apply", "up", "route-up")
    ]
    assert rig.planes[0].keepalive.ping_interval == 3
    assert rig.story.told.count("open-tun") == 0
    assert rig.started == [False, False]
    assert rig.host.applied == []


def test_an_update_waits_for_the_start_before_it(rig: Rig) -> None:
    async def life() -> None:
        await rig.open(wanted(replace(ROUTES, route_delay=3600)))
        over, more = _future(), _future()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rig.tunnel.finish_start(over))
            change = tasks.create_task(rig.tunnel.update(updated(wanted()), more))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not change.done()
            more.set_result(END)
            over.set_result(END)
        assert change.result() == Failed(reason="the connection ended meanwhile")
        await rig.tunnel.take_down("")

    run(life())


@pytest.mark.parametrize("refused", ["underlay", "AddAddress", "up"])
def test_an_update_that_fails_spoils_a_device_that_would_be_kept(rig: Rig, refused: str) -> None:
    async def life() -> None:
        await rig.start(persistent())
        (rig.scripts.failing if refused == "up" else rig.host.refuse).add(refused)
        moved = persistent()
        address = (IPv4Address("10.8.0.9"), IPv4Address("255.255.255.0"))
        tun = replace(moved.options.tun, ifconfig=address)
        moved = replace(moved, options=replace(moved.options, tun=tun))
        assert isinstance(await rig.tunnel.update(moved, _future()), Failed)
        await rig.tunnel.restart("process-push-msg-failed")

    run(life())
    assert "close-tun tun0" in rig.story.told
    assert rig.host.applied == []
    assert rig.started == [False]


def test_an_update_without_a_device_is_about_the_peer_only(rig: Rig) -> None:
    made = wanted()
    tun = TunOptions(dev="null", dev_type=DeviceType.NULL)
    made = replace(made, options=replace(made.options, tun=tun))

    async def life() -> None:
        await rig.start(made)
        assert await rig.tunnel.update(updated(made), _future()) == Done()
        await rig.tunnel.take_down("")

    run(life())
    assert rig.planes[0].keepalive.ping_timeout == 9


def test_lines_about_routes_are_bounded(rig: Rig) -> None:
    rig.host.refuse.add("AddRoute")
    many = tuple(route(f"10.{number}.0.0/16") for number in range(100))
    run(rig.start(wanted(replace(ROUTES, routes=many))))
    failed = [text for text in rig.log.texts if "route add command failed" in text]
    assert len(failed) == MAX_LINES
    assert rig.log.has("36 more routes could not be changed")
    run(rig.tunnel.take_down(""))
