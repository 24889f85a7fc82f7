"""Two peers that configure themselves, without pull: over TLS in either role."""

import signal

import pytest

from tests.interop.lab import Lab
from tests.interop.lab.openvpn import Running, Wrapping

OURS, THEIRS = "10.9.0.2", "10.9.0.1"
OURS_V6, THEIRS_V6 = "fd00:9::2", "fd00:9::1"


def tls_peer(lab: Lab, *lines: str, server: bool, ours: bool, remote: bool = True) -> str:
    """One end's configuration; the certificates go with the role."""
    identity = lab.pki.server if server else lab.pki.client
    local, other = (OURS, THEIRS) if ours else (THEIRS, OURS)
    local_v6, other_v6 = (OURS_V6, THEIRS_V6) if ours else (THEIRS_V6, OURS_V6)
    there = lab.server if ours else "192.0.2.10"
    return "\n".join(
        [
            "dev tun0",
            f"ifconfig {local} {other}",
            f"ifconfig-ipv6 {local_v6}/64 {other_v6}",
            *([f"remote {there}"] if remote else []),
            *(["tls-server", "dh none"] if server else ["tls-client"]),
            f"ca {lab.pki.authority.cert}",
            f"cert {identity.cert}",
            f"key {identity.key}",
            "keepalive 1 8",
            "verb 4",
            *lines,
            "",
        ]
    )


def wrapping_lines(lab: Lab, wrapping: Wrapping, *, server: bool) -> list[str]:
    return wrapping.server_lines(lab.pki) if server else wrapping.client_lines(lab.pki)


def start(
    lab: Lab, wrapping: Wrapping, *lines: str, server: bool, remote: bool = True
) -> tuple[Running, Running]:
    ours = [*lines, *wrapping_lines(lab, wrapping, server=server)]
    theirs = [*lines, *wrapping_lines(lab, wrapping, server=not server)]
    return lab.start_peers(
        tls_peer(lab, *ours, server=server, ours=True, remote=remote),
        tls_peer(lab, *theirs, server=not server, ours=False),
    )


@pytest.mark.parametrize(
    ("wrapping", "server"),
    [
        (Wrapping.PLAIN, True),
        (Wrapping.TLS_AUTH, True),
        (Wrapping.TLS_CRYPT, True),
        (Wrapping.PLAIN, False),
        (Wrapping.TLS_CRYPT, False),
    ],
)
def test_tls_between_peers(lab: Lab, wrapping: Wrapping, server: bool) -> None:
    ours, theirs = start(lab, wrapping, server=server)
    assert lab.laptop.ping(THEIRS) == 3
    assert lab.laptop.ping(THEIRS_V6) == 3
    assert lab.office.ping(OURS) == 3
    ours.wait_for("Data Channel: cipher 'AES-256-GCM', peer-id: ")
    theirs.wait_for("Data Channel: cipher 'AES-256-GCM', peer-id: ")
    ours.stop()
    theirs.stop()


def test_a_peer_without_remote_waits_and_follows(lab: Lab) -> None:
    ours, theirs = start(lab, Wrapping.TLS_CRYPT, server=True, remote=False)
    ours.wait_for(r"link remote: \[AF_UNSPEC\]")
    assert lab.laptop.ping(THEIRS) == 3
    mark = theirs.mark()
    theirs.send(signal.SIGUSR1)
    theirs.wait_connected(since=mark, timeout=40)
    lab.laptop.wait_ping(THEIRS)


def test_both_ends_renegotiate_between_peers(lab: Lab) -> None:
    ours, theirs = start(
        lab, Wrapping.TLS_CRYPT, "reneg-sec 2", "hand-window 10", "tran-window 4", server=True
    )
    for _ in range(2):
        mark = theirs.mark()
        theirs.wait_for("Outgoing Data Channel: Cipher", since=mark)
        assert lab.laptop.ping(THEIRS) == 3
    assert "TLS Error" not in ours.log()


def test_a_server_among_peers_refuses_another_name(lab: Lab) -> None:
    config = lab.directory / "strict.conf"
    strict = tls_peer(lab, "verify-x509-name somebody-else name", server=True, ours=True)
    config.write_text(strict)
    ours = lab.run_client_file(config)
    ours.wait_for("link remote: ")
    lab.start_peer(tls_peer(lab, server=False, ours=False))
    ours.wait_for("somebody-else")
    ours.wait_for("TLS Error: TLS handshake failed")
    assert "Initialization Sequence Completed" not in ours.log()


def static_peer(lab: Lab, *lines: str, ours: bool, remote: bool = True) -> str:
    """One end of a tunnel with the lab's static key."""
    local, other = (OURS, THEIRS) if ours else (THEIRS, OURS)
    there = lab.server if ours else "192.0.2.10"
    return "\n".join(
        [
            "dev tun0",
            f"ifconfig {local} {other}",
            *([f"remote {there}"] if remote else []),
            f"secret {lab.pki.static_key()} {int(ours)}",
            "explicit-exit-notify 1",
            "verb 4",
            *lines,
            "",
        ]
    )


@pytest.mark.parametrize(
    "lines",
    [
        ("cipher AES-256-CBC", "keepalive 1 8"),
        ("cipher AES-128-CBC", "auth SHA256", "route 10.11.0.0 255.255.0.0", "keepalive 1 8"),
        ("cipher none", "auth SHA512"),
        ("cipher CAMELLIA-256-CBC", "fragment 1300", "comp-lzo no"),
    ],
)
def test_a_static_key(lab: Lab, lines: tuple[str, ...]) -> None:
    theirs = [line for line in lines if not line.startswith("route ")]
    ours, peer = lab.start_peers(
        static_peer(lab, *lines, ours=True), static_peer(lab, *theirs, ours=False)
    )
    assert lab.laptop.ping(THEIRS) == 3
    assert lab.laptop.ping(THEIRS, size=1400) == 3
    assert "WARNING: '" not in ours.log()
    ours.wait_for(r"Peer Connection Initiated with \[AF_INET\]192.0.2.1:1194")
    if theirs != list(lines):
        assert lab.laptop.route_to("10.11.5.19")["dev"] == "tun0"
    ours.stop()
    peer.wait_for("OCC exit message received by peer")


def test_a_static_key_without_remote(lab: Lab) -> None:
    ours, peer = lab.start_peers(
        static_peer(lab, "cipher AES-256-CBC", "keepalive 1 8", ours=True, remote=False),
        static_peer(lab, "cipher AES-256-CBC", "keepalive 1 8", ours=False),
    )
    assert lab.laptop.ping(THEIRS) == 3
    # The peer's end is told to us, and a new start of it is taken up.
    mark = ours.mark()
    peer.stop()
    ours.wait_for("remote-exit", since=mark)
    lab.start_peer(static_peer(lab, "cipher AES-256-CBC", "keepalive 1 8", ours=False))
    ours.wait_connected(since=mark)
    lab.laptop.wait_ping(THEIRS)


def test_another_static_key_is_only_noise(lab: Lab) -> None:
    lab.start_peer(static_peer(lab, "cipher AES-256-CBC", "ping 1", ours=False))
    config = lab.directory / "ours.conf"
    text = static_peer(lab, "cipher AES-256-CBC", "ping 1", "ping-restart 3", ours=True)
    config.write_text(text.replace(" 1\n", " 0\n", 1))  # the same direction at both ends
    ours = lab.run_client_file(config)
    ours.wait_for(r"SIGUSR1\[soft,ping-restart\] received")
    assert "Initialization Sequence Completed" not in ours.log()


def test_a_static_key_over_tcp(lab: Lab) -> None:
    lines = ("cipher AES-256-CBC", "keepalive 1 8")
    theirs = static_peer(lab, *lines, "proto tcp-server", ours=False, remote=False)
    ours = static_peer(lab, *lines, "proto tcp-client", ours=True)
    running, _ = lab.start_peers(
        ours.replace("explicit-exit-notify 1\n", ""),
        theirs.replace("explicit-exit-notify 1\n", ""),
        ready="Listening for incoming TCP connection",
    )
    assert lab.laptop.ping(THEIRS) == 3
    running.stop()
