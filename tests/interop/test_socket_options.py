"""Options of the link's socket have their effect on the wire and in the kernel."""

import re

import pytest

from tests.interop.checks import FULL_SIZE_V4
from tests.interop.lab import LAPTOP, OFFICE_HOST, Lab, ServerSetup
from tests.interop.lab.namespaces import NETNS_ETC

MARK = 0x70


def link_socket(lab: Lab, protocol: str) -> str:
    """What ``ss`` tells about the socket to the server: mark, memory, device."""
    kind = "-u" if protocol == "udp" else "-t"
    return lab.laptop.run(["ss", "-H", "-n", "-a", "-e", "-m", kind]).output


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_mark_device_buffers_and_binding(lab: Lab, protocol: str) -> None:
    """Without its mark no packet would find the server; names are good for local addresses, too."""
    (NETNS_ETC / lab.laptop.name / "hosts").write_text(f"{LAPTOP} laptop.example\n")
    (NETNS_ETC / lab.laptop.name / "nsswitch.conf").write_text("hosts: files\n")
    server = lab.start_server(
        ServerSetup(
            protocol="tcp-server" if protocol == "tcp" else "udp",
            lines=['push "sndbuf 163840"', 'push "socket-flags TCP_NODELAY"'],
        )
    )
    lab.laptop.ip("rule", "add", "fwmark", str(MARK), "lookup", "100")
    lab.laptop.ip("route", "add", f"{lab.server}/32", "dev", "wlan0", "table", "100")
    lab.laptop.ip("route", "add", "blackhole", f"{lab.server}/32")
    try:
        lines = [
            *(f"mark {MARK}", "bind-dev wlan0", "rcvbuf 131072", "mtu-disc yes", "multihome"),
            *("socket-flags TCP_NODELAY", "float", "local laptop.example", "lport 1300"),
        ]
        setup = lab.client_setup(protocol=protocol, lines=lines)
        config = lab.directory / "bound.ovpn"
        # nobind, which the usual client has, excludes local and lport.
        config.write_text(setup.render(lab.pki).replace("nobind\n", ""))
        client = lab.run_client_file(config)
        client.wait_connected()
        name = "UDPv4" if protocol == "udp" else "TCPv4_CLIENT"
        client.wait_for(rf"{name} link local \(bound\): \[AF_INET\]{LAPTOP}:1300$")
        client.wait_for("OPTIONS IMPORT: --socket-flags option modified")
        server.wait_for(rf"{LAPTOP}:1300 ")
        shown = link_socket(lab, protocol)
        assert f"{LAPTOP}%wlan0:1300" in shown
        assert f"fwmark:{MARK:#x}" in shown
        assert re.search(r"skmem:\(r\d+,rb262144,t\d+,tb327680,", shown), shown
        lab.laptop.wait_ping(OFFICE_HOST)
        # With mtu-disc yes a datagram that would have to be cut on the way does not leave.
        passed = lab.laptop.ping(OFFICE_HOST, count=2, size=FULL_SIZE_V4, wait=1)
        assert passed == (0 if protocol == "udp" else 2)
        client.stop(expect=0)
    finally:
        lab.laptop.ip("route", "del", "blackhole", f"{lab.server}/32")
        lab.laptop.ip("route", "flush", "table", "100")
        lab.laptop.ip("rule", "del", "fwmark", str(MARK))
