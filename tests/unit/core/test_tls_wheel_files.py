"""Certificates and keys in PEM: what is found in a file, and what is said of one without."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from ginnel.core.tls_wheel_files import (
    PassphraseMissing,
    PassphraseRefused,
    decode_key,
    read_certificates,
    read_key,
)
from ginnel.options.values import Secret
from tests.sim.pki import issue, make_ca

CA = make_ca()
OWN = issue(CA, "own")
GARBLED = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_certificates_among_other_text() -> None:
    pem = b"first\n" + OWN.cert_pem() + OWN.key_pem() + b"then\n" + CA.cert_pem() + b"end"
    assert read_certificates(pem) == [OWN.der(), CA.der()]
    assert read_certificates(b"") == []
    assert read_certificates(b"nothing of the kind") == []


@pytest.mark.parametrize("before", [b"", CA.cert_pem()])
def test_one_that_cannot_be_read_spoils_the_file(before: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_certificates(before + GARBLED)
    with pytest.raises(ValueError, match=r"."):
        read_certificates(before + CA.cert_pem()[:-30])


def test_kinds_of_keys() -> None:
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signing = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
        OWN.key,
    )
    for key in signing:
        assert read_key(key.private_bytes(*form), None).can_sign
    for other in (x25519.X25519PrivateKey.generate(), dsa.generate_private_key(2048)):
        assert not read_key(other.private_bytes(*form), None).can_sign


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_passphrases(form: PrivateFormat) -> None:
    words = b"tomato"
    pem = OWN.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(words))
    assert read_key(pem, Secret(words)).can_sign
    with pytest.raises(PassphraseMissing):
        read_key(pem, None)
    for wrong in (b"potato", b"", b"x" * 5000):
        with pytest.raises(PassphraseRefused):
            read_key(pem, Secret(wrong))
    assert read_key(OWN.key_pem(), Secret(words)).can_sign


def test_what_is_no_key() -> None:
    for pem in (b"", b"nonsense", OWN.cert_pem()):
        with pytest.raises(ValueError, match=r"."):
            read_key(pem, None)
    with pytest.raises(ValueError, match=r"."):
        decode_key(b"\x30\x00")


def test_a_key_in_der() -> None:
    form = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert decode_key(OWN.key.private_bytes(*form)).can_sign
