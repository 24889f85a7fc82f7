"""What is peculiar to sessions on the wheel's binding; ``test_tls`` has what any channel does."""

import contextlib
import ssl
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ginnel.core import tls_wheel_channel
from ginnel.core.notices import CertificateAccepted
from ginnel.core.tls import TlsChannel, TlsFailure
from ginnel.core.tls_context import TlsContext, build_tls_context
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy
from tests.sim.pki import NOW, issue, make_ca, tls_options

CA = make_ca()
EVERYTHING = 100_000
HELLO_RETRY = sha256(b"HelloRetryRequest").digest()
"""The random part of such a message (RFC 8446, 4.1.3)."""


def context(name: str, side: Side, groups: str | None = None) -> TlsContext:
    options = tls_options(CA, issue(CA, name, server=side is Side.SERVER))
    options = replace(options, tls_groups=groups)
    return build_tls_context(options, side=side, unix_time=int(NOW.timestamp()))


def shake(client: TlsChannel, server: TlsChannel) -> None:
    client.start()
    while (up := client.take(EVERYTHING)) or not client.established:
        server.receive(up)
        client.receive(server.take(EVERYTHING))


def test_a_closed_session_gives_nothing_and_takes_nothing() -> None:
    client = context("client", Side.CLIENT).channel()
    client.start()
    client.close()
    client.close()
    assert client.take(EVERYTHING) == b""
    calls: list[Callable[[], object]] = [
        client.start,
        client.peer,
        lambda: client.receive(b"x"),
        lambda: client.write(b"x"),
        lambda: client.export("EXPORTER-OpenVPN-datakeys", 8),
    ]
    for call in calls:
        with pytest.raises(TlsFailure, match="was closed"):
            call()


def test_handshakes_that_run_side_by_side_have_a_judge_each() -> None:
    serving = context("server", Side.SERVER)
    pairs = [(context(f"client{n}", Side.CLIENT).channel(), serving.channel()) for n in range(3)]
    for client, server in pairs:
        client.start()
        server.receive(client.take(EVERYTHING))
    for client, server in pairs:
        client.receive(server.take(EVERYTHING))
    for client, server in reversed(pairs):
        server.receive(client.take(EVERYTHING))
    assert [server.peer().common_name for _, server in pairs] == ["client0", "client1", "client2"]


def test_the_authority_is_looked_at_once_and_told_each_time() -> None:
    serving, connecting = context("server", Side.SERVER), context("client", Side.CLIENT)
    told = []
    for _ in range(2):
        client, server = connecting.channel(), serving.channel()
        shake(client, server)
        verdicts = server.take_verdicts()
        told.append([it.certificate.subject for it in verdicts if it.certificate is not None])
        assert isinstance(verdicts[0], CertificateAccepted)
        assert serving.policy.accepted_before(verdicts[0].certificate.der, 1) is verdicts[0]
        assert serving.policy.accepted_before(verdicts[0].certificate.der, 0) is None
    assert told[0] == told[1] == ["C=GB, O=Example, CN=test ca", "C=GB, O=Example, CN=client"]


@pytest.mark.parametrize(
    ("version", "groups"),
    [
        (ssl.TLSVersion.TLSv1_2, None),
        (ssl.TLSVersion.TLSv1_3, None),
        (ssl.TLSVersion.TLSv1_3, "secp384r1"),  # for which no client sends a share unasked
    ],
)
def test_a_server_gives_no_tickets(
    version: ssl.TLSVersion, groups: str | None, tmp_path: Path
) -> None:
    """They would cost a packet and its acknowledgement, and nobody has a use for them."""
    server = context("server", Side.SERVER, groups).channel()
    mine = issue(CA, "client")
    pem = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both = mine.key.private_bytes(*pem) + mine.certificate.public_bytes(Encoding.PEM)
    (tmp_path / "client.pem").write_bytes(both)
    wanting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a client that would take tickets
    wanting.check_hostname, wanting.verify_mode = False, ssl.CERT_NONE
    wanting.minimum_version = wanting.maximum_version = version
    wanting.load_cert_chain(tmp_path / "client.pem")
    down, up = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = wanting.wrap_bio(down, up)
    said = b""
    for _ in range(4):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        server.receive(up.read())
        answer = server.take(EVERYTHING)
        down.write(answer)
        said += answer
    assert (HELLO_RETRY in said) == (groups is not None)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.read()
    assert server.established
    assert client.version() == version.name.replace("_", ".")
    assert client.session is not None
    # The library cannot be kept from it behind a second first message.
    assert client.session.has_ticket == (groups is not None)


def test_a_check_that_breaks_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake of ours")

    client = context("client", Side.CLIENT).channel()
    server = context("server", Side.SERVER).channel()
    client.start()
    server.receive(client.take(EVERYTHING))
    monkeypatch.setattr(CertificatePolicy, "judge", broken)
    with pytest.raises(TlsFailure, match="certificate verify failed"):
        client.receive(server.take(EVERYTHING))


def test_plaintext_does_not_stay_in_the_room_for_reading() -> None:
    client = context("client", Side.CLIENT).channel()
    server = context("server", Side.SERVER).channel()
    shake(client, server)
    client.write(b"a password")
    server.receive(client.take(EVERYTHING))
    assert server.read() == [b"a password"]
    assert b"password" not in tls_wheel_channel._view[:]
