"""Scripts about clients: how many at once, how long, and what is said of their ends."""

import asyncio

from ginnel.compat.server_script_env import ServerHook
from ginnel.host.scripts import ScriptResult
from ginnel.shell.script_gate import TIMED_OUT, ScriptGate
from tests.unit.shell.loops import run, until
from tests.unit.shell.server_scripts import FakeScripts, Said, client


def call(gate: ScriptGate, fine: tuple[int, ...] = (0,)) -> "asyncio.Future[ScriptResult]":
    work = gate.run(client(), ServerHook.CONNECT, ("/hook",), ("word",), {"A": "b"}, fine=fine)
    return asyncio.get_running_loop().create_task(work)


def test_a_script_that_does_not_end_is_stopped_and_told() -> None:
    said = Said()

    async def work() -> ScriptResult:
        scripts = FakeScripts(hanging={"client-connect"})
        return await call(ScriptGate(scripts, said, script_security=2, seconds=0.01))

    result = run(work())
    assert result.status == TIMED_OUT
    assert not result.ok
    assert said.texts == [
        "WARNING: Failed running command (--client-connect): external program did not exit "
        "normally (stopped after 0.01 seconds)",
    ]


def test_only_so_many_run_at_once() -> None:
    async def work() -> None:
        scripts = FakeScripts(hanging={"client-connect"})
        gate = ScriptGate(scripts, Said(), script_security=2, at_once=2)
        calls = [call(gate) for _ in range(3)]
        await until(lambda: len(scripts.calls) == 2, "two scripts")
        await asyncio.sleep(0.01)
        assert len(scripts.calls) == 2
        calls[0].cancel()
        await until(lambda: len(scripts.calls) == 3, "the third script")
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    run(work())


def test_a_status_that_has_a_meaning_is_no_failure() -> None:
    said = Said()

    async def work() -> None:
        scripts = FakeScripts({"client-connect": lambda _call: 2})
        gate = ScriptGate(scripts, said, script_security=2)
        assert (await call(gate, fine=(0, 2))).status == 2
        assert scripts.calls[0].environment == {"A": "b", "script_type": "client-connect"}
        await call(gate)

    run(work())
    assert [text for text in said.texts if "WARNING" in text] == [
        "WARNING: Failed running command (--client-connect): external program exited with error "
        "status: 2"
    ]
