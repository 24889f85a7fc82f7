"""Extensions in OpenSSL's words; ``test_certificate_env`` has those of a whole certificate."""

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ginnel.compat.certificate_text import extension_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (x509.BasicConstraints(ca=False, path_length=None), "CA:FALSE"),
        (x509.BasicConstraints(ca=True, path_length=None), "CA:TRUE"),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), "OCSP Signing"),
        (
            x509.IssuerAlternativeName([x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))]),
            "Registered ID:1.2.3",
        ),
        (
            x509.SubjectAlternativeName(
                [x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x01x")]
            ),
            "othername:<unsupported>",
        ),
        (x509.InhibitAnyPolicy(0), None),
    ],
)
def test_rendered_kinds(value: x509.ExtensionType, text: str | None) -> None:
    assert extension_text(value) == text


def test_key_usage_names_the_bits_of_key_agreement_only_with_it() -> None:
    bits = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), True
    )
    plain = x509.KeyUsage(
        **bits,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    assert extension_text(plain) == (
        "Digital Signature, Non Repudiation, Key Encipherment, Data Encipherment, "
        "Certificate Sign, CRL Sign"
    )
