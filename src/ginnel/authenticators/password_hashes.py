"""Checks a password against the hash of a password file.

Responsible for the forms that ``htpasswd`` and ``mkpasswd`` write: bcrypt, SHA-256, SHA-512, MD5
and yescrypt by the system's libcrypt, ``$apr1$`` and ``{SHA}`` here. Plain text and the old DES
form are refused. A check takes as long as the hash's cost says: do not call it in an event loop.
"""

import ctypes
import ctypes.util
import hashlib
from base64 import b64encode
from functools import cache
from hmac import compare_digest

from ginnel.hints import Any

_BY_LIBCRYPT = ("$2a$", "$2b$", "$2y$", "$5$", "$6$", "$1$", "$y$")
_APR1 = "$apr1$"
_SHA = "{SHA}"
_CRYPT_DATA = 256 * 1024
"""Bytes that ``crypt_r`` works in: more than any libcrypt wants."""
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_APR1_ORDER = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


def is_known(stored: str) -> bool:
    """Whether this is a hash of a form that can be checked on this system.

    Raises OSError when there is no libcrypt to check it with.
    """
    if stored.startswith((_APR1, _SHA)):
        return True
    if not stored.startswith(_BY_LIBCRYPT) or not stored.isascii():
        return False
    return _by_libcrypt(b"", stored) is not None


def matches(stored: str, password: bytes) -> bool:
    """Whether the password is the one of the hash. Compares in constant time."""
    if b"\0" in password:
        return False
    if stored.startswith(_SHA):
        digest = hashlib.sha1(password, usedforsecurity=False).digest()
        computed: str | None = _SHA + b64encode(digest).decode("ascii")
    elif stored.startswith(_APR1):
        computed = apr1(password, stored[len(_APR1) :].partition("$")[0])
    else:
        computed = _by_libcrypt(password, stored)
    return computed is not None and compare_digest(computed.encode(), stored.encode())


def apr1(password: bytes, salt: str) -> str:
    """Apache's variant of the MD5 crypt, with up to 8 characters of salt."""
    salted = salt[:8].encode("utf-8", "surrogateescape")
    inner = _md5(password + salted + password)
    start = password + _APR1.encode() + salted
    start += (inner * (len(password) // 16 + 1))[: len(password)]
    length = len(password)
    while length:
        start += b"\0" if length & 1 else password[:1]
        length >>= 1
    digest = _md5(start)
    for number in range(1000):
        first, last = (password, digest) if number & 1 else (digest, password)
        middle = (salted if number % 3 else b"") + (password if number % 7 else b"")
        digest = _md5(first + middle + last)
    groups = [int.from_bytes(bytes(digest[place] for place in three)) for three in _APR1_ORDER]
    text = "".join(_digits(group, 4) for group in groups) + _digits(digest[11], 2)
    return f"{_APR1}{salt[:8]}${text}"


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _digits(number: int, count: int) -> str:
    return "".join(_ALPHABET[number >> (6 * place) & 63] for place in range(count))


def _by_libcrypt(password: bytes, stored: str) -> str | None:
    """The hash of the password with the settings of ``stored``; None when it has none."""
    room = ctypes.create_string_buffer(_CRYPT_DATA)
    found: bytes | None = _libcrypt().crypt_r(password, stored.encode("ascii"), room)
    ctypes.memset(room, 0, _CRYPT_DATA)
    if found is None or found.startswith(b"*"):
        return None
    return found.decode("ascii")


@cache
def _libcrypt() -> Any:  # a library of C
    name = ctypes.util.find_library("crypt") or "libcrypt.so.1"
    try:
        library = ctypes.CDLL(name, use_errno=True)
    except OSError as missing:
        raise OSError(f"the system's libcrypt is missing ({missing}): install libcrypt1") from None
    library.crypt_r.restype = ctypes.c_char_p
    library.crypt_r.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
    return library
