"""What the options of a server do: networks, pools, pushes, limits. Rows in ``rows.server``."""

from ipaddress import IPv4Address, IPv4Network, IPv6Interface

from ginnel.dataclass import replace
from ginnel.options.apply_tun import ipv4, ipv4_mask, ipv6_bits
from ginnel.options.draft import Draft, Handler, Use
from ginnel.options.files import FileRef
from ginnel.options.model import Topology
from ginnel.options.server_draft import BridgeDraft
from ginnel.options.server_model import (
    Pool4,
    Pool6,
    PortShare,
    PushConstraint,
    VlanAccept,
)

MAX_PUSHES = 16384
"""Pushed options of one list, and routes of one client: far above what any setup has."""

MAX_POOL = 65536
_LONGEST_MASK, _LONGEST_TUN_MASK = 30, 29
_SHORTEST_MASK = 16


def _mode(draft: Draft, use: Use) -> None:
    draft.set_field("server.mode", use.text(0) == "server")


def _server(draft: Draft, use: Use) -> None:
    address, bits = ipv4(use.text(0), use), ipv4_mask(use.text(1), use)
    if bits > _LONGEST_MASK:
        raise use.wrong("--server directive netmask is invalid")
    if bits < _SHORTEST_MASK:
        raise use.wrong(
            "--server directive netmask allows for too many host addresses "
            "(subnet must be 255.255.0.0 (/16) or higher)"
        )
    network = IPv4Network((address, bits), strict=False)
    if network.network_address != address:
        raise use.wrong(
            "--server directive network/netmask combination is invalid: "
            f"the network is {network.network_address}"
        )
    draft.server = replace(draft.server, network=network, has_pool=len(use.words) < 3)


def _server_ipv6(draft: Draft, use: Use) -> None:
    draft.set_field("server.network_ipv6", _ipv6_network(use))


def _ipv6_network(use: Use) -> IPv6Interface:
    address, bits = ipv6_bits(use.text(0), use, 64)
    if not 64 <= bits <= 124:
        raise use.wrong(
            f"--{use.row.name} settings: network must be between /64 and /124 (not /{bits})"
        )
    return IPv6Interface((address, bits))


def _server_bridge(draft: Draft, use: Use) -> None:
    if not use.words:
        draft.set_field("server.bridge", BridgeDraft(pushes_dhcp=True))
        return
    if use.words == ("nogw",):
        draft.set_field("server.bridge", BridgeDraft())
        return
    if len(use.words) != 4:
        raise use.wrong("expected GATEWAY NETMASK POOL-START POOL-END, nogw, or nothing")
    gateway, mask, first, last = (ipv4(word, use) for word in use.words)
    bits = ipv4_mask(use.text(1), use)
    home = IPv4Network((gateway, bits), strict=False)
    for address in (first, last):
        if address not in home:
            raise use.wrong(
                f"--server-bridge IP addresses {gateway} and {address} are not in the same "
                f"{mask} subnet"
            )
    _check_range(first, last, use)
    bridge = BridgeDraft(gateway=gateway, netmask=mask, first=first, last=last)
    draft.set_field("server.bridge", bridge)


def _check_range(first: IPv4Address, last: IPv4Address, use: Use) -> None:
    if first > last:
        raise use.wrong(f"--ifconfig-pool start IP [{first}] is greater than end IP [{last}]")
    if int(last) - int(first) >= MAX_POOL:
        raise use.wrong(
            f"--ifconfig-pool address range is too large [{first} -> {last}]: "
            f"there can be at most {MAX_POOL} addresses"
        )


def _pool(draft: Draft, use: Use) -> None:
    first, last = ipv4(use.text(0), use), ipv4(use.text(1), use)
    _check_range(first, last, use)
    netmask = None
    if len(use.words) > 2:
        ipv4_mask(use.text(2), use)
        netmask = ipv4(use.text(2), use)
    draft.set_field("pool.ipv4", Pool4(first=first, last=last, netmask=netmask))


def _pool_ipv6(draft: Draft, use: Use) -> None:
    base = _ipv6_network(use)
    draft.set_field("pool.ipv6", Pool6(network=base.network, first=base.ip))


def _pool_persist(draft: Draft, use: Use) -> None:
    pool = replace(draft.server.pool, persist_path=use.text(0), persist_interval=use.number(1, 600))
    draft.server = replace(draft.server, pool=pool)


def _push(draft: Draft, use: Use) -> None:
    """The same words for every client, or in its own file for one."""
    text = use.text(0)
    if "," in text:
        raise use.wrong("PUSH OPTION FAILED (illegal comma (',') in string)")
    if not text.isprintable():
        raise use.wrong("expected printable text")
    inside = use.for_client
    earlier = draft.instance.push if inside else draft.server.push
    if len(earlier) >= MAX_PUSHES:
        raise use.wrong(f"there are more than {MAX_PUSHES} pushed options")
    draft.set_field("instance.push" if inside else "server.push", (*earlier, text))


def _push_constraint(draft: Draft, use: Use) -> None:
    network = IPv4Network((ipv4(use.text(0), use), ipv4_mask(use.text(1), use)), strict=False)
    draft.set_field("server.push_constraint", PushConstraint(network=network))


def _pair(field: str) -> Handler:
    def apply(draft: Draft, use: Use) -> None:
        draft.set_field(field, (use.number(0), use.number(1)))

    return apply


def _stale_routes(draft: Draft, use: Use) -> None:
    draft.set_field("limits.stale_routes", (use.number(0), use.number(1, use.number(0))))


def _max_routes(draft: Draft, use: Use) -> None:
    group = "instance" if use.for_client else "limits"
    draft.set_field(f"{group}.max_routes_per_client", max(use.number(0), 1))


def _port_share(draft: Draft, use: Use) -> None:
    if not use.text(0):
        raise use.wrong("expected a host name or address")
    share = PortShare(host=use.text(0), port=use.text(1), journal_dir=use.text(2) or None)
    draft.set_field("server.port_share", share)


def _vlan_accept(draft: Draft, use: Use) -> None:
    draft.set_field("vlan.accept", VlanAccept(use.text(0)))


def _vlan_pvid(draft: Draft, use: Use) -> None:
    draft.set_field("instance.vlan_pvid" if use.for_client else "vlan.pvid", use.number(0))


def _multihome(draft: Draft, use: Use) -> None:
    draft.set_field("server.multihome", True)


def _dh(draft: Draft, use: Use) -> None:
    """``none`` leaves the key exchange to the curves alone."""
    named = use.inline is not None or use.text(0) != "none"
    path = use.words[0] if use.words else None
    ref = FileRef(option="dh", origin=use.origin, path=path, inline=use.inline)
    draft.set_field("server.dh", ref if named else None)


def _linear(draft: Draft, use: Use) -> None:
    draft.set_field("tun.topology", Topology.P2P)
    draft.places.note("topology", use.origin)
    draft.warn("DEPRECATED OPTION: --ifconfig-pool-linear: it means --topology p2p", use)


HANDLERS: dict[str, Handler] = {
    "mode": _mode,
    "server": _server,
    "server-ipv6": _server_ipv6,
    "server-bridge": _server_bridge,
    "ifconfig-pool": _pool,
    "ifconfig-ipv6-pool": _pool_ipv6,
    "ifconfig-pool-persist": _pool_persist,
    "ifconfig-pool-linear": _linear,
    "ifconfig-push-constraint": _push_constraint,
    "push": _push,
    "connect-freq": _pair("limits.connect_freq"),
    "connect-freq-initial": _pair("limits.connect_freq_initial"),
    "stale-routes-check": _stale_routes,
    "max-routes-per-client": _max_routes,
    "port-share": _port_share,
    "vlan-accept": _vlan_accept,
    "vlan-pvid": _vlan_pvid,
    "multihome": _multihome,
    "dh": _dh,
}
