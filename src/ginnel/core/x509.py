"""Decides whether a certificate of the peer is acceptable, and says why not in plain words.

Responsible for the checks that OpenVPN makes on each certificate on top of the library's own chain
verification, in the order of protocol-facts 22, and for rendering names. It does no I/O: whether a
serial number is listed in a CRL directory is asked through a callable. The ``tls-verify`` hook is
not run here: it is slow, so the machine asks for it after the handshake.
"""

from collections.abc import Callable

from ginnel.core.actions import CertificateInfo
from ginnel.core.certificate import Certificate, Name
from ginnel.core.moments import render_moment
from ginnel.core.notices import CertificateAccepted, CertificateRejected
from ginnel.dataclass import dataclass, field
from ginnel.options.model import NameMatch, TlsOptions, VerifyName
from ginnel.options.x509_names import SHORT_NAMES

MAX_NAME = 64
"""Longest common name that OpenVPN takes (TLS_USERNAME_LEN)."""
MAX_REMEMBERED = 16
"""Authorities whose verdict is kept."""

# X509_V_ERR_* numbers of OpenSSL that get words of their own.
_UNABLE_TO_GET_CRL = 3
_NOT_YET_VALID = 9
_EXPIRED = 10
_CRL_EXPIRED = 12
_SELF_SIGNED_LEAF = 18
_SELF_SIGNED_IN_CHAIN = 19
_NO_LOCAL_ISSUER = 20
_NO_FIRST_ISSUER = 21
_REVOKED = 23
_INVALID_CA = 24
_WRONG_PURPOSE = 26
_WEAK = frozenset({66, 67, 68})
_NO_ISSUER = frozenset(
    {_SELF_SIGNED_LEAF, _SELF_SIGNED_IN_CHAIN, _NO_LOCAL_ISSUER, _NO_FIRST_ISSUER}
)

_EXTENDED_USES = {
    "tls web server authentication": "1.3.6.1.5.5.7.3.1",
    "serverauth": "1.3.6.1.5.5.7.3.1",
    "tls web client authentication": "1.3.6.1.5.5.7.3.2",
    "clientauth": "1.3.6.1.5.5.7.3.2",
    "code signing": "1.3.6.1.5.5.7.3.3",
    "codesigning": "1.3.6.1.5.5.7.3.3",
    "e-mail protection": "1.3.6.1.5.5.7.3.4",
    "emailprotection": "1.3.6.1.5.5.7.3.4",
    "time stamping": "1.3.6.1.5.5.7.3.8",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp signing": "1.3.6.1.5.5.7.3.9",
    "ocspsigning": "1.3.6.1.5.5.7.3.9",
    "any extended key usage": "2.5.29.37.0",
    "anyextendedkeyusage": "2.5.29.37.0",
}

_NETSCAPE_BITS = {"client": 0x80, "server": 0x40}
_ROLE_EKU = {"client": "1.3.6.1.5.5.7.3.2", "server": "1.3.6.1.5.5.7.3.1"}


@dataclass(frozen=True, kw_only=True)
class ChainError:
    """What the library's chain verification complains about: its number and its words."""

    code: int
    text: str


@dataclass(frozen=True, kw_only=True)
class CertificatePolicy:
    """The rules of one configuration; ``judge`` applies them to one certificate."""

    options: TlsOptions
    has_trust_anchor: bool
    """False when neither ca nor capath nor a PKCS#12 bundle gave one: fingerprints decide alone."""
    is_revoked: Callable[[int], bool] | None = None
    """Whether the CRL directory lists this serial number; needed with ``crl-verify DIR dir``."""
    _accepted: dict[tuple[bytes, int], CertificateAccepted] = field(
        default_factory=dict, compare=False
    )
    """Authorities that were accepted, by certificate and depth: all clients of a server show the
    same few, and what is said of them does not change."""

    def accepted_before(self, der: bytes, depth: int) -> CertificateAccepted | None:
        """The verdict on an authority that was found good already; chain errors are not in it."""
        return self._accepted.get((der, depth))

    def remember(self, der: bytes, verdict: CertificateAccepted) -> None:
        """Keeps the verdict on an authority, unless that may change any day."""
        depth = verdict.certificate.depth
        if depth > 0 and self.is_revoked is None and len(self._accepted) < MAX_REMEMBERED:
            self._accepted[der, depth] = verdict

    def judge(
        self, certificate: Certificate, *, depth: int, chain_error: ChainError | None
    ) -> CertificateAccepted | CertificateRejected | None:
        """Judges one certificate; None means "this chain error does not matter, go on".

        The library calls once for each error and, when none is fatal, once more for the
        certificate itself, top depth first.
        """
        subject = render_name(certificate.subject)
        described = CertificateInfo(depth=depth, subject=subject, der=certificate.der)
        if chain_error is not None:
            if self._may_ignore(chain_error):
                return None
            return CertificateRejected(
                certificate=described,
                error=chain_error.text,
                hint=_explain_chain(certificate, chain_error),
            )
        checks: list[str] = []
        problem = self._check_hash(described)
        if problem is None and depth == 0:
            problem = self._check_leaf(certificate, described, checks)
        if problem is None:
            problem = self._check_serial(certificate)
        if problem is not None:
            error, hint = problem
            return CertificateRejected(certificate=described, error=error, hint=hint)
        return CertificateAccepted(certificate=described, checks=tuple(checks))

    def common_name(self, certificate: Certificate) -> str | None:
        """The name that stands for the peer (``x509-username-field``); None when it has none."""
        parts = [_name_field(certificate, field) for field in self.options.x509_username_field]
        if not parts or any(part is None or not part for part in parts):
            return None
        joined = "_".join(part for part in parts if part)
        return sanitize(joined) if len(joined) <= MAX_NAME else None

    def _may_ignore(self, error: ChainError) -> bool:
        if error.code == _UNABLE_TO_GET_CRL:
            # As OpenVPN: a CA without a CRL in the file is let through.
            return True
        pinned = bool(self.options.peer_fingerprint) and not self.has_trust_anchor
        return pinned and error.code in _NO_ISSUER

    def _check_hash(self, described: CertificateInfo) -> tuple[str, str] | None:
        options = self.options
        if described.depth == 1 and options.verify_hash:
            found = _digest(options.verify_hash_algorithm, described.der)
            if not _any_equal(found, options.verify_hash):
                return (
                    "verify-hash failed",
                    f"the issuing certificate's {options.verify_hash_algorithm} digest is "
                    f"{found.hex(':').upper()}, which verify-hash does not list",
                )
        if described.depth == 0 and options.peer_fingerprint:
            found = _digest("sha256", described.der)
            if not _any_equal(found, options.peer_fingerprint):
                return (
                    "peer-fingerprint mismatch",
                    f"the certificate's SHA-256 fingerprint is {found.hex(':').upper()}, "
                    "which peer-fingerprint does not list",
                )
        return None

    def _check_leaf(
        self, certificate: Certificate, described: CertificateInfo, checks: list[str]
    ) -> tuple[str, str] | None:
        name = self.common_name(certificate)
        if name is None:
            fields = "+".join(self.options.x509_username_field)
            return (
                f"could not extract {fields} from X509 subject string",
                f"the certificate has no usable {fields} (at most {MAX_NAME} bytes)",
            )
        return (
            self._check_netscape(certificate, checks)
            or self._check_key_usage(certificate, checks)
            or self._check_extended_use(certificate, checks)
            or self._check_name(name, described.subject, checks)
        )

    def _check_netscape(
        self, certificate: Certificate, checks: list[str]
    ) -> tuple[str, str] | None:
        wanted = self.options.ns_cert_type
        if wanted is None:
            return None
        has_bit = bool(certificate.netscape_type() & _NETSCAPE_BITS[wanted])
        if has_bit or _ROLE_EKU[wanted] in (certificate.extended_uses() or ()):
            checks.append("VERIFY OK: nsCertType=" + wanted.upper())
            return None
        return (
            f"require nsCertType={wanted.upper()}",
            f"the certificate was not made for a {wanted}; remote-cert-tls is the modern check",
        )

    def _check_key_usage(
        self, certificate: Certificate, checks: list[str]
    ) -> tuple[str, str] | None:
        wanted = self.options.remote_cert_ku
        if wanted is None:
            return None
        found = certificate.key_usage()
        if found is None:
            return (
                "Certificate does not have key usage extension",
                "remote-cert-tls and remote-cert-ku need a certificate with a key usage extension",
            )
        if wanted and not any(found & mask == mask for mask in wanted):
            masks = " ".join(f"{mask:02x}" for mask in wanted)
            return (
                f"Certificate key usage {found:02x} does not match {masks}",
                f"the certificate has key usage {found:02x}; remote-cert-ku wants one of {masks}",
            )
        checks.append("VERIFY KU OK")
        return None

    def _check_extended_use(
        self, certificate: Certificate, checks: list[str]
    ) -> tuple[str, str] | None:
        wanted = self.options.remote_cert_eku
        if wanted is None:
            return None
        found = certificate.extended_uses()
        if found is not None and _EXTENDED_USES.get(wanted.lower(), wanted) in found:
            checks.append("VERIFY EKU OK")
            return None
        have = "none" if not found else ", ".join(sanitize(oid) for oid in found[:8])
        return (
            "Certificate does not have the extended key usage " + wanted,
            f"wanted {wanted}, the certificate has {have}: it was made for another role",
        )

    def _check_name(self, name: str, subject: str, checks: list[str]) -> tuple[str, str] | None:
        rule = self.options.verify_x509_name
        if rule is None:
            return None
        if _name_matches(rule, name, subject):
            found = subject if rule.match is NameMatch.SUBJECT else name
            checks.append(f"VERIFY X509NAME OK: {found}")
            return None
        found = subject if rule.match is NameMatch.SUBJECT else name
        return (
            f"VERIFY X509NAME ERROR: {subject}, must be {rule.name}",
            f"verify-x509-name expects {rule.match.value} '{rule.name}', "
            f"but the peer's certificate has '{found}'",
        )

    def _check_serial(self, certificate: Certificate) -> tuple[str, str] | None:
        if self.is_revoked is None:
            return None
        serial = certificate.serial_number
        if not self.is_revoked(serial):
            return None
        return (
            "certificate revoked",
            f"serial number {serial} is listed in the crl-verify directory",
        )


def unreadable() -> tuple[type[Exception], ...]:
    """What the cryptography package raises for what OpenSSL may take all the same.

    To be called in an ``except`` clause, so that nobody pays for the import before.
    """
    from cryptography import exceptions, x509

    return (
        TypeError,  # a field of a name that is a string of bits
        ValueError,
        exceptions.UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )


def describe_unreadable(depth: int, reason: str) -> CertificateRejected:
    """The verdict on a certificate that the library accepts but that cannot be decoded."""
    return CertificateRejected(
        certificate=None,
        error=f"certificate at depth {depth} cannot be decoded",
        hint=sanitize(reason)[:200],
    )


def render_name(name: Name) -> str:
    """Renders a distinguished name as OpenVPN does: ``C=GB, O=Example, CN=server``.

    Control characters and the backslash are escaped as OpenSSL's ESC_CTRL does; what is still not
    printable becomes ``_``.
    """
    groups = []
    for group in name:
        pairs = (f"{_short_name(kind)}={_escape(value)}" for kind, value in group)
        groups.append(" + ".join(pairs))
    return sanitize(", ".join(groups))


def sanitize(text: str) -> str:
    """Replaces control characters (a hostile certificate may hold any) by ``_``."""
    if text.isprintable():
        return text
    return "".join(char if _printable(char) else "_" for char in text)


def _printable(char: str) -> bool:
    number = ord(char)
    return number >= 0x20 and not 0x7F <= number <= 0x9F and not 0xD800 <= number <= 0xDFFF


def _escape(value: str | bytes) -> str:
    text = value if isinstance(value, str) else "#" + value.hex().upper()
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_escape_char(char) for char in text)


def _escape_char(char: str) -> str:
    if char == "\\":
        return "\\\\"
    number = ord(char)
    return f"\\{number:02X}" if number < 0x20 or number == 0x7F else char


def _short_name(dotted: str) -> str:
    return SHORT_NAMES.get(dotted, dotted)


def _name_matches(rule: VerifyName, name: str, subject: str) -> bool:
    match rule.match:
        case NameMatch.SUBJECT:
            return subject == rule.name
        case NameMatch.NAME:
            return name == rule.name
        case NameMatch.NAME_PREFIX:
            return name.startswith(rule.name)


def _name_field(certificate: Certificate, field: str) -> str | None:
    if field.lower().startswith("ext:"):
        return certificate.alternative_email()
    if field == "serialNumber":
        digits = f"{certificate.serial_number:X}"
        return "0x" + digits.rjust(len(digits) + len(digits) % 2, "0")
    found = None
    for kind, value in (attribute for group in certificate.subject for attribute in group):
        if _short_name(kind).lower() == field.lower():
            found = value if isinstance(value, str) else None
    return found  # the last one counts, as in OpenVPN


def _digest(algorithm: str, der: bytes) -> bytes:
    import hashlib  # loads the system's OpenSSL, which few configurations need

    return hashlib.new(algorithm, der).digest()


def _any_equal(found: bytes, allowed: tuple[bytes, ...]) -> bool:
    from hmac import compare_digest

    return any([compare_digest(found, candidate) for candidate in allowed])  # noqa: C419 -- no early end


def _explain_chain(certificate: Certificate, error: ChainError) -> str:
    subject = render_name(certificate.subject)
    issuer = render_name(certificate.issuer)
    start, end = map(render_moment, certificate.validity)
    if error.code == _EXPIRED:
        return (
            f"'{subject}' expired at {end}: it must be renewed (or this machine's clock is wrong)"
        )
    if error.code == _NOT_YET_VALID:
        return f"'{subject}' is valid only from {start}: check this machine's clock"
    if error.code in _NO_ISSUER:
        return (
            f"'{subject}' was issued by '{issuer}', which the configured ca does not vouch for: "
            "wrong server or wrong ca file"
        )
    if error.code == _REVOKED:
        return f"'{subject}' is revoked by the list given with crl-verify"
    if error.code == _CRL_EXPIRED:
        return f"the revocation list (crl-verify) of '{issuer}' is out of date: get a new one"
    if error.code == _INVALID_CA:
        return f"'{subject}' issued a certificate but is not marked as a CA"
    if error.code == _WRONG_PURPOSE:
        return f"'{subject}' was not made for this role (extended key usage)"
    if error.code in _WEAK:
        return (
            f"'{subject}' has a key or signature too weak for tls-cert-profile: "
            "have it reissued, or lower the profile knowingly"
        )
    return f"subject '{subject}', issuer '{issuer}'"
