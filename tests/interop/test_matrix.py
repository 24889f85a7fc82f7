"""Every control-channel wrapping with every data cipher against the real server."""

import pytest

from tests.interop.checks import assert_carries
from tests.interop.lab import Lab, ServerSetup, Wrapping
from tests.interop.lab.openvpn import DATA_CIPHERS


@pytest.mark.parametrize("cipher", DATA_CIPHERS)
@pytest.mark.parametrize("wrapping", Wrapping)
def test_tunnel_with(lab: Lab, wrapping: Wrapping, cipher: str) -> None:
    server = lab.start_server(ServerSetup(wrapping=wrapping))
    client = lab.start_client(lab.client_setup(wrapping=wrapping, ciphers=[cipher]))
    assert_carries(lab)
    assert f"cipher '{cipher}'" in client.wait_for(r"Data Channel: cipher .*$")
    # The server's own word for what protects the data.
    server.wait_for(rf"Data Channel: cipher '{cipher}'")
    client.stop(expect=0)
    assert "SIGTERM[hard,] received, process exiting" in client.log()


@pytest.mark.parametrize("digest", ["SHA256", "SHA512"])
@pytest.mark.parametrize("directed", [True, False])
def test_tls_auth_with_digest(lab: Lab, digest: str, directed: bool) -> None:
    key = lab.pki.static_key()
    ends = [" 0", " 1"] if directed else ["", ""]
    server_lines = [f"tls-auth {key}{ends[0]}", f"auth {digest}"]
    lab.start_server(ServerSetup(wrapping=Wrapping.PLAIN, lines=server_lines))
    client_lines = [f"tls-auth {key}{ends[1]}", f"auth {digest}"]
    lab.start_client(lab.client_setup(wrapping=Wrapping.PLAIN, lines=client_lines))
    assert_carries(lab)


def test_tls_crypt_v2_with_cookies_forced(lab: Lab) -> None:
    """The server keeps no state before the client has proved its address."""
    key = lab.pki.crypt_v2_server_key()
    lines = [f"tls-crypt-v2 {key} force-cookie"]
    lab.start_server(ServerSetup(wrapping=Wrapping.PLAIN, lines=lines))
    lab.start_client(lab.client_setup(wrapping=Wrapping.TLS_CRYPT_V2))
    assert_carries(lab)


def test_tls_crypt_v2_client_without_cookies(lab: Lab) -> None:
    """The server's other mode, which also serves clients of the release before cookies."""
    key = lab.pki.crypt_v2_server_key()
    lines = [f"tls-crypt-v2 {key} allow-noncookie"]
    lab.start_server(ServerSetup(wrapping=Wrapping.PLAIN, lines=lines))
    lab.start_client(lab.client_setup(wrapping=Wrapping.TLS_CRYPT_V2))
    assert_carries(lab)


def test_inline_keys_and_certificates(lab: Lab) -> None:
    """The usual single-file profile with everything in blocks."""
    pki = lab.pki
    lab.start_server(ServerSetup())
    files = {
        "ca": pki.authority.cert,
        "cert": pki.client.cert,
        "key": pki.client.key,
        "tls-crypt": pki.static_key(),
    }
    blocks = [f"<{name}>\n{path.read_text()}</{name}>" for name, path in files.items()]
    lab.start_client(lab.client_setup(wrapping=Wrapping.PLAIN, credentials=False, lines=blocks))
    assert_carries(lab)


def test_server_without_cipher_negotiation(lab: Lab) -> None:
    """A server that was told one cipher only and a client that falls back to it."""
    lab.start_server(ServerSetup(ciphers=["AES-256-GCM"], lines=['push "echo lab"']))
    setup = lab.client_setup(ciphers=["CHACHA20-POLY1305", "AES-256-GCM"])
    client = lab.start_client(setup)
    client.wait_for(r"Data Channel: cipher 'AES-256-GCM'")
    assert_carries(lab)


def test_aes_192(lab: Lab) -> None:
    lab.start_server(ServerSetup(ciphers=["AES-192-GCM"]))
    client = lab.start_client(lab.client_setup(ciphers=["AES-192-GCM"]))
    client.wait_for(r"Data Channel: cipher 'AES-192-GCM'")
    assert_carries(lab)
