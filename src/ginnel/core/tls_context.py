"""Builds the TLS context of a configuration; the only file that calls pyOpenSSL's binding.

Responsible for loading certificates and keys, protocol versions, cipher and group lists, the
certificate profile and the CRL, and for turning the library's refusals into ``ConfigError`` with
the option, its origin and a fix. It reads no files but what OpenSSL itself looks up in ``capath``.
Which peer certificate is acceptable is ``x509``'s business. OpenSSL is imported when first needed:
it costs start-up time.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ginnel.core.errors import ConfigError
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy, render_name
from ginnel.dataclass import dataclass, replace
from ginnel.options.model import TlsOptions
from ginnel.options.values import FileContent, Origin, Secret

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from OpenSSL import SSL

    from ginnel.core.tls import TlsChannel

_DEFAULT_CIPHERS = "DEFAULT:!EXP:!LOW:!MEDIUM:!kDH:!kECDH:!DSS:!PSK:!SRP:!kRSA"
_SUITEB_CIPHERS = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
_SECURITY_LEVELS = {"insecure": 0, "legacy": 1, "preferred": 2, "suiteb": 3}
_VERSIONS = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304}
_CURVE_NAMES = {
    "secp256r1": "ECprime256v1",
    "secp384r1": "ECsecp384r1",
    "secp521r1": "ECsecp521r1",
}


class PassphraseNeeded(ConfigError):
    """The private key is encrypted and no passphrase was given: ask for one and build again."""


class PassphraseWrong(ConfigError):
    """The passphrase does not open the private key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsContext:
    """A context ready to make channels; ``warnings`` are plain sentences for the log."""

    context: "SSL.Context"
    policy: CertificatePolicy
    side: Side
    verify_mode: int
    warnings: tuple[str, ...]

    def channel(self) -> "TlsChannel":
        """Makes one TLS session over memory BIOs."""
        from OpenSSL import SSL

        from ginnel.core.tls import OpenSslChannel

        return OpenSslChannel(
            SSL.Connection(self.context, None),
            side=self.side,
            policy=self.policy,
            verify_mode=self.verify_mode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """Own key and certificate with where they came from, and the certificates around them."""

    option: str
    origin: Origin
    certificate: "x509.Certificate"
    key: "PrivateKeyTypes"
    chain: tuple["x509.Certificate", ...]


def build_tls_context(
    options: TlsOptions,
    *,
    side: Side,
    unix_time: int,
    is_revoked: Callable[[int], bool] | None = None,
) -> TlsContext:
    """Builds the context for one side. Raises ConfigError (PassphraseNeeded, PassphraseWrong).

    ``unix_time`` (seconds) serves only to warn about an expired own certificate. ``is_revoked``
    answers for ``crl-verify DIR dir`` and must be given when that is configured.
    """
    from OpenSSL import SSL

    if options.crl_verify_dir is not None and is_revoked is None:
        raise ConfigError("crl-verify: no lookup for the CRL directory", option="crl-verify")
    warnings: list[str] = []
    context = SSL.Context(SSL.TLS_METHOD)
    _set_modes(context)
    _set_versions(context, options)
    _set_ciphers(context, options)
    _set_groups(context, options, warnings)
    bundle_trust = _load_identity(context, options, unix_time, warnings)
    trusted = _load_trust(context, options, bundle_trust)
    _load_crl(context, options)
    if not trusted and not options.peer_fingerprint:
        raise ConfigError(
            "nothing to check the peer's certificate with: give 'ca', 'capath', a 'pkcs12' bundle "
            "with CA certificates, or 'peer-fingerprint'",
            option="ca",
        )
    mode = SSL.VERIFY_PEER
    if side is Side.SERVER:
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    return TlsContext(
        context=context,
        policy=CertificatePolicy(
            options=options,
            has_trust_anchor=trusted,
            is_revoked=is_revoked if options.crl_verify_dir is not None else None,
        ),
        side=side,
        verify_mode=mode,
        warnings=tuple(warnings),
    )


def _set_modes(context: "SSL.Context") -> None:
    from OpenSSL import SSL
    from OpenSSL._util import lib

    context.set_options(
        SSL.OP_NO_SSLv2
        | SSL.OP_NO_SSLv3
        | SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_TICKET
        | SSL.OP_SINGLE_DH_USE
        | SSL.OP_SINGLE_ECDH_USE
        | SSL.OP_CIPHER_SERVER_PREFERENCE
        | lib.SSL_OP_NO_RENEGOTIATION
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(lib.SSL_MODE_RELEASE_BUFFERS)


def _set_versions(context: "SSL.Context", options: TlsOptions) -> None:
    lowest = _version(options.tls_version_min, "tls-version-min", options)
    highest = 0
    if options.tls_version_max is not None:
        highest = _version(options.tls_version_max, "tls-version-max", options)
        if highest < lowest:
            raise ConfigError(
                f"tls-version-max {options.tls_version_max} is below "
                f"tls-version-min {options.tls_version_min}",
                option="tls-version-max",
            )
    context.set_min_proto_version(lowest)
    context.set_max_proto_version(highest)


def _version(word: str, option: str, options: TlsOptions) -> int:
    if word in _VERSIONS:
        return _VERSIONS[word]
    if options.tls_version_min_or_highest:
        return _VERSIONS["1.3"]
    raise ConfigError(
        f"{option}: unknown TLS version '{word}', expected one of {', '.join(_VERSIONS)}",
        option=option,
    )


def _set_ciphers(context: "SSL.Context", options: TlsOptions) -> None:
    from OpenSSL import SSL

    profile = options.tls_cert_profile or "legacy"
    level = _SECURITY_LEVELS.get(profile)
    if level is None:
        raise ConfigError(
            f"tls-cert-profile: unknown profile '{profile}', "
            f"expected one of {', '.join(_SECURITY_LEVELS)}",
            option="tls-cert-profile",
        )
    names = _SUITEB_CIPHERS if profile == "suiteb" else _DEFAULT_CIPHERS
    if options.tls_cipher is not None:
        names = ":".join(openssl_cipher_name(name) for name in options.tls_cipher.split(":"))
    if "@SECLEVEL" not in names:  # in a tls-cipher it wins over the profile, as in OpenVPN
        names = f"{names}:@SECLEVEL={level}"
    try:
        context.set_cipher_list(names.encode())
    except (SSL.Error, UnicodeError) as refused:
        raise ConfigError(
            f"tls-cipher: no cipher of '{options.tls_cipher}' is known (see --show-tls)",
            option="tls-cipher",
        ) from refused
    if options.tls_ciphersuites is None:
        return
    suites = options.tls_ciphersuites.replace("-", "_")
    try:
        context.set_tls13_ciphersuites(suites.encode())
    except (SSL.Error, UnicodeError) as refused:
        raise ConfigError(
            f"tls-ciphersuites: '{options.tls_ciphersuites}' names an unknown TLS 1.3 suite",
            option="tls-ciphersuites",
        ) from refused


def openssl_cipher_name(name: str) -> str:
    """Translates an IANA suite name (``TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384``) for OpenSSL.

    Other words (OpenSSL's own names and rules such as ``HIGH`` or ``!aNULL``) pass unchanged.
    """
    dashed = name.replace("_", "-")
    if not dashed.startswith("TLS-") or "-WITH-" not in dashed:
        return name
    exchange, _, cipher = dashed.removeprefix("TLS-").partition("-WITH-")
    for iana, short in (
        ("3DES-EDE-CBC-", "DES-CBC3-"),
        ("CHACHA20-POLY1305-SHA256", "CHACHA20-POLY1305"),
    ):
        cipher = cipher.replace(iana, short)
    for family in ("AES", "CAMELLIA", "ARIA"):
        for bits in ("128", "256"):
            cipher = cipher.replace(f"{family}-{bits}-CBC-", f"{family}{bits}-")
            cipher = cipher.replace(f"{family}-{bits}-", f"{family}{bits}-")
    cipher = cipher.replace("-CCM-8", "-CCM8")
    return cipher if exchange == "RSA" else f"{exchange}-{cipher}"


def _set_groups(context: "SSL.Context", options: TlsOptions, warnings: list[str]) -> None:
    """Sets the key exchange groups; unknown ones are left out with a warning, as OpenVPN does."""
    if options.tls_groups is None:
        return
    known = []
    for name in options.tls_groups.split(":"):
        if _try_groups(context, name):
            known.append(name)
        else:
            warnings.append(f"tls-groups: this TLS library does not know the group '{name}'")
    if not known or not _try_groups(context, ":".join(known)):
        raise ConfigError(
            f"tls-groups: no group of '{options.tls_groups}' is known (see --show-curves)",
            option="tls-groups",
        )


def _try_groups(context: "SSL.Context", names: str) -> bool:
    from OpenSSL._util import ffi, lib

    accepted = bool(
        lib.SSL_CTX_set1_curves_list(
            context._context,  # no public call for groups
            ffi.new("char[]", names.encode()),
        )
    )
    if not accepted:
        lib.ERR_clear_error()
    return accepted


def _load_trust(
    context: "SSL.Context", options: TlsOptions, bundle: Sequence["x509.Certificate"]
) -> bool:
    """Fills the trust store from ca, capath or the PKCS#12 bundle; False when there is none."""
    from OpenSSL import SSL, crypto

    store = context.get_cert_store()
    if store is None:
        raise ConfigError("the TLS library has no certificate store", option="ca")
    anchors = list(bundle) if options.ca is None else _pem_certificates(options.ca)
    for anchor in anchors:
        store.add_cert(crypto.X509.from_cryptography(anchor))
    if options.capath is not None:
        try:
            context.load_verify_locations(None, options.capath.encode())
        except SSL.Error as refused:
            raise ConfigError(
                f"capath: cannot use the directory '{options.capath}'", option="capath"
            ) from refused
    return bool(anchors) or options.capath is not None


def _load_crl(context: "SSL.Context", options: TlsOptions) -> None:
    if options.crl_verify is None:
        return
    from cryptography import x509
    from OpenSSL import crypto

    store = context.get_cert_store()
    try:
        lists = [x509.load_pem_x509_crl(block) for block in _pem_blocks(options.crl_verify)]
    except ValueError as unreadable:
        raise _file_error(options.crl_verify, "does not hold a readable CRL") from unreadable
    if not lists or store is None:
        raise _file_error(
            options.crl_verify, "does not hold a PEM block '-----BEGIN X509 CRL-----'"
        )
    for revocations in lists:
        store.add_crl(revocations)
    store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)


def _pem_blocks(content: FileContent) -> list[bytes]:
    begin, end = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"
    blocks = []
    for part in content.content.reveal().split(begin)[1:]:
        body, found, _ = part.partition(end)
        if found:
            blocks.append(begin + body + end + b"\n")
    return blocks


def _load_identity(
    context: "SSL.Context", options: TlsOptions, unix_time: int, warnings: list[str]
) -> tuple["x509.Certificate", ...]:
    """Loads own certificate, chain and key. Returns the CA certificates of a PKCS#12 bundle."""
    from OpenSSL import SSL

    bundle: tuple[x509.Certificate, ...] = ()
    if options.pkcs12 is not None:
        identity = _from_pkcs12(options.pkcs12, options.askpass)
        if options.ca is None:  # without ca the bundle's CA certificates are the trust anchors
            bundle, identity = identity.chain, replace(identity, chain=())
    elif options.cert is not None and options.key is not None:
        identity = _from_files(options.cert, options.key, options.askpass)
    elif options.cert is not None or options.key is not None:
        given = options.cert or options.key
        raise ConfigError(
            "'cert' and 'key' belong together, only one of them is given",
            option="cert" if options.cert else "key",
            origin=given.origin if given else None,
        )
    else:
        return ()
    extra = [] if options.extra_certs is None else _pem_certificates(options.extra_certs)
    if not _same_key(identity):
        raise ConfigError(
            "the private key does not belong to the certificate: 'key' and 'cert' must be a pair",
            option="key",
            origin=identity.origin,
        )
    _warn_about_dates(identity.certificate, unix_time, warnings)
    try:
        context.use_certificate(identity.certificate)
        context.use_privatekey(_usable(identity.key))
        for certificate in (*identity.chain, *extra):
            context.add_extra_chain_cert(certificate)
    except SSL.Error as refused:
        raise ConfigError(
            f"{identity.option}: the TLS library refuses it ({tls_error_reason(refused.args)}); "
            "a weak key or signature needs 'tls-cert-profile insecure'",
            option=identity.option,
            origin=identity.origin,
        ) from refused
    return bundle


def _from_files(cert: FileContent, key: FileContent, passphrase: Secret | None) -> _Identity:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    first, *chain = _pem_certificates(cert)
    password = None if passphrase is None else passphrase.reveal()
    pem = key.content.reveal()
    try:
        try:
            private = load_pem_private_key(pem, password)
        except TypeError as mismatch:
            if password is None:
                raise PassphraseNeeded(
                    "the private key is encrypted: give its passphrase with 'askpass FILE'",
                    option=key.option,
                    origin=key.origin,
                ) from mismatch
            private = load_pem_private_key(pem, None)  # a passphrase for a key that has none
    except ValueError as unreadable:
        if b"ENCRYPTED" in pem:
            raise PassphraseWrong(
                "the passphrase does not open the private key",
                option=key.option,
                origin=key.origin,
            ) from unreadable
        raise _file_error(key, "does not hold a readable PEM private key") from unreadable
    return _Identity(
        option="key", origin=key.origin, certificate=first, key=private, chain=tuple(chain)
    )


def _from_pkcs12(content: FileContent, passphrase: Secret | None) -> _Identity:
    from cryptography.hazmat.primitives.serialization import pkcs12

    raw = content.content.reveal()
    if content.path is None:
        try:
            raw = base64.b64decode(b"".join(raw.split()), validate=True)
        except binascii.Error as garbled:
            raise _file_error(content, "is not base64, as an inline bundle must be") from garbled
    password = None if passphrase is None else passphrase.reveal()
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(raw, password)
    except ValueError as unreadable:
        if b"password" not in str(unreadable).lower().encode():
            raise _file_error(content, "is not a readable PKCS#12 bundle") from unreadable
        problem = PassphraseNeeded if password is None else PassphraseWrong
        raise problem(
            "the PKCS#12 bundle does not open: give its passphrase with 'askpass FILE'"
            if password is None
            else "the passphrase does not open the PKCS#12 bundle",
            option="pkcs12",
            origin=content.origin,
        ) from unreadable
    if key is None or certificate is None:
        raise _file_error(content, "holds no private key with its certificate")
    return _Identity(
        option="pkcs12",
        origin=content.origin,
        certificate=certificate,
        key=key,
        chain=tuple(others),
    )


def _usable(
    key: "PrivateKeyTypes",
) -> (
    "rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey"
    " | ed448.Ed448PrivateKey"
):
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if isinstance(
        key,
        rsa.RSAPrivateKey
        | ec.EllipticCurvePrivateKey
        | ed25519.Ed25519PrivateKey
        | ed448.Ed448PrivateKey,
    ):
        return key
    raise ConfigError(
        "key: this kind of private key cannot sign in TLS, use RSA, EC or Ed25519", option="key"
    )


def _same_key(identity: _Identity) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        ours = identity.certificate.public_key().public_bytes(*form)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return ours == identity.key.public_key().public_bytes(*form)


def _warn_about_dates(certificate: "x509.Certificate", unix_time: int, warnings: list[str]) -> None:
    now = datetime.fromtimestamp(unix_time, UTC)
    subject = render_name(certificate.subject)
    if certificate.not_valid_after_utc < now:
        warnings.append(
            f"WARNING: Your certificate has expired! ('{subject}' ended at "
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC)"
        )
    elif certificate.not_valid_before_utc > now:
        warnings.append(
            f"WARNING: Your certificate is not yet valid! ('{subject}' starts at "
            f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC)"
        )


def _pem_certificates(content: FileContent) -> list["x509.Certificate"]:
    from cryptography import x509

    try:
        certificates = x509.load_pem_x509_certificates(content.content.reveal())
    except ValueError as unreadable:
        raise _file_error(content, "does not hold a readable PEM certificate") from unreadable
    if not certificates:
        raise _file_error(content, "does not hold a PEM block '-----BEGIN CERTIFICATE-----'")
    return certificates


def _file_error(content: FileContent, problem: str) -> ConfigError:
    where = "the inline block" if content.path is None else f"'{content.path}'"
    return ConfigError(
        f"{content.option}: {where} {problem}", option=content.option, origin=content.origin
    )


def describe_public_key(certificate: "x509.Certificate") -> str:
    """Renders the key and signature as OpenVPN logs them.

    For example ``256 bits ECprime256v1, signature: ecdsa-with-SHA256``; empty when the key is of a
    kind that the library cannot describe.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    try:
        key = certificate.public_key()
        digest = certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return ""
    match key:
        case rsa.RSAPublicKey():
            name = f"{key.key_size} bits RSA"
        case ec.EllipticCurvePublicKey():
            name = f"{key.key_size} bits {_CURVE_NAMES.get(key.curve.name, 'EC' + key.curve.name)}"
        case ed25519.Ed25519PublicKey():
            name = "253 bits ED25519"
        case ed448.Ed448PublicKey():
            name = "448 bits ED448"
        case _:
            return ""
    return f"{name}, signature: {_signature_name(certificate, digest)}"


def _signature_name(certificate: "x509.Certificate", digest: object) -> str:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    name = certificate.signature_algorithm_oid._name
    if not isinstance(digest, HashAlgorithm):
        return name
    hash_name = digest.name.upper()
    if name.startswith("ecdsa"):
        return f"ecdsa-with-{hash_name}"
    if name.startswith("sha") and name.endswith("WithRSAEncryption"):
        return f"RSA-{hash_name}"
    return name


def tls_error_reason(args: tuple[object, ...]) -> str:
    """The library's own words for the first error of its queue."""
    queue = args[0] if args else ()
    if isinstance(queue, list | tuple):
        for entry in queue:
            if isinstance(entry, tuple) and entry and entry[-1]:
                return str(entry[-1])
    return "TLS error"


def verify_error_text(code: int) -> str:
    """OpenSSL's words for a certificate verification error."""
    from OpenSSL._util import ffi, lib

    text = ffi.string(lib.X509_verify_cert_error_string(code))
    return text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)


_HINTS = (
    ("alert unknown ca", "the server does not trust the CA that issued our certificate"),
    ("alert certificate expired", "the server says that our certificate has expired"),
    ("alert certificate revoked", "the server says that our certificate is revoked"),
    ("alert bad certificate", "the server refuses our certificate"),
    ("alert certificate required", "the server wants a certificate: give 'cert' and 'key'"),
    ("alert handshake failure", "no common TLS cipher, group or signature, or no certificate"),
    ("alert protocol version", "no common TLS version: see tls-version-min and tls-version-max"),
    ("unsupported protocol", "no common TLS version: see tls-version-min and tls-version-max"),
    ("no protocols available", "tls-version-min and tls-version-max leave no TLS version"),
    ("no shared cipher", "no common TLS cipher: see tls-cipher and tls-ciphersuites"),
    ("wrong version number", "what came is not TLS, or the TLS version is not allowed"),
    ("bad ecpoint", "no common key exchange group: see tls-groups"),
)


def explain_tls_error(reason: str) -> str:
    """A plain sentence for the library's reason; empty when there is nothing to add."""
    lowered = reason.lower()
    return next((hint for pattern, hint in _HINTS if pattern in lowered), "")
