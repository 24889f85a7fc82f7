"""What the data channel options set."""

import pytest

from ginnel.options.ciphers import CIPHERS, DEFAULT_CIPHERS, canonical_digest
from ginnel.options.errors import ConfigError
from tests.unit.options.memory_files import run


@pytest.mark.parametrize("option", ["data-ciphers", "ncp-ciphers"])
def test_a_list_of_ciphers_in_any_case(option: str) -> None:
    data = run(f"--{option}", "aes-192-gcm:ChaCha20-Poly1305:AES-192-GCM").options.data
    assert data.data_ciphers == ("AES-192-GCM", "CHACHA20-POLY1305")


def test_the_default_token_stands_for_the_default_list() -> None:
    ciphers = run("--data-ciphers", "AES-192-GCM:DEFAULT").options.data.data_ciphers
    assert ciphers == ("AES-192-GCM", *DEFAULT_CIPHERS)


def test_optional_ciphers_may_be_missing() -> None:
    resolved = run("--data-ciphers", "?ARIA-256-CBC:?NOPE:?AES-128-GCM")
    assert resolved.options.data.data_ciphers == ("AES-128-GCM",)
    assert sum("is not available" in note.text for note in resolved.notes) == 2


def test_a_cipher_that_openvpn_has_and_we_do_not_is_named() -> None:
    with pytest.raises(ConfigError, match="'ARIA-256-CBC', ginnel does not have it"):
        run("--data-ciphers", "AES-256-GCM:ARIA-256-CBC")


def test_old_ciphers_are_taken() -> None:
    assert run("--data-ciphers", "bf-cbc:AES-256-CBC").options.data.data_ciphers == (
        "BF-CBC",
        "AES-256-CBC",
    )


def test_no_cipher_in_the_list_is_warned_about() -> None:
    notes = run("--data-ciphers", "AES-256-GCM:none").notes
    assert any("transmitted in clear text over the network" in note.text for note in notes)


def test_keysize() -> None:
    resolved = run("--keysize", "256", "--data-ciphers", "BF-CBC")
    assert resolved.options.data.keysize == 256
    assert not any(note.option == "keysize" for note in resolved.notes)
    notes = run("--keysize", "120").notes
    assert any("--keysize 120 has no effect" in note.text for note in notes)
    with pytest.raises(ConfigError, match="multiple of 8"):
        run("--keysize", "129")


def test_a_digest_of_tls_auth_alone_cannot_protect_data() -> None:
    assert run("--auth", "SM3").options.data.auth == "SM3"
    with pytest.raises(ConfigError, match="SM3 cannot authenticate packets of the data cipher BF"):
        run("--auth", "SM3", "--data-ciphers-fallback", "BF-CBC")


@pytest.mark.parametrize("text", ["NOPE", "", "AES-256-GCM:", "AES-256-GCM:NOPE"])
def test_an_unknown_cipher_lists_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="Unsupported cipher") as raised:
        run("--data-ciphers", text)
    assert all(cipher in raised.value.message for cipher in CIPHERS)


def test_nothing_but_missing_optional_ciphers_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no cipher of the list is available"):
        run("--data-ciphers", "?NOPE")


def test_an_overlong_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="longer than 127"):
        run("--data-ciphers", ":".join(["AES-256-GCM"] * 11))


def test_the_fallback() -> None:
    assert run("--data-ciphers-fallback", "aes-128-gcm").options.data.data_ciphers_fallback == (
        "AES-128-GCM"
    )
    assert run("--data-ciphers-fallback", "bf-cbc").options.data.data_ciphers_fallback == "BF-CBC"
    with pytest.raises(ConfigError, match="Unsupported cipher"):
        run("--data-ciphers-fallback", "NOPE")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("aes-128-gcm", "AES-128-GCM"), ("aes-256-cbc", "AES-256-CBC"), ("NONE", "none")],
)
def test_cipher_of_a_file_is_kept_for_the_peer(given: str, kept: str) -> None:
    assert run("--cipher", given).options.data.configured_cipher == kept


def test_cipher_of_a_file_does_not_decide_anything() -> None:
    assert run("--cipher", "AES-128-GCM").options.data.cipher is None
    with pytest.raises(ConfigError, match="Unsupported cipher"):
        run("--cipher", "NOPE")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sha256", "SHA256"),
        ("SHA-256", "SHA256"),
        ("RSA-SHA1", "SHA1"),
        ("blake2B512", "BLAKE2b512"),
        ("sha3-256", "SHA3-256"),
        ("none", "none"),
        ("[null]", None),
        ("", None),
    ],
)
def test_digest_names(text: str, name: str | None) -> None:
    assert canonical_digest(text) == name


def test_an_unknown_digest_is_refused() -> None:
    assert run("--auth", "sha512").options.data.auth == "SHA512"
    with pytest.raises(ConfigError, match="Message hash algorithm not found"):
        run("--auth", "SHA9")


def test_replay_window() -> None:
    data = run("--replay-window", "128").options.data
    assert (data.replay_window, data.replay_time) == (128, 15)
    data = run("--replay-window", "0", "600").options.data
    assert (data.replay_window, data.replay_time) == (0, 600)
    with pytest.raises(ConfigError, match="from 0 to 65536"):
        run("--replay-window", "65537")


def test_built_in_providers_are_there_and_others_are_not() -> None:
    run("--providers", "legacy", "default")
    with pytest.raises(ConfigError, match=r"failed to load provider 'tpm2'.*pkcs11"):
        run("--providers", "default", "tpm2")
