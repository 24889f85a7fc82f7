"""The drive: a real machine on a real socket, its actions, its end, and errors on the way."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest

from ginnel.core import actions
from ginnel.core.client import ClientMachine
from ginnel.core.notices import Advance, Connected, Ended, Notice, Outcome, PeerConnected, Warned
from ginnel.core.peer_info import LocalFacts
from ginnel.core.types import Endpoint, Instant, PeerId
from ginnel.dataplane.api import (
    PING,
    ControlPacket,
    DataPlane,
    Notification,
    NotificationKind,
    PeerStats,
)
from ginnel.options.model import ClientOptions, LinkOptions, LoginOptions
from ginnel.options.values import Secret
from ginnel.shell.clock import unix_now
from ginnel.shell.drive import Drive
from ginnel.shell.link import Link
from ginnel.shell.udp import open_udp
from tests.sim.pair import CAPABILITIES, credentials
from tests.sim.server import ServerScript
from tests.unit.shell.loopback_server import LoopbackServer
from tests.unit.shell.loops import run, until
from tests.unit.shell.remotes import attempt, options_for, udp_profile
from tests.unit.shell.stand_ins import FakePlane, Story

PEER = PeerId(0)
DONE = actions.Done()
NO_LOGIN = actions.Failed(reason="none")


@dataclass
class FakeTunnel:
    """Opens the given plane; ``gate`` holds a start back until it is set."""

    plane: FakePlane
    story: Story
    refuse: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    overs: list[bool] = field(default_factory=list)

    async def open(
        self, config: actions.TunnelConfig, link: Link, over: asyncio.Future[Ended]
    ) -> DataPlane | actions.Failed:
        self.story.tell("open")
        await self.gate.wait()
        self.overs.append(over.done())
        if self.refuse:
            return actions.Failed(reason="no device")
        link.hand_over(self.plane, LinkOptions())
        return self.plane

    async def finish_start(self, over: asyncio.Future[Ended]) -> None:
        self.story.tell("finish start")

    async def update(
        self, config: actions.TunnelConfig, over: asyncio.Future[Ended]
    ) -> actions.ActionResult:
        self.story.tell("update")
        return DONE


@dataclass
class FakeHooks:
    story: Story
    verdict: actions.ActionResult = DONE
    login: actions.ActionResult = NO_LOGIN
    breaks: bool = False

    async def verify_certificates(
        self, chain: tuple[actions.CertificateInfo, ...]
    ) -> actions.ActionResult:
        self.story.tell("verify")
        if self.breaks:
            raise RuntimeError("a bug in a hook")
        return self.verdict

    async def credentials(self) -> actions.ActionResult:
        self.story.tell("credentials")
        return self.login

    async def peer_connected(self, notice: PeerConnected) -> None:
        self.story.tell(f"connected {notice.remote.port}")


class Rig:
    """A server, a link, a machine and a drive."""

    def __init__(self, server: LoopbackServer, options: ClientOptions) -> None:
        self.story = Story()
        self.notices: list[Notice] = []
        self.plane = FakePlane(self.story)
        self.tunnel = FakeTunnel(self.plane, self.story)
        self.tunnel.gate.set()
        self.hooks = FakeHooks(self.story)
        self.server = server
        self.remote = Endpoint(ip_address("127.0.0.1"), server.port)
        profile = options.profiles[0]
        self.link = open_udp(attempt(profile, self.remote))
        self.machine = ClientMachine(
            options=options,
            profile=profile,
            remote=self.remote,
            tls=server.client_channel,
            entropy=os.urandom,
            unix_time=unix_now(),
            capabilities=CAPABILITIES,
            facts=LocalFacts(version="2.6.14"),
        )
        self.drive = Drive(
            machine=self.machine,
            link=self.link,
            tunnel=self.tunnel,
            hooks=self.hooks,
            on_notice=self.notices.append,
        )
        self.on_plane_control: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        return any(isinstance(notice, Connected) for notice in self.notices)

    def pump(self) -> None:
        """Plays the engine's part: hands up what came on the link it took over."""
        while received := self.link.receive():
            self.plane.control += [ControlPacket(*packet) for packet in received]
            self.plane.wake()


@asynccontextmanager
async def rig(
    script: ServerScript | None = None, options: ClientOptions | None = None
) -> AsyncIterator[Rig]:
    with LoopbackServer(script) as server:
        wanted = options or options_for(udp_profile(port=server.port))
        made = Rig(server, wanted)
        try:
            yield made
        finally:
            made.plane.close()
            made.link.close()


def unasked() -> ServerScript:
    return ServerScript(push_unasked=True)


async def session(made: Rig, then: Callable[[], None]) -> Ended:
    """Connects, does what is asked, and gives the end."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.drive.run())
        await until(lambda: made.connected or running.done(), "the connection")
        if not running.done():
            then()
    return running.result()


def test_connects_installs_the_key_before_it_is_used_and_ends_on_request() -> None:
    async def work() -> None:
        async with rig(unasked()) as made:
            ended = await session(made, lambda: made.drive.close("SIGTERM", Outcome.TERMINATE))
            assert ended.signal_text == "SIGTERM"
            assert made.drive.over
            assert not made.drive.notified
            told = made.story.told
            assert told[:2] == [f"connected {made.server.port}", "open"]
            assert told.index("plane attach") < told.index("plane new-key")
            assert "finish start" in told
            assert made.notices[-1] is ended

    run(work())


def test_a_ping_tells_the_server_where_we_are_once_there_is_a_tunnel() -> None:
    async def work() -> None:
        async with rig(unasked()) as made:
            made.drive.announce()
            assert not made.drive.floats

            def moved() -> None:
                assert made.drive.floats
                made.drive.announce()
                made.drive.close("SIGTERM", Outcome.TERMINATE)
                made.drive.announce()

            await session(made, moved)
            assert made.plane.inner == [PING]

    run(work())


def test_packets_and_reports_of_the_data_plane_reach_the_machine() -> None:
    async def work() -> None:
        async with rig(unasked()) as made:

            def restart() -> None:
                made.server.say("RESTART,[N]bye")
                loop = asyncio.get_running_loop()
                loop.add_reader(made.link.fileno(), made.pump)

            ended = await session(made, restart)
            asyncio.get_running_loop().remove_reader(made.link.fileno())
            assert ended.signal_text == "server-pushed-connection-reset"
            assert made.plane.sent, "what is sent after the hand-over goes through the plane"

    run(work())


@pytest.mark.parametrize(
    ("report", "signal"),
    [
        (Notification(kind=NotificationKind.SILENT, peer_id=PEER), "ping-restart"),
        (Notification(kind=NotificationKind.INACTIVE, peer_id=PEER), "inactive"),
        (Notification(kind=NotificationKind.TUN_LOST, peer_id=PEER, errno=19), "tun-stop"),
        (Notification(kind=NotificationKind.DECRYPT_ERROR, peer_id=PEER), "decryption-error"),
        (
            Notification(
                kind=NotificationKind.OCC,
                peer_id=PEER,
                payload=bytes.fromhex("287f346bd4ef7a812d56b8d3afc5459c06"),
            ),
            "remote-exit",
        ),
    ],
    ids=["silent", "inactive", "tun", "decrypt", "exit"],
)
def test_reports_are_translated(report: Notification, signal: str) -> None:
    async def work() -> str:
        async with rig(unasked()) as made:

            def tell() -> None:
                harmless = [
                    Notification(kind=NotificationKind.LINK_LOST, peer_id=PEER, errno=111),
                    Notification(kind=NotificationKind.KEY_EXHAUSTED, peer_id=PEER, key_id=5),
                    Notification(kind=NotificationKind.FLOATED, peer_id=PEER, remote=made.remote),
                    Notification(kind=NotificationKind.TOO_LONG, peer_id=PEER, remote=made.remote),
                ]
                made.plane.reports += [*harmless, report]
                made.plane.wake()

            return (await session(made, tell)).signal_text

    assert run(work()) == signal


def test_statistics_are_ours_and_the_planes() -> None:
    async def work() -> None:
        async with rig(unasked()) as made:
            await session(made, lambda: made.drive.close("SIGTERM", Outcome.TERMINATE))
            ours = made.drive.statistics()
            assert ours.link_read > 0
            assert ours.link_write > 0
            assert ours.tun_read == 0
            made.plane.counters = PeerStats(tun_read_bytes=5, link_read_bytes=7)
            both = made.drive.statistics()
            assert both.tun_read == 5
            assert both.link_read == ours.link_read + 7
            assert both.authenticated_read == 7

    run(work())


# --- ends --------------------------------------------------------------------------------------


def test_an_exit_notice_waits_for_the_server_and_a_second_wish_does_not() -> None:
    async def work() -> Ended:
        with LoopbackServer(unasked()) as server:
            profile = replace(udp_profile(port=server.port), explicit_exit_notify=600)
            made = Rig(server, options_for(profile))

            def leave() -> None:
                made.drive.close("SIGTERM", Outcome.TERMINATE)
                assert made.drive.notified
                assert not made.drive.over
                made.drive.abandon(
                    Ended(
                        outcome=Outcome.TERMINATE,
                        signal_text="SIGTERM",
                        advance=Advance.SAME,
                        explanation="insisted",
                    )
                )

            try:
                return await session(made, leave)
            finally:
                made.plane.close()
                made.link.close()

    assert run(work()).explanation == "insisted"


def test_an_end_waits_for_what_was_begun_on_the_host() -> None:
    async def work() -> None:
        async with rig(unasked()) as made:
            made.tunnel.gate.clear()
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.drive.run())
                await until(lambda: "open" in made.story.told, "the opening")
                made.drive.close("SIGTERM", Outcome.TERMINATE)
                for _ in range(5):
                    await asyncio.sleep(0)
                assert made.drive.over
                assert not running.done(), "the opening is still under way"
                made.tunnel.gate.set()
            assert made.tunnel.overs == [True], "it is told that the connection is over"
            assert running.result().signal_text == "SIGTERM"
            assert "plane new-key" not in made.story.told

    run(work())


def test_a_host_that_refuses_ends_with_an_error() -> None:
    async def work() -> Ended:
        async with rig(unasked()) as made:
            made.tunnel.refuse = True
            return await made.drive.run()

    ended = run(work())
    assert (ended.signal_text, ended.hard_error) == ("tun-abort", True)


def test_a_cancelled_drive_leaves_no_reader_and_no_timer() -> None:
    async def work() -> None:
        async with rig(ServerScript(silent=True)) as made:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.drive.run())
                await until(lambda: made.server.packets > 0, "the first packet")
                running.cancel()
            loop = asyncio.get_running_loop()
            assert not loop.remove_reader(made.link.fileno())

    run(work())


# --- questions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_credentials_are_asked_for(known: bool) -> None:
    async def work() -> tuple[list[tuple[str, bytes]], bool]:
        with LoopbackServer(unasked()) as server:
            options = options_for(udp_profile(port=server.port))
            made = Rig(server, replace(options, login=LoginOptions(auth_user_pass=True)))
            made.hooks.login = credentials() if known else actions.Failed(reason="no terminal")
            try:
                ended = await session(made, lambda: made.drive.close("SIGTERM", Outcome.TERMINATE))
            finally:
                made.plane.close()
                made.link.close()
            return server.server.logins, ended.hard_error

    logins, hard_error = run(work())
    assert logins == ([("user", b"secret")] if known else [])
    assert hard_error is not known


def verified(port: int) -> ClientOptions:
    options = options_for(udp_profile(port=port))
    return replace(options, tls=replace(options.tls, tls_verify=("/hook",)))


@pytest.mark.parametrize("allowed", [True, False])
def test_the_verify_hook_decides(allowed: bool) -> None:
    async def work() -> str:
        with LoopbackServer(unasked()) as server:
            made = Rig(server, verified(server.port))
            if not allowed:
                made.hooks.verdict = actions.Failed(reason="no")
            try:
                ended = await session(made, lambda: made.drive.close("SIGTERM", Outcome.TERMINATE))
            finally:
                made.plane.close()
                made.link.close()
            return ended.signal_text

    assert run(work()) == ("SIGTERM" if allowed else "tls-error")


# --- errors ------------------------------------------------------------------------------------


def test_a_bug_in_a_task_is_not_swallowed() -> None:
    async def work() -> None:
        with LoopbackServer(unasked()) as server:
            made = Rig(server, verified(server.port))
            made.hooks.breaks = True
            try:
                await made.drive.run()
            finally:
                made.plane.close()
                made.link.close()

    with pytest.raises(RuntimeError, match="a bug in a hook"):
        run(work())


@pytest.mark.parametrize("method", ["receive", "handle_timeout"])
def test_a_bug_in_a_callback_is_not_swallowed(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop itself would only log it, and the session would hang."""

    def broken(*_: object, **_named: object) -> None:
        raise RuntimeError("a bug in the machine")

    def due_now(_machine: ClientMachine) -> Instant:
        return Instant(0.0)

    async def work() -> None:
        async with rig(unasked()) as made:
            monkeypatch.setattr(ClientMachine, method, broken)
            if method == "handle_timeout":
                monkeypatch.setattr(ClientMachine, "poll_timeout", due_now)
            await made.drive.run()

    with pytest.raises(RuntimeError, match="a bug in the machine"):
        run(work())


@pytest.mark.parametrize("refused", ["new-key", "notifications"])
def test_a_data_plane_that_fails_leads_to_a_restart(refused: str) -> None:
    async def work() -> Ended:
        with LoopbackServer(unasked()) as server:
            made = Rig(server, options_for(udp_profile(port=server.port)))
            made.plane.close()
            made.plane = FakePlane(made.story, refused)
            made.tunnel.plane = made.plane
            try:
                return await session(made, made.plane.wake)
            finally:
                made.plane.close()
                made.link.close()

    ended = run(work())
    assert ended.outcome is Outcome.RESTART
    assert "data plane failed" in ended.explanation


def test_a_closed_port_is_said_and_ends_nothing() -> None:
    async def work() -> Sequence[Notice]:
        with LoopbackServer() as server:
            made = Rig(server, options_for(udp_profile(port=server.port)))
            server.socket.close()
            server.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(made.drive.run())
                await until(lambda: any(isinstance(n, Warned) for n in made.notices), "the refusal")
                assert not running.done()
                await asyncio.sleep(0)
                with (
                    socket.socket(fileno=os.dup(made.link.fileno())) as sock,
                    pytest.raises(BlockingIOError),  # else the loop would spin on the socket
                ):
                    sock.recvmsg(9, 9, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
                made.drive.close("SIGTERM", Outcome.TERMINATE)
            made.plane.close()
            made.link.close()
            return made.notices

    warned = [notice.text for notice in run(work()) if isinstance(notice, Warned)]
    assert warned == [
        "read UDPv4 [ECONNREFUSED]: Connection refused: nothing listens on the server's port "
        "(code=111)"
    ]


def test_answers_for_the_server_go_out_while_there_is_a_session() -> None:
    async def work() -> tuple[bool, bool, list[str]]:
        with LoopbackServer(unasked()) as server:
            made = Rig(server, options_for(udp_profile(port=server.port)))
            early = made.drive.respond(Secret(b"eA=="))
            late: list[bool] = []

            def leave() -> None:
                late.append(made.drive.respond(Secret(b"YmxhY2s=")))
                made.drive.close("SIGTERM", Outcome.TERMINATE)

            try:
                await session(made, leave)
            finally:
                made.plane.close()
                made.link.close()
            return early, late[0], server.server.messages

    early, late, messages = run(work())
    assert (early, late) == (False, True)
    assert "CR_RESPONSE,YmxhY2s=" in messages


def test_end_of_the_machine_takes_a_question_back() -> None:
    async def work() -> bool:
        with LoopbackServer(ServerScript(silent=True)) as server:
            options = options_for(udp_profile(port=server.port))
            made = Rig(server, replace(options, login=LoginOptions(auth_user_pass=True)))
            asked = asyncio.Event()
            taken_back: list[bool] = []

            async def unanswered() -> actions.ActionResult:
                asked.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    taken_back.append(True)
                raise AssertionError("nobody sets it")

            made.hooks.credentials = unanswered  # type: ignore[method-assign]
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(made.drive.run())
                    await asked.wait()
                    made.drive.close("SIGTERM", Outcome.TERMINATE)
            finally:
                made.plane.close()
                made.link.close()
            return bool(taken_back)

    assert run(work())
