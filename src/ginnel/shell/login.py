"""The user name and password of this process: kept, forgotten and asked for again."""

from ginnel.core.actions import Credentials
from ginnel.core.errors import ConfigError
from ginnel.options.model import LoginOptions
from ginnel.options.values import Secret
from ginnel.shell.prompt import login_credentials
from ginnel.shell.signals import stoppable


class Login:
    """Holds the credentials between attempts."""

    def __init__(self, options: LoginOptions, *, at_terminal: bool = True) -> None:
        """Takes what file or block give and asks for the rest. Raises ConfigError.

        Without ``at_terminal`` what is missing is left to ``enter``.
        """
        self._options = options
        self.current: Credentials | None = (
            login_credentials(options) if at_terminal or _in_file(options) else None
        )
        self.token: Credentials | None = None
        """What the server pushed to stand in for the password at the next connection."""
        self.problem = ""
        """Why there are no credentials, when there should be."""

    def forget(self) -> None:
        """Drops them, so that the next attempt asks again."""
        self.current = None

    def forget_all(self) -> None:
        """Drops the server's token as well: somebody wants nothing to be remembered."""
        self.forget()
        self.token = None

    def connected(self) -> None:
        """After a start: ``auth-nocache`` keeps nothing in memory."""
        if self._options.auth_nocache:
            self.forget()

    @property
    def must_ask(self) -> bool:
        """True when somebody has to be asked for what is needed."""
        known = self.token or self.current
        return self._options.auth_user_pass and known is None and not _in_file(self._options)

    def enter(self, username: str, password: Secret) -> None:
        """Takes what somebody else asked for."""
        self.current = Credentials(username=username, password=password)

    def ask(self) -> None:
        """Makes sure there are credentials if they are needed; ``problem`` says why there are none.

        Asks at the terminal and lets everything else wait meanwhile, as OpenVPN does. Raises
        Stopped when SIGINT or SIGTERM comes instead of an answer.
        """
        known = self.token or self.current
        if known is not None or not self._options.auth_user_pass:
            return
        try:
            with stoppable():
                self.current = login_credentials(self._options)
        except ConfigError as error:
            self.problem = error.message


def _in_file(options: LoginOptions) -> bool:
    """Whether file or block hold both user name and password."""
    if options.credentials is None:
        return False
    lines = options.credentials.content.reveal().splitlines()
    return len(lines) > 1 and lines[0].strip() != b"" and lines[1] != b""
