"""All peers of the reference engine: by peer-id, by where their packets come from, by deadline.

Not responsible for what one peer remembers (``reference_peer``).
"""

import errno
import heapq
from collections.abc import Iterator

from ginnel.core.errors import DataPlaneError
from ginnel.core.types import PeerId
from ginnel.dataplane.api import LinkId
from ginnel.dataplane.reference_link import SocketAddress
from ginnel.dataplane.reference_peer import NEVER, ReferencePeer

_Place = tuple[LinkId, SocketAddress | None]
"""Where packets come from; on a stream the link is all there is to say."""


class Peers:
    """A table whose every operation costs the same for one peer and for thousands."""

    def __init__(self) -> None:
        self._by_id: dict[PeerId, ReferencePeer] = {}
        self._by_place: dict[_Place, PeerId] = {}
        self._deadlines: list[tuple[float, PeerId]] = []

    def __iter__(self) -> Iterator[ReferencePeer]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, peer: ReferencePeer) -> None:
        """Raises DataPlaneError when the number is taken. Of two at one address the last counts."""
        if peer.peer_id in self._by_id:
            raise DataPlaneError("new_peer", peer.peer_id, errno.EEXIST)
        self._by_id[peer.peer_id] = peer
        self._enter(peer)

    def remove(self, peer_id: PeerId) -> None:
        peer = self._by_id.pop(peer_id)
        self._leave(peer)

    def clear(self) -> None:
        self._by_id.clear()
        self._by_place.clear()
        self._deadlines.clear()

    def get(self, peer_id: PeerId | None) -> ReferencePeer | None:
        return None if peer_id is None else self._by_id.get(peer_id)

    def lone(self) -> ReferencePeer | None:
        """The one peer of a client."""
        return next(iter(self._by_id.values())) if len(self._by_id) == 1 else None

    def at(self, link: LinkId, source: SocketAddress | None) -> ReferencePeer | None:
        """The peer whose packets come from there."""
        return self.get(self._by_place.get((link, source)))

    def move(self, peer: ReferencePeer, link: LinkId, address: SocketAddress | None) -> None:
        """Gives a peer another place."""
        self._leave(peer)
        peer.link, peer.address = link, address
        self._enter(peer)

    def schedule(self, peer: ReferencePeer) -> None:
        """Has the peer looked at when its next deadline comes."""
        deadline = peer.clock.next_deadline()
        if deadline < peer.due_at:
            peer.due_at = deadline
            heapq.heappush(self._deadlines, (deadline, peer.peer_id))

    def take_due(self, now: float) -> list[ReferencePeer]:
        """Peers whose deadlines have come; each is to be scheduled again."""
        due = []
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, peer_id = heapq.heappop(self._deadlines)
            peer = self._by_id.get(peer_id)
            if peer is not None and peer.due_at == deadline:
                peer.due_at = NEVER
                due.append(peer)
        return due

    def next_deadline(self) -> float:
        return self._deadlines[0][0] if self._deadlines else NEVER

    def _enter(self, peer: ReferencePeer) -> None:
        place = self._place(peer)
        if place is not None:
            self._by_place[place] = peer.peer_id

    def _leave(self, peer: ReferencePeer) -> None:
        place = self._place(peer)
        if place is not None and self._by_place.get(place) == peer.peer_id:
            del self._by_place[place]

    @staticmethod
    def _place(peer: ReferencePeer) -> _Place | None:
        return (peer.link, peer.address) if peer.address or peer.on_stream else None
