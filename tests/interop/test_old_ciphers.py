"""Ciphers with an HMAC or without, and servers that do not negotiate, against the real one."""

import pytest

from tests.interop.checks import assert_carries
from tests.interop.lab import OFFICE_HOST, Lab, Running, ServerSetup
from tests.interop.lab.openvpn import COMPLETED, client_program

LEGACY = "providers legacy default"
NEW_KEY = r"Outgoing Data Channel: Cipher '[^']+' initialized"
PAIRINGS = [
    ("AES-128-CBC", "SHA512"),
    ("AES-256-CBC", "SHA1"),
    ("AES-256-CFB", "BLAKE2b512"),
    ("AES-128-OFB", "BLAKE2s256"),
    ("CAMELLIA-256-CBC", "SHA384"),
    ("BF-CBC", "MD5"),
    ("CAST5-CBC", "RIPEMD160"),
    ("DES-CBC", "SHA3-256"),
    ("DES-EDE3-CBC", "SHA256"),
    ("AES-192-CBC", "none"),
    ("none", "SHA512-256"),
    ("none", "none"),
]


def server_with(lab: Lab, cipher: str, *lines: str) -> Running:
    return lab.start_server(ServerSetup(ciphers=[cipher], lines=[LEGACY, *lines]))


@pytest.mark.parametrize(("cipher", "auth"), PAIRINGS)
def test_every_old_cipher_carries(lab: Lab, cipher: str, auth: str) -> None:
    server = server_with(lab, cipher, f"auth {auth}")
    lines = [LEGACY, f"auth {auth}"]
    client = lab.start_client(lab.client_setup(ciphers=[cipher], lines=lines))
    assert_carries(lab)
    shown = "null-cipher" if cipher == "none" else cipher
    digest = "null-digest" if auth == "none" else auth
    expected = rf"Data Channel: cipher '\[?{shown}\]?', auth '\[?{digest}\]?', peer-id: 0"
    for side in (server, client):
        side.wait_for(expected)
    said = client.log()
    assert ("'--cipher none' was specified" in said) == (cipher == "none")
    assert ("'--auth none' was specified" in said) == (auth == "none")
    short = cipher in ("BF-CBC", "CAST5-CBC", "DES-CBC", "DES-EDE3-CBC")
    assert (f"INSECURE cipher ({cipher}) with block size less than 128 bit" in said) == short
    limited = short or cipher == "none"
    assert ("reducing reneg-bytes to 64MB to mitigate SWEET32" in said) == limited


def test_a_stream_with_cbc_survives_renegotiations(lab: Lab) -> None:
    server = server_with(lab, "AES-256-CBC", "auth SHA256", "reneg-sec 0")
    lines = ["auth SHA256", "reneg-sec 3"]
    lab.start_client(lab.client_setup(ciphers=["AES-256-CBC"], lines=lines))
    start = server.mark()
    while server.process.count(NEW_KEY, since=start) < 2:
        assert lab.stream(OFFICE_HOST, push=True, size=8 << 20).intact
        assert lab.stream(OFFICE_HOST, push=False, size=8 << 20).intact


def test_the_python_engine_carries_them_too(lab: Lab) -> None:
    server_with(lab, "BF-CBC", "auth SHA512")
    setup = lab.client_setup(ciphers=["BF-CBC"], lines=[LEGACY, "auth SHA512"])
    program = ("env", "GINNEL_ENGINE=python", *client_program())
    lab.start_client(setup, program=program)
    assert_carries(lab)


def test_cbc_over_tcp(lab: Lab) -> None:
    lines = ["auth SHA256"]
    setup = ServerSetup(protocol="tcp-server", ciphers=["AES-256-CBC"], lines=lines)
    lab.start_server(setup)
    lab.start_client(lab.client_setup(protocol="tcp-client", ciphers=["AES-256-CBC"], lines=lines))
    assert_carries(lab)


# --- who decides on the cipher -----------------------------------------------------------------


def test_a_client_of_2_4_with_negotiation_off(lab: Lab) -> None:
    """The server hears of one cipher, in the options string, and takes it."""
    server = server_with(lab, "AES-256-GCM:AES-256-CBC")
    client = lab.start_client(
        lab.client_setup(ciphers=["AES-256-GCM"], lines=["ncp-disable", "cipher AES-256-CBC"])
    )
    assert_carries(lab)
    assert "IV_CIPHERS" not in server.log()
    assert "IV_NCP" not in server.log()
    client.wait_for("Data Channel: cipher 'AES-256-CBC', auth 'SHA1'")


def test_a_server_of_2_3_and_its_blowfish(lab: Lab) -> None:
    """Both ends use what old releases used when nobody said anything."""
    lines = [LEGACY, "compat-mode 2.3.0"]
    lab.start_server(ServerSetup(lines=lines))
    client = lab.start_client(lab.client_setup(lines=[*lines, "ncp-disable"]))
    assert_carries(lab)
    client.wait_for("Data Channel: cipher 'BF-CBC', auth 'SHA1'")


def test_the_servers_options_string_decides_where_nothing_is_pushed(lab: Lab) -> None:
    server_with(lab, "AES-256-CBC", "cipher AES-256-CBC")
    lines = ['pull-filter ignore "cipher"', "compat-mode 2.4.0", "cipher AES-256-CBC"]
    client = lab.start_client(lab.client_setup(lines=lines))
    assert_carries(lab)
    client.wait_for("Data Channel: cipher 'AES-256-CBC'")


def test_the_fallback_serves_a_server_that_tells_nothing(lab: Lab) -> None:
    server_with(lab, "AES-128-CBC", "disable-occ")
    lines = ['pull-filter ignore "cipher"', "data-ciphers-fallback AES-128-CBC"]
    ciphers = ["AES-256-GCM", "AES-128-CBC"]
    client = lab.start_client(lab.client_setup(ciphers=ciphers, lines=lines))
    assert_carries(lab)
    client.wait_for("Data Channel: cipher 'AES-128-CBC'")


def test_without_a_fallback_the_line_names_it(lab: Lab) -> None:
    server_with(lab, "AES-128-CBC", "disable-occ")
    lines = ['pull-filter ignore "cipher"']
    setup = lab.client_setup(ciphers=["AES-256-GCM", "AES-128-CBC"], lines=lines)
    client = lab.client_process(setup)
    client.wait_for(r"data-ciphers-fallback")
    assert client.process.count(COMPLETED) == 0


def test_a_cipher_that_is_not_accepted_is_named_with_the_list(lab: Lab) -> None:
    server_with(lab, "AES-256-CBC", "cipher AES-256-CBC")
    lines = ['pull-filter ignore "cipher"']
    client = lab.client_process(lab.client_setup(lines=lines))
    client.wait_for(r"AUTH_FAILED,Data channel cipher negotiation failed \(no shared cipher\)")
    assert client.process.count(COMPLETED) == 0


def test_another_digest_than_the_servers_is_said_aloud(lab: Lab) -> None:
    """Not a byte passes: the line with the cause is there before anybody wonders."""
    server = server_with(lab, "AES-256-CBC", "auth SHA512")
    setup = lab.client_setup(ciphers=["AES-256-CBC"], lines=["auth SHA256"])
    client = lab.start_client(setup)
    cause = "'auth' is used inconsistently, local='auth SHA256', remote='auth SHA512'"
    client.wait_for(cause)
    server.wait_for("packet HMAC authentication failed", timeout=40)
