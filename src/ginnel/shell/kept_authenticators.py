"""Keeps a server's authenticators over its restarts and reloads.

They are made anew with each configuration, but not when rights were given up since: what the first
ones opened with them could not be opened again.
"""

from collections.abc import Callable, Sequence

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import ConfigError
from ginnel.hooks import Authenticator
from ginnel.options.server_model import ServerOptions
from ginnel.shell.authenticators import make_authenticators

Named = Sequence[tuple[str, Authenticator]]


class KeptAuthenticators:
    """See the module."""

    def __init__(self, log: Callable[[LogLine], None]) -> None:
        self._log = log
        self._named: Named | None = None
        self._wanted: tuple[tuple[str, ...], ...] = ()

    def for_options(self, options: ServerOptions, *, rights_dropped: bool) -> Named:
        """The authenticators of a configuration.

        Raises ConfigError the first time; later those before stay in force, and that is told.
        """
        wanted = options.access.authenticators
        if self._named is not None and rights_dropped and wanted == self._wanted:
            return self._named
        try:
            made = make_authenticators(options)
        except ConfigError as error:
            if self._named is None:
                raise
            self._log(shell_lines.warning(f"{error.message}; those before stay in force"))
            return self._named
        self.close()
        self._named, self._wanted = made, wanted
        return made

    def close(self) -> None:
        """Ends them."""
        for _name, authenticator in self._named or ():
            authenticator.close()
        self._named = None
