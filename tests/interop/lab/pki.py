"""A certificate authority of a run's own, with the good and the bad certificates that tests need.

Everything is made anew for each run and written below the run's directory. Not responsible for
which file a test uses.
"""

import datetime
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.interop.lab.namespaces import run_command

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
SERVER_NAME = "vpn.office.example"
CLIENT_NAME = "laptop"
KEY_PASSPHRASE = "correct horse"
PKCS12_PASSPHRASE = "battery staple"

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its key, in memory and as PEM files."""

    certificate: x509.Certificate
    private_key: PrivateKey
    cert: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate as ``peer-fingerprint`` takes it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _subject(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "GB"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _new_key(*, use_rsa: bool) -> PrivateKey:
    if use_rsa:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


class Pki:
    """Certificates by name, each made when first asked for."""

    def __init__(self, directory: Path, *, use_rsa: bool = False) -> None:
        self.directory = directory
        self._use_rsa = use_rsa
        self._clients: dict[str, Identity] = {}
        directory.mkdir(parents=True, exist_ok=True)

    def _store(self, stem: str, certificate: x509.Certificate, key: PrivateKey) -> Identity:
        cert_path = self.directory / f"{stem}.crt"
        key_path = self.directory / f"{stem}.key"
        cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_private(
            key_path,
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
        return Identity(certificate=certificate, private_key=key, cert=cert_path, key=key_path)

    def _authority(self, stem: str, common_name: str) -> Identity:
        key = _new_key(use_rsa=self._use_rsa)
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_subject(common_name))
            .issuer_name(_subject(common_name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 400 * _DAY)
            .not_valid_after(now + 400 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(_key_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return self._store(stem, certificate, key)

    def issue(
        self,
        stem: str,
        common_name: str,
        *,
        server: bool = False,
        authority: Identity | None = None,
        not_before_days: int = -1,
        not_after_days: int = 365,
    ) -> Identity:
        """Issues a leaf. Days count from now; an expired one has ``not_after_days`` below 0."""
        issuer = authority or self.authority
        key = _new_key(use_rsa=self._use_rsa)
        now = datetime.datetime.now(datetime.UTC)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            issuer.private_key.public_key()
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_subject(common_name))
            .issuer_name(issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + not_before_days * _DAY)
            .not_valid_after(now + not_after_days * _DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(identifier, False)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), False)
            .sign(issuer.private_key, hashes.SHA256())
        )
        return self._store(stem, certificate, key)

    def certify(self, stem: str, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> Path:
        """Writes a client certificate for a key that is kept elsewhere."""
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_subject(stem))
            .issuer_name(self.authority.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 365 * _DAY)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
            .sign(self.authority.private_key, hashes.SHA256())
        )
        path = self.directory / f"{stem}.crt"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path

    @cached_property
    def authority(self) -> Identity:
        return self._authority("ca", "Lab CA")

    @cached_property
    def other_authority(self) -> Identity:
        """A CA that signed none of the lab's certificates."""
        return self._authority("other-ca", "Other CA")

    @cached_property
    def server(self) -> Identity:
        return self.issue("server", SERVER_NAME, server=True)

    @cached_property
    def client(self) -> Identity:
        return self.issue("client", CLIENT_NAME)

    @cached_property
    def second_client(self) -> Identity:
        return self.issue("second", "second-laptop")

    def named_client(self, name: str) -> Identity:
        """The certificate of a client by that name, made once."""
        if name not in self._clients:
            self._clients[name] = self.issue(name, name)
        return self._clients[name]

    @cached_property
    def expired_server(self) -> Identity:
        """Right in everything but ended ten days ago."""
        return self.issue(
            "expired", SERVER_NAME, server=True, not_before_days=-100, not_after_days=-10
        )

    @cached_property
    def revocation_list(self) -> Path:
        """A CRL that revokes the server's certificate."""
        return self._revocations("revoked.crl", self.server)

    @cached_property
    def empty_revocation_list(self) -> Path:
        return self._revocations("empty.crl", None)

    def revoke(self, name: str, identity: Identity) -> Path:
        """Writes a CRL that revokes one certificate of the lab's CA."""
        return self._revocations(name, identity)

    def _revocations(self, name: str, revoked: Identity | None) -> Path:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.authority.certificate.subject)
            .last_update(now - _DAY)
            .next_update(now + 30 * _DAY)
        )
        if revoked is not None:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(revoked.certificate.serial_number)
                .revocation_date(now - _DAY)
                .build()
            )
        signed = builder.sign(self.authority.private_key, hashes.SHA256())
        path = self.directory / name
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return path

    @cached_property
    def encrypted_client_key(self) -> Path:
        """The client's key under KEY_PASSPHRASE."""
        path = self.directory / "client-encrypted.key"
        encryption = serialization.BestAvailableEncryption(KEY_PASSPHRASE.encode())
        form = serialization.PrivateFormat.PKCS8
        key = self.client.private_key
        _write_private(path, key.private_bytes(serialization.Encoding.PEM, form, encryption))
        return path

    @cached_property
    def client_pkcs12(self) -> Path:
        """CA, certificate and key of the client in one file under PKCS12_PASSPHRASE."""
        path = self.directory / "client.p12"
        content = pkcs12.serialize_key_and_certificates(
            b"client",
            self.client.private_key,
            self.client.certificate,
            [self.authority.certificate],
            serialization.BestAvailableEncryption(PKCS12_PASSPHRASE.encode()),
        )
        _write_private(path, content)
        return path

    def static_key(self, name: str = "static.key") -> Path:
        """A 2048-bit static key by the real ``openvpn --genkey``, for tls-auth and tls-crypt."""
        path = self.directory / name
        if not path.exists():
            run_command(["openvpn", "--genkey", "secret", str(path)])
        return path

    def crypt_v2_server_key(self, name: str = "v2-server.key") -> Path:
        path = self.directory / name
        if not path.exists():
            run_command(["openvpn", "--genkey", "tls-crypt-v2-server", str(path)])
        return path

    def crypt_v2_client_key(
        self, name: str = "v2-client.key", server_key: str = "v2-server.key"
    ) -> Path:
        """A tls-crypt-v2 client key wrapped for the named server key."""
        path = self.directory / name
        if not path.exists():
            server = str(self.crypt_v2_server_key(server_key))
            argv = ["openvpn", "--tls-crypt-v2", server]
            run_command([*argv, "--genkey", "tls-crypt-v2-client", str(path)])
        return path


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
