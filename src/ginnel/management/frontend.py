"""What the program sees of the management interface: questions with answers, and what to tell.

Translates notices of a core machine and events of the shell into states and lines, and what a
client wants into calls. Not responsible for the line protocol (``session``) or sockets
(``server``). The shell knows this class only as its own ``Frontend`` protocol.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence

from ginnel.compat.log_lines import LogLine
from ginnel.compat.status_file import LinkStatistics, statistics_lines
from ginnel.compat.versions import title
from ginnel.core.notices import (
    ControlMessage,
    Ended,
    ManagementState,
    Notice,
    OptionsImported,
    PeerConnected,
    StateEntered,
)
from ginnel.core.types import Endpoint, Instant
from ginnel.dataclass import replace
from ginnel.hints import Protocol, assert_never
from ginnel.management.board import RemoteEntry, ServerDaemon
from ginnel.management.commands import ProxyKind
from ginnel.management.intents import (
    Answered,
    AuthRetrySet,
    ChallengeAnswered,
    ClientLeft,
    Intent,
    MuteSet,
    PasswordsForgotten,
    SignalThrown,
    VerbSet,
)
from ginnel.management.queries import (
    AcceptRemote,
    BodyAnswer,
    CertificateQuery,
    HoldQuery,
    LoginAnswer,
    LoginQuery,
    ModifyRemote,
    NeedOkQuery,
    NeedStrQuery,
    PasswordQuery,
    ProxyQuery,
    Query,
    RemoteQuery,
    ReplyToQuery,
    SignQuery,
    SkipRemote,
    TextAnswer,
    UseProxy,
)
from ginnel.management.server import ManagementServer
from ginnel.management.session import ManagementSession
from ginnel.management.settings import ManagementSettings, settings_from
from ginnel.management.state import StateRecord
from ginnel.options.model import (
    AddressFamily,
    AuthRetry,
    ClientOptions,
    ConnectionProfile,
    HttpProxy,
    LinkProtocol,
    ManagementOptions,
    Proxy,
    ProxyLogin,
    SocksProxy,
    StaticChallenge,
)
from ginnel.options.values import Secret
from ginnel.shell.clock import monotonic_now, unix_now
from ginnel.shell.logging_setup import local_time_text

_NEEDS: dict[type[Query], str] = {
    HoldQuery: "hold release",
    LoginQuery: "password(s)",
    PasswordQuery: "password(s)",
}
"""What is said to be waited for while there is no client."""

EXIT_TEXT = "management-exit"
DISCONNECT_TEXT = "management-disconnect"
NO_STATISTICS = LinkStatistics()


class Log(Protocol):
    """The program's log: ``shell.logging_setup.LogOutput``."""

    verb: int

    def log(self, line: LogLine) -> None:
        """Writes a line, and shows it to its taps if it was written."""
        ...

    def set_verb(self, verb: int) -> None: ...
    def set_mute(self, mute: int) -> None: ...


def _unheard(name: str, text: str) -> None:
    """No signal is taken before somebody listens."""


class ManagementFrontend:
    """One interface for the life of the process, over reloads and restarts."""

    def __init__(
        self,
        settings: ManagementSettings,
        *,
        log: Log,
        clock: Callable[[], Instant],
        wall_clock: Callable[[], int],
        local_time: Callable[[], str],
        server: ServerDaemon | None = None,
    ) -> None:
        self.settings = settings
        self._log = log
        self._wall_clock = wall_clock
        self._local_time = local_time
        self._session = ManagementSession(
            daemon=self,
            log=log.log,
            password=settings.password,
            hold=settings.hold,
            log_cache=settings.log_cache,
            server=server,
        )
        self._server = ManagementServer(
            session=self._session,
            settings=settings,
            log=log.log,
            on_intent=self._carry_out,
            clock=clock,
        )
        self._answer: asyncio.Future[ReplyToQuery] | None = None
        self._statistics: Callable[[], LinkStatistics] = lambda: NO_STATISTICS
        self._remotes: tuple[RemoteEntry, ...] = ()
        self._mute = 0
        self._auth_retry = AuthRetry.NONE
        self._on_signal: Callable[[str, str], None] = _unheard
        self._on_forget: Callable[[], None] = lambda: None
        self._challenge_sender: Callable[[Secret], bool] | None = None
        self._link_local: Endpoint | None = None
        self._link_remote: Endpoint | None = None
        self._imported: ClientOptions | None = None
        self._echoed = 0
        self._asking = asyncio.Lock()
        self._token_ids: tuple[tuple[str, bytes], ...] = ()

    # --- life ----------------------------------------------------------------------------------

    def open(self) -> bool:
        """Listens, or connects with ``management-client``; False when that did not succeed.

        Raises ConfigError when there is nothing to listen on.
        """
        return self._server.open()

    def attach(self) -> None:
        """Serves in the running loop."""
        self._server.attach()

    def detach(self) -> None:
        """The loop ends; clients stay connected."""
        self._server.detach()

    def close(self) -> None:
        """Ends the interface and removes its socket."""
        self._server.close()

    def configure(self, options: ClientOptions) -> None:
        """Takes what commands show from the options: at the start and after a reload."""
        self._mute = options.process.mute
        self._auth_retry = options.login.auth_retry
        self._remotes = tuple(_entry(profile) for profile in options.profiles)
        for text in options.echo:
            self._session.echo(text, self._wall_clock())
        self._echoed = len(options.echo)

    @property
    def asks_passwords(self) -> bool:
        """True when secrets are asked for here and not at the terminal."""
        return self.settings.query_passwords

    @property
    def asks_remotes(self) -> bool:
        """True when a client decides about each remote."""
        return self.settings.query_remote

    @property
    def asks_proxies(self) -> bool:
        """True when a client decides about the proxy of each attempt."""
        return self.settings.query_proxy

    def listen(self, on_signal: Callable[[str, str], None]) -> None:
        """Names who takes signals: the name, and the text of one that no client threw."""
        self._on_signal = on_signal

    def drive(
        self, *, on_forget: Callable[[], None], statistics: Callable[[], LinkStatistics]
    ) -> None:
        """A lifecycle begins: it forgets passwords on request and counts traffic."""
        self._on_forget = on_forget
        self._statistics = statistics
        self._session.begin()

    def session_opened(self, send_challenge_response: Callable[[Secret], bool] | None) -> None:
        """Tells how CR_RESPONSE is sent now; None when it cannot be."""
        self._challenge_sender = send_challenge_response

    # --- questions -----------------------------------------------------------------------------

    @property
    def holds(self) -> bool:
        """True while the next start has to wait for ``hold release``."""
        return self._session.hold

    async def hold(self, wait: int = 0) -> None:
        """Waits for ``hold release``, if the hold flag is set. ``wait`` is the restart pause."""
        if self._session.hold:
            await self._ask(HoldQuery(wait=wait))

    async def login(
        self,
        type_name: str,
        challenge: StaticChallenge | None = None,
        *,
        username_only: bool = False,
    ) -> tuple[str, Secret]:
        """Asks for user name and password, with one more question where there is one."""
        answer = await self._ask(
            LoginQuery(type_name=type_name, challenge=challenge, username_only=username_only)
        )
        assert isinstance(answer, LoginAnswer), "the session gives the answer that fits"
        return answer.username, answer.password

    async def passphrase(self, type_name: str) -> Secret:
        """Asks for a password alone, such as that of ``Private Key``."""
        answer = await self._ask(PasswordQuery(type_name=type_name))
        assert isinstance(answer, LoginAnswer), "the session gives the answer that fits"
        return answer.password

    async def remote(self, profile: ConnectionProfile) -> tuple[str, str] | None:
        """Asks whether to use a remote. Returns host and port to use, None to go to the next."""
        entry = _entry(profile)
        answer = await self._ask(
            RemoteQuery(host=entry.host, port=entry.port, protocol=entry.protocol)
        )
        match answer:
            case SkipRemote():
                return None
            case ModifyRemote(host=host, port=port):
                return host, port
            case AcceptRemote():
                return entry.host, entry.port
            case _:
                raise AssertionError("the session gives the answer that fits")

    async def confirm(self, type_name: str, text: str) -> bool:
        """Asks for ``ok`` or ``cancel``."""
        answer = await self._ask(NeedOkQuery(type_name=type_name, text=text))
        assert isinstance(answer, TextAnswer), "the session gives the answer that fits"
        return answer.text == "ok"

    async def text(self, type_name: str, text: str) -> str:
        """Asks for a text."""
        answer = await self._ask(NeedStrQuery(type_name=type_name, text=text))
        assert isinstance(answer, TextAnswer), "the session gives the answer that fits"
        return answer.text

    def offer_token_ids(self, found: Sequence[tuple[str, bytes]]) -> None:
        """Takes what ``pkcs11-id-count`` and ``pkcs11-id-get`` show."""
        self._token_ids = tuple(found)

    async def certificate(self, hint: str) -> str:
        """Asks for the certificate of ``management-external-cert``, in PEM; lines come joined."""
        answer = await self._ask(CertificateQuery(hint=hint))
        assert isinstance(answer, BodyAnswer), "the session gives the answer that fits"
        return answer.text

    async def sign(self, content: str, algorithm: str) -> str:
        """Asks for a signature; content and answer are base64."""
        answer = await self._ask(SignQuery(content=content, algorithm=algorithm))
        assert isinstance(answer, BodyAnswer), "the session gives the answer that fits"
        return answer.text

    async def proxy(self, profile: ConnectionProfile, number: int) -> Proxy | None:
        """Asks which proxy to use. None leaves it as configured, as ``proxy NONE`` does."""
        transport = "UDP" if profile.protocol is LinkProtocol.UDP else "TCP"
        answer = await self._ask(ProxyQuery(index=number, transport=transport, host=profile.host))
        assert isinstance(answer, UseProxy), "the session gives the answer that fits"
        return _chosen_proxy(answer, profile)

    async def _ask(self, query: Query) -> ReplyToQuery:
        """Asks the client; a question that comes meanwhile waits for its turn."""
        async with self._asking:
            return await self._ask_now(query)

    async def _ask_now(self, query: Query) -> ReplyToQuery:
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        need = _NEEDS.get(type(query))
        if need is not None and not self._session.has_client:
            text = f"Need {need} from management interface, waiting..."
            self._log.log(LogLine(text=text, verb=3))
        self._session.ask(query)
        self._server.pump()
        try:
            return await self._answer
        finally:
            self._answer = None
            self._session.withdraw()

    # --- what happened -------------------------------------------------------------------------

    def auth_token(self, token: Secret) -> None:
        """The server pushed a token."""
        self._session.auth_token(token)
        self._server.pump()

    def log_line(self, line: LogLine) -> None:
        """Takes a line that the log wrote."""
        self._session.log_line(line, self._wall_clock())
        self._server.pump()

    def state(self, name: str, detail: str = "") -> None:
        """A state of the process: CONNECTING, RESOLVE, RECONNECTING, EXITING."""
        self._enter(StateRecord(when=self._wall_clock(), name=name, detail=detail))

    def link_opened(self, remote: Endpoint, local: Endpoint | None) -> None:
        """A new attempt; ``local`` is None while the system chooses the address for each packet."""
        self._link_remote = remote
        self._link_local = local
        self._imported = None

    def notice(self, notice: Notice) -> None:
        """Shows what a core machine says."""
        match notice:
            case StateEntered(state=state, detail=detail):
                self._machine_state(state, detail)
            case PeerConnected(remote=remote):
                self._link_remote = remote
            case OptionsImported(options=options, is_update=is_update):
                self._imported = options
                for text in () if is_update else options.echo[self._echoed :]:
                    self._session.echo(text, self._wall_clock())
            case ControlMessage(keyword="INFO" | "INFO_PRE", text=text):
                self._session.info_message(text)
            case ControlMessage(keyword="EXIT"):
                self._session.notification("info", "remote-exit", "EXIT")
            case ControlMessage(keyword="RESTART", text=text):
                self._session.notification("info", "server-pushed-connection-reset", text)
            case ControlMessage(keyword="HALT", text=text):
                self._session.notification("info", "server-pushed-halt", text)
            case Ended(auth_failed=str() as reason):
                self._session.verification_failed("Auth", reason)
            case _:
                return
        self._server.pump()

    def started(self, *, with_errors: bool) -> None:
        """The tunnel is up, routes and scripts are done."""
        self._enter(self._connected("ROUTE_ERROR" if with_errors else "SUCCESS"))

    def verification_failed(self, type_name: str) -> None:
        """A passphrase was wrong."""
        self._session.verification_failed(type_name)
        self._server.pump()

    def up_down(self, *, up: bool, environment: Callable[[], Mapping[str, str]]) -> None:
        """The tunnel came up or goes down; shown only with ``management-up-down``."""
        if self.settings.up_down:
            self._session.up_down(up=up, environment=environment())
            self._server.pump()

    def fatal(self, text: str) -> None:
        """The program ends with an error."""
        self._session.fatal(text)
        self._server.pump()

    def _enter(self, record: StateRecord) -> None:
        self._session.state_entered(record)
        self._server.pump()

    def _machine_state(self, state: ManagementState, detail: str) -> None:
        if state is ManagementState.CONNECTED:
            return  # said by ``started``, once routes and scripts are done
        tun = None if self._imported is None else self._imported.tun
        if state is not ManagementState.ASSIGN_IP or tun is None:
            self.state(state.value, detail)
            return
        self._enter(
            StateRecord(
                when=self._wall_clock(),
                name=state.value,
                tun_ip4="" if tun.ifconfig is None else str(tun.ifconfig[0]),
                tun_ip6="" if tun.ifconfig_ipv6 is None else str(tun.ifconfig_ipv6.ip),
            )
        )

    def _connected(self, detail: str) -> StateRecord:
        tun = None if self._imported is None else self._imported.tun
        remote, local = self._link_remote, self._link_local
        return StateRecord(
            when=self._wall_clock(),
            name="CONNECTED",
            detail=detail,
            tun_ip4="" if tun is None or tun.ifconfig is None else str(tun.ifconfig[0]),
            tun_ip6="" if tun is None or tun.ifconfig_ipv6 is None else str(tun.ifconfig_ipv6.ip),
            remote_ip="" if remote is None else str(remote.address),
            remote_port="" if remote is None else str(remote.port),
            local_ip="" if local is None else str(local.address),
            local_port="" if local is None else str(local.port),
        )

    # --- what a client wants -------------------------------------------------------------------

    def _carry_out(self, intent: Intent) -> None:
        match intent:
            case Answered(answer=answer):
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(answer)
            case SignalThrown(signal=signal):
                self._on_signal(signal.value, "")
            case VerbSet(level=level):
                self._log.set_verb(level)
            case MuteSet(level=level):
                self._mute = level
                self._log.set_mute(level)
            case AuthRetrySet(mode=mode):
                self._auth_retry = mode
            case PasswordsForgotten():
                self._on_forget()
            case ChallengeAnswered(response=response):
                if self._challenge_sender is not None:
                    self._challenge_sender(response)
            case ClientLeft():
                self._client_left()
            case _:
                assert_never(intent)

    def _client_left(self) -> None:
        if self.settings.forget_disconnect:
            self._on_forget()
        if self.settings.connects:
            self._on_signal("SIGTERM", EXIT_TEXT)
        elif self.settings.signal:
            self._on_signal("SIGUSR1", DISCONNECT_TEXT)

    # --- facts for commands --------------------------------------------------------------------

    def pid(self) -> int:
        return os.getpid()

    def title(self) -> str:
        return title()

    def status_lines(self) -> Sequence[str]:
        return statistics_lines(self._statistics(), self._local_time())

    def link_bytes(self) -> tuple[int, int]:
        counted = self._statistics()
        return counted.link_read, counted.link_write

    def verb(self) -> int:
        return self._log.verb

    def mute(self) -> int:
        return self._mute

    def auth_retry(self) -> AuthRetry:
        """How a refused login is answered now: a client may have changed it."""
        return self._auth_retry

    def choose_auth_retry(self, configured: AuthRetry) -> AuthRetry:
        """As configured, until a client changed it."""
        return self._auth_retry

    def remotes(self) -> Sequence[RemoteEntry]:
        return self._remotes

    def token_ids(self) -> Sequence[tuple[str, bytes]]:
        return self._token_ids

    def takes_challenge_response(self) -> bool:
        return self._challenge_sender is not None


def make_frontend(options: ManagementOptions, log: Log) -> ManagementFrontend:
    """Makes the interface that the options ask for. Raises ConfigError."""
    settings = settings_from(options)
    assert settings is not None, "asked for only when there is an address"
    return ManagementFrontend(
        settings,
        log=log,
        clock=monotonic_now,
        wall_clock=unix_now,
        local_time=lambda: local_time_text(time.time()),
    )


_PROTOCOLS = {
    LinkProtocol.UDP: "udp",
    LinkProtocol.TCP_CLIENT: "tcp{}-client",
    LinkProtocol.TCP_SERVER: "tcp{}-server",
}


def _chosen_proxy(answer: UseProxy, profile: ConnectionProfile) -> Proxy | None:
    """The proxy that a client named; what else is configured for one of that kind stays."""
    configured = profile.proxy
    match answer.kind:
        case ProxyKind.NONE:
            return None
        case ProxyKind.HTTP:
            login = ProxyLogin.AUTO if answer.allow_cleartext else ProxyLogin.AUTO_NO_CLEARTEXT
            if isinstance(configured, HttpProxy):
                return replace(configured, host=answer.host, port=answer.port, login=login)
            return HttpProxy(host=answer.host, port=answer.port, login=login)
        case ProxyKind.SOCKS:
            if isinstance(configured, SocksProxy):
                return replace(configured, host=answer.host, port=answer.port)
            return SocksProxy(host=answer.host, port=answer.port)
        case _:
            assert_never(answer.kind)


def _entry(profile: ConnectionProfile) -> RemoteEntry:
    """A remote with OpenVPN's short name of its protocol, such as ``udp4``."""
    family = "" if profile.family is AddressFamily.ANY else profile.family.value
    name = _PROTOCOLS[profile.protocol]
    protocol = name.format(family) if "{}" in name else f"{name}{family}"
    return RemoteEntry(
        host=profile.host, port=profile.port, protocol=protocol, enabled=profile.enabled
    )
