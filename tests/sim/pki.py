"""A throw-away public key infrastructure for tests: P-256, made in memory, valid for years.

It makes certificates good and bad on purpose; nothing here is fit for use outside tests.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ginnel.core.certificate import Certificate
from ginnel.options.model import TlsOptions
from ginnel.options.values import FileContent, Origin, Secret

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = Origin("test.conf", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def cert_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            encryption = serialization.BestAvailableEncryption(passphrase)
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )

    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def read(self) -> Certificate:
        """The certificate as the program reads it."""
        return Certificate(self.der())


def inline(option: str, content: bytes) -> FileContent:
    """What an inline block of a configuration would give."""
    return FileContent(option=option, origin=ORIGIN, path=None, content=Secret(content))


def name(common_name: str, *more: x509.NameAttribute[str]) -> x509.Name:
    """A distinguished name ``C=GB, O=Example, CN=…``."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "GB"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            *more,
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def make_ca(common_name: str = "test ca") -> Identity:
    """A root that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = name(common_name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=7300))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Identity(certificate=certificate, key=key)


def key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    """A key usage extension with only these bits."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def issue(
    ca: Identity,
    common_name: str,
    *,
    server: bool = False,
    extensions: bool = True,
    start: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=7300),
    subject: x509.Name | None = None,
    is_ca: bool = False,
) -> Identity:
    """A leaf (or an intermediate) signed by ``ca``."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name) if subject is None else subject)
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if extensions and not is_ca:
        role = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(
            key_usage(digital_signature=True), critical=True
        ).add_extension(x509.ExtendedKeyUsage([role]), critical=False)
    if is_ca:
        builder = builder.add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return Identity(certificate=builder.sign(ca.key, hashes.SHA256()), key=key)


def make_crl(ca: Identity, *revoked: Identity, end: datetime | None = None) -> bytes:
    """A revocation list in PEM."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(NOW - timedelta(days=1))
        .next_update(NOW + timedelta(days=7300) if end is None else end)
    )
    for identity in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(identity.certificate.serial_number)
            .revocation_date(NOW)
            .build()
        )
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def tls_options(ca: Identity, own: Identity) -> TlsOptions:
    """The usual options: ca, cert and key."""
    return TlsOptions(
        ca=inline("ca", ca.cert_pem()),
        cert=inline("cert", own.cert_pem()),
        key=inline("key", own.key_pem()),
    )
