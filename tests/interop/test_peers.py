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
    theirs.wait_connected(since=mark, timeout=30)
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
