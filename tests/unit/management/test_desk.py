"""The desk: verdicts reach who waits, once, and only that one."""

import asyncio

import pytest

from ginnel.core.server_actions import ClientId
from ginnel.management.desk import ClientDesk
from ginnel.management.server_commands import KeyOf
from ginnel.shell.server_frontend import Allowed, Denied
from tests.unit.management.fakes import TITLE, WHEN
from tests.unit.management.server_fakes import WHEN_TEXT, FakeControl, facts
from tests.unit.shell.loops import run

KEY = KeyOf(client_id=ClientId(0), key_number=1)


def desk() -> ClientDesk:
    return ClientDesk(
        title=lambda: TITLE,
        wall_clock=lambda: WHEN,
        time_text=lambda when: WHEN_TEXT,
        log=lambda line: None,
    )


def patient(timeout: int, extra: str) -> bool:
    return len(extra) < 10


def judging(judge: ClientDesk) -> "asyncio.Task[Allowed | Denied]":
    return asyncio.ensure_future(judge.judge(facts(), patient, lambda: None))


def test_the_first_verdict_counts() -> None:
    async def scenario() -> None:
        judge = desk()
        waiting = judging(judge)
        await asyncio.sleep(0)
        assert judge.allow(KEY, ("push x",))
        assert judge.deny(KEY, "late", None)
        assert await waiting == Allowed(config=("push x",))
        assert not judge.deny(KEY, "later", None)

    run(scenario())


def test_a_verdict_may_come_while_the_question_is_asked() -> None:
    async def scenario() -> None:
        judge = desk()

        def announce() -> None:
            judge.deny(KEY, "no", None)

        verdict = await judge.judge(facts(), patient, announce)
        assert verdict == Denied(reason="no")

    run(scenario())


def test_a_client_that_went_takes_its_place_with_it() -> None:
    async def scenario() -> None:
        judge = desk()
        waiting = judging(judge)
        await asyncio.sleep(0)
        assert judge.pend(KEY, "short", 30)
        assert not judge.pend(KEY, "much longer", 30)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not judge.allow(KEY, ())
        assert not judge.pend(KEY, "short", 30)

    run(scenario())


def test_without_a_server_there_is_nothing() -> None:
    judge = desk()
    assert judge.load_stats().clients == 0
    assert list(judge.traffic()) == []
    assert judge.push_update(None, ["x"]) is None
    assert judge.kill_by_name("x") == 0
    assert not judge.restart_client(ClientId(0), "RESTART")
    assert list(judge.status_lines(None))[-1] == "END"


def test_the_form_of_the_status_is_as_configured() -> None:
    judge = desk()
    judge.control = FakeControl()
    judge.status_version = 3
    assert next(judge.status_lines(None)) == f"TITLE\t{TITLE}"
    assert next(judge.status_lines(1)) == "OpenVPN CLIENT LIST"


def test_only_the_present_key_of_a_client_counts() -> None:
    judge = desk()
    control = FakeControl()
    control.present = {ClientId(0): facts(key_number=4)}
    judge.control = control
    assert not judge.deny(KEY, "old", None)
    assert judge.deny(KeyOf(client_id=ClientId(0), key_number=4), "new", "sorry")
    assert control.done == [("refuse", ClientId(0), "sorry")]
