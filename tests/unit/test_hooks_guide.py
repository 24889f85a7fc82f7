"""The example of docs/guide/hooks.md does what the page says."""

import asyncio
import re
from base64 import b64encode
from datetime import datetime
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import pytest

from ginnel.core.server_actions import Refused
from ginnel.shell.authenticators import Agreed, Authenticators, make_authenticators
from tests.unit.shell.loops import run, until
from tests.unit.shell.server_scripts import Said, client, login, server_options

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "hooks.md"
MAX_LINES = 20


def example() -> ModuleType:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    code = [line for line in found[1].splitlines() if line and not line.startswith("#")]
    assert len(code) <= MAX_LINES
    module = ModuleType("office_hours")
    exec(found[1], vars(module))
    return module


class Clock:
    """A wall clock that stands still."""

    hour = 12

    @classmethod
    def now(cls) -> datetime:
        return datetime(2026, 1, 1, cls.hour)


@pytest.mark.parametrize(
    ("hour", "code", "expected"),
    [
        (12, b"123456", Agreed(options=('push "route 10.20.0.0 255.255.0.0"',))),
        (12, b"other", Refused()),
        (22, b"123456", Refused(reason="the office is closed")),
    ],
)
def test_the_example(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hour: int,
    code: bytes,
    expected: Agreed | Refused,
) -> None:
    module = example()
    monkeypatch.setattr(Clock, "hour", hour)
    monkeypatch.setattr(module, "datetime", Clock)
    point = EntryPoint("office", "office_hours:make", "ginnel.authenticators")
    monkeypatch.setattr(EntryPoint, "load", lambda _self: vars(module)["make"])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: EntryPoints([point]))
    options = server_options(tmp_path, authenticators=(("office", "ada=123456"),))

    async def work() -> Agreed | Refused:
        asked: list[str] = []

        def pend(_seconds: int, text: str) -> bool:
            asked.append(text)
            return True

        made = Authenticators(make_authenticators(options), Said())
        facts = client(IV_SSO="crtext")
        async with asyncio.TaskGroup() as tasks:
            judging = tasks.create_task(made.judge(login(facts), pend))
            await until(lambda: asked or judging.done(), "the question")
            made.answered(facts.client_id, b64encode(code).decode())
        return judging.result()

    assert run(work()) == expected
