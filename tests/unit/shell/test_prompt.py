"""Whom questions go to, and what is said when nobody answers."""

import subprocess
import sys

import pytest

from ginnel.core.errors import ConfigError
from ginnel.options.values import Secret
from ginnel.shell import prompt
from ginnel.shell.agent import Declined
from ginnel.shell.terminal import NothingEntered
from tests.unit.shell.loops import run
from tests.unit.shell.pseudo_terminal import at_terminal

ASK_PHRASE = """
import asyncio
from ginnel.core.errors import ConfigError
from ginnel.shell.prompt import ask_passphrase, somebody_is_there
try:
    print(somebody_is_there(), "<", asyncio.run(ask_passphrase()).reveal().decode(), ">")
except ConfigError as error:
    print(somebody_is_there(), "<", error.option, error, ">")
"""


class Answering:
    """A console that does the same at every question."""

    def __init__(self, answer: Secret | Exception) -> None:
        self._answer = answer

    async def ask(self, question: str, *, echo: bool) -> Secret:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def close(self) -> None:
        """Nothing is open."""


def test_passphrase_is_asked_for_at_the_terminal_and_not_shown() -> None:
    shown = at_terminal(ASK_PHRASE, {b"Enter Private Key Password: ": b"correct horse\n"})
    assert "True < correct horse >" in shown
    assert shown.count("correct") == 1


def test_nothing_entered_is_said() -> None:
    shown = at_terminal(ASK_PHRASE, {b"Enter Private Key Password: ": b"\x04"})
    assert "< askpass no password was entered >" in shown


def test_without_a_terminal_the_way_out_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK_PHRASE],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        timeout=60,
    )
    assert "False < askpass neither a file nor a terminal" in done.stdout
    assert "'askpass FILE'" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (NothingEntered(), "no PIN was entered"),
        (Declined(), "the question for the PIN was declined"),
        (
            PermissionError(13, "Permission denied"),
            "the PIN cannot be asked for: Permission denied",
        ),
    ],
)
def test_each_way_not_to_answer_has_its_words(problem: Exception, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run(prompt.ask(Answering(problem), "PIN?", echo=False, option="x", what="PIN"))
