"""Questions at a real terminal, and their absence."""

import os
import pty
import select
import subprocess
import sys
import time

import pytest

from ginnel.core.actions import Credentials
from ginnel.options.model import LoginOptions
from ginnel.options.values import FileContent, Secret
from ginnel.shell.prompt import login_credentials
from tests.unit.shell.remotes import ORIGIN

DEADLINE = 20.0

HEAD = """
import sys
from ginnel.core.errors import ConfigError
from ginnel.options.model import LoginOptions
from ginnel.options.values import FileContent, Origin, Secret
from ginnel.shell.prompt import ask_passphrase, login_credentials
from ginnel.shell.signals import Stopped, stoppable
"""
ASK_LOGIN = """
try:
    with stoppable():
        login = login_credentials(LoginOptions(auth_user_pass=True))
    print("<", login.username, login.password.reveal().decode(), ">")
except ConfigError as error:
    print("<", error.option, error, ">")
except Stopped as stopped:
    print("<", stopped.signal, ">")
"""
REFUSED_PHRASE = """
try:
    ask_passphrase()
except ConfigError as error:
    print(error.option, error)
"""
ASK_PHRASE = 'print("<", ask_passphrase().reveal().decode(), ">")'


def at_terminal(program: str, answers: dict[bytes, bytes]) -> str:
    """Runs the program with a terminal of its own; gives answers to questions; returns it all."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", HEAD + program])
    seen = b""
    left = dict(answers)
    give_up_at = time.monotonic() + DEADLINE
    try:
        while time.monotonic() < give_up_at:
            ready, _, _ = select.select([terminal], [], [], 0.5)
            if not ready:
                continue
            try:
                chunk = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            seen += chunk
            for question, answer in list(left.items()):
                if question in seen:
                    del left[question]
                    os.write(terminal, answer)
        else:
            os.kill(pid, 9)
            pytest.fail(f"no end; the terminal shows {seen!r}")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return seen.decode()


def test_user_name_is_shown_and_the_password_is_not() -> None:
    shown = at_terminal(ASK_LOGIN, {b"Username: ": b"ada\n", b"Password: ": b"secret 1815\n"})
    assert "Enter Auth Username: ada" in shown
    assert "< ada secret 1815 >" in shown
    assert shown.count("secret") == 1, "only the program itself shows it"


def test_passphrase_is_not_shown() -> None:
    shown = at_terminal(ASK_PHRASE, {b"Enter Private Key Password: ": b"correct horse\n"})
    assert "< correct horse >" in shown
    assert shown.count("correct") == 1


@pytest.mark.parametrize("answers", [{b"Username: ": b"\x03"}, {b"Username: ": b"ada\n"}])
def test_interrupt_ends_the_question_on_a_line_of_its_own(answers: dict[bytes, bytes]) -> None:
    shown = at_terminal(ASK_LOGIN, {**answers, b"Password: ": b"\x03"})
    assert "\n< SIGINT >" in shown


def test_nothing_entered_is_said() -> None:
    shown = at_terminal(ASK_LOGIN, {b"Username: ": b"\n"})
    assert "< auth-user-pass no user name was entered >" in shown
    shown = at_terminal(ASK_LOGIN, {b"Username: ": b"ada\n", b"Password: ": b"\x04"})
    assert "< auth-user-pass no password was entered >" in shown


@pytest.mark.parametrize("program", [ASK_LOGIN, REFUSED_PHRASE], ids=["login", "phrase"])
def test_without_a_terminal_the_way_out_is_named(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        timeout=60,
    )
    assert "neither a file nor a terminal" in done.stdout
    assert "FILE'" in done.stdout
    assert done.stderr == ""


def stored(content: bytes) -> LoginOptions:
    file = FileContent(
        option="auth-user-pass", origin=ORIGIN, path="login", content=Secret(content)
    )
    return LoginOptions(auth_user_pass=True, credentials=file)


def test_file_gives_name_and_password() -> None:
    assert login_credentials(stored(b"ada\r\n p w \r\n")) == Credentials(
        username="ada", password=Secret(b" p w ")
    )
    assert login_credentials(LoginOptions()) is None


def test_file_may_leave_the_password_to_the_terminal() -> None:
    program = """
file = FileContent(
    option="auth-user-pass", origin=Origin("c", 1), path="login", content=Secret(b"ada\\n")
)
login = login_credentials(LoginOptions(auth_user_pass=True, credentials=file))
print("<", login.username, login.password.reveal().decode(), ">")
"""
    assert "< ada 1815 >" in at_terminal(program, {b"Password: ": b"1815\n"})
