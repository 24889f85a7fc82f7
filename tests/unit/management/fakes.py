"""A daemon as the session sees it, and a session with a loop of log lines as in the program."""

from collections.abc import Sequence

from ginnel.compat.log_lines import LogLine
from ginnel.core.types import Instant
from ginnel.management.board import RemoteEntry, ServerDaemon
from ginnel.management.intents import AuthRetrySet, Intent, MuteSet, VerbSet
from ginnel.management.session import ManagementSession
from ginnel.options.model import AuthRetry
from ginnel.options.values import Secret

PID = 4711
TITLE = "OpenVPN 2.6.14 a test"
WHEN = 1795352859


class FakeDaemon:
    """Facts a test can change."""

    def __init__(self) -> None:
        self.level = 3
        self.muted = 0
        self.retry = AuthRetry.NONE
        self.bytes = (0, 0)
        self.entries: list[RemoteEntry] = []
        self.in_session = True
        self.certificates: tuple[tuple[str, bytes], ...] = ()

    def pid(self) -> int:
        return PID

    def title(self) -> str:
        return TITLE

    def status_lines(self) -> Sequence[str]:
        return (
            "OpenVPN STATISTICS",
            "Updated,2026-11-22 13:08:46",
            "TUN/TAP read bytes,0",
            "TUN/TAP write bytes,0",
            f"TCP/UDP read bytes,{self.bytes[0]}",
            f"TCP/UDP write bytes,{self.bytes[1]}",
            "Auth read bytes,0",
            "END",
        )

    def link_bytes(self) -> tuple[int, int]:
        return self.bytes

    def verb(self) -> int:
        return self.level

    def mute(self) -> int:
        return self.muted

    def auth_retry(self) -> AuthRetry:
        return self.retry

    def remotes(self) -> Sequence[RemoteEntry]:
        return self.entries

    def token_ids(self) -> Sequence[tuple[str, bytes]]:
        return self.certificates

    def takes_challenge_response(self) -> bool:
        return self.in_session


class Rig:
    """A session whose log lines come back to it, and whose settings take effect."""

    def __init__(
        self,
        *,
        hold: bool = False,
        password: Secret | None = None,
        log_cache: int = 250,
        server: ServerDaemon | None = None,
    ) -> None:
        self.daemon = FakeDaemon()
        self.logged: list[LogLine] = []
        self.now = Instant(100.0)
        self.intents: list[Intent] = []
        self.session = ManagementSession(
            daemon=self.daemon,
            log=self.log,
            password=password,
            hold=hold,
            log_cache=log_cache,
            server=server,
        )

    def log(self, line: LogLine) -> None:
        if line.verb <= self.daemon.level:
            self.logged.append(line)
            self.session.log_line(line, WHEN)

    def connect(self) -> str:
        self.session.connect()
        return self.read()

    def say(self, line: str) -> str:
        """Sends a line and returns everything heard afterwards."""
        return self.send(line.encode("utf-8", "surrogateescape") + b"\n")

    def send(self, received: bytes) -> str:
        self.session.receive(received, self.now)
        return self.read()

    def read(self) -> str:
        """Takes all output and lets settings take effect."""
        heard = b""
        while output := self.session.peek_output(65536):
            heard += output
            self.session.sent(len(output), self.now)
        while (intent := self.session.poll_intent()) is not None:
            self.intents.append(intent)
            match intent:
                case VerbSet(level=level):
                    self.daemon.level = level
                case MuteSet(level=level):
                    self.daemon.muted = level
                case AuthRetrySet(mode=mode):
                    self.daemon.retry = mode
                case _:
                    continue
        return heard.decode("utf-8", "surrogateescape")
