"""Tunnels between two peers: which parts exclude each other, and what each of them needs."""

import pytest

from ginnel.options.actions import RunClient
from ginnel.options.errors import ConfigError
from ginnel.options.model import KeyDirection
from tests.unit.options.memory_files import resolve_words

CA = ("--ca", "ca.crt")
PAIR = ("--cert", "me.crt", "--key", "me.key")
SECRET = ("--secret", "ta.key")
CBC = ("--cipher", "AES-256-CBC")


def peer(*words: str) -> RunClient:
    resolved = resolve_words("--dev", "tun", *words)
    assert isinstance(resolved, RunClient)
    return resolved


@pytest.mark.parametrize(
    ("words", "direction"),
    [
        (SECRET, KeyDirection.NONE),
        ((*SECRET, "0"), KeyDirection.NORMAL),
        ((*SECRET, "1"), KeyDirection.INVERSE),
        ((*SECRET, "--key-direction", "1"), KeyDirection.INVERSE),
    ],
)
def test_a_static_key_has_a_direction(words: tuple[str, ...], direction: KeyDirection) -> None:
    options = peer(*words, *CBC, "--remote", "x").options
    assert options.data.static_key is not None
    assert options.data.static_key_direction is direction
    assert not options.pull


def test_a_static_key_without_cipher_takes_the_old_default_and_says_so() -> None:
    resolved = peer(*SECRET)
    assert resolved.options.data.configured_cipher == "BF-CBC"
    assert any("BF-CBC, which is weak" in note.text for note in resolved.notes)


def test_whoever_says_that_static_crypto_is_meant_is_not_warned() -> None:
    def warned(*words: str) -> bool:
        return any("--secret is deprecated" in note.text for note in peer(*words).notes)

    assert warned(*SECRET, *CBC)
    assert not warned(*SECRET, *CBC, "--allow-deprecated-insecure-static-crypto")


def test_a_peer_without_remote_waits_for_anybody() -> None:
    (profile,) = peer(*SECRET, *CBC).options.profiles
    assert (profile.host, profile.float, profile.bind, profile.lport) == ("", True, True, "1194")


def test_a_peer_may_be_the_tls_server() -> None:
    options = peer("--tls-server", *CA, *PAIR, "--dh", "none").options
    assert options.tls.tls_server
    assert not options.pull


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*SECRET, "--tls-client"), "--tls-client, --secret exclude each other"),
        (("--tls-server", "--tls-client"), "--tls-client, --tls-server exclude each other"),
        (("--client", "--tls-server"), "exclude each other"),
        (("--pull",), "--pull needs --tls-client"),
        ((), "nothing says which role"),
        ((*SECRET, "--cipher", "AES-256-GCM"), "cannot be used with --secret"),
        ((*SECRET, *CBC, "--auth-user-pass", "login"), "makes a tunnel without TLS"),
        ((*SECRET, *CBC, "--mtu-test"), "--mtu-test is not supported with --secret"),
        (("--tls-server", *CA), "--tls-server needs a certificate"),
        (("--tls-server", *PAIR), "You must define CA file"),
        (
            ("--tls-server", *CA, *PAIR, "--tls-crypt-v2", "v2.key"),
            "--tls-crypt-v2 with --tls-server is not supported",
        ),
    ],
)
def test_what_cannot_work_between_peers_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        peer(*words)
    assert message in str(raised.value)


def test_a_client_that_pulls_still_needs_a_remote() -> None:
    with pytest.raises(ConfigError, match="server to connect to"):
        peer("--client", *CA, *PAIR)
