"""The user name and password of this process: kept, forgotten and asked for again."""

from ginnel.core.actions import Credentials
from ginnel.core.errors import ConfigError
from ginnel.options.model import LoginOptions
from ginnel.shell.prompt import login_credentials
from ginnel.shell.signals import stoppable


class Login:
    """Holds the credentials between attempts."""

    def __init__(self, options: LoginOptions) -> None:
        """Takes what file or block give and asks for the rest. Raises ConfigError."""
        self._options = options
        self.current: Credentials | None = login_credentials(options)
        self.token: Credentials | None = None
        """What the server pushed to stand in for the password at the next connection."""
        self.problem = ""
        """Why there are no credentials, when there should be."""

    def forget(self) -> None:
        """Drops them, so that the next attempt asks again."""
        self.current = None

    def connected(self) -> None:
        """After a start: ``auth-nocache`` keeps nothing in memory."""
        if self._options.auth_nocache:
            self.forget()

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
