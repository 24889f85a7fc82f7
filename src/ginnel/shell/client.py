"""Prepares a client and runs it: checks, terminal, daemon, helper, log; then the loop.

The order is OpenVPN's as far as users see it: mistakes in keys and passwords asked for come while
there is still a terminal, the process leaves it afterwards, and nothing on the host is touched
before. The life of the client itself is ``shell.lifecycle``.
"""

import asyncio
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import ConfigError, GinnelError
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.tls_context import PassphraseNeeded, TlsContext, build_tls_context
from ginnel.core.types import Side
from ginnel.dataplane.choose import open_data_plane
from ginnel.host.client import HostClient
from ginnel.host.journal import DEFAULT_RUNTIME_DIR
from ginnel.host.privileges import (
    forbid_core_dumps,
    lock_memory,
    resolve_identity,
    set_priority,
)
from ginnel.options.actions import RunClient
from ginnel.options.model import ClientOptions, TlsOptions
from ginnel.options.notes import Note, NoteKind
from ginnel.shell.clock import unix_now
from ginnel.shell.daemonize import PidFile, become_daemon
from ginnel.shell.lifecycle import Equipment, Finished, Lifecycle
from ginnel.shell.logging_setup import LogOutput, private_file_warnings, setup_logging
from ginnel.shell.login import Login
from ginnel.shell.prompt import ask_passphrase
from ginnel.shell.status import Status

ENGINE_VARIABLE = "GINNEL_ENGINE"
"""Environment variable that picks the data plane: ``rust`` or ``python``."""

RUNTIME_VARIABLE = "GINNEL_RUNTIME_DIR"
"""Environment variable that moves the journals away from ``/run/ginnel``."""


def run_client(request: RunClient, reload: Callable[[], RunClient]) -> int:
    """Runs the client to its end and returns the exit status.

    ``reload`` reads the configuration again (SIGHUP). Raises ConfigError for mistakes found before
    the log is open; later ones are logged.
    """
    forbid_core_dumps()
    log = setup_logging(request.options.process)
    host: HostClient | None = None
    pid_file: PidFile | None = None
    try:
        _greet(request, log)
        tls, login = _secrets(request.options, log)
        pid_file = _leave_terminal(request.options)
        host = HostClient.start(runtime_directory())
        while True:
            finished = _run_once(request.options, log, tls, login, host)
            if not finished.reload:
                return finished.status
            log.reopen()
            request = reload()
            _greet(request, log)
            tls, login = _secrets(request.options, log)
    except KeyboardInterrupt:
        return 1
    except ConfigError as error:
        log.log_all(shell_lines.options_error(error))
        return 1
    except GinnelError as error:
        log.log_all(shell_lines.fatal(str(error)))
        return 1
    except Exception as bug:
        log.log_all(shell_lines.crashed(traceback.format_exception(bug)))
        return 1
    finally:
        if host is not None:
            asyncio.run(host.close())
        if pid_file is not None:
            pid_file.remove()
        log.close()


def runtime_directory() -> Path:
    """Where the journals are kept."""
    return Path(os.environ.get(RUNTIME_VARIABLE, DEFAULT_RUNTIME_DIR))


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


def _secrets(options: ClientOptions, log: LogOutput) -> tuple[TlsContext, Login]:
    """Builds the TLS context and gathers the login, asking at the terminal for what is missing."""
    try:
        tls = _tls_context(options.tls)
    except PassphraseNeeded:
        if options.tls.askpass is not None:
            raise
        tls = _tls_context(replace(options.tls, askpass=ask_passphrase()))
    for text in tls.warnings:
        log.log(shell_lines.warning(text))
    return tls, Login(options.login)


def _tls_context(options: TlsOptions) -> TlsContext:
    directory = options.crl_verify_dir

    def is_revoked(serial: int) -> bool:
        return directory is not None and (Path(directory) / str(serial)).exists()

    return build_tls_context(options, side=Side.CLIENT, unix_time=unix_now(), is_revoked=is_revoked)


def _leave_terminal(options: ClientOptions) -> PidFile | None:
    """Applies what concerns the whole process; the process id is final afterwards."""
    process = options.process
    try:
        if process.daemon is not None:
            become_daemon(keep_output=process.log_file is not None)
        pid_file = PidFile(process.writepid) if process.writepid is not None else None
    except OSError as error:
        raise ConfigError(f"writepid or daemon: {error}", option="writepid") from error
    if process.nice:
        set_priority(process.nice)
    return pid_file


def _run_once(
    options: ClientOptions, log: LogOutput, tls: TlsContext, login: Login, host: HostClient
) -> Finished:
    """Runs from the start to the exit or to the next SIGHUP."""
    engine = os.environ.get(ENGINE_VARIABLE)
    try:
        status = Status(options.process.status, log.log)
    except OSError as error:
        raise ConfigError(f"the status file cannot be opened: {error}", option="status") from error
    if options.process.mlock:
        lock_memory()
    equipment = Equipment(
        options=options,
        host=host,
        log=log,
        tls=tls,
        login=login,
        identity=resolve_identity(options.process),
        status=status,
        capabilities=_probe(engine),
        engine=engine,
    )
    try:
        return asyncio.run(_live(equipment))
    finally:
        status.close()


async def _live(equipment: Equipment) -> Finished:
    return await Lifecycle(equipment).run()


def _probe(engine: str | None) -> DataCapabilities:
    """Asks the data plane that will be used what it can do."""
    data_plane, _reasons = open_data_plane(None, engine=engine)
    try:
        capabilities = data_plane.capabilities
        return DataCapabilities(ciphers=capabilities.ciphers, formats=capabilities.formats)
    finally:
        data_plane.close()
