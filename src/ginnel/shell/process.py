"""The process around its loop, client or server: log, checks, terminal, daemon, helper, rights.

The order is OpenVPN's as far as users see it: mistakes in keys and passwords asked for come while
there is still a terminal, the process leaves it afterwards, and nothing on the host is touched
before. What is done in the loop, and with which secrets, is its ``Program``'s business.
"""

import asyncio
import gc
import os
from collections.abc import Coroutine, Sequence

from ginnel import start_image
from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.compat.shell_lines import SignalSource
from ginnel.core.errors import ConfigError, GinnelError
from ginnel.core.negotiate import DataCapabilities
from ginnel.dataclass import dataclass
from ginnel.dataplane.choose import capabilities_of
from ginnel.hints import Protocol, TypeVar
from ginnel.host.client import HostClient
from ginnel.host.helper_process import HelperProcess, start_helper
from ginnel.host.privileges import forbid_core_dumps, lock_memory, set_priority
from ginnel.host.scripts import ScriptRunner
from ginnel.options.model import ProcessOptions
from ginnel.options.notes import Note, NoteKind
from ginnel.shell.daemonize import PidFile, become_daemon
from ginnel.shell.early_helper import runtime_directory
from ginnel.shell.logging_setup import LogOutput, setup_logging
from ginnel.shell.notify import Notifier
from ginnel.shell.python_records import python_records
from ginnel.shell.rights import Rights
from ginnel.shell.signals import Stopped, killable, stoppable

ENGINE_VARIABLE = "GINNEL_ENGINE"
"""Environment variable that picks the data plane: ``rust`` or ``python``."""

INITIALISING = "init_instance"
"""What a signal says that comes before there is a connection."""

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class Place:
    """What is ready when the loop begins, and lasts as long as the process."""

    log: LogOutput
    host: HostClient
    rights: Rights
    runner: ScriptRunner
    notifier: Notifier


class Program(Protocol[S]):
    """What a client and a server do differently. The methods are called in this order."""

    def begin(self, log: LogOutput) -> None:
        """Says who starts. Raises ConfigError."""
        ...

    def gather(self, log: LogOutput) -> S:
        """Gets keys and passwords while there is a terminal. Raises ConfigError."""
        ...

    def live(self, place: Place, gathered: S) -> Coroutine[None, None, int]:
        """The loop; returns the exit status, with the helper closed."""
        ...


def run_process(
    process: ProcessOptions, program: Program[S], helper: HelperProcess | None = None
) -> int:
    """Runs the program to its end and returns the exit status.

    ``helper`` holds no keys in its memory, having been started before they are read. A daemon has
    none yet: it must be its parent, and asks for passwords while there is a terminal. Raises
    ConfigError for mistakes found before the log is open; later ones are logged.
    """
    host = None if helper is None else HostClient(helper)
    forbid_core_dumps()
    try:
        log = setup_logging(process)
    except ConfigError:
        _dismiss(host)
        raise
    try:
        with python_records(log):
            return _run(process, program, log, host)
    except Stopped as stopped:
        # A wanted end is no failure, whenever it comes: service managers look at the status.
        log.log(shell_lines.signal_received(stopped.signal, SignalSource.HARD, INITIALISING))
        return 0
    except ConfigError as error:
        log.log_all(shell_lines.options_error(error))
    except GinnelError as error:
        log.log_all(shell_lines.fatal(str(error)))
    except Exception as bug:
        import traceback

        log.log_all(shell_lines.crashed(traceback.format_exception(bug)))
    finally:
        log.close()
    return 1


def chosen_engine() -> str | None:
    """Name of the data plane that the environment asks for, if it does."""
    return os.environ.get(ENGINE_VARIABLE)


def probe(engine: str | None) -> DataCapabilities:
    """What the data plane that will be used can do."""
    capabilities = capabilities_of(engine)
    return DataCapabilities(ciphers=capabilities.ciphers, formats=capabilities.formats)


def greet(notes: Sequence[Note], warnings: Sequence[LogLine], log: LogOutput) -> None:
    """Says the first lines of a start and of a reload."""
    log.log_all(_note_lines(notes))
    log.log_all(shell_lines.banner())
    log.log_all(warnings)


def _note_lines(notes: Sequence[Note]) -> list[LogLine]:
    return [
        shell_lines.warning(str(note))
        if note.kind is NoteKind.WARNING
        else shell_lines.note(str(note))
        for note in notes
    ]


def _dismiss(host: HostClient | None) -> None:
    if host is not None:
        asyncio.run(host.close())


def _run(
    process: ProcessOptions, program: Program[S], log: LogOutput, host: HostClient | None
) -> int:
    """Prepares everything for which there must be a terminal, or no loop yet; then the loop."""
    try:
        with stoppable():
            program.begin(log)
            _check_outputs(process)
            rights = Rights(process)
            gathered = program.gather(log)
    except BaseException:
        _dismiss(host)
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
                host = HostClient(start_helper(runtime_directory()))
            host.greet()
            place = Place(log=log, host=host, rights=rights, runner=runner, notifier=notifier)
            loop = program.live(place, gathered)
            notifier.started()
            gc.freeze()  # what was loaded stays; the collector need not look at it
            gc.enable()
            start_image.release()
            # asyncio's own handler of SIGINT would be described when the loop's replaces it, for an
            # error that nobody sees, with ``inspect`` imported for that.
            with killable():
                return asyncio.run(loop)
        finally:
            runner.close()
    finally:
        notifier.close()
        if pid_file is not None:
            pid_file.remove()


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
