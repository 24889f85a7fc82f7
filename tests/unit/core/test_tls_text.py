"""Words about TLS: names of suites, keys as they are logged, errors explained."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ginnel.core.certificate import Certificate
from ginnel.core.tls_text import describe_public_key, explain_tls_error, openssl_cipher_name
from tests.sim.pki import NOW, issue, make_ca

OWN = issue(make_ca(), "client")


@pytest.mark.parametrize(
    ("iana", "own"),
    [
        ("TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256"),
        ("TLS-DHE-RSA-WITH-AES-256-CBC-SHA", "DHE-RSA-AES256-SHA"),
        ("TLS-RSA-WITH-AES-128-GCM-SHA256", "AES128-GCM-SHA256"),
        ("TLS-RSA-WITH-3DES-EDE-CBC-SHA", "DES-CBC3-SHA"),
        ("TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8", "ECDHE-ECDSA-AES128-CCM8"),
        (
            "TLS-ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ),
        ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
        ("!aNULL", "!aNULL"),
        ("HIGH", "HIGH"),
    ],
)
def test_cipher_names_are_translated(iana: str, own: str) -> None:
    assert openssl_cipher_name(iana) == own


def test_public_keys_are_described_as_openvpn_does() -> None:
    assert describe_public_key(OWN.read()).startswith("256 bits ECprime256v1, signature: ")

    def signed(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(OWN.certificate.subject)
            .issuer_name(OWN.certificate.subject)
            .public_key(key.public_key())
            .serial_number(3)
            .not_valid_before(NOW)
            .not_valid_after(NOW + timedelta(days=1))
            .sign(key, hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None)
        )
        return Certificate(made.public_bytes(Encoding.DER))

    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert describe_public_key(signed(rsa_key)) == "2048 bits RSA, signature: RSA-SHA256"
    edwards = ed25519.Ed25519PrivateKey.generate()
    assert describe_public_key(signed(edwards)) == "253 bits ED25519, signature: ED25519"


def test_library_words_are_explained() -> None:
    assert "our certificate" in explain_tls_error("tlsv1 alert unknown ca")
    assert explain_tls_error("something new") == ""
