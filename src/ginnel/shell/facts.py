"""Finds out what servers are told about this machine and program (``push-peer-info``)."""

import os

from ginnel import OPENVPN_RELEASE
from ginnel.core.peer_info import LocalFacts
from ginnel.core.pending import METHODS
from ginnel.shell.prompt import somebody_is_there

ROUTES = "/proc/net/route"
DEVICES = "/sys/class/net"
_UP = 0x1
_NO_ADDRESS = "00:00:00:00:00:00"


def local_facts(*, in_full: bool, asks_elsewhere: bool) -> LocalFacts:
    """Gathers the facts; those that only ``push-peer-info`` tells are left out without ``in_full``.

    Ways to log in are offered where a person sees the address or the question: at a terminal. A
    management client says what it can do with ``setenv IV_SSO``.
    """
    methods = METHODS if not asks_elsewhere and somebody_is_there() else None
    if not in_full:
        return LocalFacts(version=OPENVPN_RELEASE, login_methods=methods)
    return LocalFacts(
        version=OPENVPN_RELEASE,
        hardware_address=hardware_address(),
        ssl_library=_ssl_library(),
        platform_version=os.uname().release,
        login_methods=methods,
    )


def hardware_address(routes: str = ROUTES, devices: str = DEVICES) -> str | None:
    """The address of the interface behind the default route of the lowest metric, if it has one."""
    try:
        with open(routes) as file:
            lines = file.read().splitlines()[1:]
    except OSError:
        return None
    ways: list[tuple[int, str]] = []
    for line in lines:
        fields = line.split()
        if len(fields) < 8:
            continue
        device, destination, flags, metric, mask = (fields[n] for n in (0, 1, 3, 6, 7))
        if destination == mask == "00000000" and int(flags, 16) & _UP:
            ways.append((int(metric), device))
    if not ways:
        return None
    try:
        with open(f"{devices}/{min(ways)[1]}/address") as file:
            address = file.read().strip()
    except OSError:
        return None
    return address if len(address) == len(_NO_ADDRESS) and address != _NO_ADDRESS else None


def _ssl_library() -> str:
    from cryptography.hazmat.bindings._rust import openssl

    return openssl.openssl_version_text()
