"""What scripts are told about certificates, with and without ``x509-track``."""

import datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ginnel.compat.certificate_env import certificate_variables
from ginnel.core.actions import CertificateInfo
from ginnel.dataclass import replace
from ginnel.options.errors import ConfigError
from ginnel.options.model import TrackedAttribute
from tests.unit.options.memory_files import run

SUBJECT = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "GB"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "first"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "second"),
        x509.NameAttribute(NameOID.COMMON_NAME, "vpn.example"),
    ]
)

KEY_IDENTIFIER, KEY_USAGE = bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d0f")
"""Object identifiers of extensions."""


def certificate(depth: int) -> CertificateInfo:
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    names = [
        x509.DNSName("vpn.example"),
        x509.IPAddress(ip_address("192.0.2.1")),
        x509.IPAddress(ip_address("2001:db8::1")),
        x509.RFC822Name("a@example"),
        x509.UniformResourceIdentifier("https://example/"),
    ]
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("1.3.6.1.5.5.7.3.17")]
    built = (
        x509.CertificateBuilder()
        .subject_name(SUBJECT)
        .issuer_name(SUBJECT)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.ExtendedKeyUsage(uses), False)
        .add_extension(x509.KeyUsage(digital_signature=True, key_agreement=True, **usage), True)
        .add_extension(x509.SubjectKeyIdentifier(bytes.fromhex("00ff10")), False)
        .sign(key, hashes.SHA256())
    )
    der = built.public_bytes(serialization.Encoding.DER)
    return CertificateInfo(depth=depth, subject="CN=vpn.example", der=der)


def tracked(*names: str) -> tuple[TrackedAttribute, ...]:
    return run(*(word for name in names for word in ("--x509-track", name))).options.tls.x509_track


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("CN", "CN", "vpn.example"),
        ("commonName", "commonName", "vpn.example"),
        ("2.5.4.10", "2.5.4.10", "Example"),
        ("OU", "OU", "first"),
        ("basicConstraints", "basicConstraints", "CA:TRUE, pathlen:0"),
        ("keyUsage", "keyUsage", "Digital Signature, Key Agreement"),
        (
            "extendedKeyUsage",
            "extendedKeyUsage",
            "TLS Web Server Authentication, 1.3.6.1.5.5.7.3.17",
        ),
        (
            "subjectAltName",
            "subjectAltName",
            "DNS:vpn.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, "
            "email:a@example, URI:https://example/",
        ),
        ("subjectKeyIdentifier", "subjectKeyIdentifier", "00:FF:10"),
    ],
)
def test_a_tracked_attribute_takes_the_place_of_the_subject(
    name: str, variable: str, value: str
) -> None:
    """The texts are those that openvpn 2.6 passed to a script for such a certificate."""
    told = dict(certificate_variables([certificate(0)], tracked(name)))
    assert {k: v for k, v in told.items() if k.startswith("X509")} == {f"X509_0_{variable}": value}


def test_digest_is_in_capitals() -> None:
    told = dict(certificate_variables([certificate(0)], tracked("SHA1", "SHA256")))
    assert told["X509_0_SHA1"] == told["tls_digest_0"].upper()
    assert told["X509_0_SHA256"] == told["tls_digest_sha256_0"].upper()


def test_a_plus_asks_for_the_whole_chain() -> None:
    chain = [certificate(1), certificate(0)]
    told = dict(certificate_variables(chain, tracked("CN", "+O", "serialNumber")))
    assert sorted(name for name in told if name.startswith("X509")) == [
        "X509_0_CN",
        "X509_0_O",
        "X509_1_O",
    ]
    assert told["common_name"] == "vpn.example"


def test_without_tracking_every_field_of_the_subject_is_told() -> None:
    told = dict(certificate_variables([certificate(0)]))
    assert told["X509_0_OU"] == "first"
    assert told["X509_0_OU_1"] == "second"


@pytest.mark.parametrize("name", ["nonsense", "", "+", "crlDistributionPoints", "1.2.3"])
def test_what_cannot_be_tracked_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no such attribute"):
        tracked(name)


def test_no_certificate_says_nothing() -> None:
    assert dict(certificate_variables(())) == {}


def test_a_certificate_that_only_openssl_can_read_is_told_without_its_fields() -> None:
    odd = CertificateInfo(depth=1, subject="CN=odd", der=b"not quite DER")
    told = dict(certificate_variables((odd,)))
    assert told["tls_id_1"] == "CN=odd"
    assert sorted(told) == ["tls_digest_1", "tls_digest_sha256_1", "tls_id_1"]


def test_an_extension_twice_is_told_without_fields_and_control_characters_are_not_told() -> None:
    sound = certificate(0)
    twice = replace(sound, der=sound.der.replace(KEY_IDENTIFIER, KEY_USAGE))
    assert "X509_0_keyUsage" not in dict(certificate_variables((twice,), tracked("keyUsage")))
    forged = replace(sound, der=sound.der.replace(b"a@example", b"a\nexample"))
    told = dict(certificate_variables((forged,), tracked("subjectAltName")))
    assert "email:a_example, " in told["X509_0_subjectAltName"]
