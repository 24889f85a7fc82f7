"""A server's options where no server was asked for."""

import pytest

from ginnel.options.errors import ConfigError
from tests.unit.options.memory_files import run


@pytest.mark.parametrize(
    "words",
    [
        ("--duplicate-cn",),
        ("--client-to-client",),
        ("--client-config-dir", "dir"),
        ("--ifconfig-pool", "10.0.0.4", "10.0.0.8"),
        ("--learn-address", "/bin/true"),
        ("--hash-size", "1", "1"),
        ("--ginnel-authenticator", "pam"),
    ],
)
def test_most_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as raised:
        run(*words)
    assert raised.value.message == f"{words[0]} requires --mode server"
    assert raised.value.option == words[0].removeprefix("--")


@pytest.mark.parametrize(
    "words",
    [
        ("--push", "route 10.0.0.0"),
        ("--max-clients", "3"),
        ("--tcp-nodelay",),
        ("--multihome",),
        ("--opt-verify",),
        ("--verify-client-cert", "none"),
    ],
)
def test_some_are_taken_and_said_to_do_nothing(words: tuple[str, ...]) -> None:
    notes = run(*words).notes
    assert [str(note) for note in notes if note.option == words[0].removeprefix("--")] == [
        f"{words[0]} has no effect here: it is for --mode server ([CMD-LINE]:1)"
    ]


def test_a_client_has_one_local_address_without_a_port() -> None:
    assert run("--local", "192.0.2.1").options.profiles[0].local == "192.0.2.1"
    with pytest.raises(ConfigError, match="for servers only"):
        run("--local", "192.0.2.1", "1194")


def test_a_client_renews_keys_at_one_time() -> None:
    assert any("exactly 100 seconds" in note.text for note in run("--reneg-sec", "100", "50").notes)
