"""The user name and password of this process: kept, forgotten and asked for again."""

import signal

from ginnel.core.actions import Credentials
from ginnel.core.errors import ConfigError
from ginnel.options.model import LoginOptions
from ginnel.shell.prompt import login_credentials


class Login:
    """Holds the credentials between attempts."""

    def __init__(self, options: LoginOptions) -> None:
        """Takes what file or block give and asks for the rest. Raises ConfigError."""
        self._options = options
        self.current: Credentials | None = login_credentials(options)
        self.problem = ""
        """Why there are no credentials, when there should be."""

    def forget(self) -> None:
        """Drops them, so that the next attempt asks again."""
        self.current = None

    def connected(self) -> None:
        """After a start: ``auth-nocache`` keeps nothing in memory."""
        if self._options.auth_nocache:
            self.forget()

    def ready(self) -> bool:
        """Makes sure there are credentials if they are needed; False when the user pressed Ctrl-C.

        Asks at the terminal, so it is called between two attempts only.
        """
        if self.current is not None or not self._options.auth_user_pass:
            return True
        # The loop's own handler would keep Ctrl-C from ending the question.
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.current = login_credentials(self._options)
        except ConfigError as error:
            self.problem = error.message
        except KeyboardInterrupt:
            return False
        finally:
            signal.signal(signal.SIGINT, previous)
        return True
