"""Works out the numbers of the agreed tunnel: MTU, MSS limits and peer ids.

Responsible for protocol-facts 14 (mssfix) without compression and fragment, which are not offered.
Addresses and routes are the host layer's business.
"""

from ginnel.core.actions import TunnelConfig
from ginnel.core.data_key import DataFormat
from ginnel.core.negotiate import Agreement
from ginnel.core.types import UNDEFINED_PEER_ID, Endpoint, PeerId, Transport
from ginnel.options.model import ClientOptions, ConnectionProfile

DEFAULT_TUN_MTU = 1500
DEFAULT_MSSFIX = 1492
"""Outer packet size aimed at with the default tun-mtu."""

LOCAL_PEER = PeerId(0)
"""Handle of the server in the data plane when no peer-id was pushed."""

_TAG = 16
_TCP_IPV4 = 40
_TCP_IPV6 = 60
_OUTER = {
    (4, Transport.UDP): 28,
    (6, Transport.UDP): 48,
    (4, Transport.TCP): 40,
    (6, Transport.TCP): 60,
}
_HEADER = {DataFormat.V1: 1 + 4, DataFormat.V2: 4 + 4, DataFormat.EPOCH: 4 + 8}


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
        profile, tun_mtu=tun_mtu, remote=remote, transport=transport, data=agreement.format
    )
    has_peer_id = agreement.send_peer_id != UNDEFINED_PEER_ID
    return TunnelConfig(
        options=options,
        remote=remote,
        peer_id=agreement.send_peer_id if has_peer_id else LOCAL_PEER,
        send_peer_id=agreement.send_peer_id,
        tun_mtu=tun_mtu,
        mss_ipv4=mss_ipv4,
        mss_ipv6=mss_ipv6,
        allow_float=profile.float,
        pulled_digest=pulled_digest,
    )


def mss_limits(
    profile: ConnectionProfile,
    *,
    tun_mtu: int,
    remote: Endpoint,
    transport: Transport,
    data: DataFormat,
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
    overhead = 0
    if mode != "fixed":
        overhead = _HEADER[data] + _TAG + (2 if transport is Transport.TCP else 0)
    if mode == "mtu":
        overhead += _OUTER[remote.address.version, transport]
    return max(size - overhead - _TCP_IPV4, 0), max(size - overhead - _TCP_IPV6, 0)
