"""What the options of user name and password set."""

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.model import AuthRetry, LoginSource, StaticChallenge
from tests.unit.options.memory_files import CA, run, run_config

HEAD = "client\nca ca.crt\n"


@pytest.mark.parametrize("words", [(), ("stdin",)])
def test_a_login_that_asks(words: tuple[str, ...]) -> None:
    login = run("--auth-user-pass", *words).options.login
    assert login.auth_user_pass
    assert login.source == LoginSource()


def test_a_login_inline() -> None:
    text = f"{HEAD}remote x\n<auth-user-pass>\nbob\npw\n</auth-user-pass>\n"
    for again in ("", "auth-user-pass [inline]\n"):
        credentials = run_config(text + again).options.login.source.credentials
        assert credentials is not None
        assert credentials.content.reveal() == b"bob\npw\n"


def test_a_name_alone_may_be_all_there_is_to_ask() -> None:
    login = run("--auth-user-pass", "username-only").options.login
    assert login.source == LoginSource(username_only=True)


def test_a_connection_may_have_a_login_of_its_own() -> None:
    blocks = (
        "<connection>\nremote a\nauth-user-pass username-only\n</connection>\n"
        "<connection>\nremote b\n</connection>\nauth-user-pass login\n"
    )
    options = run_config(HEAD + blocks, login=b"joe\npw\n").options
    first, second = options.profiles
    assert first.login == LoginSource(username_only=True)
    assert second.login is None
    assert options.login.auth_user_pass
    assert options.login.source.credentials is not None


def test_a_login_of_one_connection_is_a_way_to_prove_who_we_are() -> None:
    block = "<connection>\nremote a\n<auth-user-pass>\njoe\npw\n</auth-user-pass>\n</connection>\n"
    options = run_config(HEAD + block).options
    assert options.login.auth_user_pass
    login = options.profiles[0].login
    assert login is not None
    assert login.credentials is not None
    assert login.credentials.content.reveal() == b"joe\npw\n"


@pytest.mark.parametrize("retry", AuthRetry)
def test_auth_retry(retry: AuthRetry) -> None:
    assert run("--auth-retry", retry.value).options.login.auth_retry is retry


def test_an_auth_token_is_a_secret() -> None:
    login = run("--auth-token", "SESS_ID_AT_x", "--auth-token-user", "Ym9i").options.login
    assert login.auth_token is not None
    assert login.auth_token.reveal() == b"SESS_ID_AT_x"
    assert login.auth_token_user == "bob"
    assert "SESS_ID" not in repr(login)


@pytest.mark.parametrize("text", ["not base64", "", "/w==", "AAAA"])
def test_a_token_user_is_base64_of_a_name(text: str) -> None:
    with pytest.raises(ConfigError, match="auth-token-user"):
        run("--auth-token-user", text)


@pytest.mark.parametrize(
    ("words", "challenge"),
    [
        (("PIN?", "0"), StaticChallenge(text="PIN?", echo=False)),
        (("PIN?", "1"), StaticChallenge(text="PIN?", echo=True)),
        (("PIN?", "1", "scrv1"), StaticChallenge(text="PIN?", echo=True)),
        (("PIN?", "0", "concat"), StaticChallenge(text="PIN?", echo=False, concatenate=True)),
    ],
)
def test_static_challenge(words: tuple[str, ...], challenge: StaticChallenge) -> None:
    options = run("--auth-user-pass", "--static-challenge", *words).options
    assert options.login.static_challenge == challenge


def test_static_challenge_needs_words() -> None:
    with pytest.raises(ConfigError, match="expected a question"):
        run("--static-challenge", "", "1")
    with pytest.raises(ConfigError, match="expected a question"):
        run("--static-challenge", "a\x1b[2J", "1")


def test_login_needs_pull() -> None:
    with pytest.raises(ConfigError, match="--auth-user-pass requires --pull"):
        run_config("tls-client\nremote x\nca ca.crt\nauth-user-pass\n", **{"ca.crt": CA})


def test_what_has_no_effect_alone_is_noted() -> None:
    text = f"{HEAD}remote x\npkcs12 me.p12\nauth-token secret\nstatic-challenge PIN 1\n"
    notes = [note.text for note in run_config(text, **{"me.p12": b"\x30"}).notes]
    assert "--static-challenge has no effect without --auth-user-pass" in notes
    assert "--auth-token has no effect without --auth-token-user" in notes
    whole = f"{HEAD}remote x\nauth-user-pass\nauth-token a\nauth-token-user Ym9i\n"
    assert not [note for note in run_config(whole).notes if "no effect" in note.text]
