"""Helping the user through what a server asks: pages are written down, questions asked."""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Coroutine

import pytest

from ginnel.core.notices import Connected, ControlMessage
from ginnel.options.values import Secret
from ginnel.shell import pending, prompt
from ginnel.shell.browser import Opening
from ginnel.shell.pending import MAX_WAITING, PendingLogin
from tests.unit.shell.loops import Lines, run, until

PAGE = "https://idp.example/login"
OPENING = Opening(program="/usr/bin/xdg-open", environment={}, uid=1000, gid=1000, name="ada")


class Console:
    """Answers when it is told to; keeps what it was asked."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, bool]] = []
        self.answer: asyncio.Future[Secret] = asyncio.get_running_loop().create_future()
        self.closed = 0

    async def ask(self, question: str, *, echo: bool) -> Secret:
        self.questions.append((question, echo))
        return await asyncio.shield(self.answer)

    def close(self) -> None:
        self.closed += 1


class Rig:
    """A pending login that runs, with what it did."""

    def __init__(self, *, elsewhere: bool = False, heard: bool = False, security: int = 1) -> None:
        self.log = Lines()
        self.sent: list[bytes] = []
        self.takes = True
        self.login = PendingLogin(
            log=self.log,
            respond=self._respond,
            asks_elsewhere=elsewhere,
            heard_elsewhere=heard,
            script_security=security,
        )

    def _respond(self, response: Secret) -> bool:
        self.sent.append(response.reveal())
        return self.takes

    def hear(self, text: str, keyword: str = "INFO_PRE") -> None:
        self.login.observe(ControlMessage(keyword=keyword, text=text))


def serving(rig: Rig, work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Serves while ``work`` runs."""

    async def both() -> None:
        async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
            served = tasks.create_task(rig.login.serve())
            await work()
            served.cancel()

    run(both())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pages that were opened in the user's browser."""
    pages: list[str] = []

    async def open_page(address: str, opening: Opening) -> str | None:
        assert opening is OPENING
        pages.append(address)
        return None

    monkeypatch.setattr(pending, "plan_opening", lambda _environment, _uid: OPENING)
    monkeypatch.setattr(pending, "open_page", open_page)
    return pages


def test_page_is_written_down_and_opened_once(opened: list[str]) -> None:
    rig = Rig()

    async def work() -> None:
        rig.hear(f"WEB_AUTH::{PAGE}")
        rig.hear(f"OPEN_URL:{PAGE}", "INFO")
        rig.hear(f"OPEN_URL:{PAGE}/2")
        await until(lambda: len(opened) == 2, "it")

    serving(rig, work)
    assert opened == [PAGE, f"{PAGE}/2"]
    assert rig.log.texts == [
        f"to log in, open this address: {PAGE}",
        f"to log in, open this address: {PAGE}/2",
    ]


@pytest.mark.parametrize(("elsewhere", "security"), [(True, 1), (False, 0)])
def test_page_is_only_written_down_where_nothing_may_be_started(
    opened: list[str], elsewhere: bool, security: int
) -> None:
    rig = Rig(elsewhere=elsewhere, security=security)

    async def work() -> None:
        rig.hear(f"WEB_AUTH::{PAGE}")
        await until(lambda: rig.log.has("to log in, open"), "it")

    serving(rig, work)
    assert opened == []


def test_page_that_is_none_is_refused(opened: list[str]) -> None:
    rig = Rig()

    async def work() -> None:
        rig.hear("OPEN_URL:file:///etc/shadow")
        await until(lambda: rig.log.has("it is not opened"), "it")

    serving(rig, work)
    assert opened == []


def test_question_goes_to_the_terminal_and_its_answer_to_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()

    async def work() -> None:
        console = Console()
        monkeypatch.setattr(prompt, "find_console", lambda: console)
        rig.hear("CR_TEXT:R,E:What colour?")
        await until(lambda: bool(console.questions), "it")
        console.answer.set_result(Secret(b"black"))
        await until(lambda: bool(rig.sent), "it")
        assert console.questions == [("CHALLENGE: What colour?", True)]
        assert console.closed == 1

    serving(rig, work)
    assert rig.sent == [b64encode(b"black")]


def test_question_is_void_once_the_tunnel_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    async def work() -> None:
        console = Console()
        monkeypatch.setattr(prompt, "find_console", lambda: console)
        rig.hear("CR_TEXT:R:Code?")
        await until(lambda: bool(console.questions), "it")
        rig.login.observe(Connected())
        await until(lambda: console.closed == 1, "it")

    serving(rig, work)
    assert rig.sent == []


def test_questions_that_nobody_can_answer_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    monkeypatch.setattr(prompt, "find_console", lambda: None)

    async def work() -> None:
        rig.hear("CR_TEXT::Nothing to do")
        rig.hear("CR_TEXT:R:Code?")
        await until(lambda: rig.log.has("nobody answers"), "it")

    serving(rig, work)
    assert rig.log.texts[0] == "the server says: Nothing to do"
    assert "neither a file nor a terminal" in rig.log.texts[1]


def test_questions_that_a_management_client_may_answer_are_no_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(heard=True)
    monkeypatch.setattr(prompt, "find_console", lambda: None)

    async def work() -> None:
        rig.hear("CR_TEXT:R:Code?")
        rig.hear("CR_TEXT::bye")
        await until(lambda: rig.log.has("bye"), "the one after it")

    serving(rig, work)
    assert rig.log.texts == ["the server says: bye"]


def test_late_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.takes = False

    async def work() -> None:
        console = Console()
        console.answer.set_result(Secret(b"x"))
        monkeypatch.setattr(prompt, "find_console", lambda: console)
        rig.hear("CR_TEXT:R:Code?")
        await until(lambda: rig.log.has("came too late"), "it")

    serving(rig, work)


def test_questions_are_left_to_a_frontend_that_asks() -> None:
    rig = Rig(elsewhere=True)

    async def work() -> None:
        rig.hear("CR_TEXT:R:Code?")
        rig.hear(f"WEB_AUTH::{PAGE}")
        await until(lambda: rig.log.has("to log in"), "it")

    serving(rig, work)
    assert len(rig.log.texts) == 1


def test_flood_of_requests_is_bounded() -> None:
    rig = Rig()
    for number in range(99):
        rig.hear(f"CR_TEXT::number {number}")
    rig.hear("hello")
    rig.login.observe(Connected())

    async def work() -> None:
        await until(lambda: len(rig.log.texts) >= MAX_WAITING, "all that was kept")

    serving(rig, work)
    assert len(rig.log.texts) == MAX_WAITING
