"""Prepares a client and runs it: checks, terminal, daemon, helper, log; then the loop.

The order is OpenVPN's as far as users see it: mistakes in keys and passwords asked for come while
there is still a terminal, the process leaves it afterwards, and nothing on the host is touched
before. The life of the client itself is ``shell.lifecycle``.
"""

import asyncio
import gc
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.compat.shell_lines import SignalSource
from ginnel.core.errors import ConfigError, GinnelError, HostError, LocalMisuse
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.signing import OutsideKey
from ginnel.core.tls import TlsChannel
from ginnel.core.tls_context import (
    PassphraseNeeded,
    PassphraseWrong,
    TlsContext,
    build_tls_context,
)
from ginnel.core.types import Side
from ginnel.dataclass import dataclass, replace
from ginnel.dataplane.choose import open_data_plane
from ginnel.host.client import HostClient
from ginnel.host.executor import Outcome
from ginnel.host.journal import DEFAULT_RUNTIME_DIR
from ginnel.host.privileges import forbid_core_dumps, lock_memory, set_priority
from ginnel.host.recover import restore
from ginnel.host.scripts import ScriptRunner
from ginnel.host.watch import ChangeSocket
from ginnel.options.actions import RunClient
from ginnel.options.model import (
    AuthRetry,
    ClientOptions,
    ManagementOptions,
    ProcessOptions,
    TlsOptions,
)
from ginnel.options.notes import Note, NoteKind
from ginnel.options.values import Secret
from ginnel.shell.clock import unix_now
from ginnel.shell.daemonize import PidFile, become_daemon
from ginnel.shell.frontend import Frontend, Unattended
from ginnel.shell.identity import Identity, find_identity, is_elsewhere
from ginnel.shell.lifecycle import INITIALISING, Equipment, Lifecycle
from ginnel.shell.logging_setup import LogOutput, private_file_warnings, setup_logging
from ginnel.shell.login import Login
from ginnel.shell.notify import Notifier
from ginnel.shell.prompt import ask_passphrase
from ginnel.shell.race import Interrupted, race
from ginnel.shell.rights import Rights
from ginnel.shell.roaming import NetworkWatch
from ginnel.shell.signals import STOPPING, Signals, Stopped, stoppable
from ginnel.shell.status import Status

ENGINE_VARIABLE = "GINNEL_ENGINE"
"""Environment variable that picks the data plane: ``rust`` or ``python``."""

RUNTIME_VARIABLE = "GINNEL_RUNTIME_DIR"
"""Environment variable that moves the journals away from ``/run/ginnel``."""

WRONG_PASSPHRASE = "private-key-password-failure"  # noqa: S105 -- a signal's name
"""The soft signal of another try to open the private key."""

Reload = Callable[[], RunClient]
MakeFrontend = Callable[[ManagementOptions, LogOutput], Frontend]


def _unattended(options: ManagementOptions, log: LogOutput) -> Frontend:
    return Unattended()


def run_client(
    request: RunClient, reload: Reload, make_frontend: MakeFrontend = _unattended
) -> int:
    """Runs the client to its end and returns the exit status.

    ``reload`` reads the configuration again (SIGHUP); ``make_frontend`` makes the management
    interface that the options ask for. Raises ConfigError for mistakes found before
    the log is open; later ones are logged.
    """
    forbid_core_dumps()
    log = setup_logging(request.options.process)
    try:
        with _python_records(log):
            return _run(request, reload, log, make_frontend)
    except Stopped as stopped:
        # A wanted end is no failure, whenever it comes: service managers look at the status.
        log.log(shell_lines.signal_received(stopped.signal, SignalSource.HARD, INITIALISING))
        return 0
    except ConfigError as error:
        log.log_all(shell_lines.options_error(error))
    except GinnelError as error:
        log.log_all(shell_lines.fatal(str(error)))
    except Exception as bug:
        log.log_all(shell_lines.crashed(traceback.format_exception(bug)))
    finally:
        log.close()
    return 1


def runtime_directory() -> Path:
    """Where the journals are kept."""
    return Path(os.environ.get(RUNTIME_VARIABLE, DEFAULT_RUNTIME_DIR))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Secrets:
    """What a configuration holds of keys and passwords, ready for use."""

    tls: Callable[[], TlsChannel]
    """Makes the channel of one negotiation."""
    login: Login
    identity: Identity


def _run(request: RunClient, reload: Reload, log: LogOutput, make_frontend: MakeFrontend) -> int:
    """Prepares everything for which there must be a terminal, or no loop yet; then the loop."""
    process = request.options.process
    host: HostClient | None = None
    try:
        with stoppable():
            frontend = make_frontend(request.options.management, log)
            log.tap = frontend.log_line
            _greet(request, log)
            _check_outputs(process)
            rights = Rights(process)
            # Before keys are read, so that the helper's memory holds none. A daemon must fork it
            # later, to be its parent, and asks for passwords while there is a terminal.
            host = HostClient.start(runtime_directory()) if process.daemon is None else None
            secrets = (
                None
                if frontend.asks_passwords or is_elsewhere(request.options)
                else asyncio.run(_gather(request.options, log, Unattended(), owner=frontend))
            )
    except BaseException:
        if host is not None:
            asyncio.run(host.close())
        raise
    notifier = Notifier()
    pid_file = _leave_terminal(process, notifier)
    try:
        if process.mlock:
            limited = lock_memory()
            if limited is not None:
                log.log(shell_lines.warning(limited))
        runner = ScriptRunner(lambda line: log.log(shell_lines.note(line)))
        try:
            if host is None:
                host = HostClient.start(runtime_directory())
            client = _Client(
                log=log,
                host=host,
                rights=rights,
                runner=runner,
                reload=reload,
                frontend=frontend,
                notifier=notifier,
            )
            notifier.started()
            gc.freeze()  # what was loaded stays; the collector need not look at it
            gc.enable()
            return asyncio.run(client.run(request.options, secrets))
        finally:
            runner.close()
    finally:
        notifier.close()
        if pid_file is not None:
            pid_file.remove()


class _Client:
    """The process from its first connection to its end, over any number of reloads."""

    def __init__(
        self,
        *,
        log: LogOutput,
        host: HostClient,
        rights: Rights,
        runner: ScriptRunner,
        reload: Reload,
        frontend: Frontend,
        notifier: Notifier,
    ) -> None:
        self._frontend = frontend
        self._notifier = notifier
        self._watch: NetworkWatch | None = None
        self._status: Status | None = None
        self._earlier: Login | None = None
        """The login before a reload, which forgets no password that somebody entered."""
        self._log = log
        self._host = host
        self._rights = rights
        self._runner = runner
        self._reload = reload

    async def run(self, options: ClientOptions, secrets: _Secrets | None) -> int:
        """Returns the exit status; the host is as before then, as far as that can be done.

        Without ``secrets`` the frontend is asked for them.
        """
        signals = Signals()
        signals.install()
        try:
            self._watch = _watch_network(self._log)
            self._frontend.configure(options)
            self._frontend.listen(signals.command)
            if not self._frontend.open():
                return self._stopped("SIGTERM", "management-connect-failed")
            self._frontend.attach()
            self._frontend.state("CONNECTING")
            stopped = await self._held(signals)
            if stopped is not None:
                return self._stopped(stopped, signals.text_of(stopped))
            return await self._connections(options, secrets, signals)
        finally:
            if self._status is not None:
                self._status.close()
            self._frontend.close()
            if self._watch is not None:
                self._watch.close()
            # From here on a signal ends us at once: the helper finishes its work alone.
            signals.remove()
            await self._leave_host()

    async def _held(self, signals: Signals) -> str | None:
        """Waits for the frontend's leave to start; returns the signal that ends us instead."""
        while self._frontend.holds:
            held = await race(signals, self._frontend.hold())
            if not isinstance(held, Interrupted):
                return None
            if held.signal in STOPPING:
                return held.signal
        return None

    def _stopped(self, signal: str, text: str) -> int:
        source = SignalSource.SOFT if text else SignalSource.HARD
        self._log.log(shell_lines.signal_received(signal, source, text))
        self._frontend.state("EXITING", text or "init_instance")
        return 0

    async def _connections(
        self, options: ClientOptions, secrets: _Secrets | None, signals: Signals
    ) -> int:
        """Runs one lifecycle after the other, as long as SIGHUP asks for another."""
        while True:
            if secrets is None:
                gathering = _gather(options, self._log, self._frontend, self._earlier)
                gathered = await race(signals, gathering)
                if isinstance(gathered, Interrupted):
                    return self._stopped(gathered.signal, signals.text_of(gathered.signal))
                secrets = gathered
            if self._status is None:
                self._status = _open_status(options.process, self._log)
            try:
                finished = await self._lifecycle(options, secrets, self._status, signals).run()
            finally:
                self._status.close()
                await secrets.identity.close()
            if not finished.reload:
                return finished.status
            self._earlier = secrets.login
            options, secrets = self._read_again(), None
            self._frontend.configure(options)
            self._status = self._open_status_again(options.process)

    def _lifecycle(
        self, options: ClientOptions, secrets: _Secrets, status: Status, signals: Signals
    ) -> Lifecycle:
        engine = os.environ.get(ENGINE_VARIABLE)
        return Lifecycle(
            Equipment(
                options=options,
                host=self._host,
                log=self._log,
                tls=secrets.tls,
                signer=secrets.identity.signer,
                login=secrets.login,
                rights=self._rights,
                runner=self._runner,
                status=status,
                signals=signals,
                capabilities=_probe(engine),
                open_plane=partial(open_data_plane, engine=engine),
                frontend=self._frontend,
                on_connected=self._notifier.connected,
                watch=self._watch,
            )
        )

    def _read_again(self) -> ClientOptions:
        """SIGHUP: reads the configuration anew. Rights and helper stay."""
        self._log.reopen()
        with stoppable():
            request = self._reload()
            self._log.set_verb(request.options.process.verb)
            self._log.set_mute(request.options.process.mute)
            _greet(request, self._log)
            return request.options

    def _open_status_again(self, process: ProcessOptions) -> Status:
        """Once rights are gone the file may be out of reach; the tunnel matters more."""
        try:
            return _open_status(process, self._log)
        except ConfigError as error:
            self._log.log(shell_lines.warning(error.message))
            return Status(None, self._log.log)

    async def _leave_host(self) -> None:
        """Ends the helper, which undoes what is left. If it died before, undoes that here."""
        died = _has_ended(self._host.helper_pid)
        await self._host.close()
        if not died:
            return
        try:
            report = restore(runtime_directory())
        except HostError as error:
            self._log.log(shell_lines.not_restored(str(error)))
            return
        for journal in report.journals:
            if journal.main_pid == os.getpid():
                undone = sum(r.outcome is Outcome.REVERTED for r in journal.results)
                if undone:
                    self._log.log(shell_lines.note(f"undid {undone} change(s) to the host"))
        if not report.complete:
            self._log.log(shell_lines.not_restored("some changes could not be undone"))


def _watch_network(log: LogOutput) -> NetworkWatch | None:
    """Without it only silence tells that the network changed."""
    try:
        return NetworkWatch(ChangeSocket())
    except OSError as error:
        log.log(shell_lines.warning(f"changes of the network are not noticed: {error}"))
        return None


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; its status stays to be collected."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@contextmanager
def _python_records(log: LogOutput) -> Iterator[None]:
    """Brings records of ``logging`` into the log: ours, the event loop's and libraries'."""
    import logging

    handler = log.python_handler()
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if log.verb >= 9 else logging.INFO)
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


def _greet(request: RunClient, log: LogOutput) -> None:
    log.log_all(_note_lines(request.notes))
    log.log_all(shell_lines.banner())
    log.log_all(private_file_warnings(request.options))


def _note_lines(notes: Sequence[Note]) -> list[LogLine]:
    return [
        shell_lines.warning(str(note))
        if note.kind is NoteKind.WARNING
        else shell_lines.note(str(note))
        for note in notes
    ]


async def _gather(
    options: ClientOptions,
    log: LogOutput,
    frontend: Frontend,
    earlier: Login | None = None,
    *,
    owner: Frontend | None = None,
) -> _Secrets:
    """Builds the TLS context and gathers the login, asking for what is missing.

    Raises ConfigError. ``earlier`` is the login before a reload; ``owner`` will be asked to sign,
    if not ``frontend``.
    """
    identity = await find_identity(options, owner or frontend, log.log)
    tls: Callable[[], TlsChannel] = _no_tls
    if options.data.static_key is None:
        context = await _unlock(options, identity, log, frontend)
        for text in context.warnings:
            log.log(shell_lines.warning(text))
        tls = context.channel
    login = Login(options.login)
    if earlier is not None:
        login.adopt(earlier)
    # A daemon has no terminal later on, so that every login it may need is asked for now.
    daemon = options.process.daemon is not None and not frontend.asks_passwords
    for profile in options.profiles if daemon else options.profiles[:1]:
        login.use(profile)
        await login.obtain_or_fail(frontend)
    return _Secrets(tls=tls, login=login, identity=identity)


def _no_tls() -> TlsChannel:
    raise LocalMisuse("a tunnel with a static key has no TLS")


async def _unlock(
    options: ClientOptions, identity: Identity, log: LogOutput, frontend: Frontend
) -> TlsContext:
    """Builds the TLS context, with the passphrase of the key if it has one. Raises ConfigError."""
    given = options.tls.askpass
    outside = identity.outside
    try:
        return _tls_context(identity.tls, outside)
    except PassphraseNeeded:
        if given is not None:
            raise
    finally:
        if given is not None and options.login.auth_nocache:
            given.wipe()
    while True:
        entered = await _passphrase(frontend)
        try:
            return _tls_context(replace(identity.tls, askpass=entered), outside)
        except PassphraseWrong as wrong:
            frontend.verification_failed("Private Key")
            if frontend.choose_auth_retry(options.login.auth_retry) is not AuthRetry.INTERACT:
                frontend.fatal(wrong.message)
                raise
            log.log(shell_lines.warning(wrong.message))
        finally:
            entered.wipe()
        log.log(shell_lines.signal_received("SIGUSR1", SignalSource.SOFT, WRONG_PASSPHRASE))
        frontend.state("RECONNECTING", WRONG_PASSPHRASE)
        pause = options.profiles[0].connect_retry
        log.log(shell_lines.restart_pause(pause))
        await asyncio.sleep(pause)


async def _passphrase(frontend: Frontend) -> Secret:
    if frontend.asks_passwords:
        return await frontend.passphrase("Private Key")
    return await ask_passphrase()


def _tls_context(options: TlsOptions, outside: OutsideKey | None) -> TlsContext:
    directory = options.crl_verify_dir

    def is_revoked(serial: int) -> bool:
        return directory is not None and (Path(directory) / str(serial)).exists()

    return build_tls_context(
        options,
        side=Side.SERVER if options.tls_server else Side.CLIENT,
        unix_time=unix_now(),
        is_revoked=is_revoked,
        outside=outside,
    )


def _check_outputs(process: ProcessOptions) -> None:
    """Tries the files that are written later, while the user still sees a mistake. ConfigError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    wanted = (("writepid", process.writepid, 0o644), ("status", process.status, 0o600))
    for option, path, mode in wanted:
        if path is None:
            continue
        try:
            os.close(os.open(path, flags, mode))
        except OSError as error:
            raise ConfigError(
                f"--{option} fails with '{path}': {error.strerror} (errno={error.errno})",
                option=option,
            ) from error


def _leave_terminal(process: ProcessOptions, notifier: Notifier) -> PidFile | None:
    """Applies what concerns the whole process; the process id is final afterwards."""
    if notifier.watched:
        notifier.beginning()
    elif process.daemon is not None:
        try:
            become_daemon(keep_output=process.log_file is not None)
        except OSError as error:
            raise ConfigError(f"--daemon fails: {error.strerror}", option="daemon") from error
    if process.nice:
        set_priority(process.nice)
    if process.writepid is None:
        return None
    try:
        return PidFile(process.writepid)
    except OSError as error:
        raise ConfigError(
            f"--writepid fails with '{process.writepid}': {error.strerror}", option="writepid"
        ) from error


def _open_status(process: ProcessOptions, log: LogOutput) -> Status:
    """Raises ConfigError when the file cannot be opened."""
    try:
        return Status(process.status, log.log)
    except OSError as error:
        raise ConfigError(
            f"--status fails with '{process.status}': {error.strerror} (errno={error.errno})",
            option="status",
        ) from error


def _probe(engine: str | None) -> DataCapabilities:
    """Asks the data plane that will be used what it can do."""
    data_plane, _reasons = open_data_plane(None, engine=engine)
    try:
        capabilities = data_plane.capabilities
        return DataCapabilities(ciphers=capabilities.ciphers, formats=capabilities.formats)
    finally:
        data_plane.close()
