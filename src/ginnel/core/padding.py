"""What RSA signatures are made of: digests, DigestInfo and padded blocks (RFC 8017).

Pure functions for signers that do only a part of the work themselves.
"""

import hashlib

from ginnel.core.signing import SignatureRequest

_DIGEST_INFO = {
    "SHA1": "3021300906052b0e03021a05000414",
    "SHA224": "302d300d06096086480165030402040500041c",
    "SHA256": "3031300d060960864801650304020105000420",
    "SHA384": "3041300d060960864801650304020205000430",
    "SHA512": "3051300d060960864801650304020305000440",
    "MD5-SHA1": "",
}


def digest(request: SignatureRequest) -> bytes:
    """Hashes the message. Raises ValueError for a hash that is not known."""
    if request.hash_name == "MD5-SHA1":
        parts = (hashlib.new(name, request.message) for name in ("md5", "sha1"))
        return b"".join(part.digest() for part in parts)
    return hashlib.new(request.hash_name, request.message).digest()


def digest_info(request: SignatureRequest) -> bytes:
    """The digest with the name of its hash in front, as PKCS#1 v1.5 signs it."""
    prefix = _DIGEST_INFO.get(request.hash_name)
    if prefix is None:
        raise ValueError(f"no PKCS#1 signatures with {request.hash_name}")
    return bytes.fromhex(prefix) + digest(request)


def pkcs1_block(request: SignatureRequest) -> bytes:
    """The whole block of PKCS#1 v1.5 for a raw RSA operation."""
    info = digest_info(request)
    filler = request.key_bytes - 3 - len(info)
    if filler < 8:
        raise ValueError("the RSA key is too short")
    return b"\0\1" + b"\xff" * filler + b"\0" + info


def pss_block(request: SignatureRequest, salt: bytes) -> bytes:
    """The whole block of PSS, salt as long as the digest; the modulus has full bytes."""
    digested = digest(request)
    if len(salt) != len(digested):
        raise ValueError("the salt must be as long as the digest")
    size = len(digested)
    room = request.key_bytes - 2 * size - 2
    if room < 0:
        raise ValueError("the RSA key is too short")
    hashed = hashlib.new(request.hash_name, bytes(8) + digested + salt).digest()
    plain = bytes(room) + b"\1" + salt
    masked = bytearray(
        one ^ other for one, other in zip(plain, _mgf1(hashed, len(plain), request), strict=True)
    )
    masked[0] &= 0x7F  # a modulus of n bits takes n - 1
    return bytes(masked) + hashed + b"\xbc"


def _mgf1(seed: bytes, length: int, request: SignatureRequest) -> bytes:
    mask = b""
    for counter in range(-(-length // len(seed))):
        mask += hashlib.new(request.hash_name, seed + counter.to_bytes(4, "big")).digest()
    return mask[:length]
