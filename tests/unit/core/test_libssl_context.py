"""The system's library as a context: settings mean the same as with the wheel's."""

from dataclasses import replace

import pytest

from ginnel.core.errors import ConfigError
from ginnel.core.signing import OutsideKey
from ginnel.core.tls import TlsChannel, TlsFailure
from ginnel.core.tls_context import TlsContext, build_tls_context
from ginnel.core.types import Side
from ginnel.options.model import TlsOptions
from tests.sim.pki import NOW, inline, issue, make_ca, make_crl, tls_options
from tests.unit.core.outside_keys import MAKERS, InlineStacks, certify, outside_options, sign
from tests.unit.core.test_libssl_channel import carry

CA = make_ca()
KEY = MAKERS["p256"]()
SERVING = issue(CA, "server", server=True)
GOOD = outside_options(CA, certify(KEY, CA))
TIME = int(NOW.timestamp())


def build(options: TlsOptions, **can: bool) -> TlsContext:
    outside = OutsideKey(stacks=InlineStacks(lambda request: sign(KEY, request)), option="x", **can)
    return build_tls_context(options, side=Side.CLIENT, unix_time=TIME, outside=outside)


def join(options: TlsOptions, **server: object) -> TlsChannel:
    theirs = build_tls_context(
        replace(tls_options(CA, SERVING), **server),  # type: ignore[arg-type] # fields by name
        side=Side.SERVER,
        unix_time=TIME,
    ).channel()
    ours = build(options).channel()
    ours.start()
    carry(ours, theirs)
    return ours


@pytest.mark.parametrize(
    ("changes", "version", "cipher"),
    [
        (
            {"tls_version_max": "1.2", "tls_cipher": "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"},
            "TLSv1.2",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
        ({"tls_ciphersuites": "TLS-CHACHA20-POLY1305-SHA256"}, "TLSv1.3", "TLS_CHACHA20"),
        ({"tls_version_min": "1.3", "tls_groups": "secp521r1"}, "TLSv1.3", "TLS_"),
        ({"tls_cert_profile": "suiteb", "tls_version_max": "1.2"}, "TLSv1.2", "ECDHE-ECDSA"),
    ],
)
def test_versions_ciphers_and_groups_are_honoured(
    changes: dict[str, object], version: str, cipher: str
) -> None:
    peer = join(replace(GOOD, **changes)).peer()  # type: ignore[arg-type] # fields by name
    assert peer.tls_version == version
    assert peer.cipher.startswith(cipher)


def test_a_group_of_ours_alone_finds_no_server() -> None:
    with pytest.raises(TlsFailure):
        join(replace(GOOD, tls_groups="secp521r1"), tls_groups="secp384r1")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tls_cipher": "NONSENSE"}, "no cipher of 'NONSENSE'"),
        ({"tls_ciphersuites": "NONSENSE"}, "unknown TLS 1.3 suite"),
        ({"tls_groups": "nonsense"}, "no group of 'nonsense'"),
        ({"ca": None}, "nothing to check the peer's certificate with"),
        ({"tls_version_min": "2.0"}, "unknown TLS version"),
    ],
)
def test_what_the_library_does_not_know_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(replace(GOOD, **changes))  # type: ignore[arg-type] # fields by name
    assert said in str(caught.value)


def test_the_lists_are_those_of_the_wheel() -> None:
    """Another release of OpenSSL may know more; what we allow is one list."""
    wheel = build_tls_context(tls_options(CA, SERVING), side=Side.CLIENT, unix_time=TIME)
    system = build(GOOD)
    shared = set(wheel.tls_library.cipher_names())
    assert len(shared & set(system.tls_library.cipher_names())) > 10


def test_a_revoked_server_is_refused() -> None:
    crl = make_crl(CA, SERVING)
    with pytest.raises(TlsFailure):
        join(replace(GOOD, crl_verify=inline("crl-verify", crl)))
    join(replace(GOOD, crl_verify=inline("crl-verify", make_crl(CA))))


def test_chain_and_extra_certificates_are_sent_along() -> None:
    middle = issue(CA, "middle", is_ca=True)
    own = certify(KEY, middle)
    options = replace(
        outside_options(CA, own), extra_certs=inline("extra-certs", middle.cert_pem())
    )
    assert join(options).established
    with pytest.raises(TlsFailure):
        join(outside_options(CA, own))


def test_a_directory_of_anchors_is_looked_into(tmp_path: object) -> None:
    with pytest.raises(TlsFailure):  # an empty one trusts nobody
        join(replace(GOOD, ca=None, capath=str(tmp_path)))


def test_an_rsa_key_without_pss_cannot_do_tls_1_3() -> None:
    rsa = MAKERS["rsa"]()
    options = replace(outside_options(CA, certify(rsa, CA)), tls_version_min="1.3")
    with pytest.raises(ConfigError, match="add 'pss'"):
        build(options, rsa_pss=False)
