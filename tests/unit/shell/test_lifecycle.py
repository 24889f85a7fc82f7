"""The life of a client: what follows each end, each signal and each failure."""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ginnel.core.errors import HostError, LinkError
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.notices import Notice
from ginnel.core.types import Instant
from ginnel.core.wrap.api import library_siv
from ginnel.dataplane.api import DataPlane, TunDevice
from ginnel.host.client import Recovered
from ginnel.options.model import (
    AuthRetry,
    ClientOptions,
    ConnectionProfile,
    LoginOptions,
    LoginSource,
    ProcessOptions,
    TunOptions,
)
from ginnel.options.values import FileContent, Secret
from ginnel.shell import lifecycle, prompt
from ginnel.shell.clock import monotonic_now
from ginnel.shell.hooks import ClientHooks
from ginnel.shell.lifecycle import Equipment, Finished, Lifecycle
from ginnel.shell.link import LinkUnavailable
from ginnel.shell.login import Login
from ginnel.shell.resolve import Resolver
from ginnel.shell.rights import Rights
from ginnel.shell.signals import Signals
from ginnel.shell.status import Status
from tests.sim.server import ServerScript
from tests.unit.shell.loopback_server import LoopbackServer
from tests.unit.shell.loops import Lines, run, until
from tests.unit.shell.remotes import ORIGIN, options_for, udp_profile
from tests.unit.shell.stand_ins import FakeHost, FakePlane, Story
from tests.unit.shell.test_hooks import COMMANDS, FakeRunner

COMPLETED = "Initialization Sequence Completed"
PUSH = (
    "PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ping 10,ping-restart 60,"
    "ifconfig 10.8.0.2 255.255.255.0,peer-id 0,cipher AES-256-GCM,route 10.1.0.0 255.255.0.0,"
    "protocol-flags cc-exit tls-ekm"
)


def willing() -> ServerScript:
    return ServerScript(push=[PUSH], push_unasked=True, dynamic_crypt=False)


class Life:
    """A lifecycle with stand-ins for all that is not its own."""

    def __init__(self, server: LoopbackServer, *, options: ClientOptions) -> None:
        self.server = server
        self.story = Story()
        self.log = Lines()
        self.host = FakeHost(self.story)
        self.runner = FakeRunner()
        self.signals = Signals()
        self.planes: list[FakePlane] = []
        self.refuse_plane = ""
        self.login = Login(options.login)
        self.rights = Rights(options.process)
        self.status = Status(options.process.status, self.log)
        self.lifecycle = Lifecycle(
            Equipment(
                options=options,
                host=self.host,
                log=self.log.output(),
                tls=server.client_channel,
                login=self.login,
                rights=self.rights,
                runner=self.runner,
                status=self.status,
                signals=self.signals,
                siv=library_siv,
                capabilities=DataCapabilities(
                    ciphers=FakePlane.capabilities.ciphers, formats=FakePlane.capabilities.formats
                ),
                open_plane=self._open_plane,
            )
        )

    def _open_plane(self, _tun: TunDevice | None) -> tuple[DataPlane, tuple[str, ...]]:
        self.planes.append(FakePlane(self.story, self.refuse_plane))
        return self.planes[-1], ("it was asked for",)

    @property
    def connections(self) -> int:
        return self.log.texts.count(COMPLETED)

    async def connected(self, times: int = 1) -> None:
        await until(lambda: self.connections >= times, f"{times} connection(s)")

    def close(self) -> None:
        for plane in self.planes:
            plane.close()
        self.status.close()


@asynccontextmanager
async def life(
    script: ServerScript | None = None,
    *,
    options: ClientOptions | None = None,
    profile: ConnectionProfile | None = None,
) -> AsyncIterator[Life]:
    with LoopbackServer(script or willing()) as server:
        chosen = replace(profile or udp_profile(), port=str(server.port))
        made = options or with_tun(options_for())
        if not made.profiles:
            made = replace(made, profiles=(chosen,))
        rig = Life(server, options=made)
        try:
            yield rig
        finally:
            rig.close()
    assert rig.host.applied == [], "the host is as before"
    assert all(plane.closed for plane in rig.planes)


def with_tun(options: ClientOptions) -> ClientOptions:
    return replace(options, tun=TunOptions())


async def outcome(made: Life, *signals: str) -> Finished:
    """Waits for the connection, then sends the signals one by one."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.lifecycle.run())
        for number, name in enumerate(signals, 1):
            await until(
                lambda n=number: made.connections >= n or running.done(),  # type: ignore[misc]
                "the connection",
            )
            made.signals.throw(name)
    return running.result()


# --- signals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_ending_signal_puts_everything_back(name: str) -> None:
    async def work() -> None:
        async with life() as made:
            assert await outcome(made, name) == Finished()
            assert made.log.texts[-1] == f"{name}[hard,] received, process exiting"
            assert made.story.told[-3:] == ["plane close", "undo-routes", "close-tun tun0"]
            assert made.log.has("link remote: [AF_INET]127.0.0.1:")

    run(work())


def test_usr1_reconnects_and_hup_asks_for_a_reload() -> None:
    async def work() -> None:
        async with life() as made:
            assert await outcome(made, "SIGUSR1", "SIGHUP") == Finished(reload=True)
            assert made.connections == 2
            assert made.log.has("SIGUSR1[hard,] received, process restarting")
            assert made.log.texts[-1] == "SIGHUP[hard,] received, process restarting"
            assert made.story.told.count("open-tun") == 2

    run(work())


@pytest.mark.parametrize(("remap", "told"), [(None, "sigusr1"), ("SIGTERM", "sigterm")])
def test_scripts_are_told_which_signal_ended_the_tunnel(remap: str | None, told: str) -> None:
    """As a run beside openvpn 2.6 showed: what counts is the signal after ``remap-usr1``."""

    async def work() -> None:
        options = replace(with_tun(options_for()), scripts=COMMANDS)
        options = replace(options, link=replace(options.link, remap_usr1=remap))
        async with life(options=options) as made:
            await outcome(made, *(("SIGUSR1",) if remap else ("SIGUSR1", "SIGTERM")))
            downs = [env for words, env in made.runner.calls if words[0].endswith("/down")]
            assert downs[0]["signal"] == told

    run(work())


@pytest.mark.parametrize(("word", "reload"), [("SIGHUP", True), ("SIGTERM", False)])
def test_remap_usr1(word: str, reload: bool) -> None:
    async def work() -> None:
        options = with_tun(options_for())
        options = replace(options, link=replace(options.link, remap_usr1=word))
        async with life(options=options) as made:
            assert await outcome(made, "SIGUSR1") == Finished(reload=reload)
            assert made.log.has(f"{word}[soft,] received, process ")

    run(work())


def test_a_term_that_comes_while_a_reload_is_prepared_goes_before_it() -> None:
    async def work() -> None:
        options = replace(with_tun(options_for()), scripts=COMMANDS)
        async with life(options=options) as made:
            made.runner.hanging = frozenset({"/hooks/down"})
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.lifecycle.run())
                await made.connected()
                made.signals.throw("SIGHUP")
                await until(lambda: "down" in made.runner.ran, "the script")
                made.signals.throw("SIGTERM")
                assert not running.done()
                made.signals.on_insist()
            assert running.result() == Finished()
            assert made.log.texts[-2:] == [
                "SIGHUP[hard,] received, process restarting",
                "SIGTERM[hard,] received, process exiting",
            ]

    run(work())


@pytest.mark.parametrize("script", ["up", "route-up", "ipchange"])
def test_an_end_waits_for_the_script_of_a_start_until_the_user_insists(script: str) -> None:
    async def work() -> None:
        options = replace(with_tun(options_for()), scripts=COMMANDS)
        async with life(options=options) as made:
            made.runner.hanging = frozenset({f"/hooks/{script}"})
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.lifecycle.run())
                await until(lambda: script in made.runner.ran, "the script")
                made.signals.throw("SIGTERM")
                for _ in range(20):
                    await asyncio.sleep(0.001)
                assert not running.done()
                made.signals.on_insist()
            assert running.result() == Finished()
            # ipchange runs beside the push: the start may have been complete by then.
            assert made.connections == 0 or script == "ipchange"
            assert made.log.texts[-1] == "SIGTERM[hard,] received, process exiting"

    run(work())


def test_a_term_during_a_restart_is_obeyed_after_it() -> None:
    async def work() -> None:
        options = replace(with_tun(options_for()), scripts=COMMANDS)
        async with life(options=options) as made:
            made.runner.hanging = frozenset({"/hooks/down"})
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.lifecycle.run())
                await made.connected()
                made.signals.throw("SIGUSR1")
                await until(lambda: "down" in made.runner.ran, "the script")
                made.signals.throw("SIGTERM")
                made.signals.on_insist()
            assert running.result() == Finished()
            assert made.connections == 1
            assert made.log.texts[-2:] == [
                "SIGUSR1[hard,] received, process restarting",
                "SIGTERM[hard,init_instance] received, process exiting",
            ]

    run(work())


def test_a_term_after_the_connections_own_end_is_not_lost() -> None:
    """The server ended the connection, a script of the start still runs, then comes the signal."""

    async def work() -> None:
        options = replace(with_tun(options_for()), scripts=COMMANDS)
        async with life(options=options) as made:
            made.runner.hanging = frozenset({"/hooks/up"})
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.lifecycle.run())
                await until(lambda: "up" in made.runner.ran, "the script")
                made.server.say("RESTART,bye")
                await until(lambda: made.log.has("Connection reset command"), "the server's end")
                made.signals.throw("SIGTERM")
                for _ in range(20):
                    await asyncio.sleep(0.001)
                assert made.signals.pending is None, "somebody waits for signals"
                assert not running.done()
                made.signals.on_insist()
            assert running.result() == Finished()
            assert made.connections == 0
            assert made.log.texts[-2:] == [
                "SIGUSR1[soft,server-pushed-connection-reset] received, process restarting",
                "SIGTERM[hard,init_instance] received, process exiting",
            ]

    run(work())


def test_a_signal_cuts_the_pause_short() -> None:
    async def work() -> None:
        profile = replace(udp_profile(), connect_retry=3600, connect_retry_max_delay=7200)
        async with life(profile=profile) as made:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.lifecycle.run())
                await made.connected()
                made.signals.throw("SIGUSR1")
                await until(lambda: made.log.has("Restart pause, 3600 second(s)"), "the pause")
                made.signals.throw("SIGUSR1")
                await made.connected(2)
                made.signals.throw("SIGUSR1")
                await until(lambda: made.log.texts.count("Restart pause, 3600 second(s)") == 2, "")
                made.signals.throw("SIGTERM")
            assert running.result() == Finished()
            assert made.connections == 2

    run(work())


def test_the_pause_counts_from_the_end_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken down, scripts included, is taken down within it."""
    took = 0.0
    monkeypatch.setattr(lifecycle, "monotonic_now", lambda: Instant(monotonic_now() + took))

    def slowly(script: str) -> None:
        nonlocal took
        took += 3601 if script == "/hooks/down" else 0

    async def work() -> None:
        profile = replace(udp_profile(), connect_retry=3600, connect_retry_max_delay=7200)
        options = replace(with_tun(options_for()), scripts=COMMANDS)
        async with life(profile=profile, options=options) as made:
            made.runner.on_run = slowly
            assert await outcome(made, "SIGUSR1", "SIGTERM") == Finished()
            assert made.connections == 2
            assert made.log.has("Restart pause, 3600 second(s)")

    run(work())


def test_a_signal_ends_resolving(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forever(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Resolver, "resolve", forever)

    async def work() -> None:
        async with life() as made:
            made.signals.throw("SIGTERM")
            assert await made.lifecycle.run() == Finished()
            assert made.log.texts[-1] == "SIGTERM[hard,init_instance] received, process exiting"

    run(work())


def test_a_signal_at_the_password_question_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Unanswered:
        signals: Signals

        async def ask(self, question: str, *, echo: bool) -> Secret:
            self.signals.throw("SIGINT")
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

        def close(self) -> None:
            """Nothing is open."""

    async def work() -> None:
        options = replace(with_tun(options_for()), login=LoginOptions(auth_user_pass=True))
        async with life(options=options) as made:
            monkeypatch.setattr(prompt, "find_console", lambda: Unanswered(made.signals))
            assert await made.lifecycle.run() == Finished()
            assert made.log.texts[-1] == "SIGINT[hard,init_instance] received, process exiting"

    run(work())


def test_without_anybody_to_ask_the_program_ends_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompt, "find_console", lambda: None)

    async def work() -> None:
        options = replace(with_tun(options_for()), login=LoginOptions(auth_user_pass=True))
        async with life(options=options) as made:
            assert await made.lifecycle.run() == Finished(status=1)
            assert made.log.has("no user name and password: neither a file nor a terminal")
            assert made.log.has("SIGTERM[soft,auth-failure] received, process exiting")

    run(work())


def test_exit_notify_is_said_and_insisting_ends_the_wait() -> None:
    async def work() -> None:
        profile = replace(udp_profile(), explicit_exit_notify=600)
        async with life(profile=profile) as made:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.lifecycle.run())
                await made.connected()
                made.signals.throw("SIGTERM")
                said = "SIGTERM received, sending exit notification to peer"
                await until(lambda: made.log.has(said), "the notice")
                assert not running.done()
                made.signals.throw("SIGTERM")
            assert running.result() == Finished()
            assert made.log.texts[-1] == (
                "SIGTERM[soft,exit-with-notification] received, process exiting"
            )

    run(work())


# --- ends of a connection ----------------------------------------------------------------------


def refusing(**changes: object) -> ClientOptions:
    content = FileContent(
        option="auth-user-pass", origin=ORIGIN, path="login", content=Secret(b"ada\nbyron\n")
    )
    login = LoginOptions(auth_user_pass=True, source=LoginSource(credentials=content))
    login = replace(login, **changes)  # type: ignore[arg-type]  # names are the caller's
    return replace(with_tun(options_for()), login=login)


def test_a_refused_login_ends_with_status_0_as_in_openvpn() -> None:
    script = ServerScript(after_exchange=["AUTH_FAILED,no"], dynamic_crypt=False)

    async def work() -> None:
        async with life(script, options=refusing()) as made:
            assert await made.lifecycle.run() == Finished()
            assert made.log.has("AUTH: Received control message: AUTH_FAILED,no")
            assert made.log.texts[-1] == "SIGTERM[soft,auth-failure] received, process exiting"

    run(work())


def test_auth_retry_interact_forgets_the_login() -> None:
    script = ServerScript(after_exchange=["AUTH_FAILED,no"], dynamic_crypt=False)

    async def work() -> None:
        options = refusing(auth_retry=AuthRetry.INTERACT)
        async with life(script, options=options) as made:
            forgotten: list[bool] = []
            forget = made.login.forget

            def noted() -> None:
                forgotten.append(True)
                forget()
                made.signals.throw("SIGTERM")

            made.login.forget = noted  # type: ignore[method-assign]
            assert await made.lifecycle.run() == Finished()
            assert forgotten
            assert made.log.has("SIGUSR1[soft,auth-failure] received, process restarting")

    run(work())


def test_a_silent_server_is_left_after_the_last_try() -> None:
    async def work() -> None:
        profile = replace(udp_profile(), connect_timeout=0)
        options = with_tun(options_for(connect_retry_max=2))
        async with life(ServerScript(silent=True), options=options, profile=profile) as made:
            assert await made.lifecycle.run() == Finished(status=1)
            restart = "SIGUSR1[soft,server_poll] received, process restarting"
            assert made.log.texts.count(restart) == 2
            assert made.log.texts[-3:] == [
                restart,
                "All connections have been connect-retry-max (2) times unsuccessful, exiting",
                "Exiting due to fatal error",
            ]

    run(work())


def test_the_only_name_that_does_not_resolve_ends_it_when_patience_runs_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    async def work() -> None:
        options = with_tun(options_for(udp_profile("vpn.example")))
        async with life(options=options) as made:
            assert await made.lifecycle.run() == Finished(status=1)
            assert made.log.has(
                "RESOLVE: Cannot resolve host address: vpn.example:1194 (Name or service not known)"
            )
            assert made.log.has("I would have retried this name query")
            assert not made.log.has("(RESOLVE"), "said once"
            assert not made.log.has("SIGUSR1[soft,resolve-failed]")

    run(work())


def test_an_address_of_a_family_we_lack_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise LinkUnavailable("[AF_INET6]2001:db8::1:1194", "this host has no IPv6")

    monkeypatch.setattr(lifecycle, "open_link", refuse)

    async def work() -> None:
        options = with_tun(options_for(connect_retry_max=2))
        async with life(options=options) as made:
            assert await made.lifecycle.run() == Finished(status=1)
            assert made.log.has("this host has no IPv6")
            assert made.log.has("SIGUSR1[soft,network-unreachable] received, process restarting")

    run(work())


def test_an_address_that_cannot_be_bound_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise LinkError("[AF_INET]127.0.0.1:1194", "Address already in use")

    monkeypatch.setattr(lifecycle, "open_link", refuse)

    async def work() -> None:
        async with life() as made:
            assert await made.lifecycle.run() == Finished(status=1)
            assert made.log.has("TCP/UDP: Socket bind failed: ")
            assert made.log.texts[-1] == "Exiting due to fatal error"

    run(work())


# --- the host ----------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", ["open-tun", "SetLink"])
def test_a_host_that_refuses_the_tunnel_ends_it_with_status_1(refused: str) -> None:
    async def work() -> None:
        async with life() as made:
            made.host.refuse.add(refused)
            assert await made.lifecycle.run() == Finished(status=1)
            assert made.log.texts[-2:] == [
                "SIGTERM[soft,tun-abort] received, process exiting",
                "Exiting due to fatal error",
            ]

    run(work())


def test_a_lost_helper_ends_the_program_at_once() -> None:
    async def work(helper: "subprocess.Popen[bytes]") -> None:
        async with life() as made:
            made.host.helper_pid = helper.pid
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.lifecycle.run())
                await made.connected()
                helper.kill()
            assert running.result() == Finished(status=1)
            assert made.log.has("privileged helper: it ended unexpectedly")
            assert made.log.texts[-1] == "Exiting due to fatal error"
            assert "close-tun tun0" in made.story.told

    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as helper:
        run(work(helper))


def test_what_an_earlier_run_left_is_said() -> None:
    async def work() -> None:
        async with life() as made:
            made.host.earlier = (
                Recovered(main_pid=1, undone=0, complete=True),
                Recovered(main_pid=2, undone=3, complete=True),
                Recovered(main_pid=3, undone=1, complete=False),
            )
            await outcome(made, "SIGTERM")
            assert made.log.has("undid 3 change(s) to the host that process 2 left behind")
            assert made.log.has("process 3 left behind; some could not be undone")
            assert not made.log.has("process 1 left")

    run(work())


def test_rights_are_given_up_after_the_routes_and_before_the_line_that_tools_wait_for() -> None:
    async def work() -> None:
        options = replace(with_tun(options_for()), scripts=COMMANDS)
        async with life(options=options) as made:

            def drop() -> tuple[()]:
                made.story.tell("drop")
                assert "route-up" in made.runner.ran
                assert made.connections == 0
                return ()

            made.rights.drop = drop  # type: ignore[method-assign]
            await outcome(made, "SIGTERM")
            assert made.story.told.index("apply") < made.story.told.index("drop")

    run(work())


def test_rights_that_cannot_be_given_up_end_it() -> None:
    async def work() -> None:
        async with life() as made:

            def drop() -> tuple[()]:
                raise HostError("drop privileges", 1, "Operation not permitted")

            made.rights.drop = drop  # type: ignore[method-assign]
            assert await made.lifecycle.run() == Finished(status=1)
            assert made.connections == 0
            assert made.log.has("drop privileges: Operation not permitted")

    run(work())


def test_a_bug_comes_out_after_the_host_was_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    observe = ClientHooks.observe
    seen: list[Notice] = []

    def broken(hooks: ClientHooks, notice: Notice) -> None:
        seen.append(notice)
        observe(hooks, notice)
        if type(notice).__name__ == "Connected":
            raise RuntimeError("a bug of ours")

    monkeypatch.setattr(ClientHooks, "observe", broken)

    async def work() -> None:
        async with life() as made:
            with pytest.raises(RuntimeError, match="a bug of ours"):
                await made.lifecycle.run()
            assert "close-tun tun0" in made.story.told

    run(work())


# --- status ------------------------------------------------------------------------------------


def test_the_status_file_and_the_log_count_over_connections(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / "status"
        process = ProcessOptions(status=str(path), status_interval=1)
        options = replace(with_tun(options_for()), process=process)
        async with life(options=options) as made:
            await outcome(made, "SIGUSR1", "SIGTERM")
            made.signals.on_status()
            total = made.status.total()
            assert total.link_read > 0
            assert made.log.has(f"TCP/UDP read bytes,{total.link_read}")
            made.status.close()
            assert f"TCP/UDP write bytes,{total.link_write}\n" in path.read_text()
            assert os.listdir(tmp_path) == ["status"]  # noqa: PTH208 -- a list of names is meant

    run(work())
