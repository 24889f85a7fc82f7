"""The order in which the management interface shows the variables of an environment. Pure.

Programs should read them as a map; some do not. The order is that of openvpn 2.6.14, which follows
from the order in which it sets and copies them (tests/vectors/management/server.json).
"""

import re
from collections.abc import Mapping

_POOL = (
    "ifconfig_pool_ip6_netbits",
    "ifconfig_pool_local_ip6",
    "ifconfig_pool_remote_ip6",
    "ifconfig_pool_netmask",
    "ifconfig_pool_remote_ip",
    "ifconfig_pool_local_ip",
)
_TIME = ("time_unix", "time_ascii")
_TRUSTED = ("trusted_port", "trusted_ip", "trusted_ip6")
_SESSION = ("session_id", "session_state")
_UNTRUSTED = ("untrusted_port", "untrusted_ip", "untrusted_ip6")

_ASKED = ("password", *_SESSION, *_UNTRUSTED, "common_name", "username")
_FIRST = {
    "ESTABLISHED": (
        *(*_POOL, *_TIME, *_TRUSTED, "common_name", *_SESSION, *_UNTRUSTED, "username"),
    ),
    "DISCONNECT": (
        *("time_duration", "bytes_sent", "bytes_received", *_TRUSTED, *_POOL, *_TIME),
        *("common_name", *_SESSION, *_UNTRUSTED, "username"),
    ),
}
"""What an event itself brings, by its name; of the others ``_ASKED``."""

_CERTIFICATE = re.compile(
    r"(tls_(?:serial_hex|serial|digest_sha256|digest|id)|X509)_(\d+)", re.ASCII
)
_CERTIFICATE_KINDS = (
    "tls_serial_hex",
    "tls_serial",
    "tls_digest_sha256",
    "tls_digest",
    "tls_id",
    "X509",
)

_NUMBERED = re.compile(r"(.+?)_(\d+)", re.ASCII)
_BASE: dict[str, tuple[int, int]] = {
    name: (group, place)
    for group, names in enumerate(
        (
            ("remote_port", "local_port", "local", "remote", "proto"),
            ("daemon_pid",),
            ("daemon_start_time",),
            ("daemon_log_redirect",),
            ("daemon",),
            ("verb",),
            ("config",),
            ("ifconfig_local",),
            ("ifconfig_netmask", "ifconfig_remote", "ifconfig_broadcast"),
            ("ifconfig_ipv6_local",),
            ("ifconfig_ipv6_netbits",),
            ("ifconfig_ipv6_remote",),
            ("route_net_gateway",),
            ("route_vpn_gateway",),
            ("route_network", "route_netmask", "route_gateway", "route_metric"),
            ("route_ipv6_network", "route_ipv6_gateway", "route_ipv6_metric"),
            ("script_context",),
            ("tun_mtu",),
            ("dev",),
            ("dev_type",),
            ("redirect_gateway",),
        )
    )
    for place, name in enumerate(names)
}
"""What the process itself has, by group and place in it; groups repeat for each number."""

_Rank = tuple[int, int, int, int]


def client_order(event: str, environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables of a server's client, in the order of an event such as ``CONNECT``.

    ``environment`` is in the order in which the variables were set.
    """
    first = {name: place for place, name in enumerate(_FIRST.get(event, _ASKED))}

    def rank(item: tuple[str, str]) -> _Rank:
        name = item[0]
        place = first.get(name)
        return _rank(name) if place is None else (0, place, 0, 0)

    last_set_first = tuple(environment.items())[::-1]
    return sorted(last_set_first, key=rank)


def tunnel_order(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables of the tunnel itself (``>UPDOWN``)."""
    return sorted(environment.items(), key=lambda item: _rank(item[0]))[::-1]


def _rank(name: str) -> _Rank:
    """Where a variable stands: what clients tell, certificates, everything else, the process."""
    if name.startswith(("IV_", "UV_")):
        return (1, 0, 0, 0)
    certificate = _CERTIFICATE.match(name)
    if certificate is not None:
        kind, depth = certificate.groups()
        return (2, int(depth[:4]), _CERTIFICATE_KINDS.index(kind), 0)
    numbered = _NUMBERED.fullmatch(name)
    known = _BASE.get(name) or (None if numbered is None else _BASE.get(numbered.group(1)))
    if known is None:
        return (3, 0, 0, 0)
    number = 0 if numbered is None or name in _BASE else int(numbered.group(2)[:6])
    return (4, known[0], number, known[1])
