"""Loading the system's library, and what is said where there is none."""

import ctypes

import pytest

from ginnel.core import libssl
from ginnel.core.errors import ConfigError


def test_functions_are_called_by_name() -> None:
    lib = libssl.load_libssl()
    assert libssl.text(lib.X509_verify_cert_error_string(10)) == "certificate has expired"
    assert libssl.text(0) == ""
    assert lib.error_reason() == "TLS error", "nothing is in the queue"
    with pytest.raises(AttributeError):
        _ = lib.SSL_no_such_function


def test_a_system_without_it_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(ConfigError, match="needs the system's OpenSSL 3"):
        libssl.load_libssl.__wrapped__()
