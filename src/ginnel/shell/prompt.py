"""Asks the person at the terminal for secrets, before the program leaves that terminal."""

import getpass
import sys

from ginnel.core.actions import Credentials
from ginnel.core.errors import ConfigError
from ginnel.options.model import LoginOptions
from ginnel.options.values import Secret


def ask_passphrase() -> Secret:
    """Asks for the private key's passphrase. Raises ConfigError without a terminal."""
    return Secret(_ask_hidden("Enter Private Key Password: ", "askpass"))


def login_credentials(login: LoginOptions) -> Credentials | None:
    """Reads user name and password from the option's file or block, and asks for what is missing.

    None when no login was asked for. Raises ConfigError when something is missing and there is no
    terminal to ask at.
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
    secret = Secret(password.encode()) if password else None
    if secret is None:
        secret = Secret(_ask_hidden("Enter Auth Password: ", "auth-user-pass"))
    return Credentials(username=username, password=secret)


def _ask_hidden(question: str, option: str) -> bytes:
    _need_terminal(option)
    try:
        return getpass.getpass(question).encode()
    except EOFError as closed:
        raise ConfigError("no password was entered", option=option) from closed


def _ask_shown(question: str) -> str:
    _need_terminal("auth-user-pass")
    try:
        return input(question).strip()
    except EOFError as closed:
        raise ConfigError("no user name was entered", option="auth-user-pass") from closed


def _need_terminal(option: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"neither a file nor a terminal to take the secret from: give '{option} FILE'",
            option=option,
        )
