"""Certificates, keys and revocation lists of a small authority of one's own: P-256 and SHA-256.

No files and no clock here: the caller says what time it is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum

CLOCK_SLACK = timedelta(hours=1)
"""Certificates begin that much early: the clocks of other hosts are not exact."""


class Role(Enum):
    """What a certificate is good for; the other role is refused by ``remote-cert-tls``."""

    SERVER = "server"
    CLIENT = "client"


_USAGES = {
    Role.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Role.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def key_pem(self) -> str:
        """The key without a passphrase: whoever stores it keeps others from reading it."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()


def make_authority(name: str, *, now: datetime, days: int) -> Identity:
    """Makes a new authority, which signs certificates of servers and clients and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = (
        _builder(key, subject, now=now, until=now + timedelta(days=days))
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
    )
    return Identity(certificate=builder.sign(key, hashes.SHA256()), key=key)


def issue(
    authority: Identity,
    name: str,
    role: Role,
    *,
    now: datetime,
    days: int,
    hosts: Sequence[str] = (),
) -> Identity:
    """Makes a key and its certificate, which never outlives the authority's.

    ``hosts`` are names and addresses under which a server is found.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + timedelta(days=days), authority.certificate.not_valid_after_utc)
    builder = (
        _builder(key, _name(name), now=now, until=until)
        .issuer_name(authority.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_USAGES[role]]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return Identity(certificate=builder.sign(authority.key, hashes.SHA256()), key=key)


def revocation_list(
    authority: Identity, revoked: Sequence[tuple[int, datetime]], *, number: int, now: datetime
) -> str:
    """Renders the list of revoked serial numbers, each with when; it is good as long as its issuer.

    A list that ran out would lock everybody out, and it gains nothing by doing so: a new one is
    made with each revocation.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - CLOCK_SLACK)
        .next_update(authority.certificate.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    for serial, when in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when)
        builder = builder.add_revoked_certificate(entry.build())
    signed = builder.sign(authority.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def common_name(certificate: x509.Certificate) -> str:
    """The name that OpenVPN knows the holder by; empty when there is none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def role_of(certificate: x509.Certificate) -> Role:
    """What a certificate that was issued here is good for."""
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return Role.SERVER if ExtendedKeyUsageOID.SERVER_AUTH in usages else Role.CLIENT


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    key: ec.EllipticCurvePrivateKey, subject: x509.Name, *, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
