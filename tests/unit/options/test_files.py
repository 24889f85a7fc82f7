"""Files behind options: where they are looked for, and what is wrong with them."""

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.files import (
    MAX_FILE_BYTES,
    FileLoader,
    FileRef,
    check_directory,
    join_path,
    load_file,
)
from ginnel.options.values import Origin, Secret
from tests.unit.options.memory_files import (
    CA,
    CLIENT_KEY,
    CRL,
    KEY,
    SERVER_KEY,
    STATIC_KEY,
    MemoryFiles,
    pem,
)

HERE = Origin("c.conf", 9)
DER = b"\x30\x03\x02\x01\x01"
ENCRYPTED = KEY.replace(
    b"-----\n", b"-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1
).replace(b"PRIVATE", b"RSA PRIVATE")


def load(option: str, content: bytes) -> bytes:
    ref = FileRef(option=option, origin=HERE, path="f")
    return load_file(ref, MemoryFiles({"f": content}), "").content.reveal()


@pytest.mark.parametrize(
    ("option", "content"),
    [
        ("ca", CA),
        ("ca", b"subject: x\n" + CA + b"text\n" + CA),
        ("ca", CA.replace(b"\n", b"\r\n")),
        ("ca", pem("TRUSTED CERTIFICATE")),
        ("cert", CA + KEY),
        ("extra-certs", CA),
        ("key", KEY),
        ("key", pem("EC PARAMETERS") + pem("EC PRIVATE KEY")),
        ("key", pem("ENCRYPTED PRIVATE KEY")),
        ("key", ENCRYPTED),
        ("crl-verify", CRL),
        ("pkcs12", DER),
        ("tls-auth", STATIC_KEY),
        ("tls-crypt", STATIC_KEY.replace(b"\n", b"\r\n")),
        ("tls-crypt-v2", CLIENT_KEY),
        ("genkey", SERVER_KEY),
        ("auth-user-pass", b"alice\n"),
    ],
)
def test_good_files_are_taken_as_they_are(option: str, content: bytes) -> None:
    assert load(option, content) == content


@pytest.mark.parametrize(
    ("option", "content", "message"),
    [
        ("ca", b"", "no -----BEGIN"),
        ("ca", b"garbage", "no -----BEGIN"),
        ("ca", CA.split(b"-----END")[0], "no -----BEGIN"),
        ("ca", KEY, "it holds 'PRIVATE KEY'"),
        ("ca", DER, "no -----BEGIN"),
        ("ca", CA.replace(b"=", b"!"), "base64 is damaged"),
        ("ca", pem("CERTIFICATE", b"hello"), "not the right structure"),
        ("ca", CA + pem("CERTIFICATE", b"hello"), "not the right structure"),
        ("cert", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "right structure"),
        ("key", CA, "it holds 'CERTIFICATE'"),
        ("crl-verify", CA, "is not a revocation list"),
        ("pkcs12", CA, "is not a PKCS#12 bundle"),
        ("tls-auth", CA, "is not a static key"),
        ("tls-auth", STATIC_KEY.replace(b"0123", b"01", 1), "has 255 bytes, 256 were expected"),
        ("tls-crypt", STATIC_KEY.replace(b"0123", b"x123", 1), "is not hexadecimal"),
        ("tls-crypt-v2", SERVER_KEY, "it holds 'OpenVPN tls-crypt-v2 server key'"),
        ("genkey", CLIENT_KEY, "is not a tls-crypt-v2 server key"),
        ("auth-user-pass", b"\nsecret\n", "user name on its first line"),
        ("http-proxy", b"anna\n", "user name and password on two lines"),
        ("http-proxy-user-pass", b"\nsecret\n", "user name and password on two lines"),
        ("socks-proxy", b"anna\n\n", "user name and password on two lines"),
    ],
)
def test_bad_files_say_why(option: str, content: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(option, content)
    assert message in raised.value.message
    assert raised.value.origin == HERE
    assert raised.value.option == option


def test_a_missing_file_is_told_in_openvpns_words() -> None:
    with pytest.raises(ConfigError) as raised:
        load_file(FileRef(option="ca", origin=HERE, path="nope"), MemoryFiles({}), "")
    assert raised.value.message == (
        "--ca fails with 'nope': No such file or directory (errno=2) (c.conf:9)"
    )


def test_a_directory_is_not_a_file() -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load_file(FileRef(option="ca", origin=HERE, path="d"), MemoryFiles({"d": None}), "")


def test_an_inline_bundle_is_base64() -> None:
    good = FileRef(option="pkcs12", origin=HERE, path=None, inline=Secret(b"MAMC\nAQE=\n"))
    assert load_file(good, MemoryFiles({}), "").path is None
    bad = FileRef(option="pkcs12", origin=HERE, path=None, inline=Secret(DER))
    with pytest.raises(ConfigError, match="inline block is not a PKCS#12 bundle in base64"):
        load_file(bad, MemoryFiles({}), "")


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="is larger than"):
        load("ca", bytes(MAX_FILE_BYTES + 1))


def test_the_inline_word_needs_its_block() -> None:
    ref = FileRef(option="ca", origin=HERE, path="[inline]")
    with pytest.raises(ConfigError, match="needs a block <ca>"):
        load_file(ref, MemoryFiles({}), "")


@pytest.mark.parametrize(
    ("directory", "path", "joined"),
    [("", "a", "a"), ("d", "a", "d/a"), ("d/", "a", "d/a"), ("d", "/a", "/a"), ("/", "a", "/a")],
)
def test_paths_are_seen_from_a_directory(directory: str, path: str, joined: str) -> None:
    assert join_path(directory, path) == joined


def test_a_path_with_nul_never_reaches_the_file_system() -> None:
    memory = MemoryFiles({})
    with pytest.raises(ConfigError, match="NUL"):
        load_file(FileRef(option="ca", origin=HERE, path="a\0b"), memory, "")
    assert memory.asked == []


def test_directories_are_checked() -> None:
    memory = MemoryFiles({"d": None, "f": b""})
    assert check_directory(FileRef(option="capath", origin=HERE, path="d"), memory, "") == "d"
    for path, cause in (("f", "Not a directory"), ("x", "No such file")):
        with pytest.raises(ConfigError, match=f"--capath fails with '{path}': {cause}"):
            check_directory(FileRef(option="capath", origin=HERE, path=path), memory, "")


def test_a_loader_reads_a_file_once() -> None:
    memory = MemoryFiles({"w/f": CA})
    loader = FileLoader(memory, "w")
    ref = FileRef(option="ca", origin=HERE, path="f")
    assert loader.load(ref) == loader.load(ref)
    assert memory.asked == ["w/f"]


def test_contents_stay_out_of_messages_and_repr() -> None:
    ref = FileRef(option="key", origin=HERE, path="f")
    assert "MAMC" not in repr(load_file(ref, MemoryFiles({"f": KEY}), ""))
    with pytest.raises(ConfigError) as raised:
        load("tls-auth", STATIC_KEY.replace(b"0123", b"01", 1))
    assert "456789" not in raised.value.message
