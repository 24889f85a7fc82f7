"""All links of the reference engine: which there are, what they are waited for, which has records.

Not responsible for peers, nor for what a packet means.
"""

import errno
import select
from collections.abc import Iterator

from ginnel.core.errors import DataPlaneError
from ginnel.core.types import UNDEFINED_PEER_ID
from ginnel.dataplane.api import FIRST_LINK, Link, LinkId
from ginnel.dataplane.reference_link import PacketLink, open_link
from ginnel.dataplane.reference_ports import Waker


class Links:
    """Open links by number; numbers are not used again."""

    def __init__(self, waker: Waker, mtu: int) -> None:
        self._waker = waker
        self._mtu = mtu
        self._open: dict[LinkId, PacketLink] = {}
        self._numbers: dict[int, LinkId] = {}
        self._next = FIRST_LINK + 1
        self._unread: set[LinkId] = set()

    def __iter__(self) -> Iterator[LinkId]:
        return iter(list(self._open))

    def get(self, link_id: LinkId) -> PacketLink | None:
        return self._open.get(link_id)

    def add(self, operation: str, link: Link, unread: bytes, unsent: bytes) -> LinkId:
        """Opens one more link; raises DataPlaneError when the system refuses."""
        number = LinkId(self._next)
        self.put(operation, number, link, unread, unsent)
        self._next += 1
        return number

    def put(
        self, operation: str, link_id: LinkId, link: Link, unread: bytes, unsent: bytes
    ) -> None:
        """Opens a link under a number, instead of an earlier one."""
        try:
            opened = open_link(link, unread, unsent, self._mtu)
        except OSError as bad:
            raise DataPlaneError(operation, UNDEFINED_PEER_ID, bad.errno or errno.EIO) from bad
        self.remove(link_id)
        self._open[link_id] = opened
        self._numbers[opened.fd] = link_id
        self.note(link_id)

    def remove(self, link_id: LinkId) -> bool:
        """Closes a link; False when there is none of that number."""
        link = self._open.pop(link_id, None)
        if link is None:
            return False
        self._unread.discard(link_id)
        del self._numbers[link.fd]
        self._waker.forget(link.fd)
        link.close()
        return True

    def close(self) -> None:
        for link_id in self:
            self.remove(link_id)

    def ready(self, descriptors: list[int]) -> list[LinkId]:
        """The links among ready descriptors, and those that hold whole records."""
        found = {self._numbers[fd] for fd in descriptors if fd in self._numbers}
        return sorted(found | self._unread)

    def has_records(self) -> bool:
        return bool(self._unread)

    def note(self, link_id: LinkId, *, readable: bool = True) -> None:
        """Takes note of what a link waits for now, after something was done with it."""
        link = self._open.get(link_id)
        if link is None:
            return
        (self._unread.add if link.has_records() else self._unread.discard)(link_id)
        wanted = select.EPOLLIN if readable else 0
        self._waker.watch(link.fd, wanted | (select.EPOLLOUT if link.is_congested() else 0))
