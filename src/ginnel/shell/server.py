"""Runs a server in its process: its secrets, its frontend, and one lifecycle after the other.

How a process starts and ends is ``shell.process``'s; the life of the server itself is
``shell.server_lifecycle``.
"""

import asyncio
import os
import resource
from collections.abc import Callable, Coroutine
from functools import partial

from ginnel.compat import shell_lines
from ginnel.compat.shell_lines import SignalSource
from ginnel.core.auth_token import TokenIssuer
from ginnel.core.control_keys import ControlKeys
from ginnel.core.errors import ConfigError
from ginnel.core.key_files import SERVER_KEY_LENGTH
from ginnel.core.pool import AddressPool
from ginnel.core.tls import PeerCheck
from ginnel.core.types import Side
from ginnel.dataclass import dataclass, replace
from ginnel.dataplane.choose import open_data_plane, siv_maker
from ginnel.host.helper_process import HelperProcess
from ginnel.options.actions import RunServer
from ginnel.options.model import LoginOptions, ManagementOptions, ProcessOptions
from ginnel.options.server_model import ServerOptions, VerifyClientCert
from ginnel.options.tunnel_of_server import tunnel_options
from ginnel.options.values import Secret
from ginnel.shell.admission import Admission
from ginnel.shell.authenticators import Authenticators
from ginnel.shell.helper_watch import leave_host
from ginnel.shell.hold import held
from ginnel.shell.hooks import ClientHooks
from ginnel.shell.identity import Identity, find_identity, is_elsewhere
from ginnel.shell.kept_authenticators import KeptAuthenticators
from ginnel.shell.listeners import Listeners
from ginnel.shell.logging_setup import LogOutput, private_file_warnings
from ginnel.shell.login import Login
from ginnel.shell.pool_store import PoolStore
from ginnel.shell.process import Place, chosen_engine, greet, probe, run_process
from ginnel.shell.race import Interrupted, race
from ginnel.shell.script_gate import Say
from ginnel.shell.server_frontend import ServerFrontend, UnattendedServer
from ginnel.shell.server_hooks import ServerHooks
from ginnel.shell.server_lifecycle import ServerEquipment, ServerLifecycle
from ginnel.shell.server_status import ServerStatusFile
from ginnel.shell.serving import ServingMeans
from ginnel.shell.signals import Signals, stoppable
from ginnel.shell.tls_files import TlsFiles
from ginnel.shell.unlock import Unlocking, build_context, unlock

_PEER_CHECKS = {
    VerifyClientCert.NONE: PeerCheck.NONE,
    VerifyClientCert.OPTIONAL: PeerCheck.IF_SENT,
    VerifyClientCert.REQUIRE: PeerCheck.REQUIRED,
}

Reload = Callable[[], RunServer]
MakeServerFrontend = Callable[[ManagementOptions, LogOutput], ServerFrontend]


def _unattended(options: ManagementOptions, log: LogOutput) -> ServerFrontend:
    return UnattendedServer()


def run_server(
    request: RunServer,
    reload: Reload,
    make_frontend: MakeServerFrontend = _unattended,
    helper: HelperProcess | None = None,
) -> int:
    """Runs the server to its end and returns the exit status.

    ``reload`` reads the configuration again (SIGHUP); ``make_frontend`` makes the management
    interface that the options ask for; ``helper`` is as for ``run_process``. Raises ConfigError for
    mistakes found before the log is open; later ones are logged.
    """
    return run_process(request.options.process, _Program(request, reload, make_frontend), helper)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Secrets:
    """The server's keys, ready for use."""

    tls: TlsFiles
    identity: Identity


class _Program:
    """What a server adds to the start of the process."""

    def __init__(
        self, request: RunServer, reload: Reload, make_frontend: MakeServerFrontend
    ) -> None:
        self._request = request
        self._reload = reload
        self._make_frontend = make_frontend
        self._frontend: ServerFrontend = UnattendedServer()

    def begin(self, log: LogOutput) -> None:
        self._frontend = self._make_frontend(self._request.options.management, log)
        log.tap = self._frontend.log_line
        _greet(self._request, log)

    def gather(self, log: LogOutput) -> _Secrets | None:
        options = self._request.options
        if self._frontend.asks_passwords or is_elsewhere(tunnel_options(options)):
            return None
        return asyncio.run(_gather(options, log, UnattendedServer()))

    def live(self, place: Place, gathered: _Secrets | None) -> Coroutine[None, None, int]:
        server = _Server(place, self._reload, self._frontend)
        return server.run(self._request.options, gathered)


class _Server:
    """The process from its first client to its end, over any number of reloads."""

    def __init__(self, place: Place, reload: Reload, frontend: ServerFrontend) -> None:
        self._place = place
        self._log = place.log
        self._reload = reload
        self._frontend = frontend
        self._listeners = Listeners(place.log.log)
        self._store: PoolStore | None = None
        self._authenticators = KeptAuthenticators()
        self._status: ServerStatusFile | None = None
        self._token_key = Secret(os.urandom(SERVER_KEY_LENGTH))
        """Signs tokens when no file does: they last over reloads, and no longer than we do."""

    async def run(self, options: ServerOptions, secrets: _Secrets | None) -> int:
        """Returns the exit status; the host is as before then, as far as that can be done."""
        signals = Signals()
        signals.install()
        try:
            _allow_many_files()
            self._frontend.configure(tunnel_options(options))
            self._frontend.listen(signals.command)
            if not self._frontend.open():
                return self._stopped("SIGTERM", "management-connect-failed")
            self._frontend.attach()
            self._frontend.state("CONNECTING")
            stopped = await held(signals, self._frontend)
            if stopped is not None:
                return self._stopped(stopped, signals.text_of(stopped))
            return await self._lifecycles(options, secrets, signals)
        finally:
            self._listeners.close()
            self._authenticators.close()
            if self._store is not None:
                self._store.close()
            if self._status is not None:
                self._status.close()
            self._frontend.close()
            # From here on a signal ends us at once: the helper finishes its work alone.
            signals.remove()
            await leave_host(self._place.host, self._log.log)

    def _stopped(self, signal: str, text: str) -> int:
        source = SignalSource.SOFT if text else SignalSource.HARD
        self._log.log(shell_lines.signal_received(signal, source, text))
        self._frontend.state("EXITING", text or "init_instance")
        return 0

    async def _lifecycles(
        self, options: ServerOptions, secrets: _Secrets | None, signals: Signals
    ) -> int:
        """Runs one lifecycle after the other, as long as SIGHUP asks for another.

        A configuration that cannot be served after all gives way to the one before.
        """
        served: tuple[ServerOptions, _Secrets] | None = None
        while True:
            try:
                if secrets is None:
                    gathered = await race(signals, _gather(options, self._log, self._frontend))
                    if isinstance(gathered, Interrupted):
                        return self._stopped(gathered.signal, signals.text_of(gathered.signal))
                    secrets = gathered
                lifecycle = self._lifecycle(options, secrets, signals)
            except ConfigError as error:
                if served is None or served[0] is options:
                    raise
                self._tell_mistake(error)
                options, secrets = served
                continue
            if served is not None and served[1] is not secrets:
                await served[1].identity.close()
            served = options, secrets
            finished = await lifecycle.run()
            if not finished.reload:
                await secrets.identity.close()
                return finished.status
            read = self._read_again(options)
            options, secrets = read, secrets if read is options else None
            self._frontend.configure(tunnel_options(options))
            stopped = await held(signals, self._frontend)
            if stopped is not None:
                return self._stopped(stopped, signals.text_of(stopped))

    def _lifecycle(
        self, options: ServerOptions, secrets: _Secrets, signals: Signals
    ) -> ServerLifecycle:
        """Raises ConfigError."""
        engine = chosen_engine()
        siv = siv_maker(engine)
        ControlKeys(options, siv)  # a key that does not parse shows before anything is set up
        status = self._open_status(options.process)
        place = self._place
        pool = AddressPool(options)
        self._keep(pool, options)
        scripts = ClientHooks(
            tunnel_options(options),
            self._log.log,
            Login(LoginOptions()),
            place.runner,
            log_redirected=options.process.log_file is not None,
            frontend=self._frontend,
        )
        named = self._authenticators.for_options(options, rights_dropped=place.rights.dropped)

        def make_hooks(say: Say) -> ServerHooks:
            return Admission(
                options,
                pool=pool,
                runner=place.runner,
                frontend=self._frontend,
                authenticators=Authenticators(named, say),
                say=say,
                base=scripts.tunnel_environment,
            )

        means = ServingMeans(
            options=options,
            make_hooks=make_hooks,
            frontend=self._frontend,
            tls=secrets.tls.channel,
            renew_tls=secrets.tls.take_changes,
            watch_tls=secrets.tls.keep,
            signer=secrets.identity.signer,
            tokens=self._tokens(options),
            capabilities=probe(engine),
            siv=siv,
            log=self._log.log,
            shows=self._log.shows,
            listeners=self._listeners,
        )
        equipment = ServerEquipment(
            host=place.host,
            log=self._log,
            rights=place.rights,
            signals=signals,
            status=status,
            listeners=self._listeners,
            store=self._store,
            scripts=scripts,
            on_insist=scripts.interrupt,
            open_plane=partial(open_data_plane, engine=engine),
            frontend=self._frontend,
            means=means,
            on_ready=place.notifier.connected,
        )
        return ServerLifecycle(options, equipment)

    def _tokens(self, options: ServerOptions) -> TokenIssuer | None:
        token = options.access.token
        if token is None:
            return None
        return TokenIssuer(
            token,
            reneg_sec=options.tls.reneg_sec,
            hand_window=options.tls.hand_window,
            process_key=self._token_key,
        )

    def _keep(self, pool: AddressPool, options: ServerOptions) -> None:
        """Has the pool's addresses kept in the file that the options name. Raises ConfigError."""
        path = options.pool.persist_path
        if self._store is not None and self._store.path == path:
            self._store.succeed(pool)
            return
        if self._store is not None:
            self._store.close()
            self._store = None
        if path is None:
            return
        writes = options.pool.persist_interval > 0
        store = PoolStore(path, pool, self._log.log, writes=writes)
        store.load()
        self._store = store

    def _open_status(self, process: ProcessOptions) -> ServerStatusFile:
        """Raises ConfigError for a file that cannot be opened at the start.

        Once rights are gone a new one may be out of reach, and the clients matter more; the one
        that is open is used on.
        """
        if self._status is not None and self._status.path == process.status:
            self._status.renew(process)
            return self._status
        try:
            opened = ServerStatusFile(process, self._log.log)
        except ConfigError as error:
            if not self._place.rights.dropped:
                raise
            self._log.log(shell_lines.warning(error.message))
            opened = ServerStatusFile(replace(process, status=None), self._log.log)
        if self._status is not None:
            self._status.close()
        self._status = opened
        return opened

    def _read_again(self, before: ServerOptions) -> ServerOptions:
        """SIGHUP: reads the configuration anew; one with mistakes is not used."""
        self._log.reopen()
        with stoppable():
            try:
                request = self._reload()
            except ConfigError as error:
                self._tell_mistake(error)
                return before
            self._log.set_verb(request.options.process.verb)
            self._log.set_mute(request.options.process.mute)
            _greet(request, self._log)
            return request.options

    def _tell_mistake(self, error: ConfigError) -> None:
        self._log.log_all(shell_lines.options_error(error))
        text = "the configuration has a mistake: the one before stays in force"
        self._log.log(shell_lines.warning(text))


def _greet(request: RunServer, log: LogOutput) -> None:
    options = request.options
    tunnel = tunnel_options(options)
    wrapped = replace(options.profile, wrapping=options.wrapping)
    greet(request.notes, private_file_warnings(replace(tunnel, profiles=(wrapped,))), log)


async def _gather(options: ServerOptions, log: LogOutput, frontend: ServerFrontend) -> _Secrets:
    """Builds the TLS context, asking for what is missing. Raises ConfigError."""
    identity = await find_identity(tunnel_options(options), frontend, log.log)
    wanted = Unlocking(
        tls=identity.tls,
        side=Side.SERVER,
        outside=identity.outside,
        peer_check=_PEER_CHECKS[options.access.verify_client_cert],
    )
    context = await unlock(wanted, frontend, log.log)
    for text in context.warnings:
        log.log(shell_lines.warning(text))
    tls = TlsFiles(
        identity.tls,
        context,
        build=partial(build_context, wanted=wanted),
        log=log.log,
    )
    return _Secrets(tls=tls, identity=identity)


def _allow_many_files() -> None:
    """Each stream takes a descriptor: as many as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
