"""Reading certificates; ``tests/property`` compares with what the cryptography package reads."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from ginnel.core.certificate import Certificate
from tests.sim.pki import NOW, issue, key_usage, make_ca

CA = make_ca("authority")
SERVER = issue(CA, "server", server=True)


def extended(*extensions: x509.ExtensionType) -> Certificate:
    """A certificate with these extensions and no others."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(SERVER.certificate.subject)
        .issuer_name(CA.certificate.subject)
        .public_key(SERVER.key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW.replace(year=2040))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Certificate(builder.sign(CA.key, hashes.SHA256()).public_bytes(Encoding.DER))


def raw(number: str, value: str) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ObjectIdentifier(number), bytes.fromhex(value))


def test_names_serial_and_key() -> None:
    read = SERVER.read()
    assert read.subject == (
        (("2.5.4.6", "GB"),),
        (("2.5.4.10", "Example"),),
        (("2.5.4.3", "server"),),
    )
    assert read.issuer[-1] == (("2.5.4.3", "authority"),)
    assert read.serial_number == SERVER.certificate.serial_number
    algorithm, parameters, key = read.public_key()
    assert algorithm == "1.2.840.10045.2.1"
    assert parameters.hex() == "2a8648ce3d030107"
    assert len(key) == 65


def test_uses() -> None:
    read = SERVER.read()
    assert read.key_usage() == 0x80
    assert read.extended_uses() == ["1.3.6.1.5.5.7.3.1"]
    assert CA.read().key_usage() == 0x06
    bare = extended()
    assert bare.key_usage() is None
    assert bare.extended_uses() is None
    assert bare.netscape_type() == 0
    assert bare.alternative_email() is None


def test_the_first_address_of_mail_and_the_old_type() -> None:
    names = x509.SubjectAlternativeName(
        [x509.DNSName("a.example"), x509.RFC822Name("a@example"), x509.RFC822Name("b@example")]
    )
    read = extended(names, raw("2.16.840.1.113730.1.1", "03020640"))
    assert read.alternative_email() == "a@example"
    assert read.netscape_type() == 0x40


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("2.5.29.15", "0300"),
        ("2.5.29.15", "03020801"),
        ("2.5.29.15", "03020001"),  # only to encipher with, but no key agreement
        ("2.5.29.15", "0303070080"),
        ("2.5.29.15", "3000"),
    ],
)
def test_a_key_usage_that_says_nothing_is_no_key_usage(number: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        extended(raw(number, value)).key_usage()


def test_names_in_wide_characters_and_of_no_characters() -> None:
    def read(kind: x509.name._ASN1Type, text: str) -> Certificate:
        wide = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, kind)])
        return issue(CA, "", subject=wide).read()

    for kind in (x509.name._ASN1Type.BMPString, x509.name._ASN1Type.UniversalString):
        assert read(kind, "schlüssel").subject == ((("2.5.4.3", "schlüssel"),),)
    identifier = x509.NameAttribute(
        NameOID.X500_UNIQUE_IDENTIFIER, b"\x00\xff", x509.name._ASN1Type.BitString
    )
    named = issue(CA, "", subject=x509.Name([identifier])).read()
    assert named.subject == ((("2.5.4.45", b"\x00\xff"),),)


def test_what_is_no_certificate() -> None:
    for der in (b"", b"\x30\x00", SERVER.der()[:-1], SERVER.der() + b"\x00"):
        with pytest.raises(ValueError, match=r"."):
            Certificate(der)


def test_a_key_usage_of_two_octets() -> None:
    usage = key_usage(digital_signature=True)
    assert extended(usage).key_usage() == 0x80
    assert extended(raw("2.5.29.15", "0303070880")).key_usage() == 0x08
