"""Blocks and digests of RSA, checked by a library that verifies what is made of them."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ginnel.core.padding import digest, digest_info, pkcs1_block, pss_block
from ginnel.core.signing import Scheme, SignatureRequest
from tests.unit.core.outside_keys import HASHES

KEY = rsa.generate_private_key(65537, 2048)
REQUEST = SignatureRequest(
    scheme=Scheme.RSA_PSS, hash_name="SHA256", message=b"message", key_bytes=256
)


def raw(block: bytes) -> bytes:
    """The bare RSA operation."""
    numbers = KEY.private_numbers()
    modulus = numbers.public_numbers.n
    return pow(int.from_bytes(block, "big"), numbers.d, modulus).to_bytes(256, "big")


@pytest.mark.parametrize("name", sorted(HASHES))
def test_blocks_verify(name: str) -> None:
    request, algorithm = replace(REQUEST, hash_name=name), HASHES[name]
    public = KEY.public_key()
    public.verify(raw(pkcs1_block(request)), b"message", padding.PKCS1v15(), algorithm)
    salt = b"s" * algorithm.digest_size
    pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
    public.verify(raw(pss_block(request, salt)), b"message", pss, algorithm)


def test_the_oldest_digest_has_no_name_in_front() -> None:
    request = replace(REQUEST, hash_name="MD5-SHA1")
    assert len(digest(request)) == 36
    assert digest_info(request) == digest(request)


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(ValueError, match="SHA3-256"):
        digest_info(replace(REQUEST, hash_name="SHA3-256"))
    with pytest.raises(ValueError, match="too short"):
        pkcs1_block(replace(REQUEST, key_bytes=32))
    with pytest.raises(ValueError, match="too short"):
        pss_block(replace(REQUEST, key_bytes=64), b"s" * 32)
    with pytest.raises(ValueError, match="salt"):
        pss_block(REQUEST, b"")
