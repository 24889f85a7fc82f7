"""What cannot be a server is refused where openvpn 2.6 refuses it, and what it takes is taken."""

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.table import find_row
from tests.unit.options.memory_files import NET, VECTORS, resolve_case, serve

SAME = 40
"""Refusals in the very words of openvpn, at least; the others say more."""


@pytest.mark.parametrize("case", VECTORS["refusals"], ids=lambda case: case["lines"])
def test_what_openvpn_refuses_is_refused_by_name(case: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve_case(case["lines"])
    assert raised.value.option is not None
    assert find_row(raised.value.option) is not None
    assert raised.value.message


def test_most_refusals_have_the_words_of_openvpn() -> None:
    same = 0
    for case in VECTORS["refusals"]:
        with pytest.raises(ConfigError) as raised:
            resolve_case(case["lines"])
        same += case["error"] in raised.value.message
    assert same >= SAME


@pytest.mark.parametrize("lines", VECTORS["accepted"])
def test_what_openvpn_takes_is_taken(lines: str) -> None:
    resolve_case(lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--local", "192.0.2.1", "443", "tcp-client"), "say tcp-server"),
        (("--mtu-test",), "--mtu-test cannot be used with --mode server"),
        (("--ifconfig-noexec", "--tls-auth", "ta.key", "--auth", "none"), "needs a digest"),
        (("--local", "192.0.2.1", "1", "udp", "--port-share", "::1", "80"), "TCP server mode"),
        (("--local", "::1", "1", "tcp", "--fragment", "1300"), "only be used with --proto udp"),
        (("--plugin", "x.so"), "hook interface"),
        (("--pkcs11-id", "x"), "--pkcs11-id with --mode server is not supported"),
        (("--pkcs11-id-management",), "--pkcs11-id-management with --mode server is not"),
    ],
)
def test_further_mistakes_are_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        serve(*NET, *words)
    assert message in raised.value.message


def test_a_server_has_nobody_to_connect_to() -> None:
    with pytest.raises(ConfigError, match="--remote cannot be used with --mode server"):
        resolve_case("server 10.8.0.0 255.255.255.0;<connection>;remote 192.0.2.1;</connection>")


def test_a_names_address_cannot_be_resolved_into_a_servers_tunnel() -> None:
    words = ("--mode", "server", "--tls-server", "--ifconfig", "a.example", "10.0.0.2")
    with pytest.raises(ConfigError, match="addresses, not names"):
        serve(*words)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--duplicate-cn", "--ifconfig-pool-persist", "x"), "not work with --duplicate-cn"),
        (("--verify-client-cert", "none", "--ginnel-authenticator", "pam"), "DANGEROUS"),
        ((), "--topology net30 support for server configs"),
        (("--tls-crypt-v2-max-age", "3"), "no effect without --tls-crypt-v2"),
        (("--client-connect", "/bin/x"), "unless '--script-security 2' or higher"),
        (("--auth-user-pass-verify", "/bin/x", "via-file"), "unless '--script-security 2'"),
        (
            ("--auth-user-pass-verify", "/bin/x", "via-env", "--script-security", "2"),
            "unless '--script-security 3'",
        ),
        (("--proto", "tcp", "--explicit-exit-notify"), "ignored for --proto tcp"),
        (("--management", "127.0.0.1", "7505"), "WITHOUT passwords"),
        (("--cipher", "AES-256-CBC"), "missing in --data-ciphers"),
    ],
)
def test_what_is_dangerous_is_said(words: tuple[str, ...], text: str) -> None:
    assert any(text in note.text for note in serve(*NET, *words).notes)


def test_a_server_without_keepalive_is_told_so() -> None:
    notes = resolve_case("server 10.8.0.0 255.255.255.0;topology subnet").notes
    assert [note.option for note in notes] == ["keepalive"]
    assert not serve(*NET, "--topology", "subnet").notes


@pytest.mark.parametrize(
    "words",
    [
        ("--client-connect", "/bin/x", "--script-security", "2"),
        ("--auth-user-pass-verify", "/bin/x", "via-env", "--script-security", "3"),
    ],
)
def test_scripts_that_may_run_need_no_word(words: tuple[str, ...]) -> None:
    assert not serve(*NET, *words, "--topology", "subnet").notes
