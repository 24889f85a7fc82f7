"""The self-test passes with good formats and notices broken ones."""

import pytest

from ginnel.cli import crypto_test
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.digests import digest_named
from ginnel.core.key_derivation import KeyShape
from ginnel.core.key_files import StaticKey, render_static_key
from ginnel.dataclass import replace
from ginnel.dataplane import formats
from ginnel.options.actions import TestCrypto
from ginnel.options.errors import ConfigError
from ginnel.options.model import ProcessOptions
from ginnel.options.values import FileContent, Origin, Secret

KEY = StaticKey(Secret(bytes(range(256))))
GCM = KeyShape(cipher=DataCipher.AES_256_GCM, format=DataFormat.V2)
QUIET = ProcessOptions(suppress_timestamps=True)


def action(text: str, cipher: str | None = None) -> TestCrypto:
    key = FileContent(
        option="secret",
        origin=Origin("[CMD-LINE]", 1),
        path="key",
        content=Secret(text.encode()),
    )
    return TestCrypto(key=key, cipher=cipher, auth="SHA1")


@pytest.mark.parametrize("cipher", list(DataCipher))
@pytest.mark.parametrize("auth", ["SHA256", "none"])
def test_every_cipher_and_format_passes(cipher: DataCipher, auth: str) -> None:
    digest = None if cipher.is_aead or auth == "none" else digest_named(auth)
    forms = crypto_test.formats_of(cipher)
    assert forms
    for form in forms:
        shape = KeyShape(cipher=cipher, format=form, digest=digest)
        assert crypto_test.check_format(KEY, shape, largest=70) is None


@pytest.mark.parametrize("cipher", ["bf-cbc", "none", "AES-256-CFB"])
def test_old_ciphers_pass_by_name(cipher: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert crypto_test.run(action(render_static_key(KEY), cipher), QUIET) == 0
    assert capfd.readouterr().out.endswith("OpenVPN crypto self-test mode SUCCEEDED.\n")


def test_a_digest_the_system_lacks_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    wrong = replace(action(render_static_key(KEY), "AES-256-CBC"), auth="whirlpool")
    assert crypto_test.run(wrong, QUIET) == 1
    assert "unknown message digest 'whirlpool'" in capfd.readouterr().out


def test_output_has_the_lines_scripts_wait_for(capfd: pytest.CaptureFixture[str]) -> None:
    assert crypto_test.run(action(render_static_key(KEY)), QUIET) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "Entering OpenVPN crypto self-test mode."
    assert lines[1] == "TESTING ENCRYPT/DECRYPT of packet length=1"
    assert lines[-2] == f"TESTING ENCRYPT/DECRYPT of packet length={crypto_test.MAX_PAYLOAD}"
    assert lines[-1] == "OpenVPN crypto self-test mode SUCCEEDED."
    assert len(lines) == crypto_test.MAX_PAYLOAD + 2


def test_a_cipher_we_do_not_have_fails(capfd: pytest.CaptureFixture[str]) -> None:
    assert crypto_test.run(action(render_static_key(KEY), "ARIA-128-CBC"), QUIET) == 1
    assert (
        capfd.readouterr().out == "Cipher ARIA-128-CBC not supported\nExiting due to fatal error\n"
    )


def test_without_a_key_it_says_what_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    assert crypto_test.run(TestCrypto(key=None, cipher=None, auth="SHA1"), QUIET) == 1
    assert capfd.readouterr().out.startswith("Options error: You must define key file (--secret)\n")


def test_a_file_that_is_no_key_is_an_error() -> None:
    with pytest.raises(ConfigError):
        crypto_test.run(action("nothing"), QUIET)


def test_a_change_on_the_way_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def leave_out_a_byte(*arguments: object) -> bytes:
        return b"x"

    monkeypatch.setattr(formats, "open_classic", leave_out_a_byte)
    failure = crypto_test.check_format(KEY, GCM)
    assert failure == "a forged packet of length 1 was accepted"
    assert crypto_test.run(action(render_static_key(KEY)), QUIET) == 1
    out = capfd.readouterr().out
    assert "SELF TEST FAILED, AES-256-GCM v1: a forged packet of length 1 was accepted" in out
    assert "SUCCEEDED" not in out


def test_a_refusal_of_a_good_packet_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> bytes:
        raise formats.Unauthentic

    monkeypatch.setattr(formats, "open_classic", refuse)
    failure = crypto_test.check_format(KEY, GCM)
    assert failure == "a packet of length 1 was refused: auth"
