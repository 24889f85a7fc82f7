"""Who each side is: certificates in every form, passwords, key rules, TLS settings."""

import signal
from pathlib import Path

import pytest

from tests.interop.checks import assert_carries
from tests.interop.lab import Lab, Running, ServerSetup
from tests.interop.lab.openvpn import COMPLETED
from tests.interop.lab.pki import KEY_PASSPHRASE, PKCS12_PASSPHRASE, Pki

TLS_ERROR_RESTART = r"SIGUSR1\[soft,tls-error\] received, process restarting"


def secret_file(lab: Lab, name: str, text: str) -> Path:
    path = lab.directory / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def password_server(lab: Lab, *extra: str) -> Running:
    """A server whose script lets in one user only."""
    script = lab.directory / "verify.sh"
    script.write_text('#!/bin/sh\n[ "$(cat "$1")" = "$(printf "ada\\nlovelace 1815")" ]\n')
    script.chmod(0o755)
    lines = [f"auth-user-pass-verify {script} via-file", *extra]
    return lab.start_server(ServerSetup(lines=lines))


def test_password_accepted(lab: Lab) -> None:
    password_server(lab)
    login = secret_file(lab, "login", "ada\nlovelace 1815\n")
    lab.start_client(lab.client_setup(lines=[f"auth-user-pass {login}"]))
    assert_carries(lab)


def test_password_inline_without_client_certificate(lab: Lab) -> None:
    password_server(lab, "verify-client-cert none", "username-as-common-name")
    lines = [f"ca {lab.pki.authority.cert}"]
    lines += ["<auth-user-pass>\nada\nlovelace 1815\n</auth-user-pass>"]
    lab.start_client(lab.client_setup(credentials=False, lines=lines))
    assert_carries(lab)


def test_password_refused(lab: Lab) -> None:
    password_server(lab)
    login = secret_file(lab, "login", "ada\nbyron\n")
    client = lab.client_process(lab.client_setup(lines=[f"auth-user-pass {login}"]))
    assert client.process.wait_exit(20) == 0
    assert "AUTH: Received control message: AUTH_FAILED" in client.log()
    assert "SIGTERM[soft,auth-failure] received, process exiting" in client.log()
    assert "byron" not in client.log()
    assert client.process.count(COMPLETED) == 0


def test_password_refused_with_retry(lab: Lab) -> None:
    password_server(lab)
    login = secret_file(lab, "login", "ada\nbyron\n")
    lines = [f"auth-user-pass {login}", "auth-retry nointeract"]
    client = lab.client_process(lab.client_setup(lines=lines))
    client.wait_for(r"SIGUSR1\[soft,auth-failure\] received, process restarting")
    assert client.process.status is None


def test_auth_token_outlives_a_renegotiation(lab: Lab) -> None:
    """The server replaces the password by a token; renegotiations use it."""
    server = password_server(lab, "auth-gen-token 3600")
    login = secret_file(lab, "login", "ada\nlovelace 1815\n")
    lines = [f"auth-user-pass {login}", "auth-nocache", "reneg-sec 2"]
    client = lab.start_client(lab.client_setup(lines=lines))
    mark = server.mark()
    server.process.wait_count(
        r"Outgoing Data Channel: Cipher '[^']+' initialized", 2, timeout=40, since=mark
    )
    assert "lovelace" not in client.log()
    assert "SESS_ID_AT_" not in client.log()
    assert_carries(lab)


def test_auth_token_serves_the_next_connection(lab: Lab) -> None:
    """A restart logs in with the token: a second factor would not be asked for again."""
    server = password_server(lab, "auth-gen-token 3600")
    login = secret_file(lab, "login", "ada\nlovelace 1815\n")
    client = lab.start_client(lab.client_setup(lines=[f"auth-user-pass {login}"]))
    restarted, mark = client.mark(), server.mark()
    client.send(signal.SIGUSR1)
    client.wait_connected(since=restarted)
    server.wait_for("Username/auth-token authentication succeeded for username 'ada'", since=mark)
    assert_carries(lab)


def test_encrypted_key_with_askpass(lab: Lab) -> None:
    lab.start_server()
    phrase = secret_file(lab, "phrase", KEY_PASSPHRASE + "\n")
    pki = lab.pki
    lines = [
        f"ca {pki.authority.cert}",
        f"cert {pki.client.cert}",
        f"key {pki.encrypted_client_key}",
        f"askpass {phrase}",
    ]
    lab.start_client(lab.client_setup(credentials=False, lines=lines))
    assert_carries(lab)


def test_encrypted_key_with_a_wrong_passphrase(lab: Lab) -> None:
    phrase = secret_file(lab, "phrase", "not this one\n")
    pki = lab.pki
    lines = [
        f"ca {pki.authority.cert}",
        f"cert {pki.client.cert}",
        f"key {pki.encrypted_client_key}",
        f"askpass {phrase}",
    ]
    client = lab.client_process(lab.client_setup(credentials=False, lines=lines))
    assert client.process.wait_exit(15) == 1
    assert "not this one" not in client.log()
    client.wait_for(r"(?i)(private key|decrypt|passphrase|password)")


def test_pkcs12(lab: Lab) -> None:
    lab.start_server()
    phrase = secret_file(lab, "phrase", PKCS12_PASSPHRASE + "\n")
    lines = [f"pkcs12 {lab.pki.client_pkcs12}", f"askpass {phrase}"]
    lab.start_client(lab.client_setup(credentials=False, lines=lines))
    assert_carries(lab)


def test_peer_fingerprint_without_authority(lab: Lab) -> None:
    pki = lab.pki
    lines = [f"peer-fingerprint {pki.client.fingerprint}"]
    lab.start_server(ServerSetup(ca=False, lines=lines))
    mine = [f"cert {pki.client.cert}", f"key {pki.client.key}"]
    setup = lab.client_setup(
        credentials=False,
        verify_name=None,
        lines=[*mine, f"peer-fingerprint {pki.server.fingerprint}"],
    )
    lab.start_client(setup)
    assert_carries(lab)


def test_wrong_peer_fingerprint(lab: Lab) -> None:
    pki = lab.pki
    lab.start_server()
    mine = [f"cert {pki.client.cert}", f"key {pki.client.key}", "hand-window 4"]
    setup = lab.client_setup(
        credentials=False,
        verify_name=None,
        lines=[*mine, f"peer-fingerprint {pki.second_client.fingerprint}"],
    )
    client = lab.client_process(setup)
    client.wait_for(r"(?i)fingerprint")
    client.wait_for(TLS_ERROR_RESTART)
    assert client.process.count(COMPLETED) == 0


def test_revocation_list_that_revokes_nobody(lab: Lab) -> None:
    lab.start_server()
    lines = [f"crl-verify {lab.pki.empty_revocation_list}"]
    lab.start_client(lab.client_setup(lines=lines))
    assert_carries(lab)


@pytest.mark.parametrize(
    "rule",
    [
        "verify-x509-name 'C=GB, O=Example, CN=vpn.office.example' subject",
        "verify-x509-name vpn.office.example name",
        "verify-x509-name vpn. name-prefix",
        "remote-cert-eku 'TLS Web Server Authentication'",
        "remote-cert-eku 1.3.6.1.5.5.7.3.1",
        "remote-cert-ku 88",
    ],
)
def test_rule_that_the_server_meets(lab: Lab, rule: str) -> None:
    lab.start_server()
    lab.start_client(lab.client_setup(verify_name=None, lines=[rule]))
    assert_carries(lab)


@pytest.mark.parametrize(
    "rule",
    [
        "verify-x509-name 'C=GB, O=Example, CN=other' subject",
        "verify-x509-name mail. name-prefix",
        "remote-cert-eku 'Code Signing'",
        "remote-cert-ku 06",
    ],
)
def test_rule_that_the_server_breaks(lab: Lab, rule: str) -> None:
    lab.start_server()
    lines = [rule, "hand-window 4"]
    client = lab.client_process(lab.client_setup(verify_name=None, lines=lines))
    client.wait_for(r"VERIFY (X509NAME |KU |EKU )?ERROR")
    client.wait_for(TLS_ERROR_RESTART)
    assert client.process.count(COMPLETED) == 0


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_version(lab: Lab, version: str) -> None:
    lab.start_server()
    lines = [f"tls-version-min {version}", f"tls-version-max {version}", "reneg-sec 3"]
    client = lab.start_client(lab.client_setup(lines=lines))
    client.wait_for(rf"Control Channel: TLSv{version}, cipher ")
    assert_carries(lab)
    mark = client.mark()
    client.wait_for(rf"Control Channel: TLSv{version}, cipher ", since=mark)
    assert_carries(lab)


def test_chosen_suites_and_groups(lab: Lab) -> None:
    lab.start_server()
    lines = [
        "tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256",
        "tls-groups secp384r1",
        "tls-cert-profile preferred",
    ]
    client = lab.start_client(lab.client_setup(lines=lines))
    client.wait_for(r"Control Channel: TLSv1\.3, cipher .*TLS_CHACHA20_POLY1305_SHA256")
    assert_carries(lab)


def test_chosen_cipher_of_tls_1_2(lab: Lab) -> None:
    lab.start_server()
    lines = ["tls-version-max 1.2", "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"]
    client = lab.start_client(lab.client_setup(lines=lines))
    client.wait_for(r"Control Channel: TLSv1\.2, cipher .*ECDHE-ECDSA-AES128-GCM-SHA256")
    assert_carries(lab)


def test_rsa_certificates(lab: Lab, run_directory: Path) -> None:
    rsa = Pki(run_directory / "pki-rsa", use_rsa=True)
    lab.start_server(ServerSetup(identity=rsa.server, ca=False, lines=[f"ca {rsa.authority.cert}"]))
    client = lab.start_client(lab.client_setup(ca=rsa.authority.cert, identity=rsa.client))
    client.wait_for(r"Control Channel: TLSv1\.3, .*2048 bits? RSA")
    assert_carries(lab)


def test_two_clients_at_once(lab: Lab) -> None:
    """Two laptops, two certificates; each reaches the office, and one leaving hurts nobody."""
    server = lab.start_server()
    first = lab.start_client(label="first")
    other = lab.add_laptop()
    setup = lab.client_setup(remotes=["203.0.113.1 1194"], identity=lab.pki.second_client)
    second = lab.start_client(setup, label="second", where=other)
    server.wait_for(r"primary virtual IP for laptop/")
    server.wait_for(r"primary virtual IP for second-laptop/")
    assert_carries(lab)
    other.wait_ping("10.11.5.19")
    first.stop(expect=0)
    assert other.ping("10.11.5.19") == 3
    second.stop(expect=0)
