"""The memory-BIO channel: bytes in and out, records, exported material, and how it fails."""

from dataclasses import replace

import pytest

from ginnel.core.notices import CertificateAccepted, CertificateRejected
from ginnel.core.tls import Judge, TlsChannel, TlsFailure
from ginnel.core.tls_context import build_tls_context
from ginnel.core.tls_wheel_channel import verify_error_text
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy
from ginnel.options.model import TlsOptions
from tests.sim.pki import NOW, issue, make_ca, tls_options

CA = make_ca()
CLIENT = tls_options(CA, issue(CA, "client"))
SERVER = tls_options(CA, issue(CA, "server", server=True))


def channel(options: TlsOptions, side: Side) -> TlsChannel:
    return build_tls_context(options, side=side, unix_time=int(NOW.timestamp())).channel()


def shake(client: TlsChannel, server: TlsChannel, piece: int = 100_000) -> None:
    """Carries bytes both ways until nothing is left, in pieces of a size."""
    client.start()
    busy = True
    while busy:
        up, down = client.take(piece), server.take(piece)
        busy = bool(up or down)
        server.receive(up)
        client.receive(down)


def joined(piece: int = 100_000) -> tuple[TlsChannel, TlsChannel]:
    client, server = channel(CLIENT, Side.CLIENT), channel(SERVER, Side.SERVER)
    shake(client, server, piece)
    assert client.established
    assert server.established
    return client, server


@pytest.mark.parametrize("piece", [1, 17, 1000])
def test_handshake_in_pieces_of_any_size(piece: int) -> None:
    joined(piece)


def test_records_keep_their_boundaries() -> None:
    client, server = joined()
    client.write(b"one")
    client.write(b"two")
    server.receive(client.take(100_000))
    assert server.read() == [b"one", b"two"]
    assert server.read() == []


def test_a_record_in_pieces_comes_out_whole() -> None:
    client, server = joined()
    client.write(b"x" * 3000)
    sizes = []
    while piece := client.take(500):
        server.receive(piece)
        sizes.append(len(piece))
    assert max(sizes) == 500
    assert server.read() == [b"x" * 3000]


def test_exported_material_is_shared_and_bound_to_its_label() -> None:
    client, server = joined()
    label = "EXPORTER-OpenVPN-datakeys"
    assert client.export(label, 256) == server.export(label, 256)
    assert client.export(label, 256) != client.export("EXPORTER-other", 256)
    other, _ = joined()
    assert client.export(label, 256) != other.export(label, 256)


def test_peer_is_described() -> None:
    client, server = joined()
    seen = client.peer()
    assert (seen.common_name, seen.tls_version) == ("server", "TLSv1.3")
    assert seen.cipher.startswith("TLS_")
    assert [info.subject.rpartition("=")[2] for info in seen.chain] == ["test ca", "server"]
    assert server.peer().common_name == "client"


def test_verdicts_are_drained_once() -> None:
    client, _ = joined()
    verdicts = client.take_verdicts()
    assert [type(verdict) for verdict in verdicts] == [CertificateAccepted, CertificateAccepted]
    assert client.take_verdicts() == []


def test_garbage_fails_with_a_reason() -> None:
    client = channel(CLIENT, Side.CLIENT)
    client.start()
    with pytest.raises(TlsFailure) as caught:
        client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert caught.value.reason
    assert not client.established


def test_tampered_record_fails() -> None:
    client, server = joined()
    client.write(b"secret")
    record = bytearray(client.take(100_000))
    record[-1] ^= 1
    with pytest.raises(TlsFailure):
        server.receive(bytes(record))


def test_refused_certificate_leaves_an_alert_and_a_hint() -> None:
    stranger = replace(CLIENT, ca=tls_options(make_ca("other"), issue(CA, "x")).ca)
    client, server = channel(stranger, Side.CLIENT), channel(SERVER, Side.SERVER)
    client.start()
    server.receive(client.take(100_000))
    with pytest.raises(TlsFailure) as caught:
        client.receive(server.take(100_000))
    assert "certificate verify failed" in caught.value.reason
    assert "wrong ca file" in caught.value.hint
    verdicts = client.take_verdicts()
    assert len(verdicts) == 1
    assert isinstance(verdicts[0], CertificateRejected)
    alert = client.take(100_000)
    assert alert
    with pytest.raises(TlsFailure) as told:
        server.receive(alert)
    assert "does not trust the CA" in told.value.hint


def test_closed_channel_forgets() -> None:
    client, server = joined()
    server.write(b"late")
    client.receive(server.take(100_000))
    client.close()
    assert client.read() == []
    assert not client.established


def test_library_words_are_found() -> None:
    assert verify_error_text(10) == "certificate has expired"


@pytest.mark.parametrize(
    ("sound", "odd"),
    [
        (bytes.fromhex("a003020102"), bytes.fromhex("a003020107")),  # a version that is none
        (bytes.fromhex("0603551d25"), bytes.fromhex("0603551d0f")),  # an extension twice
        (b"\x0c\x03odd", b"\x03\x03\0dd"),  # a name of bits
    ],
)
def test_what_openssl_takes_and_the_parser_does_not_is_refused_with_a_reason(
    sound: bytes, odd: bytes
) -> None:
    options = replace(CLIENT, remote_cert_ku=(0x80,))
    judge = Judge(CertificatePolicy(options=options, has_trust_anchor=True), Side.SERVER)
    der = issue(CA, "odd").der().replace(sound, odd)
    assert not judge(der, depth=0, error_number=0, error_text="")
    (verdict,) = judge.take_verdicts()
    assert isinstance(verdict, CertificateRejected)
    assert verdict.error == "certificate at depth 0 cannot be decoded"
