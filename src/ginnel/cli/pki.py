"""``ginnel pki``: a small authority of one's own, and profiles that are ready to use."""

import argparse
import sys
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from ginnel.core.errors import GinnelError
from ginnel.pki.profiles import ServerSettings
from ginnel.pki.store import Store, today

_CA_DAYS = 3650
_LEAF_DAYS = 825
_MAX_DAYS = 36500


def run(arguments: Sequence[str]) -> int:
    """Carries out one command; returns the exit status (2 when it cannot be understood)."""
    try:
        chosen = _parser().parse_args(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    try:
        lines = _carry_out(chosen)
    except GinnelError as error:
        print(f"ginnel pki: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        where = getattr(error, "filename", None)
        detail = f"{where}: {getattr(error, 'strerror', error)}" if where else str(error)
        print(f"ginnel pki: {detail}", file=sys.stderr)
        return 1
    print("\n".join(lines), flush=True)
    return 0


def _carry_out(chosen: argparse.Namespace) -> list[str]:
    directory, now = Path(chosen.directory), today()
    match chosen.command:
        case "init":
            Store.create(directory, chosen.name, now=now, days=chosen.days)
            return [
                f"{directory}: the authority {chosen.name!r} was made. Keep this directory away "
                "from the server: its private/ca.key can let anybody in.",
                "Next: ginnel pki server NAME HOST",
            ]
        case "server":
            settings = ServerSettings(
                name=chosen.name,
                host=chosen.host,
                port=chosen.port,
                protocol=chosen.protocol,
                network=chosen.network,
                network_ipv6=chosen.network_ipv6,
            )
            path = Store(directory).add_server(settings, now=now, days=chosen.days)
            crl = directory / "crl.pem"
            return [
                f"{path}: the server's profile. Copy it and {crl} into one directory there, such "
                "as /etc/openvpn/server.",
                "Next: ginnel pki client NAME",
            ]
        case "client":
            path = Store(directory).add_client(
                chosen.name, chosen.server, now=now, days=chosen.days
            )
            return [
                f"{path}: the client's profile. It is all that the client needs; hand it over "
                "in private."
            ]
        case "revoke":
            path = Store(directory).revoke(chosen.name, now=now)
            return [
                f"{chosen.name} is revoked. Copy {path} to the server: it is read again when it "
                "changes."
            ]
        case _:
            return _table(Store(directory))


def _table(store: Store) -> list[str]:
    rows = [("NAME", "ROLE", "UNTIL", "SERIAL", "")]
    for entry in store.entries():
        state = "" if entry.revoked is None else f"revoked {entry.revoked:%Y-%m-%d}"
        rows.append(
            (entry.name, entry.role.value, f"{entry.until:%Y-%m-%d}", f"{entry.serial:x}", state)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]
        ).rstrip()
        for row in rows
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ginnel pki",
        description="An authority of one's own: certificates for a server and its clients, and "
        "profiles that are ready to use.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--directory", default="pki", metavar="DIR", help="default: pki")

    init = commands.add_parser("init", parents=[where], help="makes the authority")
    init.add_argument("--name", default="ginnel-ca", metavar="NAME", help="default: ginnel-ca")
    _add_days(init, _CA_DAYS)

    server = commands.add_parser("server", parents=[where], help="makes a server's profile")
    server.add_argument("name", metavar="NAME")
    server.add_argument("host", metavar="HOST", help="name or address that clients connect to")
    server.add_argument("--port", type=_port, default=1194, metavar="PORT", help="default: 1194")
    server.add_argument(
        "--protocol",
        choices=("udp", "udp6", "tcp", "tcp6"),
        default="udp",
        help="default: udp; with a 6 the server takes IPv6 and IPv4",
    )
    server.add_argument(
        "--network",
        type=_network,
        default=IPv4Network("10.8.0.0/24"),
        metavar="NET/BITS",
        help="addresses inside the tunnel; default: 10.8.0.0/24",
    )
    server.add_argument("--network-ipv6", type=_network_ipv6, metavar="NET/BITS")
    _add_days(server, _LEAF_DAYS)

    client = commands.add_parser("client", parents=[where], help="makes a client's profile")
    client.add_argument("name", metavar="NAME")
    client.add_argument("--server", metavar="NAME", help="which server, when there are several")
    _add_days(client, _LEAF_DAYS)

    revoke = commands.add_parser("revoke", parents=[where], help="takes a certificate back")
    revoke.add_argument("name", metavar="NAME")
    commands.add_parser("list", parents=[where], help="says what was issued and revoked")
    return parser


def _add_days(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--days", type=_days, default=default, metavar="DAYS", help=f"default: {default}"
    )


def _days(text: str) -> int:
    return _number(text, _MAX_DAYS)


def _port(text: str) -> int:
    return _number(text, 65535)


def _number(text: str, highest: int) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= highest:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {highest}")
    return int(text)


def _network(text: str) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}") from error
    if not 16 <= network.prefixlen <= 29:
        raise argparse.ArgumentTypeError("a server's network has from 16 to 29 bits")
    return network


def _network_ipv6(text: str) -> IPv6Network:
    try:
        network = IPv6Network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}") from error
    if not 64 <= network.prefixlen <= 124:
        raise argparse.ArgumentTypeError("a server's IPv6 network has from 64 to 124 bits")
    return network
