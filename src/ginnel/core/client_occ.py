"""The OCC messages of a client: small requests inside the data channel (protocol-facts 12).

Responsible for their bytes. When to send or to obey one is ``client``'s business.
"""

from enum import Enum

from ginnel.core.options_string import client_terms, options_string
from ginnel.options.model import ClientOptions, ConnectionProfile

OCC_MAGIC = bytes.fromhex("287f346bd4ef7a812d56b8d3afc5459c")


class OccOperation(Enum):
    """The operations that a client knows; the MTU test is not among them."""

    REQUEST = 0
    REPLY = 1
    EXIT = 6


def read_occ(payload: bytes) -> OccOperation | None:
    """The operation of a packet that the data plane took for OCC; None for one we do not know."""
    number = payload[len(OCC_MAGIC) : len(OCC_MAGIC) + 1]
    if not payload.startswith(OCC_MAGIC) or not number:
        return None
    return next((known for known in OccOperation if known.value == number[0]), None)


def exit_payload() -> bytes:
    """Tells the peer that we leave."""
    return OCC_MAGIC + bytes((OccOperation.EXIT.value,))


def reply_payload(options: ClientOptions, profile: ConnectionProfile) -> bytes:
    """Answers a request with our options string."""
    text = options_string(client_terms(options, profile))
    return OCC_MAGIC + bytes((OccOperation.REPLY.value,)) + text.encode() + b"\0"
