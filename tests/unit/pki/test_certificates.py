"""Certificates of an authority of one's own, judged by the library's verifier and by hand."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from ginnel.pki.certificates import (
    CLOCK_SLACK,
    Identity,
    Role,
    common_name,
    issue,
    make_authority,
    revocation_list,
    role_of,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Identity:
    return make_authority("Office CA", now=NOW, days=100)


def usages(identity: Identity) -> list[x509.ObjectIdentifier]:
    extension = identity.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    return list(extension.value)


def test_the_authority_signs_certificates_and_lists_only(authority: Identity) -> None:
    certificate = authority.certificate
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    assert common_name(certificate) == "Office CA"
    assert certificate.not_valid_before_utc == NOW - CLOCK_SLACK
    assert certificate.not_valid_after_utc == NOW + timedelta(days=100)


@pytest.mark.parametrize(
    ("role", "usage"),
    [
        (Role.SERVER, ExtendedKeyUsageOID.SERVER_AUTH),
        (Role.CLIENT, ExtendedKeyUsageOID.CLIENT_AUTH),
    ],
)
def test_a_certificate_is_good_for_its_role(
    authority: Identity, role: Role, usage: x509.ObjectIdentifier
) -> None:
    identity = issue(authority, "alice", role, now=NOW, days=10)
    certificate = identity.certificate
    certificate.verify_directly_issued_by(authority.certificate)
    assert usages(identity) == [usage]
    assert role_of(certificate) is role
    assert common_name(certificate) == "alice"
    assert isinstance(identity.key.curve, ec.SECP256R1)
    assert identity.key.public_key() == certificate.public_key()
    assert certificate.not_valid_after_utc == NOW + timedelta(days=10)


def test_no_certificate_outlives_its_issuer(authority: Identity) -> None:
    certificate = issue(authority, "bob", Role.CLIENT, now=NOW, days=1000).certificate
    assert certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_hosts_are_named_by_their_kind(authority: Identity) -> None:
    hosts = ("vpn.example", "192.0.2.1", "2001:db8::1")
    identity = issue(authority, "vpn", Role.SERVER, now=NOW, days=10, hosts=hosts)
    names = identity.certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value
    assert names.get_values_for_type(x509.DNSName) == ["vpn.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == [
        "192.0.2.1",
        "2001:db8::1",
    ]


def test_serial_numbers_differ(authority: Identity) -> None:
    made = [issue(authority, "x", Role.CLIENT, now=NOW, days=1) for _ in range(3)]
    assert len({identity.certificate.serial_number for identity in made}) == 3


def test_the_list_names_what_is_revoked_and_stays_good(authority: Identity) -> None:
    text = revocation_list(authority, [(77, NOW)], number=5, now=NOW)
    listed = x509.load_pem_x509_crl(text.encode())
    assert listed.is_signature_valid(authority.key.public_key())
    entry = listed.get_revoked_certificate_by_serial_number(77)
    assert entry is not None
    assert entry.revocation_date_utc == NOW
    assert listed.get_revoked_certificate_by_serial_number(78) is None
    assert listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 5
    assert listed.next_update_utc == authority.certificate.not_valid_after_utc


def test_pem_texts_can_be_read_again(authority: Identity) -> None:
    assert x509.load_pem_x509_certificate(authority.certificate_pem().encode()) == (
        authority.certificate
    )
    key = serialization.load_pem_private_key(authority.key_pem().encode(), None)
    assert key.public_key() == authority.key.public_key()


def test_a_certificate_without_a_name_has_an_empty_one(authority: Identity) -> None:
    key = authority.key
    nameless = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    assert common_name(nameless) == ""
