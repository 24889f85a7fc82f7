"""Keys outside the TLS library for tests: certificates of every kind, and who signs for them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from ginnel.core.signing import Ask, Scheme, SignatureRequest, Suspended
from ginnel.options.model import TlsOptions
from tests.sim.pki import NOW, Identity, inline, name

HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA1": hashes.SHA1(),
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
Key = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

MAKERS: dict[str, Callable[[], Key]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
}


def certify(key: Key, ca: Identity, common_name: str = "client") -> x509.Certificate:
    """A client certificate for a key of any kind."""
    return (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ca.certificate.not_valid_before_utc)
        .not_valid_after(ca.certificate.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca.key, hashes.SHA256())
    )


def outside_options(ca: Identity, certificate: x509.Certificate) -> TlsOptions:
    """Options with a certificate and no key."""
    pem = serialization.Encoding.PEM
    return TlsOptions(
        ca=inline("ca", ca.cert_pem()), cert=inline("cert", certificate.public_bytes(pem))
    )


def sign(key: Key, request: SignatureRequest) -> bytes:
    """What the owner of the key answers."""
    match key:
        case rsa.RSAPrivateKey():
            scheme = (
                padding.PSS(padding.MGF1(HASHES[request.hash_name]), padding.PSS.DIGEST_LENGTH)
                if request.scheme is Scheme.RSA_PSS
                else padding.PKCS1v15()
            )
            return key.sign(request.message, scheme, HASHES[request.hash_name])
        case ec.EllipticCurvePrivateKey():
            return key.sign(request.message, ec.ECDSA(HASHES[request.hash_name]))
        case _:
            return key.sign(request.message)


@dataclass(slots=True)
class InlineStacks:
    """Answers at once, on the caller's own stack."""

    answer: Callable[[SignatureRequest], bytes | None]
    seen: list[SignatureRequest] = field(default_factory=list)

    def run(self, work: Callable[[Ask], None]) -> Suspended | None:
        def ask(request: SignatureRequest) -> bytes | None:
            self.seen.append(request)
            return self.answer(request)

        work(ask)
        return None


__all__ = ["MAKERS", "NOW", "InlineStacks", "certify", "outside_options", "sign"]
