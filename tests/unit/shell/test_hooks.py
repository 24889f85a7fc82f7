"""Hooks: what scripts are told when, what their failure means, and how one is stopped."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from ginnel.core.actions import CertificateInfo, Credentials, Done, Failed, TunnelConfig
from ginnel.core.notices import CertificateAccepted, InitialPacket, OptionsImported, PeerConnected
from ginnel.core.types import Endpoint, SessionId
from ginnel.dataplane.api import TunDevice
from ginnel.host.plan import HostPlan
from ginnel.host.scripts import ScriptFailure, ScriptResult
from ginnel.options.model import (
    ClientOptions,
    LoginOptions,
    LoginSource,
    RouteOptions,
    ScriptOptions,
)
from ginnel.options.values import FileContent, Secret
from ginnel.shell import prompt
from ginnel.shell.hooks import ClientHooks, ScriptFailed
from ginnel.shell.login import Login
from tests.unit.host.plans import config
from tests.unit.shell.loops import Lines, run, until
from tests.unit.shell.remotes import ORIGIN, options_for, udp_profile

DEVICE = TunDevice(fd=-1, name="tun0", mtu=1500, vnet_header=False)
SERVER = Endpoint(ip_address("192.0.2.1"), 1194)
COMMANDS = ScriptOptions(
    script_security=2,
    up=("/hooks/up",),
    down=("/hooks/down",),
    route_up=("/hooks/route-up",),
    route_pre_down=("/hooks/pre-down",),
    ipchange=("/hooks/ipchange",),
)
LEAF = CertificateInfo(depth=0, subject="CN=server", der=b"leaf")
ROOT = CertificateInfo(depth=1, subject="CN=ca", der=b"root")


@dataclass
class FakeRunner:
    """Keeps each call; commands in ``failing`` end with status 1, those in ``hanging`` never."""

    failing: frozenset[str] = frozenset()
    hanging: frozenset[str] = frozenset()
    on_run: Callable[[str], None] = lambda _command: None
    calls: list[tuple[list[str], Mapping[str, str]]] = field(default_factory=list)

    async def run(
        self,
        command: Sequence[str],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        script_security: int,
        own_session: bool = False,
    ) -> ScriptResult:
        assert not own_session, "it may ask at the terminal"
        self.calls.append(([*command, *arguments], dict(environment)))
        self.on_run(command[0])
        if command[0] in self.hanging:
            await asyncio.Event().wait()
        if command[0] in self.failing:
            return ScriptResult(status=1, failure=ScriptFailure.EXIT_STATUS)
        return ScriptResult(status=0)

    @property
    def ran(self) -> list[str]:
        return [words[0].rpartition("/")[2] for words, _ in self.calls]


@dataclass
class Rig:
    options: ClientOptions
    runner: FakeRunner = field(default_factory=FakeRunner)
    log: Lines = field(default_factory=Lines)

    def __post_init__(self) -> None:
        self.hooks = ClientHooks(
            self.options, self.log, Login(self.options.login), self.runner, log_redirected=False
        )
        self.config = config(RouteOptions())

    @property
    def tunnel(self) -> TunnelConfig:
        return replace(
            self.config, options=replace(self.config.options, scripts=self.options.scripts)
        )


def rig(runner: FakeRunner | None = None, scripts: ScriptOptions = COMMANDS) -> Rig:
    options = replace(options_for(udp_profile()), scripts=scripts)
    return Rig(options, runner or FakeRunner())


def test_a_whole_life_calls_each_hook_with_what_is_known_then() -> None:
    made = rig()
    hooks, tunnel = made.hooks, made.tunnel

    async def life() -> None:
        hooks.begin()
        hooks.observe(InitialPacket(source=SERVER, session_id=SessionId(bytes(8))))
        hooks.observe(CertificateAccepted(certificate=ROOT, checks=()))
        hooks.observe(CertificateAccepted(certificate=LEAF, checks=()))
        connected = PeerConnected(common_name="server", remote=SERVER)
        hooks.observe(connected)
        await hooks.peer_connected(connected)
        hooks.observe(OptionsImported(options=tunnel.options, groups=()))
        await hooks.up(tunnel, HostPlan(), DEVICE, restart=False)
        await hooks.route_up(tunnel, HostPlan(), DEVICE)
        await hooks.route_pre_down(tunnel, HostPlan(), DEVICE, signal_text="sigterm")
        await hooks.down(tunnel, HostPlan(), DEVICE, signal_text="sigterm", restart=False)

    run(life())
    assert made.runner.ran == ["ipchange", "up", "route-up", "pre-down", "down"]
    environments = [environment for _, environment in made.runner.calls]
    assert [e["script_type"] for e in environments] == [
        *("ipchange", "up", "route-up", "route-pre-down", "down")
    ]
    assert all(e["trusted_ip"] == "192.0.2.1" for e in environments)
    assert all(e["tls_id_0"] == "CN=server" for e in environments)
    assert "dev" not in environments[0]
    assert [e["dev"] for e in environments[1:]] == ["tun0"] * 4
    assert environments[3]["signal"] == "sigterm"
    assert "signal" not in environments[1]
    assert made.log.has("user-defined scripts"), "the warning about script-security"


def test_a_new_connection_knows_nothing_of_the_last_peer() -> None:
    made = rig()
    hooks = made.hooks
    hooks.observe(CertificateAccepted(certificate=LEAF, checks=()))
    hooks.observe(PeerConnected(common_name="server", remote=SERVER))
    hooks.begin()
    run(hooks.peer_connected(PeerConnected(common_name="server", remote=SERVER)))
    (_, environment) = made.runner.calls[0]
    assert "trusted_ip" not in environment
    assert "tls_id_0" not in environment


def test_a_failing_up_forbids_the_tunnel_the_others_are_warnings() -> None:
    everything = frozenset(
        f"/hooks/{n}" for n in ("up", "down", "route-up", "pre-down", "ipchange")
    )
    made = rig(FakeRunner(failing=everything))
    hooks, tunnel = made.hooks, made.tunnel

    async def life() -> None:
        with pytest.raises(ScriptFailed, match=r"Failed running command \(--up\): .*status: 1"):
            await hooks.up(tunnel, HostPlan(), DEVICE, restart=False)
        await hooks.route_up(tunnel, HostPlan(), DEVICE)
        await hooks.route_pre_down(tunnel, HostPlan(), DEVICE, signal_text="")
        await hooks.down(tunnel, HostPlan(), DEVICE, signal_text="", restart=False)
        await hooks.peer_connected(PeerConnected(common_name="x", remote=SERVER))

    run(life())
    for name in ("route-up", "route-pre-down", "down", "ipchange"):
        assert made.log.has(f"WARNING: Failed running command (--{name}): external program")


def test_without_commands_nothing_runs() -> None:
    made = rig(scripts=ScriptOptions())
    hooks, tunnel = made.hooks, made.tunnel

    async def life() -> None:
        await hooks.up(tunnel, HostPlan(), DEVICE, restart=False)
        await hooks.route_up(tunnel, HostPlan(), DEVICE)
        await hooks.down(tunnel, HostPlan(), DEVICE, signal_text="", restart=False)

    run(life())
    assert made.runner.calls == []
    assert made.log.texts == []


def test_interrupt_ends_the_script_that_runs_and_no_later_one() -> None:
    made = rig(FakeRunner(hanging=frozenset({"/hooks/down"})))
    hooks, tunnel = made.hooks, made.tunnel

    async def life() -> None:
        hooks.interrupt()  # nothing runs yet
        async with asyncio.TaskGroup() as tasks:
            down = tasks.create_task(
                hooks.down(tunnel, HostPlan(), DEVICE, signal_text="", restart=False)
            )
            await until(lambda: made.runner.calls, "the script")
            assert not down.done()
            hooks.interrupt()
        await hooks.route_pre_down(tunnel, HostPlan(), DEVICE, signal_text="")

    run(life())
    assert made.log.has("(--down): external program did not exit normally (stopped by a repeated")
    assert not made.log.has("(--route-pre-down)")


def test_cancelling_the_caller_ends_the_script_too() -> None:
    made = rig(FakeRunner(hanging=frozenset({"/hooks/up"})))

    async def life() -> bool:
        async with asyncio.TaskGroup() as tasks:
            up = tasks.create_task(made.hooks.up(made.tunnel, HostPlan(), DEVICE, restart=False))
            await until(lambda: made.runner.calls, "the script")
            up.cancel()
        return up.cancelled()

    assert run(life())


# --- tls-verify --------------------------------------------------------------------------------


def verifying(runner: FakeRunner, export: str | None = None) -> Rig:
    options = replace(options_for(udp_profile()), scripts=COMMANDS)
    tls = replace(options.tls, tls_verify=("/hooks/verify",), tls_export_cert=export)
    return Rig(replace(options, tls=tls), runner)


def test_each_certificate_is_shown_top_first() -> None:
    made = verifying(FakeRunner())
    assert run(made.hooks.verify_certificates((ROOT, LEAF))) == Done()
    assert [words[1:] for words, _ in made.runner.calls] == [["1", "CN=ca"], ["0", "CN=server"]]
    assert made.log.has("VERIFY SCRIPT OK: depth=1, CN=ca")
    assert made.log.has("VERIFY SCRIPT OK: depth=0, CN=server")


def test_the_first_refusal_counts() -> None:
    made = verifying(FakeRunner(failing=frozenset({"/hooks/verify"})))
    answer = run(made.hooks.verify_certificates((ROOT, LEAF)))
    assert isinstance(answer, Failed)
    assert "depth 1" in answer.reason
    assert len(made.runner.calls) == 1
    assert made.log.has("VERIFY SCRIPT ERROR: depth=1, CN=ca")


def test_without_the_option_all_pass() -> None:
    assert run(rig().hooks.verify_certificates((ROOT, LEAF))) == Done()


def test_the_certificate_is_a_file_while_the_script_runs(tmp_path: Path) -> None:
    made = verifying(FakeRunner(), str(tmp_path))
    run(made.hooks.verify_certificates((LEAF,)))
    (_, environment) = made.runner.calls[0]
    assert Path(environment["peer_cert"]).parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_is_a_warning(tmp_path: Path) -> None:
    made = verifying(FakeRunner(), str(tmp_path / "missing"))
    assert run(made.hooks.verify_certificates((LEAF,))) == Done()
    assert made.log.has("WARNING: tls-export-cert: ")
    assert "peer_cert" not in made.runner.calls[0][1]


# --- login -------------------------------------------------------------------------------------


def test_credentials_that_were_dropped_are_fetched_again() -> None:
    content = Secret(b"ada\nlovelace\n")
    file = FileContent(option="auth-user-pass", origin=ORIGIN, path=None, content=content)
    wanted = LoginOptions(auth_user_pass=True, source=LoginSource(credentials=file))
    made = Rig(replace(options_for(udp_profile()), login=wanted))
    ada = Credentials(username="ada", password=Secret(b"lovelace"))
    assert run(made.hooks.credentials()) == ada


def test_without_credentials_the_problem_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, "find_console", lambda: None)
    wanted = LoginOptions(auth_user_pass=True)
    answer = run(Rig(replace(options_for(udp_profile()), login=wanted)).hooks.credentials())
    assert isinstance(answer, Failed)
    assert "neither a file nor a terminal" in answer.reason


def test_credentials_that_nobody_wants_are_not_asked_for() -> None:
    assert run(rig().hooks.credentials()) == Failed(reason="none are known")
