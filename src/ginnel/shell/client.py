"""Runs a client in its process: its secrets, its frontend, and one lifecycle after the other.

How a process starts and ends is ``shell.process``'s; the life of the client itself is
``shell.lifecycle``.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

from ginnel.compat import shell_lines
from ginnel.compat.shell_lines import SignalSource
from ginnel.core.errors import ConfigError, LocalMisuse
from ginnel.core.tls import TlsChannel
from ginnel.core.types import Side
from ginnel.dataclass import dataclass
from ginnel.dataplane.choose import open_data_plane, siv_maker
from ginnel.host.helper_process import HelperProcess
from ginnel.host.watch import ChangeSocket
from ginnel.options.actions import RunClient
from ginnel.options.model import ClientOptions, ManagementOptions, ProcessOptions
from ginnel.shell.frontend import Frontend, Unattended
from ginnel.shell.helper_watch import leave_host
from ginnel.shell.hold import held
from ginnel.shell.identity import Identity, find_identity, is_elsewhere
from ginnel.shell.lifecycle import Equipment, Lifecycle
from ginnel.shell.logging_setup import LogOutput, private_file_warnings
from ginnel.shell.login import Login
from ginnel.shell.process import Place, chosen_engine, greet, probe, run_process
from ginnel.shell.race import Interrupted, race
from ginnel.shell.roaming import NetworkWatch
from ginnel.shell.signals import Signals, stoppable
from ginnel.shell.status import Status
from ginnel.shell.unlock import Unlocking, unlock

Reload = Callable[[], RunClient]
MakeFrontend = Callable[[ManagementOptions, LogOutput], Frontend]


def _unattended(options: ManagementOptions, log: LogOutput) -> Frontend:
    return Unattended()


def run_client(
    request: RunClient,
    reload: Reload,
    make_frontend: MakeFrontend = _unattended,
    helper: HelperProcess | None = None,
) -> int:
    """Runs the client to its end and returns the exit status.

    ``reload`` reads the configuration again (SIGHUP); ``make_frontend`` makes the management
    interface that the options ask for; ``helper`` is as for ``run_process``. Raises ConfigError for
    mistakes found before the log is open; later ones are logged.
    """
    return run_process(request.options.process, _Program(request, reload, make_frontend), helper)


@dataclass(frozen=True, kw_only=True)
class _Secrets:
    """What a configuration holds of keys and passwords, ready for use."""

    tls: Callable[[], TlsChannel]
    """Makes the channel of one negotiation."""
    login: Login
    identity: Identity


class _Program:
    """What a client adds to the start of the process."""

    def __init__(self, request: RunClient, reload: Reload, make_frontend: MakeFrontend) -> None:
        self._request = request
        self._reload = reload
        self._make_frontend = make_frontend
        self._frontend: Frontend = Unattended()

    def begin(self, log: LogOutput) -> None:
        self._frontend = self._make_frontend(self._request.options.management, log)
        log.tap = self._frontend.log_line
        _greet(self._request, log)

    def gather(self, log: LogOutput) -> _Secrets | None:
        options = self._request.options
        if self._frontend.asks_passwords or is_elsewhere(options):
            return None
        return asyncio.run(_gather(options, log, Unattended(), owner=self._frontend))

    def live(self, place: Place, gathered: _Secrets | None) -> Coroutine[None, None, int]:
        client = _Client(place, self._reload, self._frontend)
        return client.run(self._request.options, gathered)


class _Client:
    """The process from its first connection to its end, over any number of reloads."""

    def __init__(self, place: Place, reload: Reload, frontend: Frontend) -> None:
        self._frontend = frontend
        self._notifier = place.notifier
        self._watch: NetworkWatch | None = None
        self._status: Status | None = None
        self._earlier: Login | None = None
        """The login before a reload, which forgets no password that somebody entered."""
        self._log = place.log
        self._host = place.host
        self._rights = place.rights
        self._runner = place.runner
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
            stopped = await held(signals, self._frontend)
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
            await leave_host(self._host, self._log.log)

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
        engine = chosen_engine()
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
                capabilities=probe(engine),
                siv=siv_maker(engine),
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


def _watch_network(log: LogOutput) -> NetworkWatch | None:
    """Without it only silence tells that the network changed."""
    try:
        return NetworkWatch(ChangeSocket())
    except OSError as error:
        log.log(shell_lines.warning(f"changes of the network are not noticed: {error}"))
        return None


def _greet(request: RunClient, log: LogOutput) -> None:
    greet(request.notes, private_file_warnings(request.options), log)


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
        context = await unlock(_unlocking(options, identity), frontend, log.log)
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


def _unlocking(options: ClientOptions, identity: Identity) -> Unlocking:
    return Unlocking(
        tls=identity.tls,
        side=Side.SERVER if options.tls.tls_server else Side.CLIENT,
        outside=identity.outside,
        auth_retry=options.login.auth_retry,
        pause=options.profiles[0].connect_retry,
        forget=options.login.auth_nocache,
    )


def _open_status(process: ProcessOptions, log: LogOutput) -> Status:
    """Raises ConfigError when the file cannot be opened."""
    try:
        return Status(process.status, log.log)
    except OSError as error:
        raise ConfigError(
            f"--status fails with '{process.status}': {error.strerror} (errno={error.errno})",
            option="status",
        ) from error
