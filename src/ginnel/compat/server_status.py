"""The status of a server in OpenVPN's three forms: for the status file and the management command.

Pure and lazy: rows may come from a generator, so that ten thousand clients need not be rendered in
one go. Checked against openvpn 2.6.14 (tests/vectors/management/server.json).
"""

from collections.abc import Callable, Iterable, Iterator

from ginnel.dataclass import dataclass

DEFAULT_STATUS_VERSION = 1
STATUS_VERSIONS = (1, 2, 3)
UNDEFINED = "UNDEF"
"""What a name that is not known is shown as."""

MAX_FIELD = 512
"""Characters of one field; names come from certificates and logins."""

_SEPARATORS = {2: ",", 3: "\t"}

_CLIENT_COLUMNS = (
    "Common Name",
    "Real Address",
    "Virtual Address",
    "Virtual IPv6 Address",
    "Bytes Received",
    "Bytes Sent",
    "Connected Since",
    "Connected Since (time_t)",
    "Username",
    "Client ID",
    "Peer ID",
    "Data Channel Cipher",
)
_ROUTE_COLUMNS = (
    "Virtual Address",
    "Common Name",
    "Real Address",
    "Last Ref",
    "Last Ref (time_t)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRow:
    """One client, also one that is still being let in. Byte counts are of the link."""

    common_name: str
    """Empty while it is not known."""
    real_address: str
    """``192.0.2.7:1194`` or ``2001:db8::7``: without the port for IPv6, as OpenVPN 2.6 has it."""
    virtual_ip4: str = ""
    virtual_ip6: str = ""
    received: int
    sent: int
    since: int
    """Unix time."""
    username: str = ""
    client_id: int
    peer_id: int
    cipher: str
    """Of the data channel; before it is agreed, the fallback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """Where an inner address leads."""

    address: str
    """``10.8.0.6``, ``192.168.7.0/24``, a MAC address; ``C`` behind it marks a learnt one."""
    common_name: str
    real_address: str
    last_used: int
    """Unix time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """All that is shown. The rows may be generators and are read once."""

    title: str
    """First line of ``--version``."""
    now: int
    """Unix time."""
    clients: Iterable[ClientRow]
    routes: Iterable[RouteRow]
    broadcast_queue: int = 0
    """Greatest length of the queue for broadcasts so far."""
    offloads: bool = False
    """Whether the kernel carries the data (``dco_enabled``)."""


def status_lines(
    status: ServerStatus, version: int, time_text: Callable[[int], str]
) -> Iterator[str]:
    """Renders the lines, END included. ``time_text`` gives local time, ``YYYY-MM-DD HH:MM:SS``."""
    separator = _SEPARATORS.get(version)
    if separator is None:
        return _first_form(status, time_text)
    return _table_form(status, separator, time_text)


def _first_form(status: ServerStatus, time_text: Callable[[int], str]) -> Iterator[str]:
    yield "OpenVPN CLIENT LIST"
    yield f"Updated,{time_text(status.now)}"
    yield "Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since"
    for client in status.clients:
        name = field_text(client.common_name) or UNDEFINED
        counts = f"{client.received},{client.sent}"
        yield f"{name},{client.real_address},{counts},{time_text(client.since)}"
    yield "ROUTING TABLE"
    yield "Virtual Address,Common Name,Real Address,Last Ref"
    for route in status.routes:
        name = field_text(route.common_name) or UNDEFINED
        yield f"{route.address},{name},{route.real_address},{time_text(route.last_used)}"
    yield "GLOBAL STATS"
    yield f"Max bcast/mcast queue length,{status.broadcast_queue}"
    yield "END"


def _table_form(
    status: ServerStatus, separator: str, time_text: Callable[[int], str]
) -> Iterator[str]:
    def row(*fields: str | int) -> str:
        return separator.join(str(field) for field in fields)

    yield row("TITLE", status.title)
    yield row("TIME", time_text(status.now), status.now)
    yield row("HEADER", "CLIENT_LIST", *_CLIENT_COLUMNS)
    for client in status.clients:
        yield row(
            "CLIENT_LIST",
            field_text(client.common_name) or UNDEFINED,
            client.real_address,
            client.virtual_ip4,
            client.virtual_ip6,
            client.received,
            client.sent,
            time_text(client.since),
            client.since,
            field_text(client.username) or UNDEFINED,
            client.client_id,
            client.peer_id,
            client.cipher,
        )
    yield row("HEADER", "ROUTING_TABLE", *_ROUTE_COLUMNS)
    for route in status.routes:
        yield row(
            "ROUTING_TABLE",
            route.address,
            field_text(route.common_name) or UNDEFINED,
            route.real_address,
            time_text(route.last_used),
            route.last_used,
        )
    yield row("GLOBAL_STATS", "Max bcast/mcast queue length", status.broadcast_queue)
    yield row("GLOBAL_STATS", "dco_enabled", int(status.offloads))
    yield "END"


def field_text(text: str) -> str:
    """Makes a name fit for one field: no line ends, tabs or other control characters, bounded.

    Commas stay, as in OpenVPN; version 3 is for names that have them.
    """
    shown = text[:MAX_FIELD]
    if shown.isprintable():
        return shown
    return "".join(character if character.isprintable() else "_" for character in shown)
