"""The OCC messages: small requests inside the data channel (protocol-facts 12).

Responsible for their bytes. When to send or to obey one is the machines' business.
"""

from ginnel.enumeration import Enum

OCC_MAGIC = bytes.fromhex("287f346bd4ef7a812d56b8d3afc5459c")


class OccOperation(Enum):
    """The operations of OCC messages."""

    REQUEST = 0
    REPLY = 1
    MTU_LOAD_REQUEST = 2
    """The other side is to send a datagram of a size."""
    MTU_LOAD = 3
    MTU_REQUEST = 4
    """The other side is to tell the largest datagrams it received and sent."""
    MTU_REPLY = 5
    EXIT = 6


MTU_OPERATIONS = frozenset(
    {
        OccOperation.MTU_LOAD_REQUEST,
        OccOperation.MTU_LOAD,
        OccOperation.MTU_REQUEST,
        OccOperation.MTU_REPLY,
    }
)
_SIZE_LENGTH = 2
_LARGEST_SIZE = 0xFFFF


def read_occ(payload: bytes) -> OccOperation | None:
    """The operation of a packet that the data plane took for OCC; None for one we do not know."""
    number = payload[len(OCC_MAGIC) : len(OCC_MAGIC) + 1]
    if not payload.startswith(OCC_MAGIC) or not number:
        return None
    return next((known for known in OccOperation if known.value == number[0]), None)


def request_payload() -> bytes:
    """Asks the peer for its options string."""
    return OCC_MAGIC + bytes((OccOperation.REQUEST.value,))


def reply_text(payload: bytes) -> str:
    """The options string of a reply."""
    return payload[len(OCC_MAGIC) + 1 :].split(b"\0", 1)[0].decode("ascii", "replace")


def exit_payload() -> bytes:
    """Tells the peer that we leave."""
    return _message(OccOperation.EXIT)


def mtu_load_request_payload(size: int) -> bytes:
    """Asks for a datagram of that size."""
    return _message(OccOperation.MTU_LOAD_REQUEST, size)


def mtu_load_payload(length: int) -> bytes:
    """A message of that length, at least its own header's."""
    return _message(OccOperation.MTU_LOAD).ljust(min(length, _LARGEST_SIZE), b"\0")


def mtu_request_payload() -> bytes:
    """Asks for the largest datagrams that the other side received and sent."""
    return _message(OccOperation.MTU_REQUEST)


def mtu_reply_payload(received: int, sent: int) -> bytes:
    """Tells the largest datagrams received and sent."""
    return _message(OccOperation.MTU_REPLY, received, sent)


def read_sizes(payload: bytes, count: int) -> tuple[int, ...] | None:
    """The 16-bit numbers behind the operation; None when they are not all there."""
    start = len(OCC_MAGIC) + 1
    if len(payload) < start + count * _SIZE_LENGTH:
        return None
    return tuple(
        int.from_bytes(payload[at : at + _SIZE_LENGTH], "big")
        for at in range(start, start + count * _SIZE_LENGTH, _SIZE_LENGTH)
    )


def _message(operation: OccOperation, *sizes: int) -> bytes:
    numbers = b"".join(min(size, _LARGEST_SIZE).to_bytes(_SIZE_LENGTH, "big") for size in sizes)
    return OCC_MAGIC + bytes((operation.value,)) + numbers


def reply_payload(options_string: str) -> bytes:
    """Answers a request with our options string."""
    return _message(OccOperation.REPLY) + options_string.encode() + b"\0"
