"""Rules between options."""

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.model import DeviceType
from tests.unit.options.memory_files import FINGERPRINT, resolve_words, run

CLIENT = ("--client", "--remote", "x")
CA = ("--ca", "ca.crt")
LOGIN = ("--auth-user-pass", "login")
PAIR = ("--cert", "me.crt", "--key", "me.key")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--remote", "x", *CA, *LOGIN), "which role to take"),
        (("--pull", "--remote", "x", *CA, *LOGIN), "--pull needs --tls-client"),
        ((*CLIENT, *LOGIN), "You must define CA file (--ca)"),
        ((*CLIENT, *CA), "No client-side authentication method is specified"),
        ((*CLIENT, *CA, "--cert", "me.crt"), "you must use them both"),
        ((*CLIENT, *CA, "--key", "me.key", *LOGIN), "you must use them both"),
        ((*CLIENT, "--pkcs12", "b", *PAIR), "--cert cannot be used when --pkcs12"),
        (
            (*CLIENT, *CA, *LOGIN, "--tls-version-min", "1.3", "--tls-version-max", "1.2"),
            "--tls-version-max 1.2 is lower than",
        ),
        (
            (
                *CLIENT,
                *LOGIN,
                "--verify-hash",
                FINGERPRINT,
                "SHA256",
                "--peer-fingerprint",
                FINGERPRINT,
            ),
            "exclude each other",
        ),
        ((*CLIENT, *CA, *LOGIN, "--dev", "office"), "add --dev-type tun"),
    ],
)
def test_what_cannot_work_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve_words(*words)
    assert message in raised.value.message


@pytest.mark.parametrize(
    "words",
    [
        (*CLIENT, *CA, *PAIR),
        (*CLIENT, "--peer-fingerprint", FINGERPRINT, *PAIR),
        (*CLIENT, "--capath", "dir", *PAIR),
        (*CLIENT, "--pkcs12", "bundle"),
        ("--tls-client", "--pull", "--remote", "x", *CA, *PAIR),
        ("--tls-client", "--remote", "x", *CA, *PAIR),
        (*CLIENT, *CA, *PAIR, "--mode", "p2p"),
        (*CLIENT, *CA, *PAIR, "--dev", "office", "--dev-type", "tun"),
    ],
)
def test_what_can_work_is_taken(words: tuple[str, ...]) -> None:
    resolve_words(*words, files={"bundle": b"\x30\x03\x02\x01\x01"})


def test_a_named_device_keeps_its_name() -> None:
    tun = run("--dev", "office", "--dev-type", "tun").options.tun
    assert (tun.dev, tun.dev_type) == ("office", DeviceType.TUN)


def warnings(*words: str) -> str:
    return "\n".join(str(note) for note in run(*words).notes)


def test_an_unverified_server_is_warned_about() -> None:
    line = "WARNING: No server certificate verification method has been enabled."
    assert line in warnings()


@pytest.mark.parametrize(
    "words",
    [
        ("--remote-cert-tls", "server"),
        ("--verify-x509-name", "server"),
        ("--peer-fingerprint", FINGERPRINT),
        ("--remote-cert-ku", "a0"),
        ("--remote-cert-eku", "serverAuth"),
        ("--ns-cert-type", "server"),
        ("--tls-verify", "/bin/true"),
    ],
)
def test_a_verified_server_is_not(words: tuple[str, ...]) -> None:
    assert "verification method" not in warnings(*words)


def test_cached_passwords_are_warned_about() -> None:
    assert "may cache passwords in memory" in warnings()
    assert "may cache passwords" not in warnings("--auth-nocache")


def test_a_cipher_that_is_not_negotiated_is_said_aloud() -> None:
    assert "--cipher set to 'AES-256-CBC' but missing in --data-ciphers" in warnings(
        "--cipher", "AES-256-CBC"
    )
    assert "--cipher set" not in warnings("--cipher", "aes-256-gcm")
