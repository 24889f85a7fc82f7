"""Certificate checks: order, reasons, names that attack the log."""

from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from ginnel.core.notices import CertificateAccepted, CertificateRejected
from ginnel.core.x509 import (
    CertificatePolicy,
    ChainError,
    describe_unreadable,
    render_name,
    sanitize,
)
from ginnel.options.model import NameMatch, TlsOptions, VerifyName
from tests.sim.pki import NOW, Identity, issue, make_ca, name

CA = make_ca()
SERVER = issue(CA, "server", server=True)
EXPIRED = ChainError(code=10, text="certificate has expired")
NO_ISSUER = ChainError(code=20, text="unable to get local issuer certificate")


def policy(options: TlsOptions | None = None, *, trusted: bool = True) -> CertificatePolicy:
    return CertificatePolicy(
        options=TlsOptions() if options is None else options, has_trust_anchor=trusted
    )


def judge(
    options: TlsOptions, identity: Identity = SERVER, depth: int = 0
) -> CertificateAccepted | CertificateRejected:
    verdict = policy(options).judge(identity.read(), depth=depth, chain_error=None)
    assert verdict is not None
    return verdict


def refusal(options: TlsOptions, identity: Identity = SERVER, depth: int = 0) -> str:
    verdict = judge(options, identity, depth)
    assert isinstance(verdict, CertificateRejected)
    assert verdict.hint
    return verdict.error


def with_subject(*attributes: x509.NameAttribute[str]) -> Identity:
    return issue(CA, "", server=True, subject=x509.Name(list(attributes)))


def test_subject_is_one_line_in_the_certificates_order() -> None:
    assert render_name(SERVER.read().subject) == "C=GB, O=Example, CN=server"
    subject = x509.Name(
        [
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, "a"),
                    x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@example.org"),
                ]
            ),
            x509.RelativeDistinguishedName([x509.NameAttribute(ObjectIdentifier("1.2.3.4"), "x")]),
        ]
    )
    odd = render_name(issue(CA, "", subject=subject).read().subject)
    assert set(odd.split(", ")[0].split(" + ")) == {
        "CN=a",
        "emailAddress=a@example.org",
    }
    assert odd.endswith(", 1.2.3.4=x")


def test_hostile_names_cannot_forge_log_lines() -> None:
    hostile = name("evil\nVERIFY OK: depth=0, CN=good\x1b[2K\\")
    rendered = render_name(issue(CA, "", subject=hostile).read().subject)
    assert "\n" not in rendered
    assert "\x1b" not in rendered
    assert "\\0AVERIFY" in rendered
    assert rendered.endswith("\\\\")
    assert sanitize("a\x00b\x9cc\ud800") == "a_b_c_"


def test_common_name_is_the_last_one_and_bounded() -> None:
    two = with_subject(
        x509.NameAttribute(NameOID.COMMON_NAME, "first"),
        x509.NameAttribute(NameOID.COMMON_NAME, "last"),
    )
    assert policy().common_name(two.read()) == "last"
    none = with_subject(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "only"))
    assert policy().common_name(none.read()) is None
    assert refusal(TlsOptions(), none).startswith("could not extract CN")


def test_username_field_may_be_something_else() -> None:
    identity = issue(CA, "x", server=True)
    options = TlsOptions(x509_username_field=("serialNumber",))
    shown = policy(options).common_name(identity.read())
    assert shown is not None
    assert int(shown, 16) == identity.certificate.serial_number
    joined = TlsOptions(x509_username_field=("O", "CN"))
    assert policy(joined).common_name(identity.read()) == "Example_x"
    missing = TlsOptions(x509_username_field=("ext:subjectAltName",))
    assert policy(missing).common_name(identity.read()) is None


@pytest.mark.parametrize(
    ("wanted", "match", "accepted"),
    [
        ("server", NameMatch.NAME, True),
        ("serve", NameMatch.NAME, False),
        ("serve", NameMatch.NAME_PREFIX, True),
        ("erver", NameMatch.NAME_PREFIX, False),
        ("C=GB, O=Example, CN=server", NameMatch.SUBJECT, True),
        ("server", NameMatch.SUBJECT, False),
        ("Server", NameMatch.NAME, False),
    ],
)
def test_verify_x509_name(wanted: str, match: NameMatch, accepted: bool) -> None:
    options = TlsOptions(verify_x509_name=VerifyName(name=wanted, match=match))
    verdict = judge(options)
    assert isinstance(verdict, CertificateAccepted) is accepted
    if isinstance(verdict, CertificateRejected):
        assert wanted in verdict.hint


def test_key_usage_presence_and_masks() -> None:
    assert isinstance(judge(TlsOptions(remote_cert_ku=())), CertificateAccepted)
    assert isinstance(judge(TlsOptions(remote_cert_ku=(0x80, 0x20))), CertificateAccepted)
    assert "key usage 80 does not match a0" in refusal(TlsOptions(remote_cert_ku=(0xA0,)))
    bare = issue(CA, "bare", server=True, extensions=False)
    assert "does not have key usage" in refusal(TlsOptions(remote_cert_ku=()), bare)
    verdict = judge(TlsOptions(remote_cert_ku=()))
    assert isinstance(verdict, CertificateAccepted)
    assert verdict.checks == ("VERIFY KU OK",)


@pytest.mark.parametrize(
    ("word", "accepted"),
    [
        ("TLS Web Server Authentication", True),
        ("serverAuth", True),
        ("1.3.6.1.5.5.7.3.1", True),
        ("TLS Web Client Authentication", False),
        ("1.3.6.1.5.5.7.3.2", False),
        ("no such use", False),
    ],
)
def test_extended_key_usage_by_name_and_number(word: str, accepted: bool) -> None:
    verdict = judge(TlsOptions(remote_cert_eku=word))
    assert isinstance(verdict, CertificateAccepted) is accepted


def test_certificate_without_extended_use_is_refused() -> None:
    bare = issue(CA, "bare", server=True, extensions=False)
    assert "extended key usage" in refusal(TlsOptions(remote_cert_eku="serverAuth"), bare)


def netscape(bits: bytes) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name("old"))
        .issuer_name(CA.certificate.subject)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(NOW)
        .not_valid_after(NOW.replace(year=2040))
        .add_extension(
            x509.UnrecognizedExtension(ObjectIdentifier("2.16.840.1.113730.1.1"), bits),
            critical=False,
        )
        .sign(CA.key, hashes.SHA256())
    )
    return Identity(certificate=certificate, key=key)


def test_netscape_type_by_its_bit_or_by_extended_use() -> None:
    server = TlsOptions(ns_cert_type="server")
    assert isinstance(judge(server, netscape(b"\x03\x02\x06\x40")), CertificateAccepted)
    assert isinstance(judge(server), CertificateAccepted)
    assert "nsCertType=SERVER" in refusal(server, netscape(b"\x03\x02\x07\x80"))
    assert "nsCertType=SERVER" in refusal(server, netscape(b"\x05\x00"))
    assert "nsCertType=CLIENT" in refusal(TlsOptions(ns_cert_type="client"))


def test_verify_hash_is_checked_at_depth_one_only() -> None:
    digest = sha256(CA.der()).digest()
    options = TlsOptions(verify_hash=(bytes(32), digest))
    assert isinstance(judge(options, CA, 1), CertificateAccepted)
    assert isinstance(judge(options, SERVER, 0), CertificateAccepted)
    assert refusal(TlsOptions(verify_hash=(bytes(32),)), CA, 1) == "verify-hash failed"


def test_fingerprint_is_checked_at_depth_zero_only() -> None:
    options = TlsOptions(peer_fingerprint=(sha256(SERVER.der()).digest(),))
    assert isinstance(judge(options, SERVER, 0), CertificateAccepted)
    assert isinstance(judge(options, CA, 1), CertificateAccepted)
    verdict = judge(options, issue(CA, "other"), 0)
    assert isinstance(verdict, CertificateRejected)
    assert "fingerprint" in verdict.error


def test_chain_errors_are_explained_and_fatal() -> None:
    verdict = policy().judge(SERVER.read(), depth=0, chain_error=EXPIRED)
    assert isinstance(verdict, CertificateRejected)
    assert verdict.error == "certificate has expired"
    assert "UTC" in verdict.hint
    for code in (3, 9, 12, 18, 19, 20, 21, 23, 24, 26, 66, 68, 999):
        error = ChainError(code=code, text="said the library")
        outcome = policy().judge(SERVER.read(), depth=0, chain_error=error)
        if code == 3:  # no CRL for this CA
            assert outcome is None
        else:
            assert isinstance(outcome, CertificateRejected)
            assert "server" in outcome.hint or "test ca" in outcome.hint


def test_missing_issuer_is_ignored_only_when_a_fingerprint_stands_in() -> None:
    pinned = TlsOptions(peer_fingerprint=(bytes(32),))
    alone = policy(pinned, trusted=False)
    assert alone.judge(SERVER.read(), depth=0, chain_error=NO_ISSUER) is None
    outcome = alone.judge(SERVER.read(), depth=0, chain_error=EXPIRED)
    assert isinstance(outcome, CertificateRejected)
    with_ca = policy(pinned, trusted=True)
    outcome = with_ca.judge(SERVER.read(), depth=0, chain_error=NO_ISSUER)
    assert isinstance(outcome, CertificateRejected)


def test_serial_in_the_crl_directory_is_refused_at_any_depth() -> None:
    listed = replace(policy(), is_revoked=lambda serial: serial == CA.certificate.serial_number)
    assert isinstance(listed.judge(CA.read(), depth=1, chain_error=None), CertificateRejected)
    assert isinstance(listed.judge(SERVER.read(), depth=0, chain_error=None), CertificateAccepted)


def test_name_is_not_demanded_of_an_authority() -> None:
    options = TlsOptions(
        verify_x509_name=VerifyName(name="server", match=NameMatch.NAME),
        remote_cert_eku="serverAuth",
    )
    assert isinstance(judge(options, CA, 1), CertificateAccepted)


def test_undecodable_certificate_is_told_without_its_bytes() -> None:
    verdict = describe_unreadable(0, "bad\nthing" * 100)
    assert verdict.certificate is None
    assert "\n" not in verdict.hint
    assert len(verdict.hint) <= 200
