"""One end's part in a measurement of the MTU by OCC messages, whoever began it.

Responsible for the sizes that were seen and for the answers (protocol-facts 12). Steps and result
of a measurement of our own are ``client_mtu_test``'s business.
"""

from ginnel.core.occ import (
    OCC_MAGIC,
    OccOperation,
    mtu_load_payload,
    mtu_reply_payload,
    read_sizes,
)


class MtuMirror:
    """Counts the largest datagrams of one tunnel, in bytes."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0

    def load(self, size: int, overhead: int) -> bytes:
        """The message that makes a datagram of a size; the smallest is that of an empty one.

        ``overhead`` is what the tunnel adds to a payload.
        """
        self.sent = max(self.sent, size)
        return mtu_load_payload(max(size - overhead, len(OCC_MAGIC) + 1))

    def answer(
        self, operation: OccOperation | None, payload: bytes, *, overhead: int, largest: int
    ) -> bytes | None:
        """Answers a message of the other end's measurement; None when nothing is to be said.

        No datagram is made larger than ``largest``. A message that is cut is left out.
        """
        match operation:
            case OccOperation.MTU_LOAD_REQUEST:
                sizes = read_sizes(payload, 1)
                return None if sizes is None else self.load(min(sizes[0], largest), overhead)
            case OccOperation.MTU_LOAD:
                self.received = max(self.received, len(payload) + overhead)
            case OccOperation.MTU_REQUEST:
                return mtu_reply_payload(self.received, self.sent)
            case _:
                pass
        return None
