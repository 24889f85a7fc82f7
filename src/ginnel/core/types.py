"""Identifiers and addresses that the protocol core exchanges with the rest of the program."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.hints import NewType

Instant = NewType("Instant", float)
"""Seconds of a monotonic clock; only differences mean something."""

SessionId = NewType("SessionId", bytes)
"""Eight random bytes, one per side, in every control packet; all zero is invalid."""

KeyId = NewType("KeyId", int)
"""Three-bit number of a negotiation: 0 for the first of a session, then 1 to 7 and 1 again."""

PeerId = NewType("PeerId", int)
"""24-bit number in ``P_DATA_V2``; ``UNDEFINED_PEER_ID`` means none was assigned."""

UNDEFINED_PEER_ID = PeerId(0xFFFFFF)

ActionId = NewType("ActionId", int)

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Side(Enum):
    """Which end of the TLS session this is."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> "Side":
        """The end across from this one."""
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT


class Transport(Enum):
    """How packets of the link are framed."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and port of the link; ``scope_id`` is the interface index of a link-local IPv6."""

    address: IPAddress
    port: int
    scope_id: int = 0

    @property
    def is_anybody(self) -> bool:
        """True for the unspecified address: a peer that is not known before it sends something."""
        return self.address.is_unspecified

    @property
    def known(self) -> "Endpoint | None":
        """This address, or None for anybody's."""
        return None if self.is_anybody else self

    def __str__(self) -> str:
        """Renders OpenVPN's form: ``[AF_INET]192.0.2.1:1194``, ``[AF_INET6]2001:db8::1:1194``."""
        address = self.address
        if address.version == 4:
            return f"[AF_INET]{address}:{self.port}"
        mapped = address.ipv4_mapped
        shown = address if mapped is None else f"::ffff:{mapped}"
        return f"[AF_INET6]{shown}:{self.port}"


@dataclass(frozen=True, slots=True)
class Transmit:
    """A packet for the link, complete with its first byte. ``destination`` is None on TCP."""

    payload: bytes
    destination: Endpoint | None
