"""The program around the server's lifecycle: secrets, reloads, the pool's file, exit status."""

import asyncio
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError
from ginnel.core.tls import PeerCheck
from ginnel.options.actions import RunServer
from ginnel.options.model import ProcessOptions, TlsOptions
from ginnel.options.server_model import (
    AccessOptions,
    PoolOptions,
    ServerOptions,
    TokenOptions,
    VerifyClientCert,
)
from ginnel.shell import helper_watch, process, server, unlock
from ginnel.shell.server import run_server
from ginnel.shell.server_lifecycle import Finished, ServerEquipment
from tests.unit.shell.loops import Lines
from tests.unit.shell.server_stand_ins import server_options


class FakeContext:
    warnings = ("the certificate expires soon",)

    def channel(self) -> None:
        raise AssertionError("no connection is made here")


@dataclass
class FakeHelper:
    rig: "Rig"
    helper_pid: int

    def greet(self) -> None:
        """The helper looks at what earlier ones left."""

    async def close(self) -> None:
        self.rig.told.append("helper closed")


@dataclass
class Rig:
    told: list[str] = field(default_factory=list)
    log: Lines = field(default_factory=Lines)
    ends: list[Finished | BaseException] = field(default_factory=lambda: [Finished()])
    lives: list[tuple[ServerOptions, ServerEquipment]] = field(default_factory=list)
    peer_checks: list[object] = field(default_factory=list)
    on_live: Callable[[ServerEquipment], None] = lambda _equipment: None


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rig:
    made = Rig()

    class FakeLifecycle:
        def __init__(self, options: ServerOptions, equipment: ServerEquipment) -> None:
            made.lives.append((options, equipment))

        async def run(self) -> Finished:
            made.on_live(made.lives[-1][1])
            await asyncio.sleep(0)
            end = made.ends.pop(0)
            if isinstance(end, BaseException):
                raise end
            return end

    monkeypatch.setattr(process, "forbid_core_dumps", lambda: None)
    monkeypatch.setattr(process, "setup_logging", lambda wanted: made.log.output(wanted.verb))

    def build(_options: TlsOptions, **terms: object) -> FakeContext:
        made.peer_checks.append(terms["peer_check"])
        return FakeContext()

    monkeypatch.setattr(unlock, "build_tls_context", build)
    monkeypatch.setattr(process, "start_helper", lambda _directory: FakeHelper(made, os.getpid()))
    monkeypatch.setattr(process, "HostClient", lambda helper: helper)
    monkeypatch.setattr(helper_watch, "has_ended", lambda _pid: False)
    monkeypatch.setattr(server, "ServerLifecycle", FakeLifecycle)
    monkeypatch.setenv(process.ENGINE_VARIABLE, "python")
    return made


def request(**changes: object) -> RunServer:
    options = replace(server_options(), process=ProcessOptions(verb=3))
    return RunServer(options=replace(options, **changes), notes=())  # type: ignore[arg-type]


def never() -> RunServer:
    pytest.fail("nothing asked for a reload")


def test_a_start_greets_opens_keys_and_ends_with_the_lifecycles_status(rig: Rig) -> None:
    rig.ends = [Finished(status=1)]
    assert run_server(request(), never) == 1
    assert rig.log.texts[0].startswith("OpenVPN 2.6")
    assert rig.log.has("WARNING: the certificate expires soon")
    assert rig.told == ["helper closed"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard


@pytest.mark.parametrize("wanted", VerifyClientCert)
def test_clients_are_asked_for_certificates_as_configured(
    rig: Rig, wanted: VerifyClientCert
) -> None:
    assert run_server(request(access=AccessOptions(verify_client_cert=wanted)), never) == 0
    expected = {"none": PeerCheck.NONE, "optional": PeerCheck.IF_SENT}
    assert rig.peer_checks == [expected.get(wanted.value, PeerCheck.REQUIRED)]


def test_a_reload_reads_everything_again_and_keeps_helper_and_sockets(rig: Rig) -> None:
    rig.ends = [Finished(reload=True), Finished()]
    assert run_server(request(), request) == 0
    (_, first), (_, second) = rig.lives
    assert first.host is second.host
    assert first.listeners is second.listeners
    assert first.signals is second.signals
    assert sum(text.startswith("OpenVPN 2.6") for text in rig.log.texts) == 2


def test_a_broken_configuration_at_a_reload_leaves_the_one_before_in_force(rig: Rig) -> None:
    rig.ends = [Finished(reload=True), Finished()]

    def broken() -> RunServer:
        raise ConfigError("there is no option of this name", option="bogus")

    assert run_server(request(), broken) == 0
    assert rig.lives[0][0] == rig.lives[1][0]
    assert rig.log.has("Options error: there is no option of this name")
    assert rig.log.has("WARNING: the configuration has a mistake: the one before stays in force")


def test_a_configuration_that_cannot_be_served_after_all_gives_way(rig: Rig) -> None:
    rig.ends = [Finished(reload=True), Finished()]
    good = request()
    bad = request(access=AccessOptions(authenticators=(("no-such-thing",),)))
    assert run_server(good, lambda: bad) == 0
    assert [options for options, _ in rig.lives] == [good.options, good.options]
    assert rig.log.has("no-such-thing")
    assert rig.log.has("the one before stays in force")


def test_the_pools_file_is_kept_over_reloads_and_written_at_the_end(
    rig: Rig, tmp_path: Path
) -> None:
    path, other = tmp_path / "pool.txt", tmp_path / "other.txt"
    rig.ends = [Finished(reload=True), Finished(reload=True), Finished(reload=True), Finished()]
    stores = []

    def live(equipment: ServerEquipment) -> None:
        stores.append(equipment.store)

    rig.on_live = live
    pool = server_options().pool
    kept = request(pool=replace(pool, persist_path=str(path)))
    moved = request(pool=replace(pool, persist_path=str(other)))
    again = iter([kept, moved, request()])
    assert run_server(kept, lambda: next(again)) == 0
    assert stores[0] is stores[1]
    assert stores[0] is not stores[2]
    assert stores[3] is None
    assert path.exists()
    assert other.exists()


def test_a_status_file_out_of_reach_is_an_error_at_the_start(rig: Rig, tmp_path: Path) -> None:
    lost = ProcessOptions(verb=3, status=str(tmp_path / "no" / "status"))
    assert run_server(request(process=lost), never) == 1
    assert rig.log.has("Options error: --status fails with '")
    assert rig.lives == []


def test_a_status_file_that_is_open_is_used_on(rig: Rig, tmp_path: Path) -> None:
    rig.ends = [Finished(reload=True), Finished(reload=True), Finished()]
    first, second = tmp_path / "status", tmp_path / "other"
    wanted = request(process=ProcessOptions(verb=3, status=str(first)))
    moved = request(process=ProcessOptions(verb=3, status=str(second)))
    again = iter([wanted, moved])
    assert run_server(wanted, lambda: next(again)) == 0
    one, two, three = (equipment.status for _, equipment in rig.lives)
    assert one is two
    assert three is not two
    assert second.exists()


def test_tokens_have_one_key_over_reloads(rig: Rig) -> None:
    rig.ends = [Finished(reload=True), Finished()]
    wanted = request(access=AccessOptions(token=TokenOptions()))
    assert run_server(wanted, lambda: wanted) == 0
    first, second = (equipment.means.tokens for _, equipment in rig.lives)
    assert first is not None
    assert second is not None
    assert first._key == second._key


def test_an_authenticator_that_is_not_there_is_named(rig: Rig) -> None:
    wanted = request(access=AccessOptions(authenticators=(("no-such-thing",),)))
    assert run_server(wanted, never) == 1
    assert rig.log.has("no-such-thing")
    assert rig.told == ["helper closed"]


def test_a_bug_is_shown_with_its_place(rig: Rig) -> None:
    rig.ends = [RuntimeError("a bug of ours")]
    assert run_server(request(pool=PoolOptions()), never) == 1
    assert rig.log.has("RuntimeError: a bug of ours")
