"""What must not connect: each failure names its cause and ends, or retries, as OpenVPN does."""

from dataclasses import dataclass

import pytest

from tests.deadlines import wait_until
from tests.interop.checks import assert_carries
from tests.interop.lab import Lab, Running, ServerSetup, Wrapping
from tests.interop.lab.openvpn import COMPLETED, client_is_ginnel

TLS_ERROR_RESTART = r"SIGUSR1\[soft,tls-error\] received, process restarting"
QUICK = ("hand-window 4",)


def refused(lab: Lab, client: Running, *patterns: str) -> None:
    """Waits for the lines in the log and for a retry; nothing was set up meanwhile."""
    for pattern in patterns:
        client.wait_for(pattern)
    client.wait_for(TLS_ERROR_RESTART)
    assert client.process.count(COMPLETED) == 0
    assert "tun0" not in lab.laptop.devices()


def explained(client: Running, *words: str) -> None:
    """ginnel adds one plain line that names the cause; OpenVPN leaves that to the reader."""
    if client_is_ginnel():
        for word in words:
            client.wait_for(rf"\[AF_INET\]\S+ .*{word}")


def test_wrong_authority(lab: Lab) -> None:
    lab.start_server()
    client = lab.client_process(lab.client_setup(ca=lab.pki.other_authority.cert, lines=QUICK))
    cause = "self-signed certificate in certificate chain|unable to get local issuer certificate"
    refused(lab, client, rf"VERIFY ERROR: depth=[01], error=({cause}): .*CN=")
    explained(client, "CN=Lab CA", "wrong ca file")


def test_wrong_name(lab: Lab) -> None:
    lab.start_server()
    client = lab.client_process(lab.client_setup(verify_name="vpn.elsewhere.example", lines=QUICK))
    refused(
        lab,
        client,
        r"VERIFY X509NAME ERROR: .*CN=vpn\.office\.example.*must be vpn\.elsewhere\.example",
    )
    explained(client, r"vpn\.elsewhere\.example.* has 'vpn\.office\.example'")


def test_expired_server_certificate(lab: Lab) -> None:
    lab.start_server(ServerSetup(identity=lab.pki.expired_server))
    client = lab.client_process(lab.client_setup(lines=QUICK))
    refused(lab, client, r"VERIFY ERROR: depth=0, error=certificate has expired")
    explained(client, r"expired at \d{4}-\d\d-\d\d", "renewed")


def test_client_certificate_as_server(lab: Lab) -> None:
    """Another client may not pose as the server: remote-cert-tls server."""
    lab.start_server(ServerSetup(identity=lab.pki.second_client))
    client = lab.client_process(lab.client_setup(verify_name=None, lines=QUICK))
    refused(lab, client, r"VERIFY EKU ERROR|VERIFY ERROR: depth=0, error=.*purpose")


def test_revoked_server_certificate(lab: Lab) -> None:
    lab.start_server()
    lines = [*QUICK, f"crl-verify {lab.pki.revocation_list}"]
    client = lab.client_process(lab.client_setup(lines=lines))
    refused(lab, client, r"VERIFY ERROR: depth=0, error=certificate revoked")
    explained(client, "revoked by the list")


def test_server_refuses_our_certificate(lab: Lab) -> None:
    """A client certificate of another CA: the server's alert ends the handshake."""
    foreign = lab.pki.issue("foreign", "stranger", authority=lab.pki.other_authority)
    server = lab.start_server(ServerSetup(lines=QUICK))
    client = lab.client_process(lab.client_setup(identity=foreign, lines=QUICK))
    server.wait_for(r"VERIFY ERROR: depth=0")
    client.wait_for(TLS_ERROR_RESTART)
    assert client.process.count(COMPLETED) == 0


@dataclass(frozen=True, slots=True)
class KeyMismatch:
    server: Wrapping
    client: Wrapping
    other_key: bool


@pytest.mark.parametrize(
    "mismatch",
    [
        KeyMismatch(Wrapping.TLS_CRYPT, Wrapping.TLS_CRYPT, other_key=True),
        KeyMismatch(Wrapping.TLS_AUTH, Wrapping.TLS_AUTH, other_key=True),
        KeyMismatch(Wrapping.TLS_CRYPT_V2, Wrapping.TLS_CRYPT_V2, other_key=True),
        KeyMismatch(Wrapping.TLS_CRYPT, Wrapping.PLAIN, other_key=False),
        KeyMismatch(Wrapping.PLAIN, Wrapping.TLS_CRYPT, other_key=False),
        KeyMismatch(Wrapping.TLS_AUTH, Wrapping.TLS_CRYPT, other_key=False),
    ],
    ids=[
        "other-tls-crypt-key",
        "other-tls-auth-key",
        "other-tls-crypt-v2-key",
        "client-plain",
        "server-plain",
        "tls-crypt-against-tls-auth",
    ],
)
def test_wrong_control_channel_key(lab: Lab, mismatch: KeyMismatch) -> None:
    """The server does not answer; the client gives up at the hand-window and tries again."""
    server = lab.start_server(ServerSetup(wrapping=mismatch.server))
    wrong = lab.pki.static_key("wrong.key")
    wrong_v2 = lab.pki.crypt_v2_client_key("wrong-v2-client.key", "wrong-v2-server.key")
    lines = {
        Wrapping.TLS_CRYPT: [f"tls-crypt {wrong}"],
        Wrapping.TLS_AUTH: [f"tls-auth {wrong} 1"],
        Wrapping.TLS_CRYPT_V2: [f"tls-crypt-v2 {wrong_v2}"],
    }
    if mismatch.other_key:
        setup = lab.client_setup(wrapping=Wrapping.PLAIN, lines=[*lines[mismatch.client], *QUICK])
    else:
        setup = lab.client_setup(wrapping=mismatch.client, lines=QUICK)
    client = lab.client_process(setup)
    refused(
        lab,
        client,
        r"TLS Error: TLS key negotiation failed to occur within 4 seconds",
        r"TLS Error: TLS handshake failed",
    )
    assert "Peer Connection Initiated" not in server.log()
    explained(client, "tls-(auth|crypt)")


def test_no_common_cipher(lab: Lab) -> None:
    """The server says so, and the client ends."""
    server = lab.start_server(ServerSetup(ciphers=["AES-128-GCM"]))
    client = lab.client_process(lab.client_setup(ciphers=["CHACHA20-POLY1305"]))
    reason = r"AUTH_FAILED,Data channel cipher negotiation failed \(no shared cipher\)"
    client.wait_for(reason)
    assert client.process.wait_exit() == 0  # as OpenVPN 2.6 does: the server's word, not an error
    assert "SIGTERM[soft,auth-failure] received, process exiting" in client.log()
    assert server.process.status is None


def test_no_common_tls_version(lab: Lab) -> None:
    server = lab.start_server(ServerSetup(lines=["tls-version-min 1.3"]))
    client = lab.client_process(lab.client_setup(lines=["tls-version-max 1.2", *QUICK]))
    server.wait_for(r"(?i)unsupported protocol")
    refused(lab, client, r"TLS Error: TLS handshake failed")
    explained(client, "said nothing inside TLS.*tls-version-max")


def test_closed_port_is_not_the_end(lab: Lab) -> None:
    """The kernel says that nobody listens; the client keeps trying until somebody does."""
    client = lab.client_process(lab.client_setup(lines=["connect-timeout 2"]))
    client.wait_for(r"(?i)connection refused")
    lab.start_server()
    client.wait_connected(timeout=40)
    assert_carries(lab)


def test_full_pool_ends_in_a_message(lab: Lab) -> None:
    """A server that has no address left for a client is not mistaken for a working tunnel."""
    server = lab.start_server(
        ServerSetup(network="10.10.112.0 255.255.255.248", lines=["max-clients 1"])
    )
    first = lab.start_client()
    other = lab.add_laptop()
    setup = lab.client_setup(
        remotes=["203.0.113.1 1194"], identity=lab.pki.second_client, lines=QUICK
    )
    second = lab.client_process(setup, label="second", where=other)
    wait_until(
        lambda: "max-clients" in server.log() or "MULTI: new incoming connection" in server.log(),
        timeout=40,
        what="the server's refusal",
    )
    second.wait_for(r"TLS (key negotiation|handshake) failed|Error")
    assert second.process.count(COMPLETED) == 0
    assert first.process.status is None
