"""The management interface of clients and servers: whatever is sent to it, in whatever pieces."""

from collections.abc import Callable, Mapping

from ginnel.core.server_actions import ClientId
from ginnel.options.values import Secret
from tests.fuzz.pieces import cut
from tests.unit.management.fakes import Rig
from tests.unit.management.server_fakes import ServerRig, facts

MAX_HEARD = 4 << 20
"""Bytes that 64 pieces may be answered with; ``test 1000`` alone is worth some kilobytes."""


def management(data: bytes) -> None:
    """The first bit asks for a password first, the second holds."""
    flags = data[0] if data else 0
    rig = Rig(password=Secret(b"pw") if flags & 1 else None, hold=bool(flags & 2))
    rig.session.begin()
    rig.connect()
    heard = 0
    for piece in cut(data[1:]):
        if rig.session.finished:
            break
        heard += len(rig.send(piece))
    assert heard < MAX_HEARD
    rig.session.disconnect()


def server_management(data: bytes) -> None:
    """The interface of a server with one client; the second bit holds."""
    rig = ServerRig(hold=bool(data[:1] and data[0] & 2))
    rig.control.present = {ClientId(0): facts()}
    rig.begin()
    rig.connect()
    heard = 0
    for piece in cut(data[1:]):
        if rig.session.finished:
            break
        heard += len(rig.send(piece))
        rig.session.client_event("ESTABLISHED,0", {"name": piece.decode("latin-1")}, clients=1)
    assert heard < MAX_HEARD
    rig.session.disconnect()


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "management": management,
    "server-management": server_management,
}
