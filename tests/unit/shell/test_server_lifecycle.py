"""The life of a server: order of the start, signals, farewell, failures."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from ginnel.core.negotiate import DataCapabilities
from ginnel.core.tls import TlsChannel
from ginnel.core.types import PeerId
from ginnel.core.wrap.api import library_siv
from ginnel.dataplane.api import DataPlane, LinkId, Notification, NotificationKind, TunDevice
from ginnel.options.model import LinkOptions, LinkProtocol, ProcessOptions
from ginnel.options.server_model import ServerOptions
from ginnel.shell import server_status
from ginnel.shell.listeners import Listeners
from ginnel.shell.rights import Rights
from ginnel.shell.script_gate import Say
from ginnel.shell.server_frontend import UnattendedServer
from ginnel.shell.server_hooks import ServerHooks
from ginnel.shell.server_lifecycle import Finished, ServerEquipment, ServerLifecycle
from ginnel.shell.server_status import ServerStatusFile
from ginnel.shell.serving import ServingMeans
from ginnel.shell.signals import Signals
from tests.unit.shell.loops import Lines, run, until
from tests.unit.shell.server_stand_ins import listener, server_options
from tests.unit.shell.stand_ins import FakeHost, FakePlane, FakeScripts, Story
from tests.unit.shell.test_server_drive import FakeHooks

COMPLETED = "Initialization Sequence Completed"


class Holding(UnattendedServer):
    """A frontend that holds restarts until it is told."""

    def __init__(self) -> None:
        self.released: asyncio.Event | None = None

    @property
    def holds(self) -> bool:  # type: ignore[override]
        return self.released is not None

    async def hold(self, wait: int = 0) -> None:
        assert self.released is not None
        await self.released.wait()
        self.released = None


class Life:
    """A lifecycle with stand-ins for all that is not its own."""

    def __init__(self, options: ServerOptions) -> None:
        self.story = Story()
        self.host = FakeHost(self.story)
        self.lines = Lines()
        self.planes: list[FakePlane] = []
        self.refuse_plane = ""
        self.signals = Signals()
        self.listeners = Listeners(self.lines)
        self.ready = 0
        self.insisted = 0
        frontend = self.frontend = Holding()
        means = ServingMeans(
            options=options,
            make_hooks=self._hooks,
            frontend=frontend,
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
        output = self.lines.output()
        self.lifecycle = ServerLifecycle(
            options,
            ServerEquipment(
                host=self.host,
                log=output,
                rights=Rights(ProcessOptions()),
                signals=self.signals,
                status=ServerStatusFile(ProcessOptions(), self.lines),
                listeners=self.listeners,
                store=None,
                scripts=FakeScripts(self.story),
                on_insist=self._insist,
                open_plane=self._open_plane,
                frontend=frontend,
                means=means,
                on_ready=self._ready,
            ),
        )

    def _hooks(self, _say: Say) -> ServerHooks:
        return FakeHooks()

    @staticmethod
    async def _watch_tls() -> None:
        """No file changes."""

    @staticmethod
    def _no_tls() -> TlsChannel:
        raise AssertionError("no handshake is made here")

    def _open_plane(self, _tun: TunDevice | None) -> tuple[DataPlane, tuple[str, ...]]:
        self.planes.append(FakePlane(self.story, self.refuse_plane))
        return self.planes[-1], ("it was asked for",)

    def _ready(self) -> None:
        self.ready += 1

    def _insist(self) -> None:
        self.insisted += 1

    async def serving(self, times: int = 1) -> None:
        await until(lambda: self.lines.texts.count(COMPLETED) >= times, f"{times} start(s)")

    def close(self) -> None:
        self.listeners.close()
        for plane in self.planes:
            plane.close()


@asynccontextmanager
async def living(
    options: ServerOptions | None = None,
) -> AsyncIterator[tuple[Life, "asyncio.Task[Finished]"]]:
    life = Life(options or server_options())
    task = asyncio.ensure_future(life.lifecycle.run())
    try:
        yield life, task
    finally:
        task.cancel()
        await asyncio.wait((task,))
        life.close()


def notifying(how: int) -> ServerOptions:
    options = server_options()
    return replace(options, profile=replace(options.profile, explicit_exit_notify=how))


def test_device_and_scripts_come_before_sockets_and_the_host_is_put_back() -> None:
    async def whole() -> None:
        both = server_options(listener(), listener(LinkProtocol.TCP_SERVER))
        async with living(both) as (life, task):
            await life.serving()
            told = [text for text in life.story.told if not text.startswith("plane")]
            assert told.index("up") < told.index("route-up")
            said = [text for text in life.lines.texts if "Socket Buffers" not in text]
            opened = said.index("TUN/TAP device tun0 opened")
            bound = next(i for i, text in enumerate(said) if "link local (bound)" in text)
            assert opened < bound
            assert said[-4:] == [
                "MULTI: multi_init called, r=256 v=256",
                "IFCONFIG POOL IPv4: base=10.8.0.2 size=3",
                "MULTI: TCP INIT maxclients=1024 maxevents=1029",
                COMPLETED,
            ]
            assert life.ready == 1
            life.signals.command("SIGTERM", "")
            assert await task == Finished()
            assert life.planes[0].closed
            assert life.lines.texts[-1] == "SIGTERM[hard,] received, process exiting"

    run(whole())


def test_usr1_begins_anew_on_the_same_sockets() -> None:
    async def whole() -> None:
        async with living() as (life, task):
            await life.serving()
            before = life.listeners.all[0].socket.fileno()
            life.signals.command("SIGUSR1", "")
            await life.serving(2)
            assert life.listeners.all[0].socket.fileno() == before
            assert len(life.planes) == 2
            assert life.planes[0].closed
            assert life.lines.has("SIGUSR1[hard,] received, process restarting")
            life.signals.command("SIGUSR1", "management")
            await life.serving(3)
            assert life.lines.has("SIGUSR1[soft,management] received, process restarting")
            life.signals.command("SIGINT", "")
            assert await task == Finished()

    run(whole())


def test_hup_asks_for_a_reload_and_usr2_shows_the_status() -> None:
    async def whole() -> None:
        async with living() as (life, task):
            await life.serving()
            life.signals.command("SIGUSR2", "")
            assert life.lines.texts[-1] == "END"
            life.signals.command("SIGHUP", "")
            assert await task == Finished(reload=True)
            life.signals.command("SIGUSR2", "")
            assert life.lines.texts[-1] != "END"

    run(whole())


@pytest.mark.parametrize(("how", "message"), [(1, "RESTART"), (2, "RESTART,[N]"), (0, None)])
def test_clients_of_datagrams_are_told_where_that_is_configured(
    how: int, message: str | None
) -> None:
    async def whole() -> None:
        async with living(notifying(how)) as (life, _):
            await life.serving()
            assert life.lifecycle._farewell() == message

    run(whole())


def test_a_second_signal_during_the_farewell_counts() -> None:
    async def whole() -> None:
        async with living(notifying(1)) as (life, task):
            await life.serving()
            serving = life.lifecycle._serving
            assert serving is not None

            async def endless(message: str) -> None:
                life.signals.command("SIGTERM", "")
                await asyncio.Event().wait()

            serving.say_farewell = endless  # type: ignore[method-assign]
            life.signals.command("SIGHUP", "")
            assert await task == Finished()
            life.lifecycle._insist()
            assert life.insisted == 1

    run(whole())


def test_a_signal_while_the_tunnel_opens_is_obeyed() -> None:
    async def whole() -> None:
        async with living() as (life, task):
            life.signals.command("SIGTERM", "")
            assert await task == Finished()
            assert COMPLETED not in life.lines.texts

    run(whole())


@pytest.mark.parametrize("refused", ["serve", "add-link"])
def test_a_data_plane_that_refuses_ends_it_with_a_line(refused: str) -> None:
    async def whole() -> None:
        async with living() as (life, task):
            life.refuse_plane = refused
            assert await task == Finished(status=1)
            assert life.lines.has(refused)
            assert life.lines.texts[-1] == "Exiting due to fatal error"
            assert life.planes[0].closed

    run(whole())


def test_a_start_that_fails_half_way_takes_no_connections_any_longer() -> None:
    async def whole() -> None:
        options = server_options(listener(LinkProtocol.TCP_SERVER), listener(LinkProtocol.UDP))
        async with living(options) as (life, task):
            life.refuse_plane = "add-link"
            assert await task == Finished(status=1)
            loop = asyncio.get_running_loop()
            assert not any(loop.remove_reader(item.socket.fileno()) for item in life.listeners.all)

    run(whole())


def test_a_long_status_is_shown_in_pieces_and_once_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_status, "LINES_AT_ONCE", 2)

    async def whole() -> None:
        async with living() as (life, _):
            await life.serving()
            for _again in range(3):
                life.signals.command("SIGUSR2", "")
            assert life.lines.texts[-1] != "END"
            await until(lambda: life.lines.texts[-1] == "END", "the rest")
            assert life.lines.texts.count("END") == 1
            life.signals.command("SIGUSR2", "")
            await until(lambda: life.lines.texts.count("END") == 2, "another one")

    run(whole())


def test_a_lost_device_ends_it_with_a_line() -> None:
    async def whole() -> None:
        async with living() as (life, task):
            await life.serving()
            lost = Notification(kind=NotificationKind.TUN_LOST, peer_id=PeerId(0), errno=19)
            life.planes[0].reports.append(lost)
            life.planes[0].wake()
            assert await task == Finished(status=1)
            assert life.lines.has("tun device: it is gone")

    run(whole())


def test_a_helper_that_dies_ends_it() -> None:
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)

    async def whole() -> None:
        life = Life(server_options())
        life.host.helper_pid = child.pid
        task = asyncio.ensure_future(life.lifecycle.run())
        await life.serving()
        child.kill()
        assert await task == Finished(status=1)
        assert life.lines.has("it ended unexpectedly")
        life.close()

    try:
        run(whole())
    finally:
        child.kill()
        child.communicate()


def test_a_lost_socket_is_opened_anew() -> None:
    async def whole() -> None:
        async with living() as (life, task):
            await life.serving()
            before = life.listeners.all[0].socket
            lost = Notification(
                kind=NotificationKind.LINK_LOST, peer_id=PeerId(0), link=LinkId(1), errno=100
            )
            life.planes[0].reports.append(lost)
            life.planes[0].wake()
            await life.serving(2)
            assert life.listeners.all[0].socket is not before
            assert life.lines.has("SIGUSR1[soft,socket-lost] received, process restarting")
            life.signals.command("SIGTERM", "")
            assert await task == Finished()

    run(whole())


@pytest.mark.parametrize("signal", ["", "SIGTERM"])
def test_a_restart_waits_for_the_frontends_leave(signal: str) -> None:
    async def whole() -> None:
        async with living() as (life, task):
            await life.serving()
            life.frontend.released = asyncio.Event()
            life.signals.command("SIGUSR1", "")
            await until(lambda: life.planes[0].closed, "the end of the first run")
            if not signal:
                life.frontend.released.set()
                await life.serving(2)
                return
            life.signals.command(signal, "")
            assert await task == Finished()
            assert life.lines.texts.count(COMPLETED) == 1

    run(whole())


@pytest.mark.parametrize(("name", "reload"), [("SIGHUP", True), ("SIGTERM", False)])
def test_remap_usr1_makes_another_signal_of_it(name: str, reload: bool) -> None:
    async def whole() -> None:
        options = replace(server_options(), link=LinkOptions(remap_usr1=name))
        async with living(options) as (life, task):
            await life.serving()
            life.signals.command("SIGUSR1", "")
            assert await task == Finished(reload=reload)
            assert life.lines.has(f"{name}[soft,] received, process")

    run(whole())
