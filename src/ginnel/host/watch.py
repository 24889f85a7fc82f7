"""Hears from the kernel that links, addresses or routes change. Needs no rights.

Responsible for telling that something changed; what, is read anew by whoever wants to know
(``underlay``): events may be lost, and a burst of them means one change of network.
"""

import errno
import socket

from ginnel.host.rtnetlink import MessageType, NetlinkMalformed, decode_messages

_RECEIVE_BYTES = 1 << 16
_BURST = 256
"""Messages taken at once: more of them wait for the next call."""

# linux/rtnetlink.h: multicast groups as bits of the address.
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400 | 0x8000_0000
"""Links, addresses and routes of IPv4 and IPv6, and nexthops: routes go with one unannounced."""

_CHANGES = frozenset(
    {
        MessageType.NEWLINK,
        MessageType.DELLINK,
        MessageType.NEWADDR,
        MessageType.DELADDR,
        MessageType.NEWROUTE,
        MessageType.DELROUTE,
        MessageType.NEWNEXTHOP,
        MessageType.DELNEXTHOP,
    }
)


class ChangeSocket:
    """A non-blocking socket that is readable once something changed. Raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            socket.NETLINK_ROUTE,
        )
        try:
            self._socket.bind((0, _GROUPS))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> bool:
        """Takes what was said; whether any of it was a change, or was lost and may have been."""
        changed = False
        for _ in range(_BURST):
            try:
                datagram, _ancillary, flags, sender = self._socket.recvmsg(_RECEIVE_BYTES)
            except (BlockingIOError, InterruptedError):
                return changed
            except OSError as lost:
                if lost.errno != errno.ENOBUFS:
                    raise
                changed = True
                continue
            if sender[0] == 0:
                changed = changed or bool(flags & socket.MSG_TRUNC) or is_change(datagram)
        return changed

    def close(self) -> None:
        """Closes the socket. Idempotent."""
        self._socket.close()


def is_change(datagram: bytes) -> bool:
    """Whether a message of the kernel tells of a link, an address or a route."""
    try:
        return any(message.kind in _CHANGES for message in decode_messages(datagram))
    except NetlinkMalformed:
        return True
