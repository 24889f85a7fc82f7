"""The channel of a key outside: every kind of key and version, suspended and answered late."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ginnel.core.notices import CertificateAccepted, CertificateRejected
from ginnel.core.signing import OutsideKey, Scheme, Stacks
from ginnel.core.tls import TlsChannel, TlsFailure
from ginnel.core.tls_context import build_tls_context
from ginnel.core.types import Side
from ginnel.options.model import TlsOptions
from ginnel.shell.parking import ThreadStacks
from tests.sim.pki import NOW, issue, make_ca, tls_options
from tests.unit.core.outside_keys import MAKERS, InlineStacks, Key, certify, outside_options, sign

CA = make_ca()
SERVER = tls_options(CA, issue(CA, "server", server=True))
KEYS = {kind: make() for kind, make in MAKERS.items()}
LABEL = "EXPORTER-OpenVPN-datakeys"
TIME = int(NOW.timestamp())


def client(key: Key, stacks: Stacks, **changes: object) -> TlsChannel:
    options: TlsOptions = replace(outside_options(CA, certify(key, CA)), **changes)  # type: ignore[arg-type] # fields by name
    outside = OutsideKey(stacks=stacks, option="management-external-key")
    return build_tls_context(options, side=Side.CLIENT, unix_time=TIME, outside=outside).channel()


def server(**changes: object) -> TlsChannel:
    options: TlsOptions = replace(SERVER, **changes)  # type: ignore[arg-type] # fields by name
    return build_tls_context(options, side=Side.SERVER, unix_time=TIME).channel()


def carry(one: TlsChannel, other: TlsChannel) -> None:
    """Carries bytes both ways until nothing is left."""
    while (up := one.take(100_000)) or (down := other.take(100_000)):
        if up:
            other.receive(up)
        else:
            one.receive(down)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_every_kind_of_key_signs(kind: str, version: str) -> None:
    key = KEYS[kind]
    stacks = InlineStacks(lambda request: sign(key, request))
    ours, theirs = client(key, stacks, tls_version_max=version), server()
    ours.start()
    carry(ours, theirs)
    assert ours.established
    assert theirs.established
    assert theirs.peer().common_name == "client"
    assert ours.peer().tls_version == f"TLSv{version}"
    assert ours.peer().common_name == "server"
    assert [type(verdict) for verdict in ours.take_verdicts()] == [CertificateAccepted] * 2
    assert ours.export(LABEL, 256) == theirs.export(LABEL, 256)
    assert len(stacks.seen) == 1


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_handshake_waits_for_a_late_signature(version: str) -> None:
    key = KEYS["p256"]
    ours, theirs = client(key, ThreadStacks(), tls_version_max=version), server()
    assert ours.take_request() is None
    ours.start()
    carry(ours, theirs)
    request = ours.take_request()
    assert request is not None
    assert ours.take_request() is None, "it is asked for once"
    ours.receive(b"")  # nothing comes while we sign, and it would not matter
    ours.supply(sign(key, request))
    carry(ours, theirs)
    assert theirs.established
    theirs.write(b"one")
    theirs.write(b"two")
    ours.write(bytearray(b"x" * 3000))
    carry(ours, theirs)
    assert ours.read() == [b"one", b"two"]
    assert theirs.read() == [b"x" * 3000]


def waiting(key: Key) -> TlsChannel:
    ours, theirs = client(key, ThreadStacks()), server()
    ours.start()
    carry(ours, theirs)
    return ours


def other_key(channel: TlsChannel) -> bytes | None:
    request = channel.take_request()
    assert request is not None
    return sign(MAKERS["p256"](), request)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda _: None, "did not sign"),
        (other_key, "another key made it"),
        (lambda _: b"no signature at all", "another key made it"),
        (lambda _: b"", "another key made it"),
    ],
)
def test_no_signature_is_a_failure_with_its_reason(
    answer: Callable[[TlsChannel], bytes | None], hint: str
) -> None:
    ours = waiting(KEYS["p256"])
    with pytest.raises(TlsFailure) as caught:
        ours.supply(answer(ours))
    assert hint in caught.value.hint
    assert not ours.established


def test_closing_ends_a_handshake_that_waits() -> None:
    ours = waiting(KEYS["p384"])
    ours.close()
    ours.close()
    assert ours.take(100) == b""
    assert ours.read() == []
    ours.supply(b"late")
    for call in (lambda: ours.write(b"x"), lambda: ours.receive(b"x"), ours.start, ours.peer):
        with pytest.raises(TlsFailure):
            call()


def test_a_peer_that_talks_while_we_sign_is_bounded() -> None:
    ours = waiting(KEYS["p256"])
    for _ in range(4):
        ours.receive(b"x" * 60_000)
    with pytest.raises(TlsFailure):
        ours.receive(b"x" * 60_000)


def test_refused_certificates_are_judged_as_ever() -> None:
    key = KEYS["p256"]
    stranger = tls_options(make_ca("other"), issue(CA, "x")).ca
    ours, theirs = client(key, ThreadStacks(), ca=stranger), server()
    ours.start()
    with pytest.raises(TlsFailure) as caught:
        carry(ours, theirs)
    assert "certificate verify failed" in caught.value.reason
    assert "wrong ca file" in caught.value.hint
    assert [type(verdict) for verdict in ours.take_verdicts()] == [CertificateRejected]
    assert ours.take(100_000), "the server is told"


def test_garbage_fails_with_a_reason() -> None:
    ours = client(KEYS["p256"], ThreadStacks())
    ours.start()
    with pytest.raises(TlsFailure) as caught:
        ours.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert caught.value.reason


def test_tampered_record_and_end_of_session() -> None:
    key = KEYS["ed25519"]
    ours, theirs = client(key, InlineStacks(lambda request: sign(key, request))), server()
    ours.start()
    carry(ours, theirs)
    theirs.write(b"secret")
    record = bytearray(theirs.take(100_000))
    record[-1] ^= 1
    with pytest.raises(TlsFailure):
        ours.receive(bytes(record))


def test_rsa_signs_with_the_padding_that_its_owner_can_do() -> None:
    key = KEYS["rsa"]
    for pss, scheme in ((True, Scheme.RSA_PSS), (False, Scheme.RSA_PKCS1)):
        stacks = InlineStacks(lambda request: sign(key, request))
        options = outside_options(CA, certify(key, CA))
        outside = OutsideKey(stacks=stacks, option="management-external-key", rsa_pss=pss)
        context = build_tls_context(options, side=Side.CLIENT, unix_time=TIME, outside=outside)
        ours, theirs = context.channel(), server()
        ours.start()
        carry(ours, theirs)
        assert theirs.established
        assert [request.scheme for request in stacks.seen] == [scheme]
        assert ours.peer().tls_version == ("TLSv1.3" if pss else "TLSv1.2")
        assert any("TLS 1.2 at most" in text for text in context.warnings) is not pss
