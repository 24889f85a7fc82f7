"""Defaults of older releases, as openvpn 2.6 fills them in."""

import pytest

from ginnel.options.ciphers import DEFAULT_CIPHERS
from ginnel.options.errors import ConfigError
from ginnel.options.model import DataOptions
from tests.unit.options.memory_files import run


def data(*words: str) -> DataOptions:
    return run(*words).options.data


def test_today_changes_nothing() -> None:
    assert data("--compat-mode", "2.6.0") == DataOptions(compat_mode=20600)
    assert data("--compat-mode", "2.7") == DataOptions(compat_mode=20700)


def test_before_2_5_the_configured_cipher_may_be_negotiated() -> None:
    for words in (("--cipher",), ("--data-ciphers-fallback",)):
        chosen = data("--compat-mode", "2.4.9", *words, "AES-128-CBC")
        assert chosen.data_ciphers == (*DEFAULT_CIPHERS, "AES-128-CBC")
    assert data("--compat-mode", "2.4.0").data_ciphers == DEFAULT_CIPHERS


def test_before_2_4_it_is_the_fallback_and_blowfish_when_there_is_none() -> None:
    chosen = data("--compat-mode", "2.3.18", "--cipher", "AES-256-CBC")
    assert chosen.data_ciphers_fallback == "AES-256-CBC"
    chosen = data("--compat-mode", "2.3.18")
    assert (chosen.data_ciphers_fallback, chosen.configured_cipher) == ("BF-CBC", "BF-CBC")
    assert chosen.data_ciphers == (*DEFAULT_CIPHERS, "BF-CBC")


def test_before_2_3_7_tls_1_0_will_do() -> None:
    assert run("--compat-mode", "2.3.6").options.tls.tls_version_min == "1.0"
    assert run("--compat-mode", "2.3.7").options.tls.tls_version_min == "1.2"
    kept = run("--compat-mode", "2.3.6", "--tls-version-min", "1.2").options
    assert kept.tls.tls_version_min == "1.2"


@pytest.mark.parametrize("text", ["x", "2", "2.x.0", "2.4.0.1", "", "2.100.0"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot parse version number"):
        run("--compat-mode", text)


def test_without_negotiation_there_is_one_cipher() -> None:
    resolved = run("--ncp-disable", "--cipher", "AES-256-CBC")
    chosen = resolved.options.data
    assert not chosen.negotiates
    assert chosen.data_ciphers == ("AES-256-CBC",)
    assert chosen.data_ciphers_fallback == "AES-256-CBC"
    assert any("DEPRECATED OPTION: --ncp-disable" in note.text for note in resolved.notes)
    assert data("--ncp-disable").data_ciphers == ("BF-CBC",)


def test_a_cipher_that_must_be_used_must_be_there() -> None:
    for words in (("--ncp-disable",), ("--compat-mode", "2.3.0")):
        with pytest.raises(ConfigError, match="ARIA-128-CBC is not a cipher that ginnel has"):
            run(*words, "--cipher", "ARIA-128-CBC")


def test_before_2_6_compressed_packets_are_taken() -> None:
    assert data("--compat-mode", "2.5.9").allow_compression
    assert not data("--compat-mode", "2.6.0").allow_compression
    assert not data("--compat-mode", "2.5.9", "--allow-compression", "no").allow_compression
