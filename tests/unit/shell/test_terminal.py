"""Questions at a real terminal: shown or hidden, cut short, and left as it was."""

import pytest

from tests.unit.shell.pseudo_terminal import at_terminal

HEAD = """
import asyncio, sys, termios
from ginnel.shell.signals import Stopped, stoppable
from ginnel.shell.terminal import NothingEntered, Terminal

terminal = Terminal.find()
before = termios.tcgetattr(0)

def ask(echo, limit=None):
    async def work():
        async with asyncio.timeout(limit):
            return await terminal.ask("Question?", echo=echo)
    try:
        with stoppable():
            print("<", asyncio.run(work()).reveal().decode(), ">")
    except Stopped as stopped:
        print("<", stopped.signal, ">")
    except NothingEntered:
        print("< nothing >")
    except TimeoutError:
        print("< late >")
    print("same" if termios.tcgetattr(0) == before else "changed")
    terminal.close()
"""


def test_shown_answer() -> None:
    shown = at_terminal(HEAD + "ask(True)", {b"Question? ": "Ada Lovelace ünï\n".encode()})
    assert "Question? Ada Lovelace ünï\r\n< Ada Lovelace ünï >" in shown
    assert "same" in shown


def test_hidden_answer() -> None:
    shown = at_terminal(HEAD + "ask(False)", {b"Question? ": b"secret\n"})
    assert "Question? \r\n< secret >" in shown
    assert "same" in shown


def test_long_answers_and_empty_ones() -> None:
    long = b"x" * 3000
    shown = at_terminal(HEAD + "ask(False)", {b"Question? ": long + b"\n"})
    assert f"< {long.decode()} >" in shown
    assert "<  >" in at_terminal(HEAD + "ask(False)", {b"Question? ": b"\n"})


@pytest.mark.parametrize("echo", ["True", "False"])
def test_interrupt_leaves_the_terminal_as_it_was(echo: str) -> None:
    shown = at_terminal(HEAD + f"ask({echo})", {b"Question? ": b"\x03"})
    assert "\n< SIGINT >" in shown
    assert "same" in shown


def test_end_of_input_is_no_answer() -> None:
    shown = at_terminal(HEAD + "ask(False)", {b"Question? ": b"\x04"})
    assert "< nothing >" in shown
    assert "same" in shown


def test_question_that_is_taken_back_ends_its_line() -> None:
    shown = at_terminal(HEAD + "ask(True, 0.05)", {})
    assert "Question? \r\n< late >" in shown
    assert "same" in shown


def test_question_of_a_server_cannot_command_the_terminal() -> None:
    program = HEAD.replace('"Question?"', '"a\\x1b[2Jb\\nc" + "x" * 5000 + "Question?"')
    shown = at_terminal(program + "ask(True)", {b"more] ": b"yes\n"})
    assert "a?[2Jb?cxxx" in shown
    assert "\x1b" not in shown
    assert "< yes >" in shown
