"""Works out the numbers of the agreed tunnel: MTU, MSS limits and peer ids.

Responsible for protocol-facts 14 (mssfix) without compression and fragment, which are not offered.
Addresses and routes are the host layer's business.
"""

from ginnel.core.actions import TunnelConfig
from ginnel.core.data_key import DataCipher
from ginnel.core.negotiate import Agreement
from ginnel.core.packet_overhead import PacketOverhead
from ginnel.core.types import UNDEFINED_PEER_ID, Endpoint, PeerId, Transport
from ginnel.dataclass import replace
from ginnel.options.model import ClientOptions, ConnectionProfile

DEFAULT_TUN_MTU = 1500
DEFAULT_MSSFIX = 1492
"""Outer packet size aimed at with the default tun-mtu."""

SHORT_BLOCK_LIMIT = 64 * 1024 * 1024
"""Bytes under one key of a cipher with blocks of 64 bits (protocol-facts 10)."""

LOCAL_PEER = PeerId(0)
"""Handle of the server in the data plane when no peer-id was pushed."""

_TCP_IPV4 = 40
_TCP_IPV6 = 60
_OUTER = {
    (4, Transport.UDP): 28,
    (6, Transport.UDP): 48,
    (4, Transport.TCP): 40,
    (6, Transport.TCP): 60,
}


def tunnel_config(
    options: ClientOptions,
    *,
    profile: ConnectionProfile,
    remote: Endpoint,
    transport: Transport,
    agreement: Agreement,
    pulled_digest: str,
) -> TunnelConfig:
    """Composes what the host and the data plane are set up from; a pushed tun-mtu wins."""
    tun_mtu = options.tun.tun_mtu if options.tun.tun_mtu_pushed else profile.tun_mtu
    mss_ipv4, mss_ipv6 = mss_limits(
        profile, tun_mtu=tun_mtu, remote=remote, transport=transport, overhead=agreement.overhead
    )
    has_peer_id = agreement.send_peer_id != UNDEFINED_PEER_ID
    return TunnelConfig(
        options=with_bytes_limit(options, agreement.cipher),
        remote=remote,
        peer_id=agreement.send_peer_id if has_peer_id else LOCAL_PEER,
        send_peer_id=agreement.send_peer_id,
        tun_mtu=tun_mtu,
        mss_ipv4=mss_ipv4,
        mss_ipv6=mss_ipv6,
        allow_float=profile.float,
        pulled_digest=pulled_digest,
    )


def with_bytes_limit(options: ClientOptions, cipher: DataCipher) -> ClientOptions:
    """Sets ``reneg-bytes`` for a cipher with short blocks, or none, unless the user did.

    A collision of 64-bit blocks, which tells about plaintexts, is likely after some gigabytes.
    """
    if options.tls.reneg_bytes is not None or not cipher.kind.limits_bytes:
        return options
    return replace(options, tls=replace(options.tls, reneg_bytes=SHORT_BLOCK_LIMIT))


def mss_limits(
    profile: ConnectionProfile,
    *,
    tun_mtu: int,
    remote: Endpoint,
    transport: Transport,
    overhead: PacketOverhead,
) -> tuple[int, int]:
    """The MSS limits for inner IPv4 and IPv6; zeros when mssfix is off (protocol-facts 14)."""
    size, mode = profile.mssfix, profile.mssfix_mode
    if size is None:
        if tun_mtu == DEFAULT_TUN_MTU:
            size, mode = DEFAULT_MSSFIX, "mtu"
        else:
            size, mode = tun_mtu, "fixed"
    if size <= 0:
        return 0, 0
    if mode == "fixed":
        return max(size - _TCP_IPV4, 0), max(size - _TCP_IPV6, 0)
    size -= 2 if transport is Transport.TCP else 0
    if mode == "mtu":
        size -= _OUTER[remote.address.version, transport]
    inner = overhead.largest_payload(size)
    return max(inner - _TCP_IPV4, 0), max(inner - _TCP_IPV6, 0)
