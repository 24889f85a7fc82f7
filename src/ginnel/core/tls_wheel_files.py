"""Certificates and private keys in PEM, as the OpenSSL inside the cryptography wheel reads them.

What a context is given, before there is one; ``tls_wheel`` makes contexts.
"""

from collections.abc import Callable

from ginnel.core.tls_wheel_channel import certificate_der, ffi, first_error, lib
from ginnel.hints import Any
from ginnel.options.values import Secret

_AT_THE_END = "no start line"
"""OpenSSL's words when there is no further block in PEM."""
_SIGNING = (lib.EVP_PKEY_RSA, 912, lib.EVP_PKEY_EC, 1087, 1088)
"""Kinds of keys that sign in TLS; the binding has no names for RSA-PSS, Ed25519 and Ed448."""


class PassphraseMissing(Exception):
    """A key is encrypted and there is no passphrase."""


class PassphraseRefused(Exception):
    """A key is encrypted, and not with this passphrase."""


class PrivateKey:
    """A private key in the library's memory, which wipes it when the last user is gone."""

    __slots__ = ("pointer",)

    def __init__(self, pointer: Any) -> None:
        """Takes the library's object over. Raises ValueError for none."""
        if pointer == ffi.NULL:
            raise ValueError(first_error())
        self.pointer = ffi.gc(pointer, lib.EVP_PKEY_free)

    @property
    def can_sign(self) -> bool:
        """Whether TLS has signatures of this kind of key."""
        return lib.EVP_PKEY_id(self.pointer) in _SIGNING


def read_certificates(pem: bytes) -> list[bytes]:
    """The DER of each certificate, in order. Raises ValueError for one that cannot be read."""
    found = []
    bio = lib.BIO_new_mem_buf(pem, len(pem))
    try:
        lib.ERR_clear_error()
        while (certificate := lib.PEM_read_bio_X509(bio, *[ffi.NULL] * 3)) != ffi.NULL:
            try:
                found.append(certificate_der(certificate))
            finally:
                lib.X509_free(certificate)
    finally:
        lib.BIO_free(bio)
    if (reason := first_error()) != _AT_THE_END:
        raise ValueError(reason)
    return found


def read_key(pem: bytes, passphrase: Secret | None) -> PrivateKey:
    """Reads the first private key; a passphrase that it does not need is left alone.

    Raises PassphraseMissing, PassphraseRefused, and ValueError for what is no key.
    """
    asked = _Asked(passphrase)
    handle = ffi.new_handle(asked)
    bio = lib.BIO_new_mem_buf(pem, len(pem))
    try:
        lib.ERR_clear_error()
        return PrivateKey(lib.PEM_read_bio_PrivateKey(bio, ffi.NULL, _answer, handle))
    except ValueError as unreadable:
        if not asked.was_asked:
            raise
        raise (PassphraseMissing if passphrase is None else PassphraseRefused) from unreadable
    finally:
        lib.BIO_free(bio)


def decode_key(der: bytes) -> PrivateKey:
    """Reads a private key from the DER of PKCS#8. Raises ValueError."""
    lib.ERR_clear_error()
    return PrivateKey(decoded(lib.d2i_PrivateKey_bio, der))


def decoded(decode: Callable[[Any, Any], Any], der: bytes) -> Any:
    """The library's object for the bytes; NULL when it cannot read them."""
    bio = lib.BIO_new_mem_buf(der, len(der))
    try:
        return decode(bio, ffi.NULL)
    finally:
        lib.BIO_free(bio)


class _Asked:
    """The passphrase of one reading, and whether the library wanted it."""

    __slots__ = ("passphrase", "was_asked")

    def __init__(self, passphrase: Secret | None) -> None:
        self.passphrase = passphrase
        self.was_asked = False


def _write_passphrase(room: Any, size: int, _writing: int, handle: Any) -> int:
    """The library's question for the passphrase; it wipes the room itself."""
    asked: _Asked = ffi.from_handle(handle)
    asked.was_asked = True
    if asked.passphrase is None:
        return -1
    words = asked.passphrase.reveal()
    if len(words) > size:
        return -1
    ffi.memmove(room, words, len(words))
    return len(words)


_answer = ffi.callback("int(char *, int, int, void *)", _write_passphrase, error=-1)
