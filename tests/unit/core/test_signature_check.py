"""Signatures from outside are known to be right or wrong before they are sent."""

from dataclasses import replace

import pytest

from ginnel.core.signature_check import signature_fits
from ginnel.core.signing import Scheme, SignatureRequest
from tests.unit.core.outside_keys import MAKERS, sign

REQUESTS = {
    "rsa": SignatureRequest(
        scheme=Scheme.RSA_PSS, hash_name="SHA256", message=b"message", key_bytes=256
    ),
    "p384": SignatureRequest(
        scheme=Scheme.ECDSA, hash_name="SHA384", message=b"message", key_bytes=104
    ),
    "ed25519": SignatureRequest(
        scheme=Scheme.ED25519, hash_name="", message=b"message", key_bytes=64
    ),
}


@pytest.mark.parametrize("kind", sorted(REQUESTS))
def test_only_the_key_of_the_certificate_will_do(kind: str) -> None:
    key, request = MAKERS[kind](), REQUESTS[kind]
    signature = sign(key, request)
    assert signature_fits(key.public_key(), request, signature)
    assert not signature_fits(MAKERS[kind]().public_key(), request, signature)
    assert not signature_fits(key.public_key(), replace(request, message=b"other"), signature)
    for broken in (b"", b"x", signature + b"x", signature[:-1]):
        assert not signature_fits(key.public_key(), request, broken)


def test_padding_matters() -> None:
    key, request = MAKERS["rsa"](), REQUESTS["rsa"]
    plain = replace(request, scheme=Scheme.RSA_PKCS1)
    assert signature_fits(key.public_key(), plain, sign(key, plain))
    assert not signature_fits(key.public_key(), request, sign(key, plain))


def test_what_cannot_be_told_passes() -> None:
    request = replace(REQUESTS["rsa"], scheme=Scheme.RSA_PKCS1, hash_name="MD5-SHA1")
    assert signature_fits(MAKERS["rsa"]().public_key(), request, b"x")
