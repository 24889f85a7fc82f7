"""Builds the TLS context of a configuration, for either TLS library.

Responsible for loading certificates and keys, protocol versions, cipher and group lists, the
certificate profile and the CRL, and for turning the library's refusals into ``ConfigError`` with
the option, its origin and a fix. It reads no files but what OpenSSL itself looks up in ``capath``.
Which peer certificate is acceptable is ``x509``'s business; the libraries are ``tls_wheel`` and
``libssl_context``.
"""

import binascii
from collections.abc import Callable, Sequence

from ginnel.core.certificate import Certificate
from ginnel.core.errors import ConfigError
from ginnel.core.moments import moment_at, render_moment
from ginnel.core.signing import OutsideKey
from ginnel.core.tls_text import RSA_KEYS, openssl_cipher_name
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy, render_name, unreadable
from ginnel.dataclass import dataclass, replace
from ginnel.hints import TYPE_CHECKING, Protocol
from ginnel.options.model import TlsOptions
from ginnel.options.values import FileContent, Origin, Secret

if TYPE_CHECKING:
    from ginnel.core.tls import PeerCheck, TlsChannel
    from ginnel.core.tls_wheel_files import PrivateKey
    from ginnel.options.server_model import VerifyClientCert

_DEFAULT_CIPHERS = "DEFAULT:!EXP:!LOW:!MEDIUM:!kDH:!kECDH:!DSS:!PSK:!SRP:!kRSA"
_SUITEB_CIPHERS = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
_SECURITY_LEVELS = {"insecure": 0, "legacy": 1, "preferred": 2, "suiteb": 3}
_VERSIONS = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304}


class PassphraseNeeded(ConfigError):
    """The private key is encrypted and no passphrase was given: ask for one and build again."""


class PassphraseWrong(ConfigError):
    """The passphrase does not open the private key."""


class TlsLibrary(Protocol):
    """A context of one TLS library, as far as building one needs it; certificates are in DER."""

    def set_versions(self, lowest: int, highest: int) -> None:
        """Limits the TLS versions, by their numbers on the wire; 0 is no limit."""
        ...

    def set_ciphers(self, names: str) -> bool:
        """Sets the suites up to TLS 1.2; False when none of them is known."""
        ...

    def set_suites(self, names: str) -> bool:
        """Sets the suites of TLS 1.3; False when one is not known."""
        ...

    def set_groups(self, names: str) -> bool:
        """Sets the key exchange groups; False when one is not known."""
        ...

    def set_dh(self, parameters: bytes) -> bool:
        """Takes Diffie-Hellman parameters in PEM form; False when it cannot read them."""
        ...

    def trust(self, anchors: Sequence[bytes]) -> bool:
        """Adds trust anchors; False when it cannot read one that others can."""
        ...

    def trust_directory(self, path: str) -> bool:
        """Looks up further anchors in a directory of hashed names; False when it cannot."""
        ...

    def check_revocation(self, lists: Sequence[bytes]) -> bool:
        """Wants every certificate below the anchor to be covered by one of these lists.

        False when it cannot read one.
        """
        ...

    def identify(
        self,
        certificate: bytes,
        key: "PrivateKey | OutsideKey",
        chain: Sequence[bytes],
    ) -> str:
        """Sets own certificate, key and the certificates to send along.

        Returns the library's reason for refusing them, or an empty text. Raises KeyMismatch.
        """
        ...

    def cipher_names(self) -> list[str]:
        """The suites that are offered, by the library's names."""
        ...

    def channel(
        self, *, side: Side, policy: CertificatePolicy, peer_check: "PeerCheck"
    ) -> "TlsChannel":
        """Makes one TLS session."""
        ...


@dataclass(frozen=True, kw_only=True)
class TlsContext:
    """A context ready to make channels; ``warnings`` are plain sentences for the log."""

    tls_library: TlsLibrary
    policy: CertificatePolicy
    side: Side
    peer_check: "PeerCheck"
    warnings: tuple[str, ...]

    def channel(self) -> "TlsChannel":
        """Makes one TLS session over memory BIOs."""
        return self.tls_library.channel(
            side=self.side, policy=self.policy, peer_check=self.peer_check
        )


@dataclass(frozen=True, kw_only=True)
class _Identity:
    """Own key and certificate with where they came from, and the certificates around them."""

    option: str
    origin: Origin
    certificate: Certificate
    key: "PrivateKey | OutsideKey"
    chain: tuple[bytes, ...]
    """In DER."""


def build_tls_context(
    options: TlsOptions,
    *,
    side: Side,
    unix_time: int,
    is_revoked: Callable[[int], bool] | None = None,
    outside: OutsideKey | None = None,
    peer_check: "PeerCheck | None" = None,
) -> TlsContext:
    """Builds the context for one side. Raises ConfigError (PassphraseNeeded, PassphraseWrong).

    ``unix_time`` (seconds) serves only to warn about an expired own certificate. ``is_revoked``
    answers for ``crl-verify DIR dir`` and must be given when that is configured. With ``outside``
    there is a certificate and no key, and the system's library takes the place of the wheel's.
    ``peer_check`` None is what is usual: a server wants its clients' certificates.
    """
    from ginnel.core.tls import PeerCheck

    if options.crl_verify_dir is not None and is_revoked is None:
        raise ConfigError("crl-verify: no lookup for the CRL directory", option="crl-verify")
    warnings: list[str] = []
    library = _library(outside)
    identity = _identity(options, outside)
    _set_versions(library, options, identity, warnings)
    _set_ciphers(library, options)
    _set_groups(library, options, warnings)
    if options.dh is not None and not library.set_dh(options.dh.content.reveal()):
        raise _file_error(options.dh, "holds no Diffie-Hellman parameters that OpenSSL takes")
    bundle_trust = _load_identity(library, options, identity, unix_time, warnings)
    trusted = _load_trust(library, options, bundle_trust)
    _load_crl(library, options)
    if peer_check is None:
        peer_check = PeerCheck.REQUIRED if side is Side.SERVER else PeerCheck.IF_SENT
    checks = side is Side.CLIENT or peer_check is not PeerCheck.NONE
    if checks and not trusted and not options.peer_fingerprint:
        raise ConfigError(
            "nothing to check the peer's certificate with: give 'ca', 'capath', a 'pkcs12' bundle "
            "with CA certificates, or 'peer-fingerprint'",
            option="ca",
        )
    return TlsContext(
        tls_library=library,
        policy=CertificatePolicy(
            options=options,
            has_trust_anchor=trusted,
            is_revoked=is_revoked if options.crl_verify_dir is not None else None,
        ),
        side=side,
        peer_check=peer_check,
        warnings=tuple(warnings),
    )


def client_check(wanted: "VerifyClientCert") -> "PeerCheck":
    """What ``verify-client-cert`` asks of a server's clients."""
    from ginnel.core.tls import PeerCheck
    from ginnel.options.server_model import VerifyClientCert

    return {
        VerifyClientCert.NONE: PeerCheck.NONE,
        VerifyClientCert.OPTIONAL: PeerCheck.IF_SENT,
        VerifyClientCert.REQUIRE: PeerCheck.REQUIRED,
    }[wanted]


def _library(outside: OutsideKey | None) -> TlsLibrary:
    """Both are imported when they are needed: each costs start-up time."""
    if outside is None:
        from ginnel.core.tls_wheel import WheelLibrary

        return WheelLibrary()
    from ginnel.core.libssl_context import SystemLibrary

    return SystemLibrary()


def _set_versions(
    library: TlsLibrary, options: TlsOptions, identity: "_Identity | None", warnings: list[str]
) -> None:
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
    if identity is not None and _lacks_pss(identity) and highest in {0, _VERSIONS["1.3"]}:
        # TLS 1.3 knows no other padding; a server that takes TLS 1.2 can still be reached.
        option = identity.option
        if lowest == _VERSIONS["1.3"]:
            raise ConfigError(
                f"{option}: an RSA key signs in TLS 1.3 only with PSS padding; add 'pss' to "
                f"{option} if the management client can do that",
                option=option,
            )
        highest = _VERSIONS["1.2"]
        warnings.append(
            f"{option}: without 'pss' an RSA key cannot sign in TLS 1.3: using TLS 1.2 at most"
        )
    library.set_versions(lowest, highest)


def _lacks_pss(identity: "_Identity") -> bool:
    key = identity.key
    return (
        isinstance(key, OutsideKey)
        and not key.rsa_pss
        and identity.certificate.public_key()[0] in RSA_KEYS
    )


def _version(word: str, option: str, options: TlsOptions) -> int:
    if word in _VERSIONS:
        return _VERSIONS[word]
    if options.tls_version_min_or_highest:
        return _VERSIONS["1.3"]
    raise ConfigError(
        f"{option}: unknown TLS version '{word}', expected one of {', '.join(_VERSIONS)}",
        option=option,
    )


def _set_ciphers(library: TlsLibrary, options: TlsOptions) -> None:
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
    if not names.isascii() or not library.set_ciphers(names):
        raise ConfigError(
            f"tls-cipher: no cipher of '{options.tls_cipher}' is known (see --show-tls)",
            option="tls-cipher",
        )
    if options.tls_ciphersuites is None:
        return
    suites = options.tls_ciphersuites.replace("-", "_")
    if not suites.isascii() or not library.set_suites(suites):
        raise ConfigError(
            f"tls-ciphersuites: '{options.tls_ciphersuites}' names an unknown TLS 1.3 suite",
            option="tls-ciphersuites",
        )


def _set_groups(library: TlsLibrary, options: TlsOptions, warnings: list[str]) -> None:
    """Sets the key exchange groups; unknown ones are left out with a warning, as OpenVPN does."""
    if options.tls_groups is None:
        return
    known = []
    for name in options.tls_groups.split(":"):
        if name.isascii() and library.set_groups(name):
            known.append(name)
        else:
            warnings.append(f"tls-groups: this TLS library does not know the group '{name}'")
    if not known or not library.set_groups(":".join(known)):
        raise ConfigError(
            f"tls-groups: no group of '{options.tls_groups}' is known (see --show-curves)",
            option="tls-groups",
        )


def _load_trust(library: TlsLibrary, options: TlsOptions, bundle: Sequence[bytes]) -> bool:
    """Fills the trust store from ca, capath or the PKCS#12 bundle; False when there is none."""
    anchors = list(bundle) if options.ca is None else _pem_certificates(options.ca)
    holder = options.ca or options.pkcs12
    if not library.trust(anchors) and holder is not None:
        raise _file_error(holder, "holds a CA certificate that OpenSSL cannot read")
    if options.capath is not None and not library.trust_directory(options.capath):
        raise ConfigError(f"capath: cannot use the directory '{options.capath}'", option="capath")
    return bool(anchors) or options.capath is not None


def _load_crl(library: TlsLibrary, options: TlsOptions) -> None:
    if options.crl_verify is None:
        return
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        lists = [x509.load_pem_x509_crl(block) for block in _pem_blocks(options.crl_verify)]
    except unreadable() as bad:
        raise _file_error(options.crl_verify, "does not hold a readable CRL") from bad
    if not lists:
        raise _file_error(
            options.crl_verify, "does not hold a PEM block '-----BEGIN X509 CRL-----'"
        )
    if not library.check_revocation([one.public_bytes(Encoding.DER) for one in lists]):
        raise _file_error(options.crl_verify, "holds a CRL that OpenSSL cannot read")


def _pem_blocks(content: FileContent) -> list[bytes]:
    begin, end = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"
    blocks = []
    for part in content.content.reveal().split(begin)[1:]:
        body, found, _ = part.partition(end)
        if found:
            blocks.append(begin + body + end + b"\n")
    return blocks


def _identity(options: TlsOptions, outside: OutsideKey | None) -> "_Identity | None":
    """Reads own certificate and key from where the options say they are; None without any."""
    if options.pkcs12 is not None:
        return _from_pkcs12(options.pkcs12, options.askpass)
    if options.cert is not None and outside is not None:
        first, chain = _own_certificates(options.cert)
        return _Identity(
            option=outside.option,
            origin=options.cert.origin,
            certificate=first,
            key=outside,
            chain=chain,
        )
    if options.cert is not None and options.key is not None:
        return _from_files(options.cert, options.key, options.askpass)
    given = options.cert or options.key
    if given is not None:
        raise ConfigError(
            "'cert' and 'key' belong together, only one of them is given",
            option="cert" if options.cert else "key",
            origin=given.origin,
        )
    return None


def _load_identity(
    library: TlsLibrary,
    options: TlsOptions,
    identity: "_Identity | None",
    unix_time: int,
    warnings: list[str],
) -> tuple[bytes, ...]:
    """Sets own certificate, chain and key. Returns the CA certificates of a PKCS#12 bundle."""
    from ginnel.core.tls import KeyMismatch

    if identity is None:
        return ()
    bundle: tuple[bytes, ...] = ()
    if options.pkcs12 is not None and options.ca is None:
        # Without ca the bundle's CA certificates are the trust anchors.
        bundle, identity = identity.chain, replace(identity, chain=())
    extra = [] if options.extra_certs is None else _pem_certificates(options.extra_certs)
    _warn_about_dates(identity.certificate, unix_time, warnings)
    if not isinstance(identity.key, OutsideKey) and not identity.key.can_sign:
        raise ConfigError(
            "key: this kind of private key cannot sign in TLS, use RSA, EC or Ed25519", option="key"
        )
    try:
        refused = library.identify(
            identity.certificate.der, identity.key, (*identity.chain, *extra)
        )
    except KeyMismatch:
        raise ConfigError(
            "the private key does not belong to the certificate: 'key' and 'cert' must be a pair",
            option="key",
            origin=identity.origin,
        ) from None
    if refused:
        raise ConfigError(
            f"{identity.option}: the TLS library refuses it ({refused}); "
            "a weak key or signature needs 'tls-cert-profile insecure'",
            option=identity.option,
            origin=identity.origin,
        )
    return bundle


def _from_files(cert: FileContent, key: FileContent, passphrase: Secret | None) -> _Identity:
    from ginnel.core import tls_wheel_files as wheel

    first, chain = _own_certificates(cert)
    try:
        private = wheel.read_key(key.content.reveal(), passphrase)
    except wheel.PassphraseMissing as locked:
        raise PassphraseNeeded(
            "the private key is encrypted: give its passphrase with 'askpass FILE'",
            option=key.option,
            origin=key.origin,
        ) from locked
    except wheel.PassphraseRefused as locked:
        raise PassphraseWrong(
            "the passphrase does not open the private key",
            option=key.option,
            origin=key.origin,
        ) from locked
    except ValueError as bad:
        raise _file_error(key, "does not hold a readable PEM private key") from bad
    return _Identity(option="key", origin=key.origin, certificate=first, key=private, chain=chain)


def _from_pkcs12(content: FileContent, passphrase: Secret | None) -> _Identity:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    from ginnel.core.tls_wheel_files import decode_key

    raw = content.content.reveal()
    if content.path is None:
        try:
            raw = binascii.a2b_base64(b"".join(raw.split()), strict_mode=True)
        except binascii.Error as garbled:
            raise _file_error(content, "is not base64, as an inline bundle must be") from garbled
    password = None if passphrase is None else passphrase.reveal()
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(raw, password)
    except unreadable() as bad:
        if b"password" not in str(bad).lower().encode():
            raise _file_error(content, "is not a readable PKCS#12 bundle") from bad
        problem = PassphraseNeeded if password is None else PassphraseWrong
        raise problem(
            "the PKCS#12 bundle does not open: give its passphrase with 'askpass FILE'"
            if password is None
            else "the passphrase does not open the PKCS#12 bundle",
            option="pkcs12",
            origin=content.origin,
        ) from bad
    if key is None or certificate is None:
        raise _file_error(content, "holds no private key with its certificate")
    der = serialization.Encoding.DER
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    try:
        return _Identity(
            option="pkcs12",
            origin=content.origin,
            certificate=Certificate(certificate.public_bytes(der)),
            key=decode_key(key.private_bytes(der, *plain)),
            chain=tuple(other.public_bytes(der) for other in others),
        )
    except ValueError as bad:
        raise _file_error(content, "is not a readable PKCS#12 bundle") from bad


def _warn_about_dates(certificate: Certificate, unix_time: int, warnings: list[str]) -> None:
    now = moment_at(unix_time)
    subject = render_name(certificate.subject)
    start, end = certificate.validity
    if end < now:
        warnings.append(
            f"WARNING: Your certificate has expired! ('{subject}' ended at {render_moment(end)})"
        )
    elif start > now:
        warnings.append(
            f"WARNING: Your certificate is not yet valid! ('{subject}' starts at "
            f"{render_moment(start)})"
        )


def _own_certificates(content: FileContent) -> tuple[Certificate, tuple[bytes, ...]]:
    """The certificate that comes first, and those that follow it."""
    first, *chain = _pem_certificates(content)
    try:
        return Certificate(first), tuple(chain)
    except ValueError as bad:
        raise _file_error(content, "does not hold a readable PEM certificate") from bad


def _pem_certificates(content: FileContent) -> list[bytes]:
    from ginnel.core.tls_wheel_files import read_certificates

    try:
        certificates = read_certificates(content.content.reveal())
    except ValueError as bad:
        raise _file_error(content, "does not hold a readable PEM certificate") from bad
    if not certificates:
        raise _file_error(content, "does not hold a PEM block '-----BEGIN CERTIFICATE-----'")
    return certificates


def _file_error(content: FileContent, problem: str) -> ConfigError:
    where = "the inline block" if content.path is None else f"'{content.path}'"
    return ConfigError(
        f"{content.option}: {where} {problem}", option=content.option, origin=content.origin
    )
