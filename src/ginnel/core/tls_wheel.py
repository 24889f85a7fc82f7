"""The OpenSSL inside the cryptography wheel as a ``TlsLibrary``.

Used whenever the private key is in this process; sessions are ``tls_wheel_channel``'s. Importing it
costs start-up time.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cryptography import x509
from OpenSSL import SSL, crypto
from OpenSSL._util import ffi, lib

from ginnel.core.signing import OutsideKey
from ginnel.core.tls import Judge, PeerCheck, TlsChannel
from ginnel.core.tls_wheel_channel import WheelChannel
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy

if TYPE_CHECKING:
    from ginnel.core.tls_context import SigningKey

_MODES = {
    PeerCheck.NONE: SSL.VERIFY_NONE,
    PeerCheck.IF_SENT: SSL.VERIFY_PEER,
    PeerCheck.REQUIRED: SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


class WheelLibrary:
    """One pyOpenSSL context."""

    def __init__(self) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_options(
            SSL.OP_NO_SSLv2
            | SSL.OP_NO_SSLv3
            | SSL.OP_NO_COMPRESSION
            | SSL.OP_NO_TICKET
            | SSL.OP_SINGLE_DH_USE
            | SSL.OP_SINGLE_ECDH_USE
            | SSL.OP_CIPHER_SERVER_PREFERENCE
            | lib.SSL_OP_NO_RENEGOTIATION
        )
        self._context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self._context.set_mode(lib.SSL_MODE_RELEASE_BUFFERS)
        store = self._context.get_cert_store()
        assert store is not None, "every context has one"
        self._store = store

    def set_versions(self, lowest: int, highest: int) -> None:
        self._context.set_min_proto_version(lowest)
        self._context.set_max_proto_version(highest)

    def set_ciphers(self, names: str) -> bool:
        try:
            self._context.set_cipher_list(names.encode())
        except SSL.Error:
            return False
        return True

    def set_suites(self, names: str) -> bool:
        try:
            self._context.set_tls13_ciphersuites(names.encode())
        except SSL.Error:
            return False
        return True

    def set_groups(self, names: str) -> bool:
        accepted = bool(
            lib.SSL_CTX_set1_curves_list(
                self._context._context,  # no public call for groups
                ffi.new("char[]", names.encode()),
            )
        )
        if not accepted:
            lib.ERR_clear_error()
        return accepted

    def trust(self, anchors: Sequence[x509.Certificate]) -> bool:
        try:
            for anchor in anchors:
                self._store.add_cert(crypto.X509.from_cryptography(anchor))
        except crypto.Error:
            return False
        return True

    def trust_directory(self, path: str) -> bool:
        try:
            self._context.load_verify_locations(None, path.encode())
        except SSL.Error:
            return False
        return True

    def check_revocation(self, lists: Sequence[x509.CertificateRevocationList]) -> bool:
        try:
            for revocations in lists:
                self._store.add_crl(revocations)
        except crypto.Error:
            return False
        self._store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
        return True

    def identify(
        self,
        certificate: x509.Certificate,
        key: "SigningKey | OutsideKey",
        chain: Sequence[x509.Certificate],
    ) -> str:
        assert not isinstance(key, OutsideKey), "this library cannot ask anybody"
        try:
            self._context.use_certificate(certificate)
            self._context.use_privatekey(key)
            for further in chain:
                self._context.add_extra_chain_cert(further)
        except (SSL.Error, crypto.Error) as refused:
            return tls_error_reason(refused.args)
        return ""

    def cipher_names(self) -> list[str]:
        return SSL.Connection(self._context, None).get_cipher_list()

    def channel(
        self, *, side: Side, policy: CertificatePolicy, peer_check: PeerCheck
    ) -> TlsChannel:
        return WheelChannel(
            self._context._context,  # no public way to it
            side=side,
            judge=Judge(policy, side),
            verify_mode=_MODES[peer_check],
        )


def tls_error_reason(args: tuple[object, ...]) -> str:
    """pyOpenSSL's words for the first error of the library's queue."""
    queue = args[0] if args else ()
    if isinstance(queue, list | tuple):
        for entry in queue:
            if isinstance(entry, tuple) and entry and entry[-1]:
                return str(entry[-1])
    return "TLS error"
