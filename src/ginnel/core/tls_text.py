"""Words about TLS: keys as OpenVPN logs them, suites by OpenSSL's names, what an error means.

Shared by both TLS libraries; nothing here calls one.
"""

from ginnel.core.certificate import Certificate
from ginnel.core.der import INTEGER, SEQUENCE, dotted, elements, inside, integer, only

RSA_KEYS = ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10")
"""Without and with a padding that the key insists on."""
_ELLIPTIC_CURVE = "1.2.840.10045.2.1"
_EDWARDS = {"1.3.101.112": "253 bits ED25519", "1.3.101.113": "448 bits ED448"}
_CURVES = {
    "1.2.840.10045.3.1.1": "192 bits ECprime192v1",
    "1.2.840.10045.3.1.7": "256 bits ECprime256v1",
    "1.3.132.0.10": "256 bits ECsecp256k1",
    "1.3.132.0.33": "224 bits ECsecp224r1",
    "1.3.132.0.34": "384 bits ECsecp384r1",
    "1.3.132.0.35": "521 bits ECsecp521r1",
    "1.3.36.3.3.2.8.1.1.7": "256 bits ECbrainpoolP256r1",
    "1.3.36.3.3.2.8.1.1.11": "384 bits ECbrainpoolP384r1",
    "1.3.36.3.3.2.8.1.1.13": "512 bits ECbrainpoolP512r1",
}
_SIGNATURES = {
    "1.2.840.113549.1.1.4": "RSA-MD5",
    "1.2.840.113549.1.1.5": "RSA-SHA1",
    "1.2.840.113549.1.1.10": "RSASSA-PSS",
    "1.2.840.113549.1.1.11": "RSA-SHA256",
    "1.2.840.113549.1.1.12": "RSA-SHA384",
    "1.2.840.113549.1.1.13": "RSA-SHA512",
    "1.2.840.113549.1.1.14": "RSA-SHA224",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1",
    "1.2.840.10045.4.3.1": "ecdsa-with-SHA224",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "2.16.840.1.101.3.4.3.13": "RSA-SHA3-224",
    "2.16.840.1.101.3.4.3.14": "RSA-SHA3-256",
    "2.16.840.1.101.3.4.3.15": "RSA-SHA3-384",
    "2.16.840.1.101.3.4.3.16": "RSA-SHA3-512",
    "2.16.840.1.101.3.4.3.17": "ML-DSA-44",
    "2.16.840.1.101.3.4.3.18": "ML-DSA-65",
    "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
    "1.3.101.112": "ED25519",
    "1.3.101.113": "ED448",
}
"""OpenSSL's short names, which OpenVPN logs."""


def describe_public_key(certificate: Certificate) -> str:
    """Renders the key and signature as OpenVPN logs them.

    For example ``256 bits ECprime256v1, signature: ecdsa-with-SHA256``; empty for a kind of key
    that is not known here.
    """
    try:
        key = _describe_key(*certificate.public_key())
    except ValueError:
        return ""
    signature = certificate.signature_algorithm
    return f"{key}, signature: {_SIGNATURES.get(signature, signature)}" if key else ""


def _describe_key(algorithm: str, parameters: bytes, key: bytes) -> str:
    if algorithm in RSA_KEYS:
        modulus, _ = elements(only(SEQUENCE, key))
        return f"{integer(inside(INTEGER, modulus)).bit_length()} bits RSA"
    if algorithm == _ELLIPTIC_CURVE:
        return _CURVES.get(dotted(parameters), "")
    return _EDWARDS.get(algorithm, "")


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
