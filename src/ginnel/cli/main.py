"""The entry point: which of the two command lines this is, and the commands made for people.

Everything behind a command is imported when that command runs; start-up time is connect time.
Installed or linked as ``openvpn`` the program takes OpenVPN's command line (``cli.openvpn``).
"""

import gc
import os
import sys

from ginnel import start_image

# Neither from ``typing`` nor at run time: what is imported before the image costs more.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """\
ginnel, a VPN that speaks OpenVPN's protocol

  ginnel openvpn [--config FILE] [--OPTION ...]
                      connects, or serves; takes what the openvpn command takes
  ginnel openvpn --help
                      lists those options
  ginnel check FILE   says what is wrong with a configuration, and does nothing
  ginnel pki init|server|client|revoke|list
                      makes certificates and profiles for a server and its clients
  ginnel restore [DIRECTORY]
                      puts back network settings that a killed ginnel left behind
  ginnel --version    says which version this is
  ginnel --help       prints this
"""

USAGE_ERROR = 2
INTERRUPTED = 130
"""What a shell makes of a program that SIGINT ended."""


def main(argv: "Sequence[str] | None" = None) -> int:
    """Runs a command line, its first word being the program's name; returns the exit status."""
    words = list(sys.argv if argv is None else argv)
    # Not pathlib: its import would be a quarter of the time that --version takes.
    program = os.path.basename(words[0]) if words else "ginnel"  # noqa: PTH119
    arguments = words[1:]
    try:
        if program == "openvpn":
            return _openvpn(arguments)
        return _command(arguments)
    except KeyboardInterrupt:
        # Where nothing has begun that would say more: a connection has handlers of its own.
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (``| head -1``). The interpreter must not try to
        # write the rest once more at exit.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
        return 1


def _command(arguments: list[str]) -> int:
    match arguments:
        case ["openvpn", *rest]:
            return _openvpn(rest)
        case ["--help" | "-h" | "help"] | ["check" | "restore", "--help" | "-h"]:
            print(USAGE, end="", flush=True)
            return 0
        case ["check", _, *_]:
            from ginnel.cli import check

            return check.run(arguments[1:])
        case ["pki", *rest]:
            from ginnel.cli import pki

            return pki.run(rest)
        case ["restore"] | ["restore", _]:
            from ginnel.cli import restore

            return restore.run(arguments[1] if len(arguments) == 2 else None)
        case ["--version" | "version"]:
            from ginnel import __version__
            from ginnel.compat.versions import OPENVPN_RELEASE

            print(f"ginnel {__version__} (compatible with OpenVPN {OPENVPN_RELEASE})", flush=True)
            return 0
        case []:
            print(USAGE, end="", file=sys.stderr)
            return USAGE_ERROR
        case _:
            return _unknown(arguments)


def _unknown(arguments: list[str]) -> int:
    hint = "see 'ginnel --help'"
    if arguments[0].startswith("--") or arguments[0].endswith((".ovpn", ".conf")):
        hint = f"did you mean 'ginnel openvpn {' '.join(arguments)}'?"
    print(f"ginnel: unknown command '{' '.join(arguments)}'; {hint}", file=sys.stderr)
    return USAGE_ERROR


def _openvpn(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        # Asked by NetworkManager before every connection: not worth reading the options for.
        from ginnel.compat.versions import version_text

        print(*version_text(), sep="\n", flush=True)
        return 0
    # Nothing that is made while modules are loaded is garbage; looking through it again and again
    # would be a tenth of the start. ``shell.client`` turns the collector on.
    gc.disable()
    start_image.install(start_image.image_path())
    start_image.load(start_image.READING)
    from ginnel.cli import openvpn

    return openvpn.run(arguments)
