"""The program's side: questions that wait, notices that become lines, wishes that become calls."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Interface
from pathlib import Path

import pytest

from ginnel.compat.log_lines import LogLine
from ginnel.compat.status_file import LinkStatistics
from ginnel.core.notices import (
    Advance,
    ControlMessage,
    Ended,
    ManagementState,
    Notice,
    OptionsImported,
    Outcome,
    PeerConnected,
    StateEntered,
)
from ginnel.core.types import Endpoint, Instant
from ginnel.management.frontend import ManagementFrontend
from ginnel.management.settings import ManagementSettings, UnixAddress
from ginnel.options.model import (
    AddressFamily,
    AuthRetry,
    ClientOptions,
    ConnectionProfile,
    HttpProxy,
    LinkProtocol,
    Proxy,
    ProxyLogin,
    SocksProxy,
    TunOptions,
)
from ginnel.options.values import Origin, Secret
from tests.unit.management.fakes import WHEN
from tests.unit.management.test_server import GREETED, Peer, eventually

SERVER = Endpoint(IPv4Address("192.0.2.1"), 1194)
PROFILES = tuple(
    ConnectionProfile(
        host=host, port="1194", protocol=protocol, family=family, origin=Origin("c", 1)
    )
    for host, protocol, family in (
        ("vpn.example", LinkProtocol.UDP, AddressFamily.ANY),
        ("192.0.2.1", LinkProtocol.UDP, AddressFamily.IPV4),
        ("2001:db8::1", LinkProtocol.TCP_CLIENT, AddressFamily.IPV6),
    )
)
OPTIONS = ClientOptions(profiles=PROFILES)


class FakeLog:
    """The log with its tap, as ``LogOutput`` is wired."""

    def __init__(self) -> None:
        self.verb = 3
        self.muted = 0
        self.lines: list[str] = []
        self.tap: Callable[[LogLine], None] = lambda line: None

    def log(self, line: LogLine) -> None:
        if line.verb <= self.verb:
            self.lines.append(line.text)
            self.tap(line)

    def set_verb(self, verb: int) -> None:
        self.verb = verb

    def set_mute(self, mute: int) -> None:
        self.muted = mute


class Program:
    """What the shell would be: it notes what it is told."""

    def __init__(self, path: Path, settings: ManagementSettings | None = None) -> None:
        base = settings or ManagementSettings(address=UnixAddress(path=str(path)))
        self.log = FakeLog()
        self.frontend = ManagementFrontend(
            base,
            log=self.log,
            clock=lambda: Instant(asyncio.get_running_loop().time()),
            wall_clock=lambda: WHEN,
            local_time=lambda: "2026-11-22 13:00:00",
        )
        self.log.tap = self.frontend.log_line
        self.signals: list[tuple[str, str]] = []
        self.forgotten = 0
        self.path = path

    def drive(self) -> None:
        def forget() -> None:
            self.forgotten += 1

        self.frontend.listen(lambda name, text: self.signals.append((name, text)))
        self.frontend.drive(
            on_forget=forget,
            statistics=lambda: LinkStatistics(link_read=11, link_write=22),
        )

    async def client(self) -> Peer:
        peer = await Peer.unix(self.path)
        await peer.until(GREETED)
        return peer


def live(program: Program, scenario: Callable[[Program], Awaitable[None]]) -> None:
    async def run() -> None:
        program.frontend.open()
        program.frontend.configure(OPTIONS)
        program.frontend.attach()
        try:
            await scenario(program)
        finally:
            program.frontend.close()

    asyncio.run(run())


def settings(path: Path, base: ManagementSettings) -> ManagementSettings:
    return replace(base, address=UnixAddress(path=str(path)))


BASE = ManagementSettings(address=UnixAddress(path=""))


def test_login_waits_for_both_halves(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(program.frontend.login("Auth"))
            peer = await program.client()
            waiting = "Need password(s) from management interface, waiting..."
            assert waiting in program.log.lines
            assert await peer.until(b"\r\n") == b">PASSWORD:Need 'Auth' username/password\r\n"
            await peer.say(b"username Auth joe")
            assert not asked.done()
            await peer.say(b"password Auth secret")
            assert await asked == ("joe", Secret(b"secret"))
            await peer.close()

    live(Program(tmp_path / "m"), scenario)


def test_a_question_that_is_given_up_can_be_asked_again(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        peer = await program.client()
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(program.frontend.passphrase("Private Key"))
            await peer.until(b"'Private Key' password\r\n")
            first.cancel()
            with suppress(asyncio.CancelledError):
                await first
            second = tasks.create_task(program.frontend.passphrase("Private Key"))
            await peer.until(b"'Private Key' password\r\n")
            await peer.say(b'password "Private Key" x')
            assert await second == Secret(b"x")
        await peer.close()

    live(Program(tmp_path / "m"), scenario)


def test_questions_wait_for_their_turn(tmp_path: Path) -> None:
    """A handshake may want a signature while somebody is asked for a password."""

    async def scenario(program: Program) -> None:
        peer = await program.client()
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(program.frontend.passphrase("Private Key"))
            await peer.until(b"'Private Key' password\r\n")
            signed = tasks.create_task(program.frontend.sign("QUJD", "ECDSA"))
            await peer.say(b'password "Private Key" x')
            await peer.until(b">RSA_SIGN:QUJD\r\n")
            await peer.say(b"rsa-sig\nAAAA\nEND")
        assert asked.result() == Secret(b"x")
        assert signed.result() == "AAAA"
        await peer.close()

    live(Program(tmp_path / "m"), scenario)


def test_hold_waits_only_when_it_is_set(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        await program.frontend.hold()
        peer = await program.client()
        await peer.say(b"hold on")
        async with asyncio.TaskGroup() as tasks:
            held = tasks.create_task(program.frontend.hold(5))
            assert await peer.until(b"\r\n") == b">HOLD:Waiting for hold release:5\r\n"
            await peer.say(b"hold release")
            await held
        await peer.close()

    live(Program(tmp_path / "m"), scenario)


def test_remotes_are_asked_about(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        peer = await program.client()
        for answer, expected in (
            (b"remote ACCEPT", ("2001:db8::1", "1194")),
            (b"remote MOD other 443", ("other", "443")),
            (b"remote SKIP", None),
        ):
            async with asyncio.TaskGroup() as tasks:
                asked = tasks.create_task(program.frontend.remote(PROFILES[2]))
                assert await peer.until(b"\r\n") == b">REMOTE:2001:db8::1,1194,tcp6-client\r\n"
                await peer.say(answer)
                assert await asked == expected
        await peer.close()

    live(Program(tmp_path / "m"), scenario)


def test_a_connection_from_start_to_end(tmp_path: Path) -> None:
    imported = replace(
        OPTIONS,
        tun=TunOptions(
            ifconfig=(IPv4Address("10.8.0.2"), IPv4Address("255.255.255.0")),
            ifconfig_ipv6=IPv6Interface("fd00::2/64"),
        ),
        echo=("hello world",),
    )
    notices: tuple[Notice, ...] = (
        StateEntered(state=ManagementState.WAIT),
        StateEntered(state=ManagementState.AUTH),
        PeerConnected(common_name="server", remote=SERVER),
        StateEntered(state=ManagementState.GET_CONFIG),
        OptionsImported(options=imported, groups=()),
        StateEntered(state=ManagementState.ASSIGN_IP),
        StateEntered(state=ManagementState.ADD_ROUTES),
        StateEntered(state=ManagementState.CONNECTED),
    )

    async def scenario(program: Program) -> None:
        program.drive()
        peer = await program.client()
        await peer.say(b"state on")
        await peer.say(b"echo on")
        program.frontend.state("CONNECTING")
        program.frontend.link_opened(SERVER, Endpoint(IPv6Address("::1"), 5000))
        for notice in notices:
            program.frontend.notice(notice)
        program.frontend.started(with_errors=False)
        program.frontend.started(with_errors=True)
        program.frontend.state("EXITING", "SIGTERM")
        heard = (await peer.until(b"SIGTERM,,,,,\r\n")).decode().splitlines()
        assert heard == [
            f">STATE:{WHEN},CONNECTING,,,,,,",
            f">STATE:{WHEN},WAIT,,,,,,",
            f">STATE:{WHEN},AUTH,,,,,,",
            f">STATE:{WHEN},GET_CONFIG,,,,,,",
            f">ECHO:{WHEN},hello world",
            f">STATE:{WHEN},ASSIGN_IP,,10.8.0.2,,,,,fd00::2",
            f">STATE:{WHEN},ADD_ROUTES,,,,,,",
            f">STATE:{WHEN},CONNECTED,SUCCESS,10.8.0.2,192.0.2.1,1194,::1,5000,fd00::2",
            f">STATE:{WHEN},CONNECTED,ROUTE_ERROR,10.8.0.2,192.0.2.1,1194,::1,5000,fd00::2",
            f">STATE:{WHEN},EXITING,SIGTERM,,,,,",
        ]
        await peer.close()

    live(Program(tmp_path / "m"), scenario)


def test_what_the_server_says(tmp_path: Path) -> None:
    def ended(reason: str | None) -> Ended:
        return Ended(
            outcome=Outcome.RESTART,
            signal_text="auth-failure",
            advance=Advance.SAME,
            explanation="",
            auth_failed=reason,
        )

    async def scenario(program: Program) -> None:
        peer = await program.client()
        for notice in (
            ControlMessage(keyword="INFO_PRE", text="WEB_AUTH::https://x.example"),
            ControlMessage(keyword="RESTART", text="gone"),
            ControlMessage(keyword="HALT", text="closed"),
            ControlMessage(keyword="EXIT", text=""),
            ended(None),
            ended("CRV1:R:s:dQ==:PIN"),
            ended(""),
        ):
            program.frontend.notice(notice)
        heard = (await peer.until(b"'Auth'\r\n")).decode().splitlines()
        assert heard == [
            ">INFOMSG:WEB_AUTH::https://x.example",
            ">NOTIFY:info,server-pushed-connection-reset,gone",
            ">NOTIFY:info,server-pushed-halt,closed",
            ">NOTIFY:info,remote-exit,EXIT",
            ">PASSWORD:Verification Failed: 'Auth' ['CRV1:R:s:dQ==:PIN']",
            ">PASSWORD:Verification Failed: 'Auth'",
        ]
        await peer.close()

    live(Program(tmp_path / "m"), scenario)


def test_commands_see_the_program(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        program.drive()
        peer = await program.client()
        assert await peer.say(b"load-stats") == b"SUCCESS: nclients=0,bytesin=11,bytesout=22\r\n"
        status = await peer.say(b"status", end=b"END\r\n")
        assert b"Updated,2026-11-22 13:00:00\r\n" in status
        assert b"TCP/UDP read bytes,11\r\n" in status
        assert await peer.say(b"remote-entry-get all", end=b"END\r\n") == (
            b"0,vpn.example,1194,udp,enabled\r\n"
            b"1,192.0.2.1,1194,udp4,enabled\r\n"
            b"2,2001:db8::1,1194,tcp6-client,enabled\r\nEND\r\n"
        )
        await peer.say(b"verb 5")
        assert program.log.verb == 5
        await peer.say(b"mute 7")
        assert program.log.muted == 7
        assert await peer.say(b"mute") == b"SUCCESS: mute=7\r\n"
        await peer.say(b"auth-retry interact")
        assert program.frontend.auth_retry() is AuthRetry.INTERACT
        await peer.say(b"forget-passwords")
        assert program.forgotten == 1
        await peer.say(b"signal SIGUSR2")
        assert program.signals == [("SIGUSR2", "")]
        await peer.close()

    live(Program(tmp_path / "m"), scenario)


def test_challenges_go_to_the_session_there_is(tmp_path: Path) -> None:
    sent: list[Secret] = []

    def send(response: Secret) -> bool:
        sent.append(response)
        return True

    async def scenario(program: Program) -> None:
        program.drive()
        peer = await program.client()
        assert await peer.say(b"cr-response QUJD") == b"ERROR: command failed\r\n"
        program.frontend.session_opened(send)
        assert await peer.say(b"cr-response QUJD") == b"SUCCESS: command succeeded\r\n"
        assert sent == [Secret(b"QUJD")]
        await peer.close()

    live(Program(tmp_path / "m"), scenario)


@pytest.mark.parametrize(
    ("base", "signals", "forgotten"),
    [
        (BASE, [], 0),
        (replace(BASE, signal=True), [("SIGUSR1", "management-disconnect")], 0),
        (replace(BASE, forget_disconnect=True), [], 1),
    ],
    ids=["nothing", "signal", "forget"],
)
def test_what_a_leaving_client_causes(
    tmp_path: Path, base: ManagementSettings, signals: list[tuple[str, str]], forgotten: int
) -> None:
    path = tmp_path / "m"

    async def scenario(program: Program) -> None:
        program.drive()
        peer = await program.client()
        await peer.close()
        await eventually(
            lambda: "MANAGEMENT: Client disconnected" in program.log.lines, "the leaving"
        )

    program = Program(path, settings(path, base))
    live(program, scenario)
    assert program.signals == signals
    assert program.forgotten == forgotten


def test_the_environment_is_shown_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "m"

    async def scenario(program: Program) -> None:
        peer = await program.client()
        program.frontend.up_down(up=True, environment=lambda: {"dev": "tun0"})
        program.frontend.fatal("the end")
        heard = await peer.until(b"the end\r\n")
        assert (b">UPDOWN:ENV,dev=tun0\r\n" in heard) is program.frontend.settings.up_down
        await peer.close()

    for base in (BASE, replace(BASE, up_down=True)):
        live(Program(path, settings(path, base)), scenario)


def test_the_log_is_kept_and_followed(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        peer = await program.client()
        await peer.say(b"log on")
        program.log.log(LogLine(text="Initialization Sequence Completed"))
        program.log.log(LogLine(text="too fine", verb=9))
        heard = await peer.until(b"Completed\r\n")
        assert heard == f">LOG:{WHEN},I,Initialization Sequence Completed\r\n".encode()
        assert b"too fine" not in await peer.say(b"log all", end=b"END\r\n")
        await peer.close()

    live(Program(tmp_path / "m"), scenario)


@pytest.mark.parametrize(
    ("configured", "answer", "expected"),
    [
        (None, "NONE", None),
        (None, "HTTP p 3128", HttpProxy(host="p", port="3128", login=ProxyLogin.AUTO)),
        (
            HttpProxy(host="q", port="1", agent="A/1"),
            "HTTP p 3128 nct",
            HttpProxy(host="p", port="3128", login=ProxyLogin.AUTO_NO_CLEARTEXT, agent="A/1"),
        ),
        (None, "SOCKS p 1080", SocksProxy(host="p", port="1080")),
        (
            SocksProxy(host="q", port="1", with_login=True),
            "SOCKS p 1080",
            SocksProxy(host="p", port="1080", with_login=True),
        ),
    ],
)
def test_proxies_are_asked_about(
    tmp_path: Path, configured: Proxy | None, answer: str, expected: Proxy | None
) -> None:
    path = tmp_path / "m"
    settings = ManagementSettings(address=UnixAddress(path=str(path)), query_proxy=True)

    async def scenario(program: Program) -> None:
        assert program.frontend.asks_proxies
        peer = await program.client()
        profile = replace(PROFILES[2], proxy=configured)
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(program.frontend.proxy(profile, 3))
            assert await peer.until(b"\r\n") == b">PROXY:3,TCP,2001:db8::1\r\n"
            await peer.say(f"proxy {answer}".encode())
            assert await asked == expected
        await peer.close()

    live(Program(path, settings), scenario)
