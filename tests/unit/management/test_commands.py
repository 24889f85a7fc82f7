"""The parser where the recorded conversations do not look: values, odd numbers, and any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.management.commands import (
    ALL,
    Answer,
    ByteCount,
    History,
    HistoryKind,
    Lines,
    PasswordBody,
    QueryAnswer,
    RealTime,
    Refused,
    RemoteEntries,
    Version,
    leading_number,
    parse_command,
    shown_in_log,
)
from ginnel.options.values import Secret


def test_quotes_and_backslashes_are_those_of_a_configuration() -> None:
    assert parse_command('password "Auth" "a b\\"c\\\\d"') == Answer(
        to=QueryAnswer.PASSWORD, type_name="Auth", value=Secret(b'a b"c\\d')
    )
    assert parse_command("username Auth 'a\\b'") == Answer(
        to=QueryAnswer.USERNAME, type_name="Auth", value=Secret(b"a\\b")
    )


def test_a_password_with_signs_of_a_comment() -> None:
    quoted = parse_command('password Auth "#;x"')
    assert isinstance(quoted, Answer)
    assert quoted.value == Secret(b"#;x")
    bare = parse_command("password Auth #x")
    assert bare == PasswordBody(type_name="Auth"), "the sign begins a comment"


def test_switch_and_number_together() -> None:
    assert parse_command("log on 5") == History(
        kind=HistoryKind.LOG, steps=(RealTime(on=True), Lines(count=5))
    )
    assert parse_command("echo all") == History(kind=HistoryKind.ECHO, steps=(Lines(count=ALL),))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("12x", 12),
        ("x12", 0),
        ("-3", -3),
        ("+3", 3),
        ("--3", 0),
        ("+-3", 0),
        ("-", 0),
        ("", 0),
        ("9" * 200, 2**31 - 1),
        ("-" + "9" * 200, -(2**31)),
        ("٣", 0),
    ],
)
def test_numbers_as_the_c_library_reads_them(text: str, number: int) -> None:
    assert leading_number(text) == number


def test_odd_numbers_stay_in_range() -> None:
    assert parse_command("bytecount -5") == ByteCount(seconds=0)
    assert parse_command("version 99999999999") == Version(client=2**31 - 1)
    assert parse_command("remote-entry-get 2147483647") == RemoteEntries(first=2**31 - 1, end=2**31)


def test_what_the_log_shows() -> None:
    assert shown_in_log("state on") == "state on"
    assert shown_in_log("username Auth joe") == "username Auth joe"
    assert shown_in_log("password Auth secret") == "password [...]"
    assert shown_in_log("passwrod Auth secret") == "[...]"
    assert shown_in_log("load-stats") is None
    assert shown_in_log("") == ""


@given(st.text(max_size=300))
def test_any_line_is_a_command_or_refused(line: str) -> None:
    command = parse_command(line)
    if isinstance(command, Refused):
        assert command.replies
        assert all("\n" not in reply or "\n" in line for reply in command.replies)


@given(st.text(alphabet="abc \"'\\#", min_size=1, max_size=30))
def test_secrets_never_show(secret: str) -> None:
    for line in (f"password Auth {secret}", f"'password' Auth {secret}", f"paswd Auth {secret}"):
        assert shown_in_log(line) in {"password [...]", "[...]"}
