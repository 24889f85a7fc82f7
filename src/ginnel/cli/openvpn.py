"""OpenVPN's command line: reads it, then connects or carries out the one action it asks for.

What options mean is decided by the options layer, how a client lives by ``shell.client``; here they
are put together, and what fails becomes OpenVPN's messages and exit status (0 done, 1 anything
else; also ``--help``, as OpenVPN does).
"""

import os
from collections.abc import Callable, Sequence

from ginnel import start_image
from ginnel.cli.report import early_process_options, fail, log_lines, print_lines
from ginnel.compat.log_lines import LogLine, Severity
from ginnel.dataclass import replace
from ginnel.hints import TYPE_CHECKING, TypeVar, assert_never
from ginnel.options.actions import (
    Action,
    GenKey,
    MkTun,
    Resolved,
    RmTun,
    RunClient,
    RunServer,
    ShowCiphers,
    ShowCurves,
    ShowDigests,
    ShowEngines,
    ShowGateway,
    ShowHelp,
    ShowPkcs11Ids,
    ShowTls,
    ShowVersion,
    TestCrypto,
)
from ginnel.options.errors import ConfigError, GinnelError, render_config_error
from ginnel.options.model import ManagementOptions, ProcessOptions

if TYPE_CHECKING:
    from ginnel.shell.frontend import Frontend
    from ginnel.shell.logging_setup import LogOutput
    from ginnel.shell.server_frontend import ServerFrontend

_Run = TypeVar("_Run", RunClient, RunServer)


def run(arguments: Sequence[str]) -> int:
    """Runs OpenVPN's command line (without the program's name); returns the exit status."""
    process = early_process_options(arguments)
    try:
        resolved = resolve_arguments(arguments)
        if isinstance(resolved, RunClient):
            # What goes wrong from here on must not cut off the log that was begun.
            process = replace(process, log_append=True)
            return _run_client(resolved, arguments)
        if isinstance(resolved, RunServer):
            process = replace(process, log_append=True)
            return _run_server(resolved, arguments)
        return _carry_out(resolved, process)
    except ConfigError as error:
        log_lines(process, _config_error_lines(error))
        return 1
    except GinnelError as error:
        return fail(process, str(error))


def resolve_arguments(arguments: Sequence[str], directory: str = "") -> Resolved:
    """Reads a command line and the files it names, relative ones as seen from ``directory``.

    Raises ConfigError.
    """
    from ginnel.cli.files import SystemFiles
    from ginnel.options.resolve import resolve_argv

    return resolve_argv(arguments, SystemFiles(directory))


def _config_error_lines(error: ConfigError) -> list[LogLine]:
    *causes, last = render_config_error(error)
    lines = [
        LogLine(text=text, verb=0, severity=Severity.ERROR, timestamp=False) for text in causes
    ]
    return [*lines, LogLine(text=last, verb=0, severity=Severity.WARNING, timestamp=False)]


def _run_client(request: RunClient, arguments: Sequence[str]) -> int:
    reload = _reloading(request, arguments, "the configuration no longer asks for a connection")
    start_image.load(start_image.FORKING)
    from ginnel.shell.early_helper import early_helper

    helper = early_helper(request.options.process)
    from ginnel.cli.lean_imports import import_lean

    import_lean()
    start_image.load(start_image.CONNECTING)
    from ginnel.shell.client import run_client

    return run_client(request, reload, _frontend, helper)


def _run_server(request: RunServer, arguments: Sequence[str]) -> int:
    reload = _reloading(request, arguments, "the configuration is no longer that of a server")
    from ginnel.shell.early_helper import early_helper

    helper = early_helper(request.options.process)
    from ginnel.shell.server import run_server

    return run_server(request, reload, _server_frontend, helper)


def _reloading(request: _Run, arguments: Sequence[str], otherwise: str) -> Callable[[], _Run]:
    """Enters the directory of ``cd``; returns what reads everything again.

    That reads as if started anew where the program was started. It raises ConfigError, with
    ``otherwise`` when something else is asked for now.
    """
    start = _working_directory()

    def reload() -> _Run:
        resolved = resolve_arguments(arguments, start)
        if not isinstance(resolved, type(request)):
            raise ConfigError(otherwise)
        _enter_directory(start, resolved)
        return resolved

    _enter_directory(start, request)
    return reload


def _server_frontend(options: ManagementOptions, log: "LogOutput") -> "ServerFrontend":
    """Makes the management interface, if the options ask for one. Raises ConfigError."""
    if options.address is None:
        from ginnel.shell.server_frontend import UnattendedServer

        return UnattendedServer()
    from ginnel.management.server_frontend import make_server_frontend

    return make_server_frontend(options, log)


def _frontend(options: ManagementOptions, log: "LogOutput") -> "Frontend":
    """Makes the management interface, if the options ask for one. Raises ConfigError."""
    if options.address is None:
        from ginnel.shell.frontend import Unattended

        return Unattended()
    from ginnel.management.frontend import make_frontend

    return make_frontend(options, log)


def _working_directory() -> str:
    """Where the program was started; empty when that directory has been removed."""
    try:
        return os.getcwd()  # noqa: PTH109 -- a string, as paths in options are
    except FileNotFoundError:
        return ""


def _enter_directory(start: str, request: RunClient | RunServer) -> None:
    """Applies ``cd``, from where the program was started. Raises ConfigError."""
    directory = request.options.process.cd
    if directory is None:
        return
    try:
        os.chdir(os.path.join(start, directory))  # noqa: PTH118 -- absolute ones stand alone
    except OSError as error:
        raise ConfigError(
            f"--cd fails with '{directory}': {error.strerror} (errno={error.errno})", option="cd"
        ) from error


def _carry_out(action: Action, process: ProcessOptions) -> int:
    match action:
        case ShowVersion():
            from ginnel.compat.versions import version_text

            print_lines(version_text())
        case ShowHelp():
            from ginnel.compat.versions import title
            from ginnel.options.render import render_help

            print_lines([title(), "", render_help()])
            return 1
        case ShowCiphers():
            from ginnel.cli import show

            print_lines(show.ciphers())
        case ShowDigests():
            from ginnel.cli import show

            print_lines(show.digests())
        case ShowEngines():
            from ginnel.cli import show

            print_lines(show.engines())
        case ShowTls(options=options):
            from ginnel.cli import show

            print_lines(show.tls(options))
        case ShowCurves():
            from ginnel.cli import show

            print_lines(show.groups())
        case ShowPkcs11Ids(options=pkcs11):
            from ginnel.cli import show_tokens

            print_lines(show_tokens.token_lines(pkcs11))
        case ShowGateway():
            from ginnel.cli import host_actions

            return host_actions.show_gateway(action, process)
        case GenKey():
            from ginnel.cli import genkey

            return genkey.run(action, process)
        case TestCrypto():
            from ginnel.cli import crypto_test

            return crypto_test.run(action, process)
        case MkTun():
            from ginnel.cli import host_actions

            return host_actions.make_tun(action, process)
        case RmTun():
            from ginnel.cli import host_actions

            return host_actions.remove_tun(action, process)
        case _:
            assert_never(action)
    return 0
