"""``ginnel check``: says what is wrong with a configuration, without connecting or serving."""

import sys
from collections.abc import Sequence

from ginnel.cli.openvpn import resolve_arguments
from ginnel.options.actions import RunClient, RunServer
from ginnel.options.errors import ConfigError, render_config_error
from ginnel.options.model import LinkProtocol
from ginnel.options.server_model import ServerOptions


def run(arguments: Sequence[str]) -> int:
    """Reads what ``ginnel openvpn`` would be started with; returns 0 when that can be run."""
    try:
        resolved = resolve_arguments(arguments)
    except ConfigError as error:
        print(*render_config_error(error)[:-1], sep="\n", file=sys.stderr)
        return 1
    if not isinstance(resolved, RunClient | RunServer):
        print("ginnel check: this asks for no connection and no server", file=sys.stderr)
        return 1
    for note in resolved.notes:
        print(note)
    options = resolved.options
    if isinstance(options, ServerOptions):
        print(f"Good: a server, {_listening(options)}")
    else:
        remotes = ", ".join(f"{each.host or 'anybody'}:{each.port}" for each in options.profiles)
        print(f"Good: a client of {remotes}" if options.pull else f"Good: a peer of {remotes}")
    sys.stdout.flush()
    return 0


def _listening(options: ServerOptions) -> str:
    sockets = []
    for listener in options.listeners:
        kind = "UDP" if listener.protocol is LinkProtocol.UDP else "TCP"
        sockets.append(f"{kind} {listener.local or '*'} port {listener.port}")
    return ", ".join(sockets)
