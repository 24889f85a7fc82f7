"""Fits ``mssfix`` and ``fragment`` to a path that takes shorter packets than they assume.

Responsible for the numbers, for what is told of them, and for what the data plane is asked. How
long a packet may be, the shell finds out.
"""

from ginnel.core.actions import FitPath, TunnelConfig
from ginnel.core.notices import PathNarrowed
from ginnel.core.packet_overhead import PacketOverhead
from ginnel.core.payload import PayloadTerms
from ginnel.core.tunnel_config import (
    Overhead,
    fragment_size,
    mss_limits,
    mssfix_of,
    overhead_of,
)
from ginnel.core.types import Endpoint, PeerId, Transport
from ginnel.dataclass import dataclass, replace
from ginnel.hints import TYPE_CHECKING
from ginnel.options.model import ConnectionProfile

if TYPE_CHECKING:
    # A client needs nothing else of what a server's outbox brings along.
    from ginnel.core.client_outbox import Outbox
    from ginnel.core.server_outbox import ServerOutbox

SMALLEST = {4: 576, 6: 1280}
"""What every path takes: who says less, and anybody can send ICMP, is believed no further."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What changes: the numbers, and the settings that they come from."""

    profile: ConnectionProfile
    mss_ipv4: int
    mss_ipv6: int
    inner_mtu: int | None
    """As ``FitPath`` has it."""
    fragment: int
    """As ``PayloadTerms`` has it."""
    notices: tuple[PathNarrowed, ...]

    def fitted(self, config: TunnelConfig) -> TunnelConfig:
        """The tunnel of a client with the numbers in it."""
        payload = replace(config.payload, fragment=self.fragment)
        return replace(config, mss_ipv4=self.mss_ipv4, mss_ipv6=self.mss_ipv6, payload=payload)

    def tell(self, outbox: "Outbox | ServerOutbox", peer_id: PeerId, before: PayloadTerms) -> None:
        """Tells the log, and has the data plane changed; ``before`` are its terms now."""
        for notice in self.notices:
            outbox.tell(notice)
        payload = replace(before, fragment=self.fragment)
        outbox.ask(
            lambda new_id: FitPath(
                id=new_id,
                peer_id=peer_id,
                mss_ipv4=self.mss_ipv4,
                mss_ipv6=self.mss_ipv6,
                inner_mtu=self.inner_mtu,
                payload=None if payload == before else payload,
            )
        )


def fit_tunnel(
    config: TunnelConfig,
    profile: ConnectionProfile,
    mtu: int,
    *,
    remote: Endpoint,
    transport: Transport,
    packet: PacketOverhead,
) -> Fit | None:
    """``fit_path`` for a client's tunnel, whose server is at ``remote`` now."""
    overhead = overhead_of(
        config.options.data.compression,
        config.options.tun.dev_type,
        profile=profile,
        remote=remote,
        transport=transport,
        packet=packet,
    )
    version = remote.address.version
    return fit_path(profile, mtu, version=version, tun_mtu=config.tun_mtu, overhead=overhead)


def fit_path(
    profile: ConnectionProfile, mtu: int, *, version: int, tun_mtu: int, overhead: Overhead
) -> Fit | None:
    """Lowers what is too large for packets of ``mtu`` bytes, outer headers included.

    None when all fits. What options say is never raised again but by a new connection; what is
    answered to packets that are too long is what the system knows of the path now.
    """
    mtu = max(mtu, SMALLEST[version])
    notices: list[PathNarrowed] = []
    fitting = replace(profile, mssfix=mtu, mssfix_mode="mtu")
    before = mss_limits(profile, tun_mtu=tun_mtu, overhead=overhead)
    if mss_limits(fitting, tun_mtu=tun_mtu, overhead=overhead)[0] < before[0]:
        size, mode = mssfix_of(profile, tun_mtu)
        notices.append(PathNarrowed(option="mssfix", before=f"{size} {mode}".rstrip(), mtu=mtu))
    else:
        fitting = profile
    if profile.fragment:
        cut = replace(fitting, fragment=mtu, fragment_mtu=True)
        if fragment_size(cut, overhead) < fragment_size(profile, overhead):
            shown = f"{profile.fragment} mtu" if profile.fragment_mtu else str(profile.fragment)
            notices.append(PathNarrowed(option="fragment", before=shown, mtu=mtu))
            # Without a size of its own, mssfix goes by fragment.
            fitting = cut
    room = overhead.packet.largest_payload(mtu - overhead.outer) - overhead.payload
    # Fragments carry packets of any length.
    inner_mtu = None if profile.fragment or room >= tun_mtu else room
    if not notices and inner_mtu is None:
        return None
    mss_ipv4, mss_ipv6 = mss_limits(fitting, tun_mtu=tun_mtu, overhead=overhead)
    return Fit(
        profile=fitting,
        mss_ipv4=mss_ipv4,
        mss_ipv6=mss_ipv6,
        inner_mtu=inner_mtu,
        fragment=fragment_size(fitting, overhead),
        notices=tuple(notices),
    )
