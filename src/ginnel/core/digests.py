"""OpenVPN's names of message digests, as ``auth`` takes them.

Responsible for: mapping a name to Python's and its size. Not responsible for: computing HMACs.
"""

from ginnel.dataclass import dataclass


@dataclass(frozen=True)
class Digest:
    """A message digest: OpenSSL's display name, hashlib's name and its output size in bytes."""

    name: str
    hashlib_name: str
    size: int


_NAMES = {
    "md5": "MD5",
    "md5_sha1": "MD5-SHA1",
    "ripemd160": "RIPEMD160",
    "sha1": "SHA1",
    "sha224": "SHA224",
    "sha256": "SHA256",
    "sha384": "SHA384",
    "sha512": "SHA512",
    "sha512_224": "SHA512-224",
    "sha512_256": "SHA512-256",
    "sha3_224": "SHA3-224",
    "sha3_256": "SHA3-256",
    "sha3_384": "SHA3-384",
    "sha3_512": "SHA3-512",
    "blake2b": "BLAKE2b512",
    "blake2s": "BLAKE2s256",
    "sm3": "SM3",
}
_ALIASES = {
    "blake2b512": "blake2b",
    "blake2s256": "blake2s",
    "rmd160": "ripemd160",
    "ripemd": "ripemd160",
    "sha2_224": "sha224",
    "sha2_256": "sha256",
    "sha2_384": "sha384",
    "sha2_512": "sha512",
    "ssl3_md5": "md5",
    "ssl3_sha1": "sha1",
}


_ALWAYS = {"sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}
"""Sizes of what every Python has; to ask it would load the system's OpenSSL."""


def digest_named(name: str) -> Digest:
    """Returns the digest of an OpenVPN name: any case, with or without OpenSSL's ``RSA-`` prefix.

    Raises ``ValueError`` for a name nobody knows and for one that this system does not provide.
    """
    wanted = name.lower().removeprefix("rsa-").replace("-", "_").replace("/", "_")
    wanted = _ALIASES.get(wanted, wanted)
    display = _NAMES.get(wanted)
    if display is None:
        raise ValueError(f"unknown message digest '{name}'")
    try:
        size = _ALWAYS.get(wanted) or _size(wanted)
    except ValueError as missing:
        raise ValueError(f"message digest '{name}' is not available on this system") from missing
    return Digest(display, _hashlib_spelling(wanted), size)


def available_digests() -> tuple[Digest, ...]:
    """All digests that can be used here, by name."""
    found: list[Digest] = []
    for display in sorted(_NAMES.values()):
        try:
            found.append(digest_named(display))
        except ValueError:
            continue
    return tuple(found)


def _size(wanted: str) -> int:
    """Raises ValueError when this system lacks it."""
    import hashlib

    return hashlib.new(_hashlib_spelling(wanted)).digest_size


def _hashlib_spelling(wanted: str) -> str:
    return "md5-sha1" if wanted == "md5_sha1" else wanted
