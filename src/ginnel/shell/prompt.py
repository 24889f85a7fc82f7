"""Asks the person at the terminal for secrets.

The question goes to the controlling terminal, as OpenVPN's does, so that redirected output neither
hides it nor takes it. Ending the wait is ``signals.stoppable``'s business.
"""

import sys

from ginnel.core.actions import Credentials
from ginnel.core.errors import ConfigError
from ginnel.options.model import LoginOptions
from ginnel.options.values import Secret
from ginnel.shell.signals import Stopped

_TERMINAL = "/dev/tty"


def ask_passphrase() -> Secret:
    """Asks for the private key's passphrase. Raises ConfigError without a terminal."""
    return Secret(_ask_hidden("Enter Private Key Password: ", "askpass"))


def login_credentials(login: LoginOptions) -> Credentials | None:
    """Reads user name and password from the option's file or block, and asks for what is missing.

    None when no login was asked for. Raises ConfigError when something is missing and there is no
    terminal to ask at, or nothing was entered.
    """
    if not login.auth_user_pass:
        return None
    username, password = "", ""
    if login.credentials is not None:
        lines = login.credentials.content.reveal().decode("utf-8", "replace").splitlines()
        username = lines[0].strip() if lines else ""
        password = lines[1] if len(lines) > 1 else ""
    if not username:
        username = _ask_shown("Enter Auth Username: ")
    if not password:
        return Credentials(
            username=username,
            password=Secret(_ask_hidden("Enter Auth Password: ", "auth-user-pass")),
        )
    return Credentials(username=username, password=Secret(password.encode()))


def _ask_hidden(question: str, option: str) -> bytes:
    _need_terminal(option)
    try:
        import getpass

        return getpass.getpass(question).encode()
    except EOFError as closed:
        raise ConfigError("no password was entered", option=option) from closed
    except Stopped:
        _end_line()
        raise


def _ask_shown(question: str) -> str:
    _need_terminal("auth-user-pass")
    try:
        answer = _read_line(question).strip()
    except Stopped:
        _end_line()
        raise
    if not answer:
        raise ConfigError("no user name was entered", option="auth-user-pass")
    return answer


def _read_line(question: str) -> str:
    try:
        with open(_TERMINAL, "w", encoding="utf-8") as out, open(_TERMINAL, "rb") as terminal:
            out.write(question)
            out.flush()
            return terminal.readline().decode("utf-8", "replace")
    except OSError:
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline()


def _end_line() -> None:
    """Ends the question's line, so that the next log line stands on its own."""
    try:
        with open(_TERMINAL, "w", encoding="utf-8") as out:
            out.write("\n")
    except OSError:
        print(file=sys.stderr, flush=True)


def _need_terminal(option: str) -> None:
    try:
        with open(_TERMINAL, "rb"):
            return
    except OSError as missing:
        if not sys.stdin.isatty():
            raise ConfigError(
                f"neither a file nor a terminal to take the secret from: give '{option} FILE'",
                option=option,
            ) from missing
