"""Building TLS contexts: what is loaded, and what the user is told when it cannot be."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from ginnel.core.errors import ConfigError
from ginnel.core.tls_context import (
    PassphraseNeeded,
    PassphraseWrong,
    TlsContext,
    build_tls_context,
)
from ginnel.core.types import Side
from ginnel.options.model import TlsOptions
from ginnel.options.values import FileContent, Secret
from tests.sim.pki import NOW, ORIGIN, Identity, inline, issue, make_ca, make_crl, name, tls_options

CA = make_ca()
OWN = issue(CA, "client")
GOOD = tls_options(CA, OWN)


def build(options: TlsOptions) -> TlsContext:
    return build_tls_context(options, side=Side.CLIENT, unix_time=int(NOW.timestamp()))


def refused(options: TlsOptions) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        build(options)
    return caught.value


def on_disk(option: str, content: bytes) -> FileContent:
    return FileContent(option=option, origin=ORIGIN, path="/x/file", content=Secret(content))


def test_good_options_give_a_context_without_warnings() -> None:
    context = build(GOOD)
    assert context.warnings == ()
    assert context.policy.has_trust_anchor
    channel = context.channel()
    channel.start()
    assert channel.take(10000)[:1] == b"\x16"  # a TLS handshake record


def test_nothing_to_verify_with_is_refused() -> None:
    bare = TlsOptions(cert=GOOD.cert, key=GOOD.key)
    assert "nothing to check" in refused(bare).message
    assert not build(replace(bare, peer_fingerprint=(bytes(32),))).policy.has_trust_anchor


def test_certificate_without_key_is_refused() -> None:
    error = refused(TlsOptions(ca=GOOD.ca, cert=GOOD.cert))
    assert "belong together" in error.message
    assert error.origin == ORIGIN


def test_no_certificate_at_all_is_fine_for_a_client() -> None:
    assert build(TlsOptions(ca=GOOD.ca)).warnings == ()


def test_key_of_another_certificate_is_refused() -> None:
    other = issue(CA, "other")
    error = refused(replace(GOOD, key=inline("key", other.key_pem())))
    assert "does not belong" in error.message
    assert error.option == "key"


@pytest.mark.parametrize("option", ["ca", "cert", "extra_certs"])
def test_garbage_for_a_certificate_names_option_and_file(option: str) -> None:
    name = option.replace("_", "-")
    broken = on_disk(name, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    options = {
        "ca": replace(GOOD, ca=broken),
        "cert": replace(GOOD, cert=broken),
        "extra_certs": replace(GOOD, extra_certs=broken),
    }[option]
    error = refused(options)
    assert error.option == name
    assert "/x/file" in error.message
    assert error.origin == ORIGIN


def test_garbage_for_a_key_is_told() -> None:
    assert "PEM private key" in refused(replace(GOOD, key=on_disk("key", b"nonsense"))).message


def test_encrypted_key_needs_its_passphrase() -> None:
    locked = replace(GOOD, key=inline("key", OWN.key_pem(b"tomato")))
    with pytest.raises(PassphraseNeeded) as needed:
        build(locked)
    assert "askpass" in needed.value.message
    with pytest.raises(PassphraseWrong):
        build(replace(locked, askpass=Secret(b"potato")))
    assert build(replace(locked, askpass=Secret(b"tomato"))).warnings == ()


def test_passphrase_for_a_plain_key_is_ignored() -> None:
    assert build(replace(GOOD, askpass=Secret(b"unused"))).warnings == ()


def bundle(password: bytes | None, authorities: list[Identity]) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(
        b"client", OWN.key, OWN.certificate, [a.certificate for a in authorities], encryption
    )


def test_pkcs12_brings_its_own_authorities() -> None:
    raw = bundle(None, [CA])
    assert build(TlsOptions(pkcs12=on_disk("pkcs12", raw))).policy.has_trust_anchor
    encoded = base64.encodebytes(raw)
    assert build(TlsOptions(pkcs12=inline("pkcs12", encoded))).policy.has_trust_anchor
    without = TlsOptions(pkcs12=on_disk("pkcs12", bundle(None, [])))
    assert "nothing to check" in refused(without).message
    assert build(replace(without, ca=GOOD.ca)).policy.has_trust_anchor


def test_pkcs12_passphrase_and_garbage() -> None:
    locked = TlsOptions(pkcs12=on_disk("pkcs12", bundle(b"tomato", [CA])))
    with pytest.raises(PassphraseNeeded):
        build(locked)
    with pytest.raises(PassphraseWrong):
        build(replace(locked, askpass=Secret(b"potato")))
    assert build(replace(locked, askpass=Secret(b"tomato"))).warnings == ()
    assert "PKCS#12" in refused(TlsOptions(pkcs12=on_disk("pkcs12", b"\x30\x00"))).message
    assert "base64" in refused(TlsOptions(pkcs12=inline("pkcs12", b"%%%%"))).message


def test_expired_own_certificate_is_a_warning() -> None:
    old = issue(CA, "client", start=NOW - timedelta(days=9), end=NOW - timedelta(days=3))
    warnings = build(tls_options(CA, old)).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith("WARNING: Your certificate has expired!")
    early = issue(CA, "client", start=NOW + timedelta(days=3))
    assert "not yet valid" in build(tls_options(CA, early)).warnings[0]


def test_versions() -> None:
    assert "unknown TLS version" in refused(replace(GOOD, tls_version_min="1.9")).message
    build(replace(GOOD, tls_version_min="1.9", tls_version_min_or_highest=True))
    crossed = replace(GOOD, tls_version_min="1.3", tls_version_max="1.2")
    assert refused(crossed).option == "tls-version-max"


def test_unknown_lists_are_refused_with_their_option() -> None:
    assert refused(replace(GOOD, tls_cipher="NO-SUCH-CIPHER")).option == "tls-cipher"
    assert refused(replace(GOOD, tls_ciphersuites="NO_SUCH")).option == "tls-ciphersuites"
    assert refused(replace(GOOD, tls_groups="nonsense")).option == "tls-groups"
    assert refused(replace(GOOD, tls_groups="\udc82")).option == "tls-groups"
    assert refused(replace(GOOD, tls_cert_profile="nonsense")).option == "tls-cert-profile"


def test_unknown_group_among_known_ones_is_a_warning() -> None:
    warnings = build(replace(GOOD, tls_groups="nonsense:secp256r1:X25519")).warnings
    assert len(warnings) == 1
    assert "'nonsense'" in warnings[0]


@pytest.mark.parametrize("level", ["insecure", "legacy", "preferred"])
def test_profiles_set_the_security_level(level: str) -> None:
    assert build(replace(GOOD, tls_cert_profile=level)).warnings == ()


def test_weak_key_is_refused_above_insecure() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    builder = OWN.certificate
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    certificate = (
        x509.CertificateBuilder()
        .subject_name(builder.subject)
        .issuer_name(CA.certificate.subject)
        .public_key(weak.public_key())
        .serial_number(9)
        .not_valid_before(builder.not_valid_before_utc)
        .not_valid_after(builder.not_valid_after_utc)
        .sign(CA.key, hashes.SHA256())
    )
    pem = weak.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    options = TlsOptions(
        ca=GOOD.ca,
        cert=inline("cert", certificate.public_bytes(serialization.Encoding.PEM)),
        key=inline("key", pem),
        tls_cert_profile="preferred",
    )
    assert "tls-cert-profile" in refused(options).message
    assert build(replace(options, tls_cert_profile="insecure")).warnings == ()
    lowered = replace(options, tls_cipher="DEFAULT:@SECLEVEL=0", tls_cert_profile="preferred")
    assert build(lowered).warnings == ()  # an explicit level wins over the profile


def test_crl_forms() -> None:
    crl = make_crl(CA)
    build(replace(GOOD, crl_verify=inline("crl-verify", crl)))
    build(replace(GOOD, crl_verify=inline("crl-verify", b"text\n" + crl + b"more\n" + crl)))
    assert "CRL" in refused(replace(GOOD, crl_verify=inline("crl-verify", b"nothing"))).message
    broken = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    assert "readable CRL" in refused(replace(GOOD, crl_verify=inline("crl-verify", broken))).message
    assert refused(replace(GOOD, crl_verify_dir="/crl")).option == "crl-verify"


def test_chain_in_cert_and_extra_certs_is_sent() -> None:
    middle = issue(CA, "middle", is_ca=True)
    leaf = issue(middle, "server", server=True)
    chain = inline("cert", leaf.cert_pem() + middle.cert_pem())
    server = TlsOptions(ca=GOOD.ca, cert=chain, key=inline("key", leaf.key_pem()))
    extra = TlsOptions(
        ca=GOOD.ca,
        cert=inline("cert", leaf.cert_pem()),
        key=inline("key", leaf.key_pem()),
        extra_certs=inline("extra-certs", middle.cert_pem()),
    )
    for options in (server, extra):
        peer = build_tls_context(options, side=Side.SERVER, unix_time=0).channel()
        client = build(GOOD).channel()
        client.start()
        for _ in range(6):
            peer.receive(client.take(100_000))
            client.receive(peer.take(100_000))
        assert client.established
        assert [info.depth for info in client.peer().chain] == [2, 1, 0]


MODP = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA///////////JD9qiIWjCNMTGYouA3BzRKQJOCIpnzHQCC76mOxOb
IlFKCHmONATd75UZs806QxswKwpt8l8UN0/hNW1tUcJF5IW1dmJefsb0TELppjft
awv/XLb0Brft7jhr+1qJn6WunyQRfEsf5kkoZlHs5Fs9wgB8uKFjvwWY2kg2HFXT
mmkWP6j9JM9fg2VdI9yjrZYcYvNWIIVSu57VKQdwlpZtZww1Tkq8mATxdGwIyhgh
fDKQXkYuNs474553LBgOhgObJ4Oi7Aeij7XFXfBvTFLJ3ivL9pVYFxg5lUl86pVq
5RXSJhiY+gUQFXKOWoqsqmj//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""The group of 2048 bits of RFC 3526."""


def with_rsa(common_name: str) -> TlsOptions:
    """Somebody whose certificate needs no curve either."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(CA.certificate.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=7300))
        .sign(CA.key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return TlsOptions(
        ca=GOOD.ca,
        cert=inline("cert", certificate.public_bytes(pem)),
        key=inline("key", private),
    )


def test_a_client_without_curves_is_served_with_parameters() -> None:
    serving = with_rsa("server")
    suite = "TLS-DHE-RSA-WITH-AES-256-GCM-SHA384"
    old = replace(with_rsa("client"), tls_version_max="1.2", tls_cipher=suite)
    client = build(old).channel()
    server = build_tls_context(
        replace(serving, dh=inline("dh", MODP.encode())), side=Side.SERVER, unix_time=0
    ).channel()
    client.start()
    for _ in range(6):
        server.receive(client.take(100_000))
        client.receive(server.take(100_000))
    assert client.established
    assert client.peer().cipher == "DHE-RSA-AES256-GCM-SHA384"


def test_parameters_that_are_none_are_told() -> None:
    assert "Diffie-Hellman" in refused(replace(GOOD, dh=inline("dh", b"nonsense"))).message
