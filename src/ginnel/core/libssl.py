"""The system's OpenSSL 3 through ctypes: which functions are called, and with what.

Used only where the private key is outside this process: the library inside the cryptography wheel
exports nothing that a foreign key could be hung on (docs/adr/0012). Pointers are plain numbers, 0
is NULL; a text that the library owns comes back as such a number and is copied with ``text``.
"""

import ctypes
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint64, c_ulong, c_void_p
from functools import cache

from ginnel.core.errors import ConfigError
from ginnel.hints import TYPE_CHECKING, Any

_NAMES = (("libcrypto.so.4", "libssl.so.4"), ("libcrypto.so.3", "libssl.so.3"))

if TYPE_CHECKING:
    _Type = type[ctypes._SimpleCData[Any]]  # the only name for C's simple types
    _Prototypes = dict[str, tuple[_Type | None, tuple[_Type, ...]]]

_POINTER = c_size_t  # a result: c_void_p would give None for NULL

_CRYPTO: "_Prototypes" = {
    "OSSL_LIB_CTX_new": (_POINTER, ()),
    "OSSL_PROVIDER_add_builtin": (c_int, (c_void_p, c_char_p, c_void_p)),
    "OSSL_PROVIDER_load": (_POINTER, (c_void_p, c_char_p)),
    "EVP_set_default_properties": (c_int, (c_void_p, c_char_p)),
    "EVP_PKEY_CTX_new_from_name": (_POINTER, (c_void_p, c_char_p, c_char_p)),
    "EVP_PKEY_CTX_free": (None, (c_void_p,)),
    "EVP_PKEY_fromdata_init": (c_int, (c_void_p,)),
    "EVP_PKEY_fromdata": (c_int, (c_void_p, c_void_p, c_int, c_void_p)),
    "EVP_PKEY_free": (None, (c_void_p,)),
    "EVP_PKEY_eq": (c_int, (c_void_p, c_void_p)),
    "EVP_PKEY_get_params": (c_int, (c_void_p, c_void_p)),
    "EVP_PKEY_get_size": (c_int, (c_void_p,)),
    "EVP_PKEY_export": (c_int, (c_void_p, c_int, c_void_p, c_void_p)),
    "X509_new_ex": (_POINTER, (c_void_p, c_char_p)),
    "d2i_X509": (_POINTER, (c_void_p, c_void_p, c_long)),
    "i2d_X509": (c_int, (c_void_p, c_void_p)),
    "X509_free": (None, (c_void_p,)),
    "X509_get_pubkey": (_POINTER, (c_void_p,)),
    "X509_CRL_new_ex": (_POINTER, (c_void_p, c_char_p)),
    "d2i_X509_CRL": (_POINTER, (c_void_p, c_void_p, c_long)),
    "X509_CRL_free": (None, (c_void_p,)),
    "X509_STORE_add_cert": (c_int, (c_void_p, c_void_p)),
    "X509_STORE_add_crl": (c_int, (c_void_p, c_void_p)),
    "X509_STORE_set_flags": (c_int, (c_void_p, c_ulong)),
    "X509_STORE_CTX_get_current_cert": (_POINTER, (c_void_p,)),
    "X509_STORE_CTX_get_error": (c_int, (c_void_p,)),
    "X509_STORE_CTX_get_error_depth": (c_int, (c_void_p,)),
    "X509_verify_cert_error_string": (_POINTER, (c_long,)),
    "BIO_new": (_POINTER, (c_void_p,)),
    "BIO_s_mem": (_POINTER, ()),
    "BIO_read": (c_int, (c_void_p, c_void_p, c_int)),
    "BIO_write": (c_int, (c_void_p, c_void_p, c_int)),
    "BIO_ctrl": (c_long, (c_void_p, c_int, c_long, c_void_p)),
    "ERR_get_error": (c_ulong, ()),
    "ERR_clear_error": (None, ()),
    "ERR_reason_error_string": (_POINTER, (c_ulong,)),
}

_SSL: "_Prototypes" = {
    "TLS_method": (_POINTER, ()),
    "SSL_CTX_new_ex": (_POINTER, (c_void_p, c_char_p, c_void_p)),
    "SSL_CTX_free": (None, (c_void_p,)),
    "SSL_CTX_ctrl": (c_long, (c_void_p, c_int, c_long, c_void_p)),
    "SSL_CTX_set_options": (c_uint64, (c_void_p, c_uint64)),
    "SSL_CTX_set_num_tickets": (c_int, (c_void_p, c_size_t)),
    "SSL_CTX_set_cipher_list": (c_int, (c_void_p, c_char_p)),
    "SSL_CTX_set_ciphersuites": (c_int, (c_void_p, c_char_p)),
    "SSL_CTX_get_cert_store": (_POINTER, (c_void_p,)),
    "SSL_CTX_load_verify_dir": (c_int, (c_void_p, c_char_p)),
    "SSL_CTX_use_certificate": (c_int, (c_void_p, c_void_p)),
    "SSL_CTX_use_PrivateKey": (c_int, (c_void_p, c_void_p)),
    "SSL_new": (_POINTER, (c_void_p,)),
    "SSL_free": (None, (c_void_p,)),
    "SSL_set_bio": (None, (c_void_p, c_void_p, c_void_p)),
    "SSL_set_verify": (None, (c_void_p, c_int, c_void_p)),
    "SSL_set_connect_state": (None, (c_void_p,)),
    "SSL_set_accept_state": (None, (c_void_p,)),
    "SSL_do_handshake": (c_int, (c_void_p,)),
    "SSL_read": (c_int, (c_void_p, c_void_p, c_int)),
    "SSL_write": (c_int, (c_void_p, c_void_p, c_int)),
    "SSL_get_error": (c_int, (c_void_p, c_int)),
    "SSL_get_cipher_list": (_POINTER, (c_void_p, c_int)),
    "SSL_get_version": (_POINTER, (c_void_p,)),
    "SSL_get_current_cipher": (_POINTER, (c_void_p,)),
    "SSL_CIPHER_get_name": (_POINTER, (c_void_p,)),
    "SSL_get1_peer_certificate": (_POINTER, (c_void_p,)),
    "SSL_export_keying_material": (
        c_int,
        (c_void_p, c_void_p, c_size_t, c_char_p, c_size_t, c_void_p, c_size_t, c_int),
    ),
}


class LibSsl:
    """The functions by their names: ``lib.SSL_new(context)``; each returns a number."""

    def __init__(self, crypto: ctypes.CDLL, ssl: ctypes.CDLL) -> None:
        """Raises AttributeError when a function is missing."""
        self._functions: dict[str, Callable[..., int]] = {}
        for library, prototypes in ((crypto, _CRYPTO), (ssl, _SSL)):
            for name, (result, arguments) in prototypes.items():
                function = library[name]
                function.restype = result
                function.argtypes = arguments
                self._functions[name] = function

    def __getattr__(self, name: str) -> Callable[..., int]:
        try:
            return self._functions[name]
        except KeyError:
            raise AttributeError(name) from None

    def error_reason(self) -> str:
        """The library's own words for the oldest error of this thread, and clears the rest."""
        reason = text(self.ERR_reason_error_string(self.ERR_get_error()))
        self.ERR_clear_error()
        return reason or "TLS error"


def text(address: int) -> str:
    """Copies a text of the library; empty for NULL."""
    return ctypes.string_at(address).decode("ascii", "replace") if address else ""


@cache
def load_libssl() -> LibSsl:
    """Loads the library, once. Raises ConfigError when the system has none that will do."""
    problem: Exception | None = None
    for crypto, ssl in _NAMES:
        try:
            return LibSsl(ctypes.CDLL(crypto), ctypes.CDLL(ssl))
        except (OSError, AttributeError) as missing:
            problem = missing
    raise ConfigError(
        "a private key outside this program needs the system's OpenSSL 3 (libssl.so.3), which "
        f"cannot be used: {problem}",
    ) from problem
