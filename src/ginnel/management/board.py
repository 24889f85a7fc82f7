"""What commands and notices of the management interface share: histories, query, output, wishes.

State only; ``executor`` carries out commands on it, ``session`` feeds it with what happens.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from ginnel.compat.log_lines import LogLine
from ginnel.core.types import Endpoint, Instant, Transport
from ginnel.dataclass import dataclass, field
from ginnel.hints import TYPE_CHECKING, Protocol
from ginnel.management.commands import BodyKind, HistoryKind
from ginnel.management.intents import Intent
from ginnel.management.outbox import Outbox
from ginnel.management.queries import Query
from ginnel.management.state import Histories
from ginnel.options.model import AuthRetry
from ginnel.options.values import Secret

if TYPE_CHECKING:
    from ginnel.core.server_actions import ClientId
    from ginnel.management.server_commands import KeyOf
    from ginnel.shell.server_frontend import LoadStats, Traffic

INTERFACE_VERSION = 5
"""What OpenVPN 2.6 announces; the wording of every reply follows it."""


@dataclass(frozen=True, kw_only=True)
class RemoteEntry:
    """One remote as ``remote-entry-get`` shows it."""

    host: str
    port: str
    protocol: str
    enabled: bool = True


class Daemon(Protocol):
    """What the interface asks the program while it answers a command. Must not block."""

    def pid(self) -> int:
        """Returns the number of the process."""
        ...

    def title(self) -> str:
        """Returns the first line of ``--version``."""
        ...

    def status_lines(self) -> Sequence[str]:
        """Returns the lines of the status file, END included."""
        ...

    def link_bytes(self) -> tuple[int, int]:
        """Returns bytes read from and written to the link since the start."""
        ...

    def verb(self) -> int:
        """Returns the level of the log."""
        ...

    def mute(self) -> int:
        """Returns how many lines of a kind are logged in a row; 0 for all."""
        ...

    def auth_retry(self) -> AuthRetry:
        """Returns what follows a refused login."""
        ...

    def remotes(self) -> Sequence[RemoteEntry]:
        """Returns the remotes in the order of the configuration."""
        ...

    def token_ids(self) -> Sequence[tuple[str, bytes]]:
        """The certificates on tokens that may be chosen now: id and DER."""
        ...

    def takes_challenge_response(self) -> bool:
        """Says whether there is a session that can carry CR_RESPONSE to the server."""
        ...


class ServerDaemon(Protocol):
    """What the interface of a server asks besides. Must not block; what is long comes in lines."""

    def status_lines(self, form: int | None) -> Iterator[str]:
        """Renders the status, END included; None is the form of ``status-version``."""
        ...

    def load_stats(self) -> "LoadStats": ...

    def traffic(self) -> "Iterable[Traffic]":
        """Counters of the connected clients."""
        ...

    def kill_by_name(self, common_name: str) -> int: ...

    def kill_by_address(self, remote: Endpoint, transport: Transport | None) -> int: ...

    def restart_client(self, client_id: "ClientId", message: str) -> bool: ...

    def allow(self, key: "KeyOf", config: tuple[str, ...]) -> bool:
        """Lets a client in; False when there is no such negotiation."""
        ...

    def deny(self, key: "KeyOf", reason: str, client_reason: str | None) -> bool:
        """Keeps a client out, or throws out one that is in."""
        ...

    def pend(self, key: "KeyOf", extra: str, timeout: int) -> bool:
        """Asks a client for patience; False when it is not waiting, or the text is too long."""
        ...

    def push_update(self, client_id: "ClientId | None", options: Sequence[str]) -> int | None:
        """Changes options of one or all; the number of clients, None when the one is unknown."""
        ...


@dataclass(frozen=True)
class Idle:
    """No client."""


@dataclass(slots=True)
class AwaitPassword:
    """A client that has not yet shown that it knows the password."""

    tries: int = 0


@dataclass(slots=True, kw_only=True)
class Serving:
    """An admitted client and what it asked for."""

    next_report: Instant
    version: int = 1
    real_time: set[HistoryKind] = field(default_factory=set)
    interval: int = 0
    username: str | None = None
    """Half of an answer to a query for both."""
    password: Secret | None = None
    name_only: bool = False
    """The pending query, as this client saw it, asks for no password."""
    body: BodyKind | None = None
    body_words: tuple[str, ...] = ()
    """The line of the command that the body belongs to, for ``client-auth``."""
    body_type: str = ""
    """The type of password that the body holds."""
    body_lines: list[str] = field(default_factory=list)
    body_size: int = 0


@dataclass(slots=True, kw_only=True)
class Board:
    """The shared state. One for the life of the process; ``client`` and ``outbox`` change."""

    daemon: Daemon
    log: Callable[[LogLine], None]
    histories: Histories
    hold: bool
    client: Idle | AwaitPassword | Serving = Idle()
    outbox: Outbox = field(default_factory=Outbox)
    intents: deque[Intent] = field(default_factory=deque)
    query: Query | None = None
    query_version: int = 0
    """Of the client that was asked: the next one is shown the same line, as by OpenVPN."""
    env_filter: int = 0
    started: bool = False
    """True once the first attempt began; some commands exist only from then on."""
    finished: bool = False
    """True when the client's connection is to be closed once the output is sent."""

    def say(self, *lines: str) -> None:
        """Adds lines of a reply."""
        for line in lines:
            self.outbox.reply(line)
