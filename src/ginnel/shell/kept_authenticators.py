"""Keeps a server's authenticators over its restarts and reloads.

They are made anew with each configuration, but not when rights were given up since: what the first
ones opened with them could not be opened again. What a mistake at a reload means is the server's
business: nobody may come in because those who judge are missing.
"""

from collections.abc import Sequence

from ginnel.hooks import Authenticator
from ginnel.options.server_model import ServerOptions
from ginnel.shell.authenticators import make_authenticators

Named = Sequence[tuple[str, Authenticator]]


class KeptAuthenticators:
    """See the module."""

    def __init__(self) -> None:
        self._named: Named | None = None
        self._wanted: tuple[tuple[str, ...], ...] = ()

    def for_options(self, options: ServerOptions, *, rights_dropped: bool) -> Named:
        """The authenticators of a configuration. Raises ConfigError; those before are kept then."""
        wanted = options.access.authenticators
        if self._named is not None and rights_dropped and wanted == self._wanted:
            return self._named
        made = make_authenticators(options)
        self.close()
        self._named, self._wanted = made, wanted
        return made

    def close(self) -> None:
        """Ends them."""
        for _name, authenticator in self._named or ():
            authenticator.close()
        self._named = None
