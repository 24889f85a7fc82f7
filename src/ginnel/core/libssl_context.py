"""The system's OpenSSL 3 as a ``TlsLibrary`` for a private key outside this process.

Settings are the same as ``tls_wheel``'s, so that ciphers, versions, groups, trust and CRLs mean the
same whichever of the two serves.
"""

import ctypes
from collections.abc import Callable, Sequence
from ctypes import byref, c_void_p, create_string_buffer

from ginnel.core.errors import ConfigError
from ginnel.core.libssl import text
from ginnel.core.libssl_channel import SystemChannel
from ginnel.core.libssl_provider import outside_provider
from ginnel.core.signing import OutsideKey
from ginnel.core.tls import Judge, PeerCheck, TlsChannel
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy
from ginnel.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from ginnel.core.tls_wheel_files import PrivateKey

# Numbers of ssl.h and x509_vfy.h, part of OpenSSL's stable interface.
_OPTIONS = (
    0x00020000  # NO_COMPRESSION
    | 0x00004000  # NO_TICKET
    | 0x00400000  # CIPHER_SERVER_PREFERENCE
    | 0x40000000  # NO_RENEGOTIATION
    | 0x02000000  # NO_SSLv3
)
_MODE_RELEASE_BUFFERS = 0x10
_MODES = {PeerCheck.NONE: 0, PeerCheck.IF_SENT: 1, PeerCheck.REQUIRED: 3}
_CRL_CHECK, _CRL_CHECK_ALL = 0x4, 0x8
_CTRL_EXTRA_CHAIN, _CTRL_MODE, _CTRL_CACHE = 14, 33, 44
_CTRL_GROUPS, _CTRL_CLIENT_SIGALGS = 92, 102
_CTRL_DH_AUTO = 118
_CTRL_LOWEST, _CTRL_HIGHEST = 123, 124

_PKCS1_ONLY = b"RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1"
_PSS_ONLY = b"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512"


class SystemLibrary:
    """One SSL_CTX, freed with this object."""

    def __init__(self) -> None:
        """Raises ConfigError when the system has no OpenSSL that will do."""
        self._provider = outside_provider()
        self._lib = self._provider.lib
        self._identity: tuple[OutsideKey, PublicKeyTypes] | None = None
        self._context = self._lib.SSL_CTX_new_ex(
            self._provider.context, None, self._lib.TLS_method()
        )
        if not self._context:
            raise ConfigError(f"the system's OpenSSL refuses to work: {self._lib.error_reason()}")
        self._lib.SSL_CTX_set_options(self._context, _OPTIONS)
        self._lib.SSL_CTX_set_num_tickets(self._context, 0)  # TLS 1.3 sends two for all that
        self._control(_CTRL_CACHE, 0)
        self._control(_CTRL_MODE, _MODE_RELEASE_BUFFERS)
        self._store = self._lib.SSL_CTX_get_cert_store(self._context)

    def __del__(self) -> None:
        if getattr(self, "_context", 0):
            self._lib.SSL_CTX_free(self._context)

    def set_versions(self, lowest: int, highest: int) -> None:
        self._control(_CTRL_LOWEST, lowest)
        self._control(_CTRL_HIGHEST, highest)

    def set_ciphers(self, names: str) -> bool:
        return self._checked(self._lib.SSL_CTX_set_cipher_list(self._context, names.encode()))

    def set_suites(self, names: str) -> bool:
        return self._checked(self._lib.SSL_CTX_set_ciphersuites(self._context, names.encode()))

    def set_groups(self, names: str) -> bool:
        return self._checked(self._control(_CTRL_GROUPS, 0, names.encode()))

    def set_dh(self, parameters: bytes) -> bool:
        """Uses the library's own parameters, of a size that fits the key."""
        return self._checked(self._control(_CTRL_DH_AUTO, 1))

    def trust(self, anchors: Sequence[bytes]) -> bool:
        for anchor in anchors:
            certificate = self._certificate(anchor)
            self._lib.X509_STORE_add_cert(self._store, certificate)
            self._lib.X509_free(certificate)
        return True

    def trust_directory(self, path: str) -> bool:
        place = path.encode("utf-8", "surrogateescape")
        return self._checked(self._lib.SSL_CTX_load_verify_dir(self._context, place))

    def check_revocation(self, lists: Sequence[bytes]) -> bool:
        for revocations in lists:
            lib = self._lib
            crl = self._decode(
                lib.d2i_X509_CRL,
                lib.X509_CRL_new_ex(self._provider.context, None),
                revocations,
            )
            lib.X509_STORE_add_crl(self._store, crl)
            lib.X509_CRL_free(crl)
        self._lib.X509_STORE_set_flags(self._store, _CRL_CHECK | _CRL_CHECK_ALL)
        return True

    def identify(
        self,
        certificate: bytes,
        key: "PrivateKey | OutsideKey",
        chain: Sequence[bytes],
    ) -> str:
        assert isinstance(key, OutsideKey), "a key of our own needs no other library"
        lib = self._lib
        public_key = _public_key(certificate)
        kind = _kind(public_key)
        if public_key is None or kind is None:
            return "the certificate's key is none of RSA, EC, Ed25519, Ed448"
        if kind == b"RSA" and not (key.rsa_pss and key.rsa_pkcs1):
            allowed = _PSS_ONLY if key.rsa_pss else _PKCS1_ONLY
            self._control(_CTRL_CLIENT_SIGALGS, 0, allowed)
        own = self._certificate(certificate)
        private = self._provider.make_key(lib.X509_get_pubkey(own), kind)
        accepted = (
            bool(private)
            and lib.SSL_CTX_use_certificate(self._context, own) == 1
            and lib.SSL_CTX_use_PrivateKey(self._context, private) == 1
        )
        lib.EVP_PKEY_free(private)
        lib.X509_free(own)
        if not accepted:
            return lib.error_reason()
        self._identity = key, public_key
        for further in chain:
            # The context takes it over.
            if not self._control(_CTRL_EXTRA_CHAIN, 0, self._certificate(further)):
                return lib.error_reason()
        return ""

    def cipher_names(self) -> list[str]:
        lib = self._lib
        session = lib.SSL_new(self._context)
        names: list[str] = []
        while name := text(lib.SSL_get_cipher_list(session, len(names))):
            names.append(name)
        lib.SSL_free(session)
        return names

    def channel(
        self, *, side: Side, policy: CertificatePolicy, peer_check: PeerCheck
    ) -> TlsChannel:
        assert self._identity is not None, "an identity comes before the first session"
        outside, public_key = self._identity
        return SystemChannel(
            self._lib,
            self._context,
            side=side,
            judge=Judge(policy, side),
            verify_mode=_MODES[peer_check],
            stacks=outside.stacks,
            public_key=public_key,
        )

    def _control(self, command: int, number: int, pointer: bytes | int | None = None) -> int:
        return self._lib.SSL_CTX_ctrl(self._context, command, number, pointer)

    def _checked(self, result: int) -> bool:
        if result != 1:
            self._lib.ERR_clear_error()
        return result == 1

    def _certificate(self, der: bytes) -> int:
        empty = self._lib.X509_new_ex(self._provider.context, None)
        return self._decode(self._lib.d2i_X509, empty, der)

    def _decode(self, decode: Callable[..., int], empty: int, der: bytes) -> int:
        """Fills an object of our library context from its DER. Raises ConfigError."""
        target, buffer = c_void_p(empty), create_string_buffer(der, len(der))
        place = c_void_p(ctypes.addressof(buffer))
        if not decode(byref(target), byref(place), len(der)) or target.value is None:
            raise ConfigError(f"the system's OpenSSL cannot read it: {self._lib.error_reason()}")
        return target.value


def _public_key(certificate: bytes) -> "PublicKeyTypes | None":
    """None for a key of a kind that the wheel does not know."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _kind(key: "PublicKeyTypes | None") -> bytes | None:
    """The name of the key's algorithm for OpenSSL."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    match key:
        case rsa.RSAPublicKey():
            return b"RSA"
        case ec.EllipticCurvePublicKey():
            return b"EC"
        case ed25519.Ed25519PublicKey():
            return b"ED25519"
        case ed448.Ed448PublicKey():
            return b"ED448"
        case _:
            return None
