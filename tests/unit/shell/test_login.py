"""Credentials between attempts: kept, forgotten, asked for again."""

import pytest

from ginnel.core.actions import Credentials
from ginnel.core.errors import ConfigError
from ginnel.options.model import LoginOptions
from ginnel.options.values import FileContent, Secret
from ginnel.shell import login
from ginnel.shell.login import Login
from ginnel.shell.signals import Stopped
from tests.unit.shell.remotes import ORIGIN

ADA = Credentials(username="ada", password=Secret(b"lovelace"))


def from_file(*, nocache: bool = False) -> LoginOptions:
    content = Secret(b"ada\nlovelace\n")
    file = FileContent(option="auth-user-pass", origin=ORIGIN, path="login", content=content)
    return LoginOptions(auth_user_pass=True, credentials=file, auth_nocache=nocache)


def test_nothing_is_asked_when_nothing_is_wanted() -> None:
    made = Login(LoginOptions())
    made.ask()
    assert made.current is None
    assert made.problem == ""


def test_file_is_taken_again_after_forgetting() -> None:
    made = Login(from_file())
    assert made.current == ADA
    made.connected()
    kept = [made.current]
    made.forget()
    kept.append(made.current)
    made.ask()
    kept.append(made.current)
    assert kept == [ADA, None, ADA]


def test_auth_nocache_forgets_after_the_start() -> None:
    made = Login(from_file(nocache=True))
    made.connected()
    assert made.current is None


def test_no_terminal_is_a_problem_to_tell_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Login(from_file())
    made.forget()

    def refuse(_options: LoginOptions) -> Credentials | None:
        raise ConfigError("neither a file nor a terminal")

    monkeypatch.setattr(login, "login_credentials", refuse)
    made.ask()
    assert made.current is None
    assert made.problem == "neither a file nor a terminal"


def test_a_signal_instead_of_an_answer_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Login(from_file())
    made.forget()

    def interrupted(_options: LoginOptions) -> Credentials | None:
        raise Stopped("SIGINT")

    monkeypatch.setattr(login, "login_credentials", interrupted)
    with pytest.raises(Stopped):
        made.ask()


def test_a_token_of_the_server_stands_in_for_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Login(from_file(nocache=True))
    made.token = Credentials(username="ada", password=Secret(b"SESS_ID_AT_1"))
    made.connected()
    monkeypatch.setattr(login, "login_credentials", lambda _options: pytest.fail("it was asked"))
    made.ask()
    assert made.current is None


def test_what_is_asked_elsewhere_is_not_asked_at_the_terminal() -> None:
    made = Login(LoginOptions(auth_user_pass=True), at_terminal=False)
    asked = [made.must_ask]
    made.enter("ada", Secret(b"lovelace"))
    asked.append(made.must_ask)
    assert made.current == ADA
    made.token = Credentials(username="ada", password=Secret(b"token"))
    made.forget()
    asked.append(made.must_ask)
    made.forget_all()
    asked.append(made.must_ask)
    assert asked == [True, False, False, True]


@pytest.mark.parametrize(
    ("content", "must_ask"), [(b"joe\nsecret\n", False), (b"joe\n", True), (b"joe\n\n", True)]
)
def test_a_file_that_holds_everything_asks_nobody(content: bytes, must_ask: bool) -> None:
    credentials = FileContent(
        option="auth-user-pass", origin=ORIGIN, path="login", content=Secret(content)
    )
    options = LoginOptions(auth_user_pass=True, credentials=credentials)
    assert Login(options, at_terminal=False).must_ask is must_ask


def test_without_a_login_nobody_is_asked() -> None:
    assert not Login(LoginOptions(), at_terminal=False).must_ask
