"""Credentials between attempts: taken, asked for, kept, wiped, and never mixed up."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ginnel.core.actions import Credentials
from ginnel.core.errors import ConfigError
from ginnel.core.messages import DynamicChallenge
from ginnel.options.model import LoginOptions, LoginSource, StaticChallenge
from ginnel.options.values import FileContent, Secret
from ginnel.shell import prompt
from ginnel.shell.frontend import Unattended
from ginnel.shell.login import NO_PASSWORD, Login
from ginnel.shell.terminal import NothingEntered
from tests.unit.shell.loops import run, until
from tests.unit.shell.remotes import ORIGIN, udp_profile

ADA = Credentials(username="ada", password=Secret(b"lovelace"))
ASKS = LoginOptions(auth_user_pass=True)
CHALLENGE = DynamicChallenge(
    echo=False, response_required=True, state_id="state-7", username="ada", text="Code?"
)


def source(content: bytes, path: str | None = "login") -> LoginSource:
    secret = Secret(content)
    file = FileContent(option="auth-user-pass", origin=ORIGIN, path=path, content=secret)
    return LoginSource(credentials=file)


def from_file(content: bytes = b"ada\nlovelace\n", *, nocache: bool = False) -> LoginOptions:
    return LoginOptions(auth_user_pass=True, source=source(content), auth_nocache=nocache)


@dataclass
class Console:
    """Somebody at the terminal with these answers; a question without one ends the input."""

    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, bool]] = field(default_factory=list)

    async def ask(self, question: str, *, echo: bool) -> Secret:
        self.asked.append((question, echo))
        if question not in self.answers:
            raise NothingEntered
        return Secret(self.answers[question])

    def close(self) -> None:
        """Nothing is open."""


class Gui(Unattended):
    """A management client that is asked for passwords."""

    asks_passwords = True

    def __init__(self, username: str = "ada", password: bytes = b"lovelace") -> None:
        self.answer = (username, password)
        self.asked: list[tuple[StaticChallenge | None, bool]] = []

    async def login(
        self,
        type_name: str,
        challenge: StaticChallenge | None = None,
        *,
        username_only: bool = False,
    ) -> tuple[str, Secret]:
        assert type_name == "Auth"
        self.asked.append((challenge, username_only))
        return self.answer[0], Secret(self.answer[1])


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    made = Console({"Enter Auth Username:": b" ada ", "Enter Auth Password:": b"lovelace"})
    monkeypatch.setattr(prompt, "find_console", lambda: made)
    return made


def obtained(login: Login, frontend: Unattended | None = None) -> Credentials | None:
    run(login.obtain(frontend or Unattended()))
    return login.current


def test_nothing_is_asked_when_nothing_is_wanted() -> None:
    made = Login(LoginOptions())
    assert made.is_known
    assert obtained(made, Gui()) is None
    assert made.problem == ""


@pytest.mark.parametrize(
    "content", [b"ada\nlovelace\n", b"ada\r\nlovelace\r\n", b" ada \nlovelace", b"ada\nlovelace\nx"]
)
def test_file_holds_everything(console: Console, content: bytes) -> None:
    assert obtained(Login(from_file(content))) == ADA
    assert console.asked == []


def test_password_is_what_stands_there(console: Console) -> None:
    known = obtained(Login(from_file("ünï\n p w ü \n".encode())))
    assert known == Credentials(username="ünï", password=Secret(" p w ü ".encode()))


def test_terminal_is_asked_for_what_is_missing(console: Console) -> None:
    assert obtained(Login(ASKS)) == ADA
    assert console.asked == [("Enter Auth Username:", True), ("Enter Auth Password:", False)]
    console.asked.clear()
    assert obtained(Login(from_file(b"ada\n\n"))) == ADA
    assert console.asked == [("Enter Auth Password:", False)]


def test_frontend_is_asked_instead(console: Console) -> None:
    gui = Gui()
    assert obtained(Login(ASKS), gui) == ADA
    assert obtained(Login(from_file(b"ada\n")), gui) == ADA
    assert gui.asked == [(None, False)] * 2
    assert console.asked == []


def test_name_may_be_all_there_is(console: Console) -> None:
    options = LoginOptions(auth_user_pass=True, source=LoginSource(username_only=True))
    expected = Credentials(username="ada", password=Secret(NO_PASSWORD))
    assert obtained(Login(options)) == expected
    assert console.asked == [("Enter Auth Username:", True)]
    gui = Gui()
    assert obtained(Login(options), gui) == expected
    assert gui.asked == [(None, True)]


@pytest.mark.parametrize(
    ("concatenate", "sent"), [(False, b"SCRV1:bG92ZWxhY2U=:NDI="), (True, b"lovelace42")]
)
def test_static_challenge(console: Console, concatenate: bool, sent: bytes) -> None:
    challenge = StaticChallenge(text="PIN?", echo=True, concatenate=concatenate)
    console.answers["CHALLENGE: PIN?"] = b"42"
    for options in (ASKS, from_file()):
        console.asked.clear()
        made = Login(replace(options, static_challenge=challenge))
        assert obtained(made) == Credentials(username="ada", password=Secret(sent))
        assert console.asked[-1] == ("CHALLENGE: PIN?", True)
    gui = Gui(password=b"SCRV1:eA==:eQ==")
    known = obtained(Login(replace(ASKS, static_challenge=challenge)), gui)
    assert known == Credentials(username="ada", password=Secret(b"SCRV1:eA==:eQ=="))
    assert gui.asked == [(challenge, False)]


def test_question_of_the_server_is_answered_once(console: Console) -> None:
    console.answers["CHALLENGE: Code?"] = b"42"
    made = Login(from_file())
    made.challenged(CHALLENGE)
    answer = obtained(made)
    assert answer == Credentials(username="ada", password=Secret(b"CRV1::state-7::42"))
    assert console.asked == [("CHALLENGE: Code?", False)]
    made.sent()
    assert len(answer.password) > 0, "the connection needs it for its next key"
    assert obtained(made) == ADA


def test_frontend_answers_the_server_itself(console: Console) -> None:
    made = Login(ASKS)
    made.challenged(CHALLENGE)
    gui = Gui(password=b"CRV1::state-7::42")
    assert obtained(made, gui) == Credentials(username="ada", password=Secret(gui.answer[1]))
    assert gui.asked == [(None, False)]
    made.challenged(CHALLENGE)
    made.challenged(None)
    made.forget()
    assert obtained(made) == ADA, "a later refusal without a question voids the question"


def test_token_stands_in_for_the_password() -> None:
    made = Login(ASKS)
    made.token = Credentials(username="ada", password=Secret(b"SESS_ID_AT_1"))
    assert made.is_known
    assert obtained(made, Gui()) is None
    configured = replace(ASKS, auth_token=Secret(b"token"), auth_token_user="bob")
    assert Login(configured).token == Credentials(username="bob", password=Secret(b"token"))
    assert Login(replace(configured, auth_token_user=None)).token is None


def test_forgotten_passwords_are_wiped(console: Console) -> None:
    made = Login(ASKS)
    known = obtained(made)
    assert known is not None
    made.token = Credentials(username="ada", password=Secret(b"token"))
    made.forget()
    assert (made.current, len(known.password)) == (None, 0)
    assert made.is_known
    made.forget_all()
    assert not made.is_known


def test_auth_nocache_wipes_what_was_sent_and_reads_the_file_again(
    tmp_path: Path, console: Console
) -> None:
    path = tmp_path / "login"
    path.write_bytes(b"ada\nchanged\n")
    stored = source(b"ada\nlovelace\n", str(path))
    made = Login(LoginOptions(auth_user_pass=True, source=stored, auth_nocache=True))
    first = obtained(made)
    assert first == ADA
    made.sent()
    assert stored.credentials is not None
    assert (made.current, len(first.password), len(stored.credentials.content)) == (None, 0, 0)
    again = obtained(made)
    assert again == Credentials(username="ada", password=Secret(b"changed"))
    made.sent()
    path.unlink()
    assert obtained(made) is None
    assert "with auth-nocache the file is read for every login" in made.problem


@pytest.mark.parametrize("path", [None, "/dev/null", "/nowhere/at/all"])
def test_what_cannot_be_read_again_is_kept(path: str | None) -> None:
    stored = source(b"ada\nlovelace\n", path)
    made = Login(LoginOptions(auth_user_pass=True, source=stored, auth_nocache=True))
    for _ in range(2):
        assert obtained(made) == ADA
        made.sent()


def test_each_source_has_an_account_of_its_own() -> None:
    mine = replace(udp_profile(), login=source(b"bob\nbabbage\n"))
    made = Login(from_file())
    made.use(udp_profile())
    assert obtained(made) == ADA
    made.token = Credentials(username="ada", password=Secret(b"token"))
    made.use(mine)
    bob = Credentials(username="bob", password=Secret(b"babbage"))
    assert obtained(made) == bob
    made.use(udp_profile("192.0.2.2"))
    assert made.current == ADA
    assert made.token is not None
    made.forget_all()
    made.use(mine)
    assert made.current is None


def test_reload_keeps_what_somebody_entered_and_not_what_a_file_held(console: Console) -> None:
    before = Login(ASKS)
    assert obtained(before) == ADA
    after = Login(ASKS)
    after.adopt(before)
    assert after.current == ADA
    changed = Login(from_file(b"bob\nbabbage\n"))
    changed.adopt(before)
    assert changed.current is None


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, "no user name was entered"),
        ({"Enter Auth Username:": b"  "}, "ERROR: Auth username is empty"),
        ({"Enter Auth Username:": b"ada"}, "no password was entered"),
    ],
)
def test_nothing_entered_is_a_problem_to_tell(
    console: Console, answers: dict[str, bytes], problem: str
) -> None:
    console.answers = answers
    made = Login(ASKS)
    assert obtained(made) is None
    assert made.problem == problem
    with pytest.raises(ConfigError, match=problem):
        run(made.obtain_or_fail(Unattended()))


def test_challenge_without_an_answer_is_named(console: Console) -> None:
    made = Login(ASKS)
    made.challenged(CHALLENGE)
    assert obtained(made) is None
    assert made.problem == "no answer to the challenge was entered"


def test_empty_password_and_empty_answer_are_answers(console: Console) -> None:
    console.answers |= {"Enter Auth Password:": b"", "CHALLENGE: PIN?": b""}
    assert obtained(Login(ASKS)) == Credentials(username="ada", password=Secret(b""))
    challenge = StaticChallenge(text="PIN?", echo=False)
    known = obtained(Login(replace(ASKS, static_challenge=challenge)))
    assert known == Credentials(username="ada", password=Secret(b"SCRV1::"))


def test_question_that_is_taken_back_leaves_nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Console):
        async def ask(self, question: str, *, echo: bool) -> Secret:
            self.asked.append((question, echo))
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    slow = Slow()
    monkeypatch.setattr(prompt, "find_console", lambda: slow)
    made = Login(ASKS)

    async def work() -> bool:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(made.obtain(Unattended()))
            await until(lambda: bool(slow.asked), "the question")
            asking.cancel()
        return asking.cancelled()

    assert run(work())
    assert not made.is_known
