"""What the TLS and login options set."""

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.model import NameMatch, TlsOptions, VerifyName
from tests.unit.options.memory_files import FINGERPRINT, run, run_config

DIGEST = bytes(range(32))
SHA1 = ":".join(["ab"] * 20)
HEAD = "client\nremote x\nca ca.crt\nauth-user-pass login\n"


def tls(*words: str) -> TlsOptions:
    return run(*words).options.tls


def test_fingerprints_add_up() -> None:
    block = f"<peer-fingerprint>\n# office\n{FINGERPRINT.lower()}\n\n; old\n</peer-fingerprint>\n"
    options = run_config(f"{HEAD}peer-fingerprint {FINGERPRINT}\n{block}").options
    assert options.tls.peer_fingerprint == (DIGEST, DIGEST)


@pytest.mark.parametrize("text", ["", "00", FINGERPRINT + ":00", "zz" * 32, "é" * 32])
def test_a_fingerprint_has_32_bytes(text: str) -> None:
    with pytest.raises(ConfigError, match="expected 32 bytes in hexadecimal"):
        tls("--peer-fingerprint", text)


def test_verify_hash_is_sha1_on_a_line_and_sha256_in_a_block() -> None:
    assert tls("--verify-hash", SHA1).verify_hash_algorithm == "SHA1"
    assert tls("--verify-hash", FINGERPRINT, "SHA256").verify_hash == (DIGEST,)
    block = run_config(f"{HEAD}<verify-hash>\n{FINGERPRINT}\n</verify-hash>\n").options.tls
    assert (block.verify_hash, block.verify_hash_algorithm) == ((DIGEST,), "SHA256")


def test_verify_hash_does_not_mix_algorithms() -> None:
    with pytest.raises(ConfigError, match="all must be of one kind"):
        tls("--verify-hash", SHA1, "--verify-hash", FINGERPRINT, "SHA256")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("a",), NameMatch.SUBJECT),
        (("a", "subject"), NameMatch.SUBJECT),
        (("a", "name"), NameMatch.NAME),
        (("a", "name-prefix"), NameMatch.NAME_PREFIX),
    ],
)
def test_verify_x509_name(words: tuple[str, ...], match: NameMatch) -> None:
    assert tls("--verify-x509-name", *words).verify_x509_name == VerifyName(name="a", match=match)


def test_an_empty_name_would_match_anyone() -> None:
    with pytest.raises(ConfigError, match="expected a name"):
        tls("--verify-x509-name", "", "name-prefix")


def test_remote_cert_tls_is_usage_and_role() -> None:
    options = tls("--remote-cert-tls", "server")
    assert options.remote_cert_ku == ()
    assert options.remote_cert_eku == "TLS Web Server Authentication"


def test_key_usage_masks() -> None:
    assert tls("--remote-cert-ku").remote_cert_ku == ()
    assert tls("--remote-cert-ku", "a0", "88", "0x80").remote_cert_ku == (0xA0, 0x88, 0x80)


@pytest.mark.parametrize("text", ["xyz", "", "0x", "12345", "-1"])
def test_key_usage_that_is_not_hex(text: str) -> None:
    with pytest.raises(ConfigError, match="hexadecimal key-usage masks"):
        tls("--remote-cert-ku", text)


def test_tls_versions() -> None:
    options = tls("--tls-version-min", "1.3", "or-highest", "--tls-version-max", "1.3")
    assert (options.tls_version_min, options.tls_version_max) == ("1.3", "1.3")
    assert options.tls_version_min_or_highest


def test_reneg_sec_of_a_client_is_exact() -> None:
    resolved = run("--reneg-sec", "100", "90")
    assert resolved.options.tls.reneg_sec == 100
    assert any("after exactly 100 seconds" in note.text for note in resolved.notes)
    with pytest.raises(ConfigError, match="must not be longer"):
        run("--reneg-sec", "90", "100")


def test_reneg_bytes_minus_one_is_the_default() -> None:
    assert tls("--reneg-bytes", "-1").reneg_bytes is None
    assert tls("--reneg-bytes", "1000").reneg_bytes == 1000


def test_a_revocation_list_is_a_file_or_a_directory() -> None:
    listed = tls("--crl-verify", "list.crl")
    assert listed.crl_verify is not None
    assert listed.crl_verify_dir is None
    directory = tls("--crl-verify", "list.crl", "--crl-verify", "dir", "dir")
    assert directory.crl_verify is None
    assert directory.crl_verify_dir == "dir"


@pytest.mark.parametrize(
    "words", [("--crl-verify", "list.crl", "dir"), ("--capath", "ca.crt"), ("--capath", "nope")]
)
def test_directories_must_be_there(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"Not a directory|No such file"):
        tls(*words)


def test_a_client_takes_the_word_that_means_something_to_a_server_only() -> None:
    notes = run("--tls-crypt-v2", "v2.key", "force-cookie").notes
    assert any("force-cookie has no effect here" in note.text for note in notes)
    run("--tls-crypt-v2", "v2.key", "allow-noncookie")


def test_client_is_pull_and_tls_client() -> None:
    assert run().options.pull
    text = "tls-client\nremote x\nca ca.crt\npkcs12 client.p12\n"
    assert not run_config(text, **{"client.p12": b"\x30"}).options.pull
