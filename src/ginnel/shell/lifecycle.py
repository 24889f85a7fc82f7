"""The life of a client: remotes in turn, restarts, signals, and putting the host back.

What happens within one connection is the core machine's business (``core.client``, driven by
``shell.drive``); which remote comes next is ``core.remotes``'. ``shell.client`` prepares all of it.

Signals: the first TERM or INT asks for an orderly end, which waits for scripts as OpenVPN does;
each further one ends the script that runs then. A signal that comes while something else is being
ended is kept and obeyed next.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

from ginnel.compat import log_lines, shell_lines
from ginnel.compat.shell_lines import SignalSource
from ginnel.core import client_end as end
from ginnel.core.errors import GinnelError, HostError, LinkError
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.notices import (
    Advance,
    Ended,
    LoginSent,
    Notice,
    Outcome,
    PeerConnected,
)
from ginnel.core.remotes import GiveUp, Pause, RemoteCursor
from ginnel.core.tls import TlsChannel
from ginnel.core.types import Endpoint, Instant
from ginnel.core.wrap.api import SivMaker
from ginnel.dataclass import dataclass, field, replace
from ginnel.hints import Protocol, TypeVar
from ginnel.host.client import Recovered
from ginnel.options.model import ClientOptions, ConnectionProfile
from ginnel.shell.clock import monotonic_now
from ginnel.shell.connect import open_link
from ginnel.shell.destination import Destinations
from ginnel.shell.drive import Drive
from ginnel.shell.facts import local_facts
from ginnel.shell.frontend import Frontend, Unattended
from ginnel.shell.helper_watch import report_recovered, watch_helper
from ginnel.shell.hooks import ClientHooks, Runner
from ginnel.shell.link import (
    SOCKS_ERROR,
    Attempt,
    Link,
    LinkRelay,
    LinkUnavailable,
    ProxyMeans,
)
from ginnel.shell.logging_setup import LogOutput
from ginnel.shell.login import Login
from ginnel.shell.machine import make_machine
from ginnel.shell.peer_log import PeerLog
from ginnel.shell.pending import PendingLogin
from ginnel.shell.process import INITIALISING
from ginnel.shell.proxy_login import ProxyLogins
from ginnel.shell.race import Interrupted, race
from ginnel.shell.rights import Rights
from ginnel.shell.roaming import Followed, NetworkWatch, Roaming
from ginnel.shell.signals import STOPPING, Signals
from ginnel.shell.signer import Signer
from ginnel.shell.status import Status
from ginnel.shell.tasks import plain_errors
from ginnel.shell.tunnel import OpenPlane, Tunnel, TunnelHost

T = TypeVar("T")

EXIT_NOTIFIED = "exit-with-notification"
CONNECTION_FAILED = "connection-failed"
_FATAL_ENDS = frozenset({CONNECTION_FAILED, "resolve-failed"})
"""What OpenVPN calls a fatal error, not a signal, where it ends the program."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How the client ended: an exit status, or a reload of the configuration (SIGHUP)."""

    status: int = 0
    reload: bool = False


@dataclass(frozen=True, kw_only=True)
class Turn:
    """How one attempt ended, in the words of a signal."""

    signal: str
    source: SignalSource
    text: str = ""
    pause: float = 0.0
    """Seconds from ``since`` to the next attempt at least."""
    since: Instant = field(default_factory=monotonic_now)
    """When the attempt ended: what is taken down after it is taken down within the pause."""
    status: int = 0


class ClientHost(TunnelHost, Protocol):
    """The privileged helper as the lifecycle sees it: ``host.client.HostClient``."""

    @property
    def helper_pid(self) -> int: ...
    async def recovered(self) -> tuple[Recovered, ...]: ...


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """What ``shell.client`` prepared before the loop began."""

    options: ClientOptions
    host: ClientHost
    log: LogOutput
    tls: Callable[[], TlsChannel]
    """Makes the channel of one negotiation."""
    login: Login
    rights: Rights
    runner: Runner
    status: Status
    signals: Signals
    capabilities: DataCapabilities
    siv: SivMaker
    """Makes the keys of control packets."""
    open_plane: OpenPlane
    signer: Signer | None = None
    """Who has the private key when this process has not."""
    frontend: Frontend = field(default_factory=Unattended)
    on_connected: Callable[[], None] = lambda: None
    """Told when a start is complete."""
    watch: NetworkWatch | None = None
    """Tells of changes of the network; None where nothing can."""


class Lifecycle:
    """One run of a client, up to its exit or a reload."""

    def __init__(self, equipment: Equipment) -> None:
        self._kit = equipment
        self._options = equipment.options
        self._log = equipment.log
        self._status = equipment.status
        self._signals = equipment.signals
        self._frontend = equipment.frontend
        self._peer_log = PeerLog(equipment.log.log, monotonic_now)
        self._hooks = ClientHooks(
            equipment.options,
            equipment.log.log,
            equipment.login,
            equipment.runner,
            log_redirected=equipment.options.process.log_file is not None,
            frontend=equipment.frontend,
        )
        self._tunnel = Tunnel(
            host=equipment.host,
            scripts=self._hooks,
            log=equipment.log.log,
            on_started=self._started,
            open_plane=equipment.open_plane,
        )
        self._roaming: Roaming | None = None
        if equipment.watch is not None:
            self._roaming = Roaming(
                watch=equipment.watch,
                host=equipment.host,
                renew=self._tunnel.renew,
                log=equipment.log.log,
            )
        self._cursor = RemoteCursor(equipment.options, shuffle=_shuffled)
        self._profile = self._cursor.profile
        """The profile in turn, as a frontend may have changed it."""
        self._destinations = Destinations(
            equipment.options.link,
            frontend=equipment.frontend,
            log=equipment.log.log,
            entropy=os.urandom,
        )
        self._proxy_logins = ProxyLogins(
            equipment.frontend, nocache=equipment.options.login.auth_nocache
        )
        self._common_name = ""
        self._tried: Endpoint | None = None
        """The address of the last attempt."""
        self._drive: Drive | None = None
        self._pending: PendingLogin | None = None

    async def run(self) -> Finished:
        """Connects, and goes on connecting, until a signal or an error ends it.

        The host is as before when this returns or raises, as far as the helper lives to do it.
        """
        self._signals.on_status = self._status.log
        self._signals.on_insist = self._hooks.interrupt
        self._frontend.drive(
            on_forget=self._forget_passwords,
            statistics=self._status.total,
        )
        try:
            with plain_errors():
                async with asyncio.TaskGroup() as tasks:
                    beside = [
                        tasks.create_task(self._write_status(), name="status file"),
                        tasks.create_task(watch_helper(self._kit.host.helper_pid), name="helper"),
                    ]
                    await report_recovered(self._kit.host, self._log.log)
                    finished = await self._loop()
                    for task in beside:
                        task.cancel()
        except GinnelError as error:
            self._log.log(shell_lines.fatal(str(error))[0])
            self._frontend.fatal(str(error))
            await self._clean_up()
            self._log.log(shell_lines.exiting_on_error())
            return Finished(status=1)
        except Exception:
            await self._clean_up()
            raise
        return finished

    async def _clean_up(self) -> None:
        """Takes the tunnel down after a failure; the helper's own end undoes what this cannot."""
        try:
            await self._tunnel.take_down("error")
        except HostError as error:
            self._log.log(shell_lines.warning(str(error)))

    async def _loop(self) -> Finished:
        prepared = await self._race(self._destinations.prepare(self._cursor.profiles))
        if isinstance(prepared, Interrupted):
            turn = self._by_signal(prepared.signal, INITIALISING)
        else:
            turn = await self._turn()
        while True:
            turn = self._remapped(turn)
            told = turn.text or turn.signal.lower()
            if turn.signal != "SIGUSR1":
                await self._tunnel.take_down(told)
                return self._finish(turn)
            await self._tunnel.restart(told)
            self._log.log(shell_lines.signal_received(turn.signal, turn.source, turn.text))
            self._frontend.state("RECONNECTING", turn.text or turn.signal)
            turn = await self._pause(turn) or await self._turn()

    def _remapped(self, turn: Turn) -> Turn:
        """What ``remap-usr1`` makes of a restart; OpenVPN then calls it its own."""
        remapped = self._options.link.remap_usr1
        if turn.signal != "SIGUSR1" or remapped is None:
            return turn
        return replace(turn, signal=remapped, source=SignalSource.SOFT)

    def _finish(self, turn: Turn) -> Finished:
        """Says how it ended. A TERM that came while a reload was prepared goes before it."""
        signal = turn.signal
        if turn.text not in _FATAL_ENDS:
            self._log.log(shell_lines.signal_received(signal, turn.source, turn.text))
        pending = self._signals.pending
        if signal == "SIGHUP" and pending in STOPPING:
            self._log.log(shell_lines.signal_received(pending, SignalSource.HARD))
            return Finished()
        self._frontend.state(
            "RECONNECTING" if signal == "SIGHUP" else "EXITING", turn.text or turn.signal
        )
        if turn.status:
            self._log.log(shell_lines.exiting_on_error())
        return Finished(status=turn.status, reload=signal == "SIGHUP")

    async def _pause(self, turn: Turn) -> Turn | None:
        """Waits before the next attempt; a signal cuts it short."""
        seconds = turn.pause
        if seconds <= 0 and self._signals.pending is None and not self._frontend.holds:
            return None
        if seconds > 0:
            self._log.log(shell_lines.restart_pause(int(seconds)))
        if self._frontend.holds:
            waited = await self._race(self._frontend.hold(int(seconds)))
        else:
            left = max(0.0, turn.since + seconds - monotonic_now())
            waited = await self._race(self._sleep(left))
        if isinstance(waited, Interrupted) and waited.signal != "SIGUSR1":
            return self._by_signal(waited.signal, INITIALISING)
        return None

    async def _sleep(self, seconds: float) -> None:
        """Waits; a network that comes back cuts it short."""
        if self._roaming is None or self._tried is None:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._roaming.moved(self._tried)

    def _patience(self) -> float:
        """Seconds of silence after which the server gives us up, as far as we were told."""
        config = self._tunnel.config
        timers = (self._options if config is None else config.options).link
        return float(timers.ping_restart or timers.ping_exit)

    def _by_signal(self, name: str, text: str = "") -> Turn:
        """The turn a signal causes; ``text`` is said when it came from outside."""
        own = self._signals.text_of(name)
        if own:
            return Turn(signal=name, source=SignalSource.SOFT, text=own)
        return Turn(signal=name, source=SignalSource.HARD, text=text)

    # --- one attempt ---------------------------------------------------------------------------

    async def _turn(self) -> Turn:
        if self._cursor.needs_addresses:
            turn = await self._choose()
            if turn is not None:
                return turn
        profile = self._profile
        gave_up = self._cursor.begin()
        if gave_up is not None:
            return self._next(gave_up, "")
        not_now = await self._ask_login(profile)
        if not_now is not None:
            return not_now
        began = monotonic_now() - self._proxy_logins.waited
        # Before anything is sent: a tunnel that is kept would swallow it.
        await self._tunnel.make_way(self._cursor.address)
        link = await self._open_link(profile)
        if isinstance(link, Turn):
            return link
        # connect-timeout counts from here to the server's first answer.
        spent = monotonic_now() - self._proxy_logins.waited - began
        left = profile.connect_timeout - int(spent)
        profile = replace(profile, connect_timeout=max(1, left))
        try:
            if link.relay is not None:
                await self._tunnel.make_way(link.relay.address)
            return await self._connect(profile, link)
        finally:
            self._status.finish_connection()
            self._tunnel.detach()
            link.close()

    async def _choose(self) -> Turn | None:
        """Settles on a remote and its addresses, or says what follows when there are none."""
        chosen = await self._race(
            self._destinations.choose(self._cursor.profile, self._cursor.number)
        )
        if isinstance(chosen, Interrupted):
            return self._by_signal(chosen.signal, INITIALISING)
        if chosen is None:
            return self._next(self._cursor.unresolvable(), "init_instance")
        try:
            found = await self._race(self._destinations.addresses(chosen))
        except LinkError:
            if len(self._cursor.profiles) == 1:  # patience ran out, and there is no other
                return Turn(
                    signal="SIGTERM", source=SignalSource.SOFT, text="resolve-failed", status=1
                )
            return self._next(self._cursor.unresolvable(), "resolve-failed")
        if isinstance(found, Interrupted):
            return self._by_signal(found.signal, INITIALISING)
        self._profile = chosen
        self._cursor.resolved(found)
        return None

    async def _open_link(self, profile: ConnectionProfile) -> Link | Turn:
        """Opens the link to the address in turn, or says what follows when that failed."""
        attempt = Attempt(
            profile=profile,
            options=self._options.link,
            remote=self._cursor.address,
            log=self._log.log,
            state=self._frontend.state,
            means=ProxyMeans(
                logins=self._proxy_logins, resolve=self._destinations.server, entropy=os.urandom
            ),
        )
        self._tried = attempt.remote.known
        if not attempt.remote.is_anybody:
            self._log.log(shell_lines.preserving_remote(attempt.remote))
        opened: list[Link] = []

        async def work() -> None:
            opened.append(await open_link(attempt))

        try:
            interrupted = await self._race(work())
        except LinkUnavailable as error:
            if not error.told and error.reason != CONNECTION_FAILED:
                self._log.log(shell_lines.warning(str(error)))
            turn = self._next(self._cursor.after(_no_link(error.reason)), error.reason)
            failed = turn.signal == "SIGUSR1" and error.reason == CONNECTION_FAILED
            return replace(turn, source=SignalSource.CONNECTION_FAILED) if failed else turn
        except LinkError as error:
            self._log.log(shell_lines.fatal(f"TCP/UDP: Socket bind failed: {error}")[0])
            return Turn(signal="SIGTERM", source=SignalSource.SOFT, text="bind-failed", status=1)
        if isinstance(interrupted, Interrupted):
            for link in opened:
                link.close()
            return self._by_signal(interrupted.signal, INITIALISING)
        return opened[0]

    async def _ask_login(self, profile: ConnectionProfile) -> Turn | None:
        """Makes sure of user name and password; returns what follows when there are none."""
        login = self._kit.login
        login.use(profile)
        asked = await self._race(login.obtain(self._frontend))
        if isinstance(asked, Interrupted):
            return self._by_signal(asked.signal, INITIALISING)
        if login.is_known:
            return None
        self._log.log(shell_lines.fatal(f"no user name and password: {login.problem}")[0])
        return Turn(signal="SIGTERM", source=SignalSource.SOFT, text="auth-failure", status=1)

    def _forget_passwords(self) -> None:
        """A management client wants nothing to be remembered, not even for the next key."""
        self._kit.login.forget_all()
        self._proxy_logins.forget_all()
        if self._drive is not None:
            self._drive.forget_login()

    async def _connect(self, profile: ConnectionProfile, link: Link) -> Turn:
        remote = self._cursor.address if link.relay is None else link.relay.server
        self._announce_link(link, remote)
        self._common_name = ""
        self._hooks.begin()
        self._frontend.link_opened(remote, link.own_address())
        asks_elsewhere = self._frontend.asks_passwords
        retry = self._frontend.choose_auth_retry(self._options.login.auth_retry)
        machine = make_machine(
            replace(self._options, login=replace(self._options.login, auth_retry=retry)),
            profile=profile,
            remote=remote,
            tls=self._kit.tls,
            capabilities=self._kit.capabilities,
            facts=local_facts(
                in_full=self._options.tls.push_peer_info, asks_elsewhere=asks_elsewhere
            ),
            credentials=self._kit.login.current,
            token=self._kit.login.token,
            siv=self._kit.siv,
        )
        drive = Drive(
            machine=machine,
            link=link,
            tunnel=self._tunnel,
            hooks=self._hooks,
            signer=self._kit.signer,
            on_notice=self._on_notice,
        )
        self._drive = drive
        self._pending = PendingLogin(
            log=self._log.log,
            respond=drive.respond,
            asks_elsewhere=asks_elsewhere,
            heard_elsewhere=self._options.management.address is not None,
            script_security=self._options.scripts.script_security,
        )
        self._frontend.session_opened(drive.respond)
        self._status.connection = drive.statistics
        beside = [self._watch_signals(drive), self._pending.serve()]
        outer = remote
        if link.relay is not None:
            outer = link.relay.address
            beside.append(self._watch_relay(link.relay, drive))
        if self._roaming is not None:
            followed = Followed(
                drive=drive,
                link=link,
                remote=outer,
                patience=self._patience,
                bind_dev=self._options.link.bind_dev,
            )
            beside.append(self._roaming.follow(followed))
        try:
            with plain_errors():
                async with asyncio.TaskGroup() as tasks:
                    started = [tasks.create_task(work) for work in beside]
                    ended = await drive.run()
                    for task in started:
                        task.cancel()
        finally:
            self._frontend.session_opened(None)
            self._drive = self._pending = None
        return self._judge(ended, notified=drive.notified)

    async def _watch_signals(self, drive: Drive) -> None:
        """Hands signals to the session: the first asks it to leave, a second one insists."""
        kept: list[str] = []
        try:
            name = await self._signals.next()
            if drive.over:
                kept.append(name)
            else:
                drive.close(name, Outcome.TERMINATE if name in STOPPING else Outcome.RESTART)
                if not drive.over:
                    self._log.log(shell_lines.exit_notification())
            while True:
                name = await self._signals.next()
                if name in STOPPING and not drive.over:
                    drive.abandon(_wanted_end(name))
                else:
                    kept.append(name)
        finally:
            for name in kept:
                self._signals.throw(name)

    async def _watch_relay(self, relay: LinkRelay, drive: Drive) -> None:
        """Without its connection to the proxy an association carries nothing any longer."""
        from ginnel.compat import proxy_lines

        cause = await relay.ended()
        self._log.log(proxy_lines.association_ended(cause))
        drive.abandon(end.restart(SOCKS_ERROR, f"the SOCKS proxy: {cause}", Advance.SAME))

    def _judge(self, ended: Ended, *, notified: bool) -> Turn:
        """Turns the end of a machine into what the process does next."""
        login = self._kit.login
        if ended.forget_credentials:
            login.forget()
        if ended.auth_failed is not None:
            login.challenged(ended.challenge)
        if ended.signal_text in {"SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"}:
            if notified:
                return Turn(signal="SIGTERM", source=SignalSource.SOFT, text=EXIT_NOTIFIED)
            return self._after_signal(ended)
        if ended.outcome is Outcome.RESTART:
            return self._next(self._cursor.after(ended), ended.signal_text)
        return Turn(
            signal=ended.outcome.value,
            source=SignalSource.SOFT,
            text=ended.signal_text,
            status=1 if ended.hard_error else 0,
        )

    def _after_signal(self, ended: Ended) -> Turn:
        """A signal of the user: a restart goes on to the next address, after the usual pause."""
        pause = 0.0
        if ended.signal_text == "SIGUSR1":
            step = self._cursor.after(replace(ended, advance=Advance.NEXT_ADDRESS))
            pause = step.seconds if isinstance(step, Pause) else 0.0
        return replace(self._by_signal(ended.signal_text), pause=pause)

    def _next(self, step: Pause | GiveUp, text: str) -> Turn:
        if isinstance(step, GiveUp):
            if text:
                restart = shell_lines.signal_received("SIGUSR1", SignalSource.SOFT, text)
                self._log.log(restart)
            self._log.log(shell_lines.fatal(step.explanation)[0])
            return Turn(
                signal="SIGTERM", source=SignalSource.SOFT, text="connection-failed", status=1
            )
        return Turn(signal="SIGUSR1", source=SignalSource.SOFT, text=text, pause=step.seconds)

    # --- what happened -------------------------------------------------------------------------

    def _on_notice(self, notice: Notice) -> None:
        if isinstance(notice, PeerConnected):
            self._common_name = notice.common_name
        lines = log_lines.render(notice, common_name=self._common_name)
        if isinstance(notice, Ended):
            self._peer_log.tell_left_out()
            self._log.log_all(lines)
        else:
            self._peer_log.log_all(lines)
        self._hooks.observe(notice)
        self._frontend.notice(notice)
        self._follow_login(notice)

    def _follow_login(self, notice: Notice) -> None:
        """Keeps login and token as the machine leaves them, and helps with what is asked for."""
        login, drive = self._kit.login, self._drive
        if isinstance(notice, LoginSent):
            login.sent()
        if self._pending is not None:
            self._pending.observe(notice)
        if drive is None or drive.token == login.token:
            return
        login.token = drive.token
        if drive.token is not None:
            self._frontend.auth_token(drive.token.password)

    def _started(self, with_errors: bool) -> None:
        """The last step of a start: rights are given up, then the line that scripts wait for."""
        self._cursor.connected()
        self._log.log_all(self._kit.rights.drop())
        self._proxy_logins.connected()
        self._log.log(shell_lines.initialization_completed())
        self._kit.on_connected()
        self._frontend.started(with_errors=with_errors)

    def _announce_link(self, link: Link, remote: Endpoint) -> None:
        self._log.log(shell_lines.link_local(remote, link.local, link.transport))
        self._log.log(shell_lines.link_remote(remote, link.transport))

    async def _write_status(self) -> None:
        while True:
            self._status.write()
            await asyncio.sleep(max(1, self._options.process.status_interval))

    async def _race(self, work: Coroutine[None, None, T]) -> T | Interrupted:
        """Waits for ``work``, or for a signal that cancels it."""
        return await race(self._signals, work)


def _wanted_end(signal: str) -> Ended:
    return Ended(
        outcome=Outcome.TERMINATE, signal_text=signal, advance=Advance.SAME, explanation=""
    )


def _no_link(reason: str) -> Ended:
    """An attempt that had no link to begin with."""
    return Ended(
        outcome=Outcome.RESTART,
        signal_text=reason,
        advance=Advance.NEXT_ADDRESS,
        explanation="",
    )


def _shuffled(profiles: Sequence[ConnectionProfile]) -> Sequence[ConnectionProfile]:
    import random

    return random.SystemRandom().sample(profiles, len(profiles))
