"""Says what is wrong with the addresses of a tunnel once all options about them are known.

``ifconfig`` means something else in each topology, which may be given after it, and all of it may
come from a server: what makes no sense must not reach the host half-way.
"""

from ipaddress import IPv4Address, IPv6Address

from ginnel.options.model import DeviceType, Topology, TunOptions


def address_problem(tun: TunOptions) -> str | None:
    """A sentence about addresses that cannot be a tunnel's, or None when they can."""
    if tun.ifconfig is not None:
        local, second = tun.ifconfig
        shown = f"ifconfig {local} {second}"
        if not _usable(local):
            return f"'{shown}': {local} cannot be the address of a tunnel"
        if tun.topology is Topology.SUBNET or tun.dev_type is DeviceType.TAP:
            if not _is_netmask(second):
                kind = "a tap device" if tun.dev_type is DeviceType.TAP else "topology subnet"
                return f"'{shown}': with {kind} the second word must be a netmask"
        elif not _usable(second):
            return f"'{shown}': {second} cannot be the other end of a tunnel"
    if tun.ifconfig_ipv6 is not None and not _usable(tun.ifconfig_ipv6.ip):
        return f"'ifconfig-ipv6 {tun.ifconfig_ipv6}': this cannot be the address of a tunnel"
    return None


def _usable(address: IPv4Address | IPv6Address) -> bool:
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address == IPv4Address("255.255.255.255")
    )


def _is_netmask(mask: IPv4Address) -> bool:
    inverted = int(mask) ^ 0xFFFFFFFF
    return int(mask) != 0 and not inverted & (inverted + 1)
