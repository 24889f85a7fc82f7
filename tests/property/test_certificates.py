"""Certificates as ginnel reads them against the cryptography package: the same answer, or none."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.certificate import Certificate, Name
from ginnel.core.tls_text import describe_public_key
from tests.sim.pki import NOW, Identity, issue, make_ca

# A change can turn the sign of a serial number; the package still reads it, and warns.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

CA = make_ca()
PLAIN = issue(CA, "plain", server=True)

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
attributes = st.builds(
    x509.NameAttribute,
    st.sampled_from([NameOID.COMMON_NAME, NameOID.EMAIL_ADDRESS, ObjectIdentifier("1.2.3.99999")]),
    text,
    st.sampled_from([_ASN1Type.UTF8String, _ASN1Type.BMPString, _ASN1Type.UniversalString]),
).filter(lambda made: made._type is not _ASN1Type.BMPString or max(made.value) < "\ud800")
together = st.lists(attributes, min_size=1, max_size=3, unique_by=lambda made: made.oid)
names = st.lists(together.map(x509.RelativeDistinguishedName), max_size=4).map(x509.Name)
usages = st.tuples(*[st.booleans()] * 9).map(
    lambda bits: x509.KeyUsage(*bits[:7], *(bit and bits[4] for bit in bits[7:]))
)
extended = st.lists(
    st.sampled_from([ExtendedKeyUsageOID.SERVER_AUTH, ObjectIdentifier("2.999.1.70000")]),
    min_size=1,
    max_size=3,
).map(x509.ExtendedKeyUsage)
alternatives = st.lists(
    st.sampled_from([x509.RFC822Name("a@example.org"), x509.DNSName("a.example.org")]),
    min_size=1,
    max_size=4,
).map(x509.SubjectAlternativeName)


def certificate(subject: x509.Name, *extensions: x509.ExtensionType | None) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(CA.certificate.subject)
        .public_key(PLAIN.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW.replace(year=2040))
    )
    for extension in filter(None, extensions):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(CA.key, hashes.SHA256()).public_bytes(Encoding.DER)


def read_name(name: x509.Name) -> Name:
    return tuple(
        tuple((item.oid.dotted_string, item.value) for item in group) for group in name.rdns
    )


def key_usage(theirs: x509.Certificate) -> int | None:
    try:
        usage = theirs.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    bits = (
        usage.digital_signature,
        usage.content_commitment,
        usage.key_encipherment,
        usage.data_encipherment,
        usage.key_agreement,
        usage.key_cert_sign,
        usage.crl_sign,
        usage.key_agreement and usage.encipher_only,
    )
    return sum(0x80 >> position for position, is_set in enumerate(bits) if is_set)


def extended_uses(theirs: x509.Certificate) -> list[str] | None:
    try:
        found = theirs.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    return [use.dotted_string for use in found]


def email(theirs: x509.Certificate) -> str | None:
    try:
        found = theirs.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return next(iter(found.get_values_for_type(x509.RFC822Name)), None)


UNREADABLE = (ValueError, KeyError, TypeError, x509.InvalidVersion, x509.DuplicateExtension)
"""What the package raises for such a certificate, or for a part of it."""

Reader = Callable[[x509.Certificate], object]
QUESTIONS: tuple[tuple[Callable[[Certificate], object], Reader], ...] = (
    (lambda ours: ours.subject, lambda theirs: read_name(theirs.subject)),
    (lambda ours: ours.issuer, lambda theirs: read_name(theirs.issuer)),
    (lambda ours: ours.serial_number, lambda theirs: theirs.serial_number),
    (
        lambda ours: ours.validity,
        lambda theirs: tuple(
            when.utctimetuple()[:6]
            for when in (theirs.not_valid_before_utc, theirs.not_valid_after_utc)
        ),
    ),
    (
        lambda ours: ours.signature_algorithm,
        lambda theirs: theirs.signature_algorithm_oid.dotted_string,
    ),
    (Certificate.key_usage, key_usage),
    (Certificate.extended_uses, extended_uses),
    (Certificate.alternative_email, email),
)


def agree(der: bytes) -> None:
    """Whatever both can read is the same, and what they read of a name, we do."""
    try:
        ours = Certificate(der)
    except ValueError:
        with pytest.raises(UNREADABLE):
            read_name(x509.load_der_x509_certificate(der).subject)
        return
    describe_public_key(ours)
    for ask, ask_them in QUESTIONS:
        answer: object = None
        with suppress(ValueError):
            answer = ask(ours)
        with suppress(*UNREADABLE):
            assert ask_them(x509.load_der_x509_certificate(der)) == answer


@given(names, st.none() | usages, st.none() | extended, st.none() | alternatives)
def test_what_was_made_is_read(
    subject: x509.Name,
    usage: x509.KeyUsage | None,
    uses: x509.ExtendedKeyUsage | None,
    names_beside: x509.SubjectAlternativeName | None,
) -> None:
    agree(certificate(subject, usage, uses, names_beside))


@given(
    st.sampled_from([CA, PLAIN]),
    st.lists(st.tuples(st.integers(min_value=0), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_no_change_makes_us_read_something_else(
    identity: Identity, changes: list[tuple[int, int]]
) -> None:
    der = bytearray(identity.der())
    for position, flip in changes:
        der[position % len(der)] ^= flip
    agree(bytes(der))


@given(st.binary(max_size=80))
def test_any_bytes_for_an_extension(value: bytes) -> None:
    for number in ("2.5.29.15", "2.5.29.37", "2.5.29.17", "2.16.840.1.113730.1.1"):
        odd = x509.UnrecognizedExtension(ObjectIdentifier(number), value)
        agree(certificate(PLAIN.certificate.subject, odd))
