"""Words about TLS: keys as OpenVPN logs them, suites by OpenSSL's names, what an error means.

Shared by both TLS libraries; nothing here calls one.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

_CURVE_NAMES = {
    "secp256r1": "ECprime256v1",
    "secp384r1": "ECsecp384r1",
    "secp521r1": "ECsecp521r1",
}


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
