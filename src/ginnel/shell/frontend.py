"""What steers a running client besides signals, and hears what happens: the management interface.

The protocol that the shell speaks to it, and what stands in when there is none. It is implemented
above the shell (``management.frontend``).
"""

from collections.abc import Callable, Mapping, Sequence

from ginnel.compat.log_lines import LogLine
from ginnel.compat.status_file import LinkStatistics
from ginnel.core.notices import Notice
from ginnel.core.types import Endpoint
from ginnel.hints import Protocol
from ginnel.options.model import (
    AuthRetry,
    ClientOptions,
    ConnectionProfile,
    Proxy,
    StaticChallenge,
)
from ginnel.options.values import Secret


class Frontend(Protocol):
    """One for the life of the process, over reloads."""

    @property
    def asks_passwords(self) -> bool:
        """True when secrets are asked for here and not at the terminal."""
        ...

    @property
    def asks_remotes(self) -> bool:
        """True when it decides about each remote."""
        ...

    @property
    def asks_proxies(self) -> bool:
        """True when it decides about the proxy of each attempt."""
        ...

    @property
    def holds(self) -> bool:
        """True while starts and restarts wait for it."""
        ...

    def open(self) -> bool:
        """Begins to listen, or connects; False when that failed. Raises ConfigError."""
        ...

    def attach(self) -> None:
        """Serves in the running loop."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...

    def configure(self, options: ClientOptions) -> None:
        """Takes the options, at the start and after each reload."""
        ...

    def listen(self, on_signal: Callable[[str, str], None]) -> None:
        """Names who takes signals: the name, and the text of one that no client threw."""
        ...

    def drive(
        self, *, on_forget: Callable[[], None], statistics: Callable[[], LinkStatistics]
    ) -> None:
        """A lifecycle begins: it forgets passwords on request and counts traffic."""
        ...

    async def hold(self, wait: int = 0) -> None:
        """Waits until it lets the start go on. ``wait`` is the pause that would be made."""
        ...

    async def login(
        self,
        type_name: str,
        challenge: StaticChallenge | None = None,
        *,
        username_only: bool = False,
    ) -> tuple[str, Secret]:
        """Asks for user name and password, with one more question where there is one."""
        ...

    async def passphrase(self, type_name: str) -> Secret:
        """Asks for a password alone."""
        ...

    async def remote(self, profile: ConnectionProfile) -> tuple[str, str] | None:
        """Asks about a remote: host and port to use, or None to go to the next."""
        ...

    async def confirm(self, type_name: str, text: str) -> bool:
        """Asks for a yes (``ok``) or no (``cancel``)."""
        ...

    async def text(self, type_name: str, text: str) -> str:
        """Asks for a text."""
        ...

    def offer_token_ids(self, found: Sequence[tuple[str, bytes]]) -> None:
        """Takes the certificates on tokens, id and DER, among which it may choose."""
        ...

    async def certificate(self, hint: str) -> str:
        """Asks for a certificate in PEM; its lines come joined."""
        ...

    async def sign(self, content: str, algorithm: str) -> str:
        """Asks for a signature: both texts are base64, the answer's lines joined."""
        ...

    async def proxy(self, profile: ConnectionProfile, number: int) -> Proxy | None:
        """Asks which proxy to use for a remote, counted from 1; None leaves it as configured."""
        ...

    def choose_auth_retry(self, configured: AuthRetry) -> AuthRetry:
        """What follows a refused login now: as configured, or as it was changed since."""
        ...

    def session_opened(self, send_challenge_response: Callable[[Secret], bool] | None) -> None:
        """Tells how an answer to a question of the server is sent now; None when it cannot be."""
        ...

    def auth_token(self, token: Secret) -> None:
        """Hears that the server pushed a token."""
        ...

    def log_line(self, line: LogLine) -> None:
        """Hears a line that the log wrote."""
        ...

    def state(self, name: str, detail: str = "") -> None:
        """Hears a state of the process."""
        ...

    def link_opened(self, remote: Endpoint, local: Endpoint | None) -> None:
        """Hears that an attempt begins; ``local`` is None while the system chooses the address."""
        ...

    def notice(self, notice: Notice) -> None:
        """Hears what the machine says."""
        ...

    def started(self, *, with_errors: bool) -> None:
        """Hears that the tunnel is up."""
        ...

    def up_down(self, *, up: bool, environment: Callable[[], Mapping[str, str]]) -> None:
        """Hears that device and routes came or go, with what a script would be told."""
        ...

    def verification_failed(self, type_name: str) -> None:
        """Hears that a passphrase was wrong."""
        ...

    def fatal(self, text: str) -> None:
        """Hears that the program ends with an error."""
        ...


class Unattended:
    """No interface: nothing is asked, nothing heard."""

    asks_passwords = False
    asks_remotes = False
    asks_proxies = False
    holds = False

    def open(self) -> bool:
        return True

    def attach(self) -> None:
        """Nothing to serve."""

    def close(self) -> None:
        """Nothing to end."""

    def configure(self, options: ClientOptions) -> None:
        """Nothing depends on them."""

    def listen(self, on_signal: Callable[[str, str], None]) -> None:
        """Nobody throws signals."""

    def drive(
        self, *, on_forget: Callable[[], None], statistics: Callable[[], LinkStatistics]
    ) -> None:
        """Nobody wishes anything."""

    async def hold(self, wait: int = 0) -> None:
        """Nothing holds."""

    async def login(
        self,
        type_name: str,
        challenge: StaticChallenge | None = None,
        *,
        username_only: bool = False,
    ) -> tuple[str, Secret]:
        raise AssertionError("nothing is asked here")

    async def passphrase(self, type_name: str) -> Secret:
        raise AssertionError("nothing is asked here")

    async def remote(self, profile: ConnectionProfile) -> tuple[str, str] | None:
        return profile.host, profile.port

    async def confirm(self, type_name: str, text: str) -> bool:
        raise AssertionError("nothing is asked here")

    async def text(self, type_name: str, text: str) -> str:
        raise AssertionError("nothing is asked here")

    def offer_token_ids(self, found: Sequence[tuple[str, bytes]]) -> None:
        """Nobody chooses."""

    async def certificate(self, hint: str) -> str:
        raise AssertionError("nothing is asked here")

    async def sign(self, content: str, algorithm: str) -> str:
        raise AssertionError("nothing is asked here")

    async def proxy(self, profile: ConnectionProfile, number: int) -> Proxy | None:
        raise AssertionError("nothing is asked here")

    def choose_auth_retry(self, configured: AuthRetry) -> AuthRetry:
        return configured

    def session_opened(self, send_challenge_response: Callable[[Secret], bool] | None) -> None:
        """Nobody answers."""

    def auth_token(self, token: Secret) -> None:
        """Nobody listens."""

    def log_line(self, line: LogLine) -> None:
        """Nobody listens."""

    def state(self, name: str, detail: str = "") -> None:
        """Nobody listens."""

    def link_opened(self, remote: Endpoint, local: Endpoint | None) -> None:
        """Nobody listens."""

    def notice(self, notice: Notice) -> None:
        """Nobody listens."""

    def started(self, *, with_errors: bool) -> None:
        """Nobody listens."""

    def up_down(self, *, up: bool, environment: Callable[[], Mapping[str, str]]) -> None:
        """Nobody listens."""

    def verification_failed(self, type_name: str) -> None:
        """Nobody listens."""

    def fatal(self, text: str) -> None:
        """Nobody listens."""
