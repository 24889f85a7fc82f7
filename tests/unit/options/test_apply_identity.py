"""Options about a key outside: what they set, and what they do not go together with."""

import pytest

from ginnel.options.actions import ShowPkcs11Ids
from ginnel.options.errors import ConfigError
from ginnel.options.model import ExternalKey, Pkcs11Options, TlsOptions
from tests.unit.options.memory_files import resolve_words, run

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


TOKEN = ("--pkcs11-providers", "/a.so", "/b.so", "--pkcs11-id", "m/o/s/l/01")


def test_a_token_and_its_libraries() -> None:
    options = run(
        *TOKEN,
        *("--pkcs11-cert-private", "0", "1"),
        *("--pkcs11-protected-authentication", "1"),
        *("--pkcs11-private-mode", "0", "1"),
        *("--pkcs11-pin-cache", "300"),
    ).options
    assert options.pkcs11 == Pkcs11Options(
        providers=("/a.so", "/b.so"),
        id="m/o/s/l/01",
        pin_cache=300,
        protected_authentication=(True,),
        private_mode=(0, 1),
        cert_private=(False, True),
    )
    assert options.pkcs11.wanted
    assert not run().options.pkcs11.wanted


def test_ids_are_shown_of_one_library_or_of_those_named() -> None:
    shown = resolve_words("--show-pkcs11-ids", "/x.so", "1")
    assert shown == ShowPkcs11Ids(options=Pkcs11Options(providers=("/x.so",), cert_private=(True,)))
    assert resolve_words("--show-pkcs11-ids") == ShowPkcs11Ids(options=Pkcs11Options())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pkcs11-providers", "/a.so"), "--pkcs11-id or --pkcs11-id-management should be"),
        ((*TOKEN, "--cert", "me.crt"), "--cert cannot be used when --pkcs11-providers"),
        ((*TOKEN, "--pkcs12", "me.crt"), "--pkcs12 cannot be used when --pkcs11-providers"),
        ((*TOKEN, *EXTERNAL[:-2]), "--management-external-key cannot be used when --pkcs11"),
        ((*TOKEN, *MANAGEMENT, "--pkcs11-id-management"), "--pkcs11-id cannot be used when"),
        (("--pkcs11-id-management",), "--management is not specified"),
        ((*TOKEN, "--pkcs11-private-mode", "4"), "only signing"),
        ((*TOKEN, "--pkcs11-private-mode", "zz"), "expected hexadecimal"),
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
