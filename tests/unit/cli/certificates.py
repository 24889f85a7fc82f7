"""A small PKI on disk for runs of the real OpenVPN."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True, kw_only=True)
class TestPki:
    """A directory with ca.crt, and NAME.crt and NAME.key for each name."""

    __test__ = False

    directory: Path

    def options(self, name: str) -> list[str]:
        """The OpenVPN options that use the certificate of ``name``."""
        return [
            *("--ca", str(self.directory / "ca.crt")),
            *("--cert", str(self.directory / f"{name}.crt")),
            *("--key", str(self.directory / f"{name}.key")),
        ]


def make_pki(directory: Path, names: tuple[str, ...] = ("server", "client")) -> TestPki:
    """Makes a CA and a certificate for each name."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("Test CA", ca_key, "Test CA", ca_key, is_ca=True)
    _write(directory / "ca.crt", ca.public_bytes(serialization.Encoding.PEM))
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, "Test CA", ca_key, is_ca=False)
        _write(directory / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        _write(
            directory / f"{name}.key",
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
    return TestPki(directory=directory)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
