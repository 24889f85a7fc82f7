"""What several scenarios look at: a tunnel that carries traffic, the device's addresses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deadlines import wait_until
from tests.interop.lab import OFFICE_HOST, OFFICE_HOST_V6
from tests.interop.lab.base import BaseLab
from tests.interop.lab.namespaces import Namespace
from tests.interop.lab.openvpn import Running

FULL_SIZE_V4 = 1500 - 28
FULL_SIZE_V6 = 1500 - 48


def assert_carries(lab: BaseLab, *, ipv6: bool = True, where: Namespace | None = None) -> None:
    """Small and full-sized packets reach the office and come back, in both families."""
    host = where or lab.laptop
    targets = [(OFFICE_HOST, FULL_SIZE_V4)]
    targets += [(OFFICE_HOST_V6, FULL_SIZE_V6)] if ipv6 else []
    for address, full_size in targets:
        host.wait_ping(address)
        assert host.ping(address, count=3, interval=0.05) == 3
        assert host.ping(address, count=3, interval=0.05, size=full_size) == 3


def assert_reaches(host: Namespace, *, ipv6: bool = True, full: bool = True) -> None:
    """The office answers, also to packets of full size: once each, for tests with many clients."""
    for address, size in ((OFFICE_HOST, FULL_SIZE_V4), (OFFICE_HOST_V6, FULL_SIZE_V6)):
        if ipv6 or ":" not in address:
            host.wait_ping(address)
            assert not full or host.ping(address, count=1, size=size) == 1


def pushed(client: Running) -> list[str]:
    """The options of the last PUSH_REPLY, as the client's log has them."""
    replies = re.findall(r"PUSH: Received control message: '(PUSH_REPLY,.*)'", client.log())
    assert replies
    return str(replies[-1]).split(",")[1:]


def tunnel_routes(host: Namespace, device: str = "tun0") -> list[str]:
    """The routes through a device, of both families, as ``ip route`` prints them."""
    lines = [
        line
        for family in ("-4", "-6")
        for line in host.ip(family, "route", "show", "dev", device).splitlines()
    ]
    return sorted(" ".join(line.split()) for line in lines if "fe80::" not in line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address of a device as ``ip -j`` shows it; ``peer`` is None on a subnet."""

    local: str
    prefix: int
    peer: str | None


def addresses(
    lab: BaseLab, device: str = "tun0", *, where: Namespace | None = None
) -> dict[str, Address]:
    """Gives the global IPv4 (``inet``) and IPv6 (``inet6``) address of a device."""
    found: dict[str, Address] = {}
    for entry in (where or lab.laptop).ip_json("address", "show", "dev", device):
        infos = entry.get("addr_info")
        assert isinstance(infos, list)
        for info in infos:
            if info.get("scope") != "global":
                continue
            peer = info.get("address")
            found[str(info["family"])] = Address(
                local=str(info["local"]),
                prefix=int(info["prefixlen"]),
                peer=None if peer is None else str(peer),
            )
    return found


def link(lab: BaseLab, device: str = "tun0") -> Mapping[str, object]:
    """Gives the link entry of a device: flags, mtu and more."""
    return lab.laptop.ip_json("link", "show", "dev", device)[0]


def wait_file(path: Path, *, containing: str = "", timeout: float = 40.0) -> str:
    """Waits until a file exists with the wanted text and returns its content."""

    def content() -> str | None:
        if not path.exists():
            return None
        text = path.read_text()
        return text if containing in text and text else None

    return wait_until(content, timeout=timeout, what=f"{path.name} with {containing!r}")
