"""Clients that may not in: what both sides say, and that those who may are not disturbed.

With GINNEL_INTEROP_SERVER=openvpn the same scenarios hold for the real server.
"""

import pytest

from tests.interop.checks import assert_reaches
from tests.interop.lab import ClientSetup, Fleet, Running, ServerSetup, Wrapping
from tests.interop.lab.fleet import HOME, client_address, variations
from tests.interop.lab.openvpn import COMPLETED

QUICK = ("hand-window 2", "connect-retry-max 1")


def start_all(fleet: Fleet, setups: dict[int, ClientSetup]) -> list[Running]:
    return [fleet.client_process(number, setup) for number, setup in setups.items()]


def assert_all_refused(clients: list[Running], said: str = "") -> None:
    for client in clients:
        client.wait_for(said)
        client.process.wait_exit()
        assert client.process.count(COMPLETED) == 0


def assert_welcome(fleet: Fleet, wrapping: Wrapping = Wrapping.TLS_CRYPT) -> None:
    """Who has the right keys is served, after all that."""
    fleet.start_client(3, fleet.client_setup(3, wrapping=wrapping))
    assert_reaches(fleet.client(3))


def test_certificates_that_are_not_good(fleet: Fleet) -> None:
    """Each line of the server names what is wrong with whose certificate."""
    pki = fleet.pki
    revoked = pki.issue("revoked", "revoked")
    bad = {
        1: pki.issue("stranger", "stranger", authority=pki.other_authority),
        2: pki.issue("old", "old", not_before_days=-100, not_after_days=-10),
        4: pki.server,
        5: revoked,
    }
    crl = pki.revoke("revoked-client.crl", revoked)
    lines = [f"crl-verify {crl}", "remote-cert-tls client", "hand-window 5"]
    server = fleet.start_server(ServerSetup(lines=lines))
    setups = {
        number: fleet.client_setup(number, identity=identity, lines=QUICK)
        for number, identity in bad.items()
    }
    clients = start_all(fleet, setups)
    error = "VERIFY ERROR: depth=0, error="
    for who, what in (
        (client_address(1), f"{error}unable to get local issuer certificate: .*CN=stranger"),
        (client_address(2), f"{error}certificate has expired: .*CN=old"),
        (HOME, f"VERIFY EKU ERROR|{error}unsuitable certificate purpose"),
        (HOME, f"{error}certificate revoked: .*CN=revoked"),
    ):
        server.wait_for(rf"{who}:\d+ ({what})")
    for number in (1, 2):
        server.wait_for(rf"{client_address(number)}:\d+ TLS Error: TLS handshake failed")
    assert_all_refused(clients)
    assert_welcome(fleet)


def test_other_keys_around_the_control_channel(fleet: Fleet) -> None:
    """No answer at all: who has no key learns nothing; the log says whence and what it was."""
    pki = fleet.pki
    lines = Wrapping.TLS_CRYPT_V2.server_lines(pki)
    server = fleet.start_server(ServerSetup(wrapping=Wrapping.TLS_CRYPT, lines=lines))
    wrong = pki.static_key("wrong.key")
    wrong_v2 = pki.crypt_v2_client_key("wrong-v2-client.key", "wrong-v2-server.key")
    keys = {1: [f"tls-crypt {wrong}"], 2: [f"tls-crypt-v2 {wrong_v2}"], 4: [], 5: []}
    keys[5] = [f"tls-auth {pki.static_key()} 1"]
    setups = {
        number: fleet.client_setup(number, wrapping=Wrapping.PLAIN, lines=[*key, *QUICK])
        for number, key in keys.items()
    }
    clients = start_all(fleet, setups)
    for address, said in (
        (client_address(1), "TLS Error: tls-crypt unwrapping failed from"),
        (client_address(2), "TLS Error: can not extract tls-crypt-v2 client key from"),
    ):
        server.wait_for(rf"{said} \[AF_INET\]{address}:\d+")
    assert_all_refused(clients, "TLS key negotiation failed to occur within 2 seconds")
    assert_welcome(fleet)


@pytest.mark.parametrize("key", variations(["other"], ["none"]))
def test_a_client_without_the_key_of_tls_auth(fleet: Fleet, key: str) -> None:
    server = fleet.start_server(ServerSetup(wrapping=Wrapping.TLS_AUTH))
    lines = [f"tls-auth {fleet.pki.static_key('wrong.key')} 1"] if key == "other" else []
    setup = fleet.client_setup(1, wrapping=Wrapping.PLAIN, lines=[*lines, *QUICK])
    client = fleet.client_process(1, setup)
    server.wait_for(
        r"TLS Error: (incoming packet authentication failed|cannot locate HMAC in incoming packet)"
        rf" from \[AF_INET\]{client_address(1)}:\d+"
    )
    assert_all_refused([client], "TLS key negotiation failed to occur within 2 seconds")
    assert_welcome(fleet, Wrapping.TLS_AUTH)


def test_clients_that_share_no_cipher(fleet: Fleet) -> None:
    """One says so itself, one is too old to say: both are told, and so is the log."""
    server = fleet.start_server(ServerSetup(ciphers=["AES-256-GCM"]))
    old = ["cipher AES-256-CBC", "ncp-disable"]
    setups = {
        1: fleet.client_setup(1, ciphers=["CHACHA20-POLY1305"]),
        2: fleet.client_setup(2, ciphers=["CHACHA20-POLY1305"], program="ginnel"),
        4: fleet.client_setup(4, ciphers=["AES-256-GCM"], lines=old, program="ginnel"),
    }
    clients = start_all(fleet, setups)
    said = "PUSH: No common cipher between server and client. Server data-ciphers: 'AES-256-GCM'"
    for number in (1, 2):
        server.wait_for(
            rf"client{number}/\S+ (WARNING: )?{said}, client supported ciphers 'CHACHA20-POLY1305'"
        )
    server.wait_for(
        r"client4/\S+ (WARNING: )?PUSH: No common cipher.*client supports cipher 'AES-256-CBC'"
    )
    assert_all_refused(clients, r"AUTH_FAILED,Data channel cipher negotiation failed")
    assert_welcome(fleet)
