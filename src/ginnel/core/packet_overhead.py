"""What a data channel adds to a payload: the numbers behind mssfix and fragment.

After protocol-facts 9 and 14. The link-mtu that peers tell each other is another one, with bytes
that no packet has; it is in ``options_string``.
"""

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.digests import Digest
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass
from ginnel.options.ciphers import CipherMode
from ginnel.options.model import ConnectionProfile, LinkProtocol, SocksProxy

RELAY_HEADER = {4: 10, 6: 22}
"""Bytes before each datagram that a SOCKS proxy relays, by version of IP."""

_TAG = 16
_HEADER = {DataFormat.V1: 1, DataFormat.V2: 4, DataFormat.EPOCH: 4, DataFormat.STATIC: 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketOverhead:
    """Sizes in bytes; those of the outer headers are not in it."""

    outside: int
    """Header, packet-id, IV, and tag or HMAC."""
    inside: int = 0
    """A packet-id that is padded together with the payload."""
    block: int = 1
    """Payloads are padded to whole blocks of this length, by at least one byte."""

    def largest_payload(self, size: int) -> int:
        """The longest payload whose packet is no longer than ``size``; below 0 when none is."""
        room = size - self.outside
        if self.block > 1:
            room = room // self.block * self.block - 1
        return room - self.inside


def packet_overhead(
    cipher: DataCipher, data_format: DataFormat, digest: Digest | None
) -> PacketOverhead:
    """The overhead of a format with a cipher and, where the cipher is no AEAD, a digest."""
    header = _HEADER[data_format]
    if cipher.is_aead:
        packet_id = 8 if data_format is DataFormat.EPOCH else 4
        return PacketOverhead(outside=header + packet_id + _TAG)
    packet_id = 8 if data_format is DataFormat.STATIC else 4
    mac = 0 if digest is None else digest.size
    match cipher.mode:
        case CipherMode.CBC:
            block = cipher.block_length
            return PacketOverhead(outside=header + mac + block, inside=packet_id, block=block)
        case CipherMode.NONE:
            return PacketOverhead(outside=header + mac + packet_id)
        case _:  # the packet-id is in the IV
            return PacketOverhead(outside=header + mac + cipher.block_length)


def relay_overhead(profile: ConnectionProfile, remote: Endpoint) -> int:
    """Bytes that a SOCKS relay adds to each packet of this profile: 0 without one."""
    relayed = isinstance(profile.proxy, SocksProxy) and profile.protocol is LinkProtocol.UDP
    if not relayed:
        return 0
    return RELAY_HEADER[remote.address.version]
