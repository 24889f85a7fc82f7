"""Who the process becomes once the tunnel stands, and whether it has become so already.

The system calls are ``host.privileges``'. Rights are given up once in the life of a process: a
reload of the configuration finds them gone and cannot change them.
"""

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.host.privileges import drop_identity, resolve_identity
from ginnel.options.model import ProcessOptions
from ginnel.shell.preload import preload


class Rights:
    """See the module. Raises ConfigError for a user or group that does not exist."""

    def __init__(self, process: ProcessOptions) -> None:
        self._process = process
        self._identity = resolve_identity(process)
        self.dropped = False
        """True once they are given up."""

    def drop(self) -> tuple[LogLine, ...]:
        """Gives them up, the first time; returns what to log. Raises HostError."""
        if self.dropped or not self._identity.changes_anything:
            return ()
        preload()
        drop_identity(self._identity)
        self.dropped = True
        return shell_lines.identity_changed(self._process)
