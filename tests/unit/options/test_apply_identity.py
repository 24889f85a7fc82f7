"""Options about a key outside: what they set, and what they do not go together with."""

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.model import ExternalKey, TlsOptions
from tests.unit.options.memory_files import run

MANAGEMENT = ("--management", "/run/m", "unix", "--management-client-user", "root")
EXTERNAL = (*MANAGEMENT, "--management-external-key", "--cert", "me.crt")


def tls(*words: str) -> TlsOptions:
    return run(*words).options.tls


def refused(*words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        run(*words)
    return caught.value.message


def test_what_the_client_can_do_adds_up() -> None:
    assert tls(*EXTERNAL).external_key == ExternalKey()
    more = tls(*EXTERNAL, "--management-external-key", "pss", "digest")
    assert more.external_key == ExternalKey(pss=True, digest=True)
    assert more.cert is not None
    assert more.key is None
    assert "pss" in refused(*EXTERNAL, "--management-external-key", "oaep")


def test_the_certificate_may_be_asked_for() -> None:
    asked = tls(*MANAGEMENT, "--management-external-key", "--management-external-cert", "my hint")
    assert (asked.cert, asked.external_cert) == (None, "my hint")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--management-external-key", "--cert", "me.crt"), "--management is not specified"),
        ((*EXTERNAL, "--key", "me.key"), "--key and --management-external-key are mutually"),
        ((*EXTERNAL, "--management-external-cert", "x"), "--cert and --management-external-cert"),
        ((*MANAGEMENT, "--management-external-key"), "--management-external-cert HINT"),
        ((*MANAGEMENT, "--management-external-cert", "x"), "must be used with"),
        ((*EXTERNAL[:-2], "--pkcs12", "me.crt"), "--management-external-key cannot be used when"),
        (("--cert", "me.crt"), "you must use them both"),
        (("--pkcs12", "me.crt", "--key", "me.key"), "Parameter --key cannot be used"),
    ],
)
def test_what_does_not_go_together(words: tuple[str, ...], said: str) -> None:
    assert said in refused(*words)
