"""One run of the server: its parts together, from the first packet to the end."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import DataPlaneError, HostError
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.server_notices import ClientConnected
from ginnel.core.tls import TlsChannel
from ginnel.core.types import PeerId
from ginnel.core.wrap.api import library_siv
from ginnel.dataplane.api import LinkId, Notification, NotificationKind
from ginnel.options.model import LinkProtocol, TlsOptions
from ginnel.options.server_model import LimitOptions, ServerOptions
from ginnel.shell import serving as module
from ginnel.shell.clock import monotonic_now
from ginnel.shell.listeners import Listeners
from ginnel.shell.peer_log import PeerLog
from ginnel.shell.script_gate import Say
from ginnel.shell.server_frontend import UnattendedServer
from ginnel.shell.server_hooks import ServerHooks
from ginnel.shell.serving import Serving, ServingMeans, serving_rules
from tests.unit.shell.loops import Lines, run, until
from tests.unit.shell.server_stand_ins import (
    HOME,
    FakeMachine,
    agreed,
    ended,
    facts,
    listener,
    server_options,
)
from tests.unit.shell.stand_ins import FakePlane, Story
from tests.unit.shell.test_accept import RESET
from tests.unit.shell.test_server_drive import FakeHooks


class Rig:
    def __init__(self, tasks: asyncio.TaskGroup, options: ServerOptions) -> None:
        self.story = Story()
        self.plane = FakePlane(self.story)
        self.lines = Lines()
        self.hooks = FakeHooks()
        self.machines: list[FakeMachine] = []
        self.listeners = Listeners(self.lines)
        self.listeners.open(options)
        self.say: Say | None = None
        means = ServingMeans(
            options=options,
            make_hooks=self._hooks,
            frontend=UnattendedServer(),
            tls=self._no_tls,
            renew_tls=lambda: True,
            watch_tls=self._watch_tls,
            signer=None,
            tokens=None,
            siv=library_siv,
            capabilities=DataCapabilities(
                ciphers=FakePlane.capabilities.ciphers, formats=FakePlane.capabilities.formats
            ),
            log=self.lines,
            listeners=self.listeners,
        )
        self.serving = Serving(means, self.plane, tasks)

    def _hooks(self, say: Say) -> ServerHooks:
        self.say = say
        return self.hooks

    @staticmethod
    async def _watch_tls() -> None:
        """No file changes."""

    @staticmethod
    def _no_tls() -> TlsChannel:
        raise AssertionError("no handshake is made here")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.listeners.all[-1].endpoint.port))


@pytest.fixture(autouse=True)
def machines(monkeypatch: pytest.MonkeyPatch) -> list[FakeMachine]:
    made: list[FakeMachine] = []

    def machine(**given: object) -> FakeMachine:
        client_id, remote = given["client_id"], given["remote"]
        made.append(FakeMachine(facts(client_id, remote)))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(module, "ServerMachine", machine)
    return made


def with_rig(work: Callable[[Rig], Awaitable[None]], options: ServerOptions | None = None) -> None:
    async def whole() -> None:
        async with asyncio.TaskGroup() as tasks:
            chosen = options or server_options(listener(), listener(LinkProtocol.TCP_SERVER))
            rig = Rig(tasks, chosen)
            rig.serving.open()
            try:
                await work(rig)
            finally:
                await rig.serving.close()
                rig.listeners.close()
                rig.plane.close()

    run(whole())


def test_the_data_plane_is_told_before_it_reads() -> None:
    async def work(rig: Rig) -> None:
        assert rig.story.told == ["plane serve", "plane limit-resets", "plane add-link"]

    with_rig(work)


def test_a_stream_with_a_first_packet_becomes_a_client(machines: list[FakeMachine]) -> None:
    async def work(rig: Rig) -> None:
        with rig.connect() as stream:
            stream.send(RESET)
            await until(lambda: len(rig.serving.clients) == 1, "the client")
            assert machines[0].inputs == ["start"]
            assert rig.lines.has("TCP connection established with [AF_INET]127.0.0.1:")
            client = next(iter(rig.serving.clients))
            assert rig.say is not None
            rig.say(client.facts, LogLine(text="careful"))
            assert rig.lines.texts[-1].endswith("careful")
            rig.say(facts(77, common_name="gone"), LogLine(text="late"))
            assert rig.lines.texts[-1] == "gone/192.0.2.7:40000 late"

    with_rig(work)


def test_those_who_proved_nothing_share_the_room_for_lines_about_them() -> None:
    async def work(rig: Rig) -> None:
        small = PeerLog(rig.lines, monotonic_now, who="all of them", burst=3, rate=0.0)
        rig.serving.drive.unproved = small
        with rig.connect() as stream:
            stream.send(RESET)
            await until(lambda: len(rig.serving.clients) == 1, "the client")
            client = next(iter(rig.serving.clients))
            assert rig.say is not None
            for text in ("second", "third", "fourth"):  # the first told of the connection
                rig.say(client.facts, LogLine(text=text))
            rig.say(facts(77), LogLine(text="late"))
            assert rig.lines.texts[-1].endswith("third")
            rig.serving.clients.name(client, "anna")
            rig.say(client.facts, LogLine(text="welcome"))
            assert rig.lines.texts[-1].endswith("welcome")

    with_rig(work)


def test_a_stream_that_cannot_be_taken_is_closed() -> None:
    async def work(rig: Rig) -> None:
        def refuse(*_: object) -> int:
            raise DataPlaneError("add-link", 0, 24)

        rig.plane.add_link = refuse  # type: ignore[method-assign, assignment]
        with rig.connect() as stream:
            stream.send(RESET)
            await until(lambda: rig.lines.has("add-link"), "the refusal")
            stream.settimeout(40)
            assert stream.recv(1) == b""
        assert len(rig.serving.clients) == 0

    with_rig(work)


def test_a_stream_of_something_else_is_closed_without_port_share() -> None:
    async def work(rig: Rig) -> None:
        with rig.connect() as stream:
            stream.send(b"GET / HTTP/1.1\r\n")
            await until(lambda: rig.lines.has("does not speak OpenVPN"), "the refusal")

    with_rig(work)


def test_no_stream_is_taken_beyond_max_clients() -> None:
    async def work(rig: Rig) -> None:
        with rig.connect() as stream:
            stream.send(RESET)
            await until(lambda: rig.lines.has("maximum number of clients (0)"), "the refusal")
        assert rig.story.told[-1] == "plane add-link"

    options = replace(
        server_options(listener(), listener(LinkProtocol.TCP_SERVER)),
        limits=LimitOptions(max_clients=0),
    )
    with_rig(work, options)


def _enter(rig: Rig, machines: list[FakeMachine]) -> None:
    from ginnel.core.types import Transport
    from ginnel.dataplane.api import LinkId
    from ginnel.shell.reception import Origin

    rig.serving._reception._let_in(
        Origin(link=LinkId(1), remote=HOME, transport=Transport.UDP), None
    )
    machines[0].notices.append(ClientConnected(agreed=agreed(machines[0].facts)))
    client = next(iter(rig.serving.clients))
    rig.serving.drive.receive(client, [(b"x", HOME)])


def test_clients_are_told_of_a_restart_and_not_waited_for_in_vain(
    machines: list[FakeMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAREWELL", 0.1)

    async def work(rig: Rig) -> None:
        await rig.serving.say_farewell("RESTART")
        _enter(rig, machines)
        await rig.serving.say_farewell("RESTART,[N]")
        assert machines[0].inputs[-1] == "RESTART,[N]"
        client = next(iter(rig.serving.clients))
        parting = asyncio.ensure_future(rig.serving.say_farewell("RESTART"))
        await asyncio.sleep(0)
        machines[0].notices.append(ended("server-restart"))
        rig.serving.drive.receive(client, [(b"x", HOME)])
        await parting

    with_rig(work)


def test_the_end_closes_all_clients(machines: list[FakeMachine]) -> None:
    async def work(rig: Rig) -> None:
        _enter(rig, machines)
        await rig.serving.close()
        assert len(rig.serving.clients) == 0

    with_rig(work)


def test_a_lost_device_ends_it_and_a_lost_socket_begins_anew() -> None:
    async def lose_device(rig: Rig) -> None:
        lost = Notification(kind=NotificationKind.TUN_LOST, peer_id=PeerId(0), errno=19)
        rig.plane.reports.append(lost)
        rig.plane.wake()
        with pytest.raises(HostError, match="it is gone"):
            await rig.serving.lost()
        rig.serving.socket_lost(9)

    async def lose_socket(rig: Rig) -> None:
        link = LinkId(1)
        lost = Notification(
            kind=NotificationKind.LINK_LOST, peer_id=PeerId(0), link=link, errno=100
        )
        rig.plane.reports.append(lost)
        rig.plane.wake()
        assert await rig.serving.lost() == "socket-lost"
        assert rig.lines.has("WARNING: a socket of the server failed: Network is down")
        rig.serving.plane_failed(DataPlaneError("late", 0, 5))

    with_rig(lose_device)
    with_rig(lose_socket)


@pytest.mark.parametrize(("reneg_pkts", "told"), [(0, False), (1000, True)])
def test_traffic_is_reported_where_keys_last_for_so_much(
    machines: list[FakeMachine], monkeypatch: pytest.MonkeyPatch, reneg_pkts: int, told: bool
) -> None:
    monkeypatch.setattr(module, "TRAFFIC_INTERVAL", 0.001)

    async def work(rig: Rig) -> None:
        from ginnel.core.server_actions import AddClient
        from ginnel.core.types import ActionId

        _enter(rig, machines)
        client = next(iter(rig.serving.clients))
        machines[0].actions.append(AddClient(id=ActionId(1), agreed=agreed(machines[0].facts)))
        rig.serving.drive.receive(client, [(b"y", HOME)])
        if told:
            await until(lambda: (0, 0) in machines[0].inputs, "a report")
        else:
            await asyncio.sleep(0.01)
            assert (0, 0) not in machines[0].inputs

    options = replace(server_options(), tls=TlsOptions(reneg_pkts=reneg_pkts))
    with_rig(work, options)


def test_rules_of_the_data_plane() -> None:
    limits = LimitOptions(tcp_queue_limit=7, stale_routes=(60, 30))
    rules = serving_rules(replace(server_options(), client_to_client=True, limits=limits))
    assert (rules.client_to_client, rules.tcp_queue_limit) == (True, 7)
    assert (rules.stale_age, rules.stale_interval) == (60, 30)
