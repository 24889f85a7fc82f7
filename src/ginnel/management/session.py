"""The management interface as a pure machine: bytes of a client in, bytes and intents out.

It keeps the histories, the hold flag and the pending query over all clients, and serves one client
at a time. Sockets and waiting are ``server``'s and ``frontend``'s, commands are ``executor``'s.
Nothing here reads a clock: ``now`` is monotonic, ``when`` wall-clock seconds.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest

from ginnel.compat.log_lines import LogLine, Severity
from ginnel.core.types import Instant
from ginnel.hints import assert_never
from ginnel.management import commands
from ginnel.management.board import (
    INTERFACE_VERSION,
    AwaitPassword,
    Board,
    Daemon,
    Idle,
    ServerDaemon,
    Serving,
)
from ginnel.management.commands import HistoryKind
from ginnel.management.executor import Executor
from ginnel.management.framing import LineBuffer
from ginnel.management.intents import ClientLeft, Intent
from ginnel.management.outbox import CLOSE_BYTES, SERVER_CLOSE_BYTES, Outbox
from ginnel.management.queries import Query, asks_name_only, render_query
from ginnel.management.state import (
    EchoRecord,
    Histories,
    LogRecord,
    StateRecord,
    clean,
    clean_variable,
    log_flags,
)
from ginnel.management.traffic import TrafficReports
from ginnel.options.values import Secret

PASSWORD_TRIES = 3

GREETING = (
    f">INFO:OpenVPN Management Interface Version {INTERFACE_VERSION} -- type 'help' for more info"
)
PROMPT = b"ENTER PASSWORD:"

_FILTERED_NAMES = (
    "username", "password", "X509_0_CN", "tls_serial_", "untrusted_ip", "ifconfig_local",
    "ifconfig_netmask", "daemon_start_time", "daemon_pid", "dev", "ifconfig_pool_remote_ip",
    "ifconfig_pool_netmask", "time_duration", "bytes_sent", "bytes_received", "session_id",
    "session_state",
)  # fmt: skip


class ManagementSession:
    """The one machine of a process. ``log`` takes lines about the interface itself."""

    def __init__(
        self,
        *,
        daemon: Daemon,
        log: Callable[[LogLine], None],
        password: Secret | None = None,
        hold: bool = False,
        log_cache: int,
        server: ServerDaemon | None = None,
    ) -> None:
        self._board = Board(daemon=daemon, log=log, histories=Histories(log_cache), hold=hold)
        self._server = server
        self._executor = Executor(self._board, server)
        self._reports = TrafficReports()
        self._password = password
        self._framing = LineBuffer()
        self._lines: deque[str] = deque()
        self._running = False

    @property
    def hold(self) -> bool:
        """The hold flag: whether the next start waits."""
        return self._board.hold

    def begin(self) -> None:
        """The first attempt begins: commands about remotes and traffic exist from now on."""
        self._board.started = True

    def pause(self) -> None:
        """A server's run is over: until the next one they do not."""
        self._board.started = False

    # --- the client ----------------------------------------------------------------------------

    @property
    def has_client(self) -> bool:
        return not isinstance(self._board.client, Idle)

    @property
    def wants_input(self) -> bool:
        """False while the client has to read before more of its commands are looked at."""
        return not self._lines and not self._board.outbox.paused and not self._board.finished

    @property
    def finished(self) -> bool:
        """True when the connection is to be closed once the output is sent."""
        return self._board.finished

    @property
    def overflowed(self) -> bool:
        """True when the client reads so slowly that it has to go."""
        return self._board.outbox.overflowed

    def connect(self) -> None:
        """A client came; the one before has left."""
        self._framing = LineBuffer()
        self._lines.clear()
        limit = CLOSE_BYTES if self._server is None else SERVER_CLOSE_BYTES
        self._board.outbox = Outbox(limit)
        self._board.finished = False
        self._board.env_filter = 0
        self._reports = TrafficReports()
        if self._password is None:
            self._admit()
        else:
            self._board.client = AwaitPassword()
            self._board.outbox.raw(PROMPT)

    def disconnect(self) -> None:
        """The client left, or was dropped."""
        if isinstance(self._board.client, Serving):
            self._board.intents.append(ClientLeft())
        self._board.client = Idle()
        self._lines.clear()
        self._board.outbox = Outbox()
        self._board.finished = False

    def receive(self, received: bytes, now: Instant) -> None:
        """Takes bytes of the client."""
        self._lines.extend(self._framing.feed(received))
        self._run_lines(now)

    @property
    def waiting_output(self) -> bool:
        """True while there is something for the client to read."""
        return self._board.outbox.waiting

    @property
    def streaming(self) -> bool:
        """True while a long reply is rendered as the client reads it."""
        return self._board.outbox.streaming

    def peek_output(self, limit: int) -> bytes:
        """Returns what the client is to get next, about ``limit`` bytes."""
        return self._board.outbox.peek(limit)

    def sent(self, count: int, now: Instant) -> None:
        """The first ``count`` bytes are on their way; commands that waited may then run."""
        self._board.outbox.sent(count)
        self._run_lines(now)

    def poll_intent(self) -> Intent | None:
        """Returns what the client wants next, or None."""
        return self._board.intents.popleft() if self._board.intents else None

    def poll_timeout(self) -> Instant | None:
        """Returns when the next traffic report is due."""
        client = self._board.client
        return client.next_report if isinstance(client, Serving) and client.interval else None

    def handle_timeout(self, now: Instant) -> None:
        """Reports traffic when it is due."""
        client = self._board.client
        if isinstance(client, Serving) and client.interval and client.next_report <= now:
            client.next_report = Instant(now + client.interval)
            self._report_traffic()

    def _report_traffic(self) -> None:
        if self._server is None:
            read, written = self._board.daemon.link_bytes()
            self._board.outbox.inform(f">BYTECOUNT:{read},{written}")
        elif not self._board.outbox.paused:
            self._board.outbox.stream(self._reports.lines(self._server.traffic()))

    # --- queries -------------------------------------------------------------------------------

    @property
    def query(self) -> Query | None:
        """What is being asked now."""
        return self._board.query

    def ask(self, query: Query) -> None:
        """Asks the client, this one or the next; the answer comes as an ``Answered``."""
        assert self._board.query is None, "one question at a time"
        self._board.query = query
        client = self._board.client
        self._board.query_version = client.version if isinstance(client, Serving) else 0
        if isinstance(client, Serving):
            client.username = client.password = None
            client.name_only = asks_name_only(query, client.version)
            self._board.outbox.notify(render_query(query, client.version))

    def withdraw(self) -> None:
        """Nobody waits for the answer any more."""
        self._board.query = None

    # --- notices -------------------------------------------------------------------------------

    def state_entered(self, record: StateRecord) -> None:
        """Keeps a state and shows it to a client that follows states."""
        self._board.histories.states.add(record)
        if self._follows(HistoryKind.STATE):
            line = f">STATE:{record.render()}"
            self._board.outbox.notify(line)
            self._board.log(_debug(f"MANAGEMENT: {line}"))

    def log_line(self, line: LogLine, when: int) -> None:
        """Keeps a line of the log, one that ``verb`` and ``mute`` let pass."""
        record = LogRecord(when=when, flags=log_flags(line), text=line.text)
        self._board.histories.logs.add(record)
        if self._follows(HistoryKind.LOG):
            self._board.outbox.inform(f">LOG:{record.render()}")

    def echo(self, text: str, when: int) -> None:
        """Keeps a text that the configuration or the server asked to echo."""
        record = EchoRecord(when=when, text=text)
        self._board.histories.echoes.add(record)
        if self._follows(HistoryKind.ECHO):
            self._board.outbox.notify(f">ECHO:{record.render()}")

    def verification_failed(self, type_name: str, reason: str = "") -> None:
        """A password was wrong; ``reason`` is what the server said, such as a challenge."""
        tail = f" ['{clean(reason)}']" if reason else ""
        self._tell(f">PASSWORD:Verification Failed: '{clean(type_name)}'{tail}")

    def auth_token(self, token: Secret) -> None:
        """The server pushed a token that takes the password's place."""
        text = clean(token.reveal().decode("utf-8", "replace"))
        self._tell(f">PASSWORD:Auth-Token:{text}")

    def info_message(self, text: str) -> None:
        """The server sent a text for the user (INFO, INFO_PRE)."""
        self._tell(f">INFOMSG:{clean(text)}")

    def notification(self, severity: str, kind: str, text: str) -> None:
        """Something a user interface may want to show, such as ``info,remote-exit,EXIT``."""
        self._tell(f">NOTIFY:{severity},{kind},{clean(text)}")

    def fatal(self, text: str) -> None:
        """The program ends with an error."""
        self._tell(f">FATAL:{clean(text)}")

    def up_down(self, *, up: bool, environment: Mapping[str, str]) -> None:
        """The tunnel came up or goes down (``management-up-down``); no filter holds for it."""
        if not isinstance(self._board.client, Serving):
            return
        # Imported here, as below: most clients show no environment, and connect sooner without it.
        from ginnel.compat.env_order import tunnel_order

        self._board.outbox.notify(f">UPDOWN:{'UP' if up else 'DOWN'}")
        for name, value in tunnel_order(environment):
            self._board.outbox.notify(f">UPDOWN:ENV,{clean_variable(name, value)}")
        self._board.outbox.notify(">UPDOWN:ENV,END")

    def client_event(
        self,
        event: str,
        environment: Mapping[str, str],
        *,
        clients: int | None = None,
        peer_info: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Something about a client of the server, such as ``CONNECT,0,1``.

        Its environment is shown in OpenVPN's order, after the number of ``clients``.
        ``peer_info`` is what a filter does not hide, in its own order.
        """
        if not isinstance(self._board.client, Serving):
            return
        from ginnel.compat.env_order import client_order

        self._board.outbox.notify(f">CLIENT:{clean(event)}")
        if clients is not None and self._shows_variable("n_clients"):
            self._board.outbox.notify(f">CLIENT:ENV,n_clients={clients}")
        for name, value in peer_info if self._board.env_filter > 0 else ():
            self._board.outbox.notify(f">CLIENT:ENV,{clean_variable(name, value)}")
        for name, value in client_order(event.partition(",")[0], environment):
            if self._shows_variable(name):
                self._board.outbox.notify(f">CLIENT:ENV,{clean_variable(name, value)}")
        self._board.outbox.notify(">CLIENT:ENV,END")

    def client_address(self, client_id: int, address: str, *, is_primary: bool) -> None:
        """An inner address leads to a client of the server."""
        self._tell(f">CLIENT:ADDRESS,{client_id},{clean(address)},{int(is_primary)}")

    def _tell(self, line: str) -> None:
        if isinstance(self._board.client, Serving):
            self._board.outbox.notify(line)

    def _follows(self, kind: HistoryKind) -> bool:
        return isinstance(self._board.client, Serving) and kind in self._board.client.real_time

    def _shows_variable(self, name: str) -> bool:
        if self._board.env_filter == 0 or (
            self._board.env_filter == 1 and name.startswith("X509_")
        ):
            return True
        return self._board.env_filter <= 2 and any(
            name.startswith(known) if known.endswith("_") else name == known
            for known in _FILTERED_NAMES
        )

    # --- commands ------------------------------------------------------------------------------

    def _run_lines(self, now: Instant) -> None:
        """Carries out the lines that wait, in their order.

        A line of the log about one command may send the reply of the one before, which asks for the
        next command: it has to wait for its turn.
        """
        if self._running:
            return
        self._running = True
        try:
            while self._lines and not self._board.outbox.paused and not self._board.finished:
                self._take_line(self._lines.popleft(), now)
        finally:
            self._running = False

    def _take_line(self, line: str, now: Instant) -> None:
        match self._board.client:
            case Idle():
                self._lines.clear()
            case AwaitPassword() as waiting:
                self._check_password(waiting, line)
            case Serving(body=None):
                self._run_line(line, now)
            case Serving() as client:
                self._executor.add_to_body(client, line)
            case _:
                assert_never(self._board.client)

    def _check_password(self, waiting: AwaitPassword, line: str) -> None:
        assert self._password is not None, "asked for only when there is one"
        given = line.encode("utf-8", "surrogateescape")
        if compare_digest(given, self._password.reveal()):
            self._board.outbox.reply("SUCCESS: password is correct")
            self._admit()
            return
        waiting.tries += 1
        if waiting.tries < PASSWORD_TRIES:
            self._board.outbox.raw(PROMPT)
            return
        self._board.log(
            LogLine(
                text="MAN: client connection rejected after "
                f"{PASSWORD_TRIES} failed password attempts",
                severity=Severity.WARNING,
            )
        )
        self._board.finished = True

    def _admit(self) -> None:
        client = Serving(next_report=Instant(0.0))
        self._board.client = client
        self._board.outbox.reply(GREETING)
        if self._board.query is not None:
            self._board.outbox.reply(render_query(self._board.query, self._board.query_version))

    def _run_line(self, line: str, now: Instant) -> None:
        shown = commands.shown_in_log(line)
        if shown is not None:
            self._board.log(_debug(f"MANAGEMENT: CMD '{clean(shown)}'"))
        command = commands.parse_command(line)
        if command is not None and isinstance(self._board.client, Serving):
            self._executor.execute(command, self._board.client, now)


def _debug(text: str) -> LogLine:
    """A line about the interface: of verb 3, yet marked as for debugging, as OpenVPN does."""
    return LogLine(text=text, verb=3)
