"""The client machine with real TLS: certificates good and bad, versions, groups, suites."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from ginnel.core.notices import (
    CertificateAccepted,
    CertificateRejected,
    ControlChannelReady,
    KeyRenegotiating,
    PeerConnected,
)
from ginnel.core.tls import PeerCheck, TlsChannel
from ginnel.core.tls_context import build_tls_context
from ginnel.core.types import Side
from ginnel.options.model import (
    NameMatch,
    TlsCrypt,
    TlsOptions,
    VerifyName,
)
from tests.sim.pair import STATIC_KEY, SimPair, client_options, profile
from tests.sim.pki import NOW, Identity, inline, issue, make_ca, make_crl, tls_options
from tests.sim.server import ServerScript
from tests.sim.wire import Faults

CA = make_ca()
SERVER = issue(CA, "server", server=True)
CLIENT = issue(CA, "client")
UNIX_TIME = int(NOW.timestamp())


def channels(options: TlsOptions, side: Side) -> Callable[[], TlsChannel]:
    return build_tls_context(options, side=side, unix_time=UNIX_TIME).channel


def real_pair(
    client: TlsOptions | None = None,
    server: TlsOptions | None = None,
    *,
    faults: Faults | None = None,
    seed: int = 1,
    script: ServerScript | None = None,
) -> SimPair:
    """A pair on tls-crypt with real TLS at both ends."""
    ours = tls_options(CA, CLIENT) if client is None else client
    theirs = tls_options(CA, SERVER) if server is None else server
    connection = profile(TlsCrypt(key=STATIC_KEY))
    return SimPair(
        connection=connection,
        options=replace(client_options(connection), tls=ours),
        client_tls=channels(ours, Side.CLIENT),
        server_tls=channels(theirs, Side.SERVER),
        faults=faults,
        seed=seed,
        script=script,
    )


def rejected(pair: SimPair) -> CertificateRejected:
    """Runs until the client refuses the server's certificate."""
    pair.start()
    pair.until(lambda: pair.ended is not None, within=10.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"
    verdicts = [n for n in pair.notices if isinstance(n, CertificateRejected)]
    assert len(verdicts) == 1
    assert verdicts[0].hint in pair.ended.explanation
    return verdicts[0]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_keys_agree_over_real_tls(version: str) -> None:
    options = replace(tls_options(CA, CLIENT), tls_version_min=version, tls_version_max=version)
    pair = real_pair(options)
    pair.connect()
    assert pair.keys.sending is not None
    assert pair.keys.sending.send == pair.server.data_keys[pair.server_key_id].receive
    ready = [n for n in pair.notices if isinstance(n, ControlChannelReady)]
    assert ready[0].tls_version == f"TLSv{version}"
    assert ready[0].peer_certificate == "256 bits ECprime256v1, signature: ecdsa-with-SHA256"
    accepted = [n for n in pair.notices if isinstance(n, CertificateAccepted)]
    assert [(n.certificate.depth, n.certificate.subject) for n in accepted] == [
        (1, "C=GB, O=Example, CN=test ca"),
        (0, "C=GB, O=Example, CN=server"),
    ]
    named = [n.common_name for n in pair.notices if isinstance(n, PeerConnected)]
    assert named == ["server"]


@pytest.mark.parametrize("seed", range(4))
def test_real_tls_survives_a_bad_wire_and_renegotiates(seed: int) -> None:
    bad = Faults(loss=0.2, duplicate=0.1, corrupt=0.03, delay=0.02, jitter=0.4)
    options = replace(tls_options(CA, CLIENT), reneg_sec=120)
    pair = real_pair(options, faults=bad, seed=seed)
    pair.connect(within=58.0)
    pair.advance(500.0)
    assert pair.ended is None
    assert len(pair.told(KeyRenegotiating)) >= 3
    assert pair.keys.sending is not None
    shared = pair.server.data_keys[pair.keys.sending.key_id]
    assert pair.keys.sending.send == shared.receive


def test_unknown_ca_names_the_issuer() -> None:
    stranger = make_ca("another ca")
    verdict = rejected(real_pair(server=tls_options(CA, issue(stranger, "server", server=True))))
    assert "CN=another ca" in verdict.hint
    assert "wrong ca file" in verdict.hint


def test_expired_certificate_names_the_date() -> None:
    old = issue(
        CA, "server", server=True, start=NOW - timedelta(days=900), end=NOW - timedelta(days=500)
    )
    verdict = rejected(real_pair(server=tls_options(CA, old)))
    assert "has expired" in verdict.error
    assert f"{old.certificate.not_valid_after_utc:%Y-%m-%d}" in verdict.hint


def test_wrong_name_tells_both() -> None:
    options = replace(
        tls_options(CA, CLIENT),
        verify_x509_name=VerifyName(name="gateway", match=NameMatch.NAME),
    )
    verdict = rejected(real_pair(options))
    assert "'gateway'" in verdict.hint
    assert "'server'" in verdict.hint


def test_certificate_of_a_client_is_no_server() -> None:
    options = replace(
        tls_options(CA, CLIENT),
        remote_cert_ku=(),
        remote_cert_eku="TLS Web Server Authentication",
    )
    real_pair(options).connect()
    verdict = rejected(real_pair(options, tls_options(CA, issue(CA, "server"))))
    assert verdict.certificate is not None
    assert verdict.certificate.depth == 0


def test_revoked_certificate_is_refused() -> None:
    options = replace(
        tls_options(CA, CLIENT), crl_verify=inline("crl-verify", make_crl(CA, SERVER))
    )
    verdict = rejected(real_pair(options))
    assert "revoked" in verdict.error
    other = replace(tls_options(CA, CLIENT), crl_verify=inline("crl-verify", make_crl(CA, CLIENT)))
    real_pair(other).connect()


def test_outdated_revocation_list_is_refused() -> None:
    stale = make_crl(CA, end=NOW - timedelta(hours=1))
    options = replace(tls_options(CA, CLIENT), crl_verify=inline("crl-verify", stale))
    assert "out of date" in rejected(real_pair(options)).hint


def test_revoked_in_a_directory_by_serial() -> None:
    options = replace(tls_options(CA, CLIENT), crl_verify_dir="/crl")
    asked: list[int] = []

    def is_revoked(serial: int) -> bool:
        asked.append(serial)
        return serial == SERVER.certificate.serial_number

    context = build_tls_context(
        options, side=Side.CLIENT, unix_time=UNIX_TIME, is_revoked=is_revoked
    )
    connection = profile(TlsCrypt(key=STATIC_KEY))
    pair = SimPair(
        connection=connection,
        options=replace(client_options(connection), tls=options),
        client_tls=context.channel,
        server_tls=channels(tls_options(CA, SERVER), Side.SERVER),
    )
    assert "serial number" in rejected(pair).hint
    assert asked == [CA.certificate.serial_number, SERVER.certificate.serial_number]


def fingerprint_only(own: Identity, pinned: Identity) -> TlsOptions:
    """No ca: only the fingerprint decides."""
    digest = sha256(pinned.der()).digest()
    return TlsOptions(
        cert=inline("cert", own.cert_pem()),
        key=inline("key", own.key_pem()),
        peer_fingerprint=(digest,),
    )


def test_fingerprint_stands_in_for_a_ca() -> None:
    pair = real_pair(fingerprint_only(CLIENT, SERVER), fingerprint_only(SERVER, CLIENT))
    pair.connect()
    wrong = real_pair(fingerprint_only(CLIENT, CLIENT), fingerprint_only(SERVER, CLIENT))
    assert "fingerprint" in rejected(wrong).hint


def test_fingerprint_does_not_excuse_an_expired_certificate() -> None:
    old = issue(
        CA, "server", server=True, start=NOW - timedelta(days=900), end=NOW - timedelta(days=500)
    )
    pair = real_pair(fingerprint_only(CLIENT, old), fingerprint_only(old, CLIENT))
    assert "expired" in rejected(pair).error


def test_no_common_version_is_explained() -> None:
    ours = replace(tls_options(CA, CLIENT), tls_version_min="1.3")
    theirs = replace(tls_options(CA, SERVER), tls_version_max="1.2")
    pair = real_pair(ours, theirs)
    pair.start()
    pair.until(lambda: pair.ended is not None or "tls" in pair.server.refused, within=61.0)
    pair.until(lambda: pair.ended is not None, within=61.0)
    assert pair.ended is not None
    assert "tls-version" in pair.ended.explanation


def test_server_that_refuses_our_certificate_is_named() -> None:
    stranger = make_ca("another ca")
    pair = real_pair(client=tls_options(CA, issue(stranger, "client")))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=61.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"
    assert "does not trust the CA that issued our certificate" in pair.ended.explanation


def test_groups_and_suites_are_honoured() -> None:
    options = replace(
        tls_options(CA, CLIENT),
        tls_groups="secp384r1",
        tls_ciphersuites="TLS_CHACHA20_POLY1305_SHA256",
    )
    pair = real_pair(options)
    pair.connect()
    ready = [n for n in pair.notices if isinstance(n, ControlChannelReady)]
    assert ready[0].cipher == "TLS_CHACHA20_POLY1305_SHA256"


def test_tls12_cipher_by_its_iana_name() -> None:
    options = replace(
        tls_options(CA, CLIENT),
        tls_version_max="1.2",
        tls_cipher="TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
    )
    pair = real_pair(options)
    pair.connect()
    ready = [n for n in pair.notices if isinstance(n, ControlChannelReady)]
    assert ready[0].cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_a_server_without_a_certificate_proves_nothing() -> None:
    """Anonymous suites, where a tls-cipher allows them: TLS itself would be content."""

    def anonymous(options: TlsOptions) -> TlsOptions:
        return replace(options, tls_cipher="AECDH-AES128-SHA:@SECLEVEL=0", tls_version_max="1.2")

    ours = anonymous(tls_options(CA, CLIENT))
    theirs = build_tls_context(
        anonymous(tls_options(CA, SERVER)), side=Side.SERVER, unix_time=UNIX_TIME
    )
    pair = SimPair(
        options=replace(client_options(profile()), tls=ours),
        client_tls=channels(ours, Side.CLIENT),
        server_tls=replace(theirs, peer_check=PeerCheck.NONE).channel,
    )
    pair.start()
    pair.until(lambda: pair.ended is not None, within=61.0)
    assert pair.ended is not None
    assert "showed no certificate" in pair.ended.explanation
    assert not pair.server.logins
