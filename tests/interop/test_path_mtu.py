"""A network on the way that takes only shorter packets, and says so to who sends longer ones.

Only with ``mtu-disc yes`` do packets that are too long for the path not leave, as with OpenVPN
2.6; else the kernel, or the network where that may, sends them in parts.
"""

import json
import signal
from collections.abc import Sequence

import pytest

from tests.deadlines import wait_until
from tests.interop.checks import FULL_SIZE_V4, addresses, assert_carries
from tests.interop.lab import OFFICE_HOST, Lab, ServerSetup
from tests.interop.lab.openvpn import Running
from tests.interop.lab.topology import mtu
from tests.interop.test_peers import THEIRS, static_peer

NARROW = 1300
MIDDLE = 1400
"""Bytes of a ping that fits the first link when it is sealed, but not the narrow one."""
ADJUSTED = (
    f"Note adjusting 'mssfix 1492 mtu' to 'mssfix {NARROW} mtu' according to path MTU discovery"
)
AES = "cipher AES-256-CBC"
WHOLE = ["-M", "do"]
"""No router may cut the packet inside the tunnel."""


def start(lab: Lab, *lines: str, program: str = "ginnel") -> tuple[Running, Running]:
    """A tunnel of ginnel's client over a path that becomes narrow; returns server and client."""
    server = lab.start_server(ServerSetup(program=program, lines=lines))
    client = lab.start_client(lab.client_setup(lines=(*lines, "verb 4")))
    lab.laptop.wait_ping(OFFICE_HOST)
    mtu(lab.internet, "to-office", NARROW)
    mtu(lab.office, "eth0", NARROW)
    return server, client


def learn_the_path(lab: Lab) -> None:
    """The first packet that is too long is lost: what comes back says how long it may be."""
    lab.laptop.ping(OFFICE_HOST, count=1, size=FULL_SIZE_V4, wait=1)


@pytest.mark.parametrize(("engine", "lines"), [("rust", []), ("python", ["mtu-disc no"])])
def test_packets_of_full_size_cross_a_narrow_path(
    wide_lab: Lab, monkeypatch: pytest.MonkeyPatch, engine: str, lines: Sequence[str]
) -> None:
    monkeypatch.setenv("GINNEL_ENGINE", engine)
    start(wide_lab, *lines)
    learn_the_path(wide_lab)
    assert_carries(wide_lab)
    client = addresses(wide_lab)["inet"].local
    assert wide_lab.office.ping(client, size=FULL_SIZE_V4, extra=WHOLE) == 3
    for push in (True, False):
        assert wide_lab.stream(OFFICE_HOST, push=push, size=2 << 20).intact


def test_mssfix_keeps_streams_within_a_path_that_is_not_to_be_cut_for(wide_lab: Lab) -> None:
    start(wide_lab, "mtu-disc yes", f"mssfix {NARROW} mtu")
    learn_the_path(wide_lab)
    for push in (True, False):
        assert wide_lab.stream(OFFICE_HOST, push=push, size=2 << 20).intact
    assert wide_lab.laptop.ping(OFFICE_HOST, size=1200, extra=WHOLE) == 3
    assert wide_lab.laptop.ping(OFFICE_HOST, size=FULL_SIZE_V4, count=1, extra=WHOLE, wait=1) == 0


@pytest.mark.parametrize(
    ("engine", "program"), [("rust", "ginnel"), ("python", "ginnel"), ("rust", "openvpn")]
)
def test_new_streams_fit_a_path_that_got_narrow(
    wide_lab: Lab, monkeypatch: pytest.MonkeyPatch, engine: str, program: str
) -> None:
    monkeypatch.setenv("GINNEL_ENGINE", engine)
    server, client = start(wide_lab, "mtu-disc yes", program=program)
    wide_lab.laptop.ping(OFFICE_HOST, count=2, size=MIDDLE, wait=1)
    client.wait_for(ADJUSTED)
    if program == "ginnel":
        wide_lab.office.ping(addresses(wide_lab)["inet"].local, count=1, size=MIDDLE, wait=1)
        server.wait_for(ADJUSTED)
    for push in (True, False):
        assert wide_lab.stream(OFFICE_HOST, push=push, size=2 << 20).intact
    assert client.log().count("according to path MTU discovery") == 1


@pytest.mark.parametrize(
    ("engine", "client", "server"),
    [
        ("rust", "ginnel", "ginnel"),
        ("python", "ginnel", "ginnel"),
        ("rust", "ginnel", "openvpn"),
        ("rust", "openvpn", "ginnel"),
        ("python", "ginnel", "openvpn"),
        ("python", "openvpn", "ginnel"),
    ],
)
def test_streams_go_on_over_a_path_that_got_narrow(
    wide_lab: Lab, monkeypatch: pytest.MonkeyPatch, engine: str, client: str, server: str
) -> None:
    """They began with segments of full size: only an answer to these makes them shorter."""
    monkeypatch.setenv("GINNEL_ENGINE", engine)
    lines = {"ginnel": ("mtu-disc yes",), "openvpn": ()}
    # The server's socket is one of IPv6, and the client comes over IPv4.
    setup = ServerSetup(program=server, protocol="udp6", lines=lines[server])
    there = wide_lab.start_server(setup)
    here = wide_lab.start_client(
        wide_lab.client_setup(program=client, lines=(*lines[client], "verb 4"))
    )
    wide_lab.laptop.wait_ping(OFFICE_HOST)
    streams = [
        wide_lab.start_stream(OFFICE_HOST, push=push, size=2 << 20, pauses=True)
        for push in (True, False)
    ]
    for stream in streams:
        stream.wait_for("^half$")
    mtu(wide_lab.internet, "to-office", NARROW)
    mtu(wide_lab.office, "eth0", NARROW)
    for stream in streams:
        stream.send(signal.SIGCONT)
    for stream in streams:
        assert wide_lab.stream_result(stream).intact
    for running, program in ((here, client), (there, server)):
        if program == "ginnel":
            running.wait_for(ADJUSTED)
    assert wide_lab.laptop.ping(OFFICE_HOST, size=MIDDLE, extra=["-M", "dont"]) == 3


def test_programs_are_told_what_fits_between_peers_with_a_static_key(wide_lab: Lab) -> None:
    """Padding to whole blocks counts, and what is told is the longest that passes."""
    wide_lab.start_peers(
        static_peer(wide_lab, AES, "mtu-disc yes", ours=True),
        static_peer(wide_lab, AES, ours=False),
    )
    wide_lab.laptop.wait_ping(THEIRS)
    mtu(wide_lab.internet, "to-office", NARROW)
    mtu(wide_lab.office, "eth0", NARROW)

    def told() -> int:
        wide_lab.laptop.ping(THEIRS, count=1, size=NARROW, extra=WHOLE, wait=1)
        (route,) = json.loads(wide_lab.laptop.ip("-j", "route", "get", THEIRS))
        return int(dict(route.get("metrics", [{}])[0]).get("mtu", 0))

    longest = wait_until(told, timeout=40, what="the length that fits")
    headers, mac, iv, block, padding, packet_id = 28, 20, 16, 16, 1, 8
    assert longest == (NARROW - headers - mac - iv) // block * block - padding - packet_id
    assert wide_lab.laptop.ping(THEIRS, size=longest - 28, extra=WHOLE) == 3
