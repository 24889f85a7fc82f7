"""The OpenSSL inside the cryptography wheel as a ``TlsLibrary``, through the wheel's own binding.

Used whenever the private key is in this process; sessions are ``tls_wheel_channel``'s. Importing it
costs start-up time.
"""

from collections.abc import Callable, Sequence

from ginnel.core.signing import OutsideKey
from ginnel.core.tls import Judge, KeyMismatch, PeerCheck, TlsChannel, TlsFailure
from ginnel.core.tls_wheel_channel import (
    WheelChannel,
    ffi,
    first_error,
    forgo_tickets,
    lib,
    text,
)
from ginnel.core.tls_wheel_files import PrivateKey, decoded
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy
from ginnel.hints import Any

_MODES = {
    PeerCheck.NONE: lib.SSL_VERIFY_NONE,
    PeerCheck.IF_SENT: lib.SSL_VERIFY_PEER,
    PeerCheck.REQUIRED: lib.SSL_VERIFY_PEER | lib.SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
}
_OPTIONS = (
    lib.SSL_OP_NO_SSLv2
    | lib.SSL_OP_NO_SSLv3
    | lib.SSL_OP_NO_COMPRESSION
    | lib.SSL_OP_SINGLE_DH_USE
    | lib.SSL_OP_SINGLE_ECDH_USE
    | lib.SSL_OP_CIPHER_SERVER_PREFERENCE
    | lib.SSL_OP_NO_RENEGOTIATION
)


class WheelLibrary:
    """One SSL_CTX, which its sessions keep alive as well."""

    def __init__(self) -> None:
        context = lib.SSL_CTX_new(lib.TLS_method())
        if context == ffi.NULL:
            raise TlsFailure(first_error())
        self._context: Any = ffi.gc(context, lib.SSL_CTX_free)
        self._store = lib.SSL_CTX_get_cert_store(context)
        lib.SSL_CTX_set_options(context, _OPTIONS)
        lib.SSL_CTX_set_tlsext_servername_callback(context, forgo_tickets)
        lib.SSL_CTX_set_session_cache_mode(context, lib.SSL_SESS_CACHE_OFF)
        lib.SSL_CTX_set_mode(context, lib.SSL_MODE_RELEASE_BUFFERS)

    def set_versions(self, lowest: int, highest: int) -> None:
        lib.SSL_CTX_set_min_proto_version(self._context, lowest)
        lib.SSL_CTX_set_max_proto_version(self._context, highest)

    def set_ciphers(self, names: str) -> bool:
        return _checked(lib.SSL_CTX_set_cipher_list(self._context, names.encode()))

    def set_suites(self, names: str) -> bool:
        return _checked(lib.SSL_CTX_set_ciphersuites(self._context, names.encode()))

    def set_groups(self, names: str) -> bool:
        wanted = ffi.new("char[]", names.encode())
        return _checked(lib.SSL_CTX_set1_curves_list(self._context, wanted))

    def set_dh(self, parameters: bytes) -> bool:
        bio = lib.BIO_new_mem_buf(parameters, len(parameters))
        try:
            read = lib.PEM_read_bio_DHparams(bio, ffi.NULL, ffi.NULL, ffi.NULL)
        finally:
            lib.BIO_free(bio)
        if read == ffi.NULL:
            lib.ERR_clear_error()
            return False
        return _handed(read, self._use_dh, lib.DH_free)

    def _use_dh(self, parameters: Any) -> bool:
        return _checked(lib.SSL_CTX_set_tmp_dh(self._context, parameters))

    def trust(self, anchors: Sequence[bytes]) -> bool:
        return all(
            _handed(_certificate(anchor), self._trust_one, lib.X509_free) for anchor in anchors
        )

    def _trust_one(self, certificate: Any) -> bool:
        return _checked(lib.X509_STORE_add_cert(self._store, certificate))

    def trust_directory(self, path: str) -> bool:
        place = path.encode("utf-8", "surrogateescape")
        return _checked(lib.SSL_CTX_load_verify_locations(self._context, ffi.NULL, place))

    def check_revocation(self, lists: Sequence[bytes]) -> bool:
        for revocations in lists:
            crl = decoded(lib.d2i_X509_CRL_bio, revocations)
            if not _handed(crl, self._check_one, lib.X509_CRL_free):
                return False
        flags = lib.X509_V_FLAG_CRL_CHECK | lib.X509_V_FLAG_CRL_CHECK_ALL
        return _checked(lib.X509_STORE_set_flags(self._store, flags))

    def _check_one(self, crl: Any) -> bool:
        return _checked(lib.X509_STORE_add_crl(self._store, crl))

    def identify(
        self,
        certificate: bytes,
        key: PrivateKey | OutsideKey,
        chain: Sequence[bytes],
    ) -> str:
        assert not isinstance(key, OutsideKey), "this library cannot ask anybody"
        if not _handed(_certificate(certificate), self._use_certificate, lib.X509_free):
            return first_error()
        # Of another kind than the certificate's it is taken, and found out afterwards.
        fits = _checked(lib.SSL_CTX_use_PrivateKey(self._context, key.pointer)) and _checked(
            lib.SSL_CTX_check_private_key(self._context)
        )
        if not fits:
            raise KeyMismatch
        for further in chain:
            # The context takes it over.
            added = _certificate(further)
            if added == ffi.NULL or not lib.SSL_CTX_add_extra_chain_cert(self._context, added):
                return first_error()
        return ""

    def _use_certificate(self, certificate: Any) -> bool:
        return bool(lib.SSL_CTX_use_certificate(self._context, certificate) == 1)

    def cipher_names(self) -> list[str]:
        session = ffi.gc(lib.SSL_new(self._context), lib.SSL_free)
        names: list[str] = []
        while name := text(lib.SSL_get_cipher_list(session, len(names))):
            names.append(name)
        return names

    def channel(
        self, *, side: Side, policy: CertificatePolicy, peer_check: PeerCheck
    ) -> TlsChannel:
        return WheelChannel(
            self._context,
            side=side,
            judge=Judge(policy, side),
            verify_mode=_MODES[peer_check],
        )


def _checked(result: int) -> bool:
    """Whether the library did it; otherwise what it says about that is dropped."""
    if result != 1:
        lib.ERR_clear_error()
    return result == 1


def _handed(thing: Any, take: Callable[[Any], bool], free: Callable[[Any], object]) -> bool:
    """Hands an object to the library, which keeps a count of its own; False without an object."""
    if thing == ffi.NULL:
        return False
    try:
        return take(thing)
    finally:
        free(thing)


def _certificate(der: bytes) -> Any:
    return decoded(lib.d2i_X509_bio, der)
