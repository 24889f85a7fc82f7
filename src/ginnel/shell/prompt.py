"""Asks whoever is there for secrets: the person at the terminal, else systemd's password agents.

Responsible for whom to ask, in which words, and for what nobody answered. What was answered is kept
by ``login``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ginnel.core.errors import ConfigError
from ginnel.hints import Protocol
from ginnel.options.values import Secret
from ginnel.shell.agent import Declined, PasswordAgents
from ginnel.shell.terminal import NothingEntered, Terminal


class Console(Protocol):
    """Where questions go: ``terminal.Terminal`` or ``agent.PasswordAgents``."""

    async def ask(self, question: str, *, echo: bool) -> Secret:
        """Asks one question. Cancelling takes it back."""
        ...

    def close(self) -> None: ...


def find_console() -> Console | None:
    """The terminal, else the password agents; None when nobody can be asked."""
    return Terminal.find() or PasswordAgents.find()


def somebody_is_there() -> bool:
    """Whether there is a terminal, with a person who sees what is written and may open a page."""
    terminal = Terminal.find()
    if terminal is not None:
        terminal.close()
    return terminal is not None


@contextmanager
def console(option: str) -> Iterator[Console]:
    """Lends whom to ask. Raises ConfigError, which names the option, where there is nobody."""
    found = find_console()
    if found is None:
        raise ConfigError(
            f"neither a file nor a terminal to take the secret from: give '{option} FILE'",
            option=option,
        )
    try:
        yield found
    finally:
        found.close()


async def ask(place: Console, question: str, *, echo: bool, option: str, what: str) -> Secret:
    """Asks one question. Raises ConfigError when there is no answer: ``what`` names it."""
    try:
        return await place.ask(question, echo=echo)
    except NothingEntered as closed:
        raise ConfigError(f"no {what} was entered", option=option) from closed
    except Declined as declined:
        raise ConfigError(f"the question for the {what} was declined", option=option) from declined
    except OSError as error:
        raise ConfigError(
            f"the {what} cannot be asked for: {error.strerror or error}", option=option
        ) from error


async def ask_passphrase() -> Secret:
    """Asks for the private key's passphrase. Raises ConfigError."""
    with console("askpass") as place:
        return await ask(
            place,
            "Enter Private Key Password:",
            echo=False,
            option="askpass",
            what="password",
        )
