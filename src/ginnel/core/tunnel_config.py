"""Works out the numbers of the agreed tunnel: MTU, MSS limits, size of fragments and peer ids.

Responsible for protocol-facts 14. What a format costs is ``packet_overhead``'s, addresses and
routes are the host layer's business.
"""

from ginnel.core.actions import TunnelConfig
from ginnel.core.data_key import DataCipher
from ginnel.core.negotiate import Agreement
from ginnel.core.options_string import configured_tun_mtu
from ginnel.core.packet_overhead import PacketOverhead, relay_overhead
from ginnel.core.payload import payload_terms
from ginnel.core.types import UNDEFINED_PEER_ID, Endpoint, PeerId, Transport
from ginnel.dataclass import dataclass, replace
from ginnel.options.model import (
    ClientOptions,
    CompressionKind,
    ConnectionProfile,
    DeviceType,
    TlsOptions,
)

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
_RECORD_LENGTH = 2
_FRAGMENT_HEADER = 4
_ETHERNET_HEADER = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What a packet of the tunnel grows by on its way to the link, in bytes."""

    outer: int
    """Headers of IP and the transport."""
    record: int
    """Length in front of a record of a stream."""
    packet: PacketOverhead
    payload: int
    """Framing, fragment header, Ethernet header."""

    @property
    def inside_datagram(self) -> int:
        """All but the outer headers, without padding."""
        return self.record + self.packet.outside + self.packet.inside + self.payload


def tunnel_config(
    options: ClientOptions,
    *,
    profile: ConnectionProfile,
    remote: Endpoint,
    transport: Transport,
    agreement: Agreement,
    device_items: tuple[str, ...],
) -> TunnelConfig:
    """Composes what the host and the data plane are set up from; a pushed tun-mtu wins."""
    tun_mtu = configured_tun_mtu(options.data, profile)
    if options.tun.tun_mtu_pushed:
        tun_mtu = options.tun.tun_mtu
    overhead = overhead_of(
        options.data.compression,
        options.tun.dev_type,
        profile=profile,
        remote=remote,
        transport=transport,
        packet=agreement.overhead,
    )
    mss_ipv4, mss_ipv6 = mss_limits(profile, tun_mtu=tun_mtu, overhead=overhead)
    has_peer_id = agreement.send_peer_id != UNDEFINED_PEER_ID
    return TunnelConfig(
        options=replace(options, tls=with_bytes_limit(options.tls, agreement.cipher)),
        remote=remote,
        peer_id=agreement.send_peer_id if has_peer_id else LOCAL_PEER,
        send_peer_id=agreement.send_peer_id,
        tun_mtu=tun_mtu,
        mss_ipv4=mss_ipv4,
        mss_ipv6=mss_ipv6,
        allow_float=profile.float,
        payload=payload_terms(options, fragment=fragment_size(profile, overhead)),
        overhead=overhead.inside_datagram,
        device_items=device_items,
    )


def with_bytes_limit(tls: TlsOptions, cipher: DataCipher) -> TlsOptions:
    """Sets ``reneg-bytes`` for a cipher with short blocks, or none, unless the user did.

    A collision of 64-bit blocks, which tells about plaintexts, is likely after some gigabytes.
    """
    if tls.reneg_bytes is not None or not cipher.kind.limits_bytes:
        return tls
    return replace(tls, reneg_bytes=SHORT_BLOCK_LIMIT)


def overhead_of(
    compression: CompressionKind | None,
    dev_type: DeviceType,
    *,
    profile: ConnectionProfile,
    remote: Endpoint,
    transport: Transport,
    packet: PacketOverhead,
) -> Overhead:
    """Adds up what the agreed formats cost."""
    payload = 1 if compression is not None and compression.has_byte else 0
    if profile.fragment:
        payload += _FRAGMENT_HEADER
    if dev_type is DeviceType.TAP:
        payload += _ETHERNET_HEADER
    return Overhead(
        outer=_OUTER[remote.address.version, transport] + relay_overhead(profile, remote),
        record=_RECORD_LENGTH if transport is Transport.TCP else 0,
        packet=packet,
        payload=payload,
    )


def mss_limits(profile: ConnectionProfile, *, tun_mtu: int, overhead: Overhead) -> tuple[int, int]:
    """The MSS limits for inner IPv4 and IPv6; zeros when mssfix is off (protocol-facts 14)."""
    size, mode = mssfix_of(profile, tun_mtu)
    if size <= 0:
        return 0, 0
    if mode != "fixed":
        outer = overhead.outer if mode == "mtu" else 0
        room = size - outer - overhead.record
        size = overhead.packet.largest_payload(room) - overhead.payload
    return max(size - _TCP_IPV4, 0), max(size - _TCP_IPV6, 0)


def fragment_size(profile: ConnectionProfile, overhead: Overhead) -> int:
    """Most bytes behind a fragment header; 0 without ``fragment``."""
    if not profile.fragment:
        return 0
    outer = overhead.outer if profile.fragment_mtu else 0
    return max(overhead.packet.largest_payload(profile.fragment - outer) - _FRAGMENT_HEADER, 1)


def mssfix_of(profile: ConnectionProfile, tun_mtu: int) -> tuple[int, str]:
    """Size and mode of ``mssfix``, as written or by default."""
    if profile.mssfix is not None:
        return profile.mssfix, profile.mssfix_mode
    return _default_mssfix(profile, tun_mtu)


def _default_mssfix(profile: ConnectionProfile, tun_mtu: int) -> tuple[int, str]:
    if profile.fragment:
        return profile.fragment, "mtu"
    if tun_mtu == DEFAULT_TUN_MTU:
        return DEFAULT_MSSFIX, "mtu"
    return tun_mtu, "fixed"
