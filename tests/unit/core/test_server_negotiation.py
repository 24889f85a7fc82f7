"""The way through TLS, hooks and the key exchange."""

from ginnel.core.actions import (
    CertificateInfo,
    Done,
    Failed,
    Signature,
    SignData,
    VerifyCertificates,
)
from ginnel.core.negotiate import NO_SHARED_CIPHER
from ginnel.core.notices import CertificateRejected, ControlChannelReady, PeerConnected, Warned
from ginnel.core.server_actions import Admitted, Authenticate, Refused
from ginnel.core.server_notices import (
    AuthenticationFailed,
    ClientConnected,
    ExitScheduled,
    PeerInfoReceived,
    PushSent,
)
from ginnel.core.tls import TlsPeer
from ginnel.core.types import Side
from ginnel.dataclass import replace
from ginnel.options.model import TlsOptions
from tests.sim.client import PLAIN_STRING, Said, SimClient, usual
from tests.sim.duo import server_options
from tests.sim.fake_tls import FakeTls
from tests.unit.core.test_server_login import PASSWORDS

CHAIN = (CertificateInfo(depth=0, subject="CN=fake", der=b"der"),)
HOOKED = server_options(tls=TlsOptions(tls_verify=("/hook",)))


class WithCertificate(FakeTls):
    """A channel whose peer showed a certificate."""

    def peer(self) -> TlsPeer:
        return replace(super().peer(), chain=CHAIN)


def hooked(result: Done | Failed | None) -> SimClient:
    return SimClient(
        HOOKED,
        answer=lambda action: (
            result if isinstance(action, VerifyCertificates) else usual(action, HOOKED)
        ),
        server_tls=lambda: WithCertificate(Side.SERVER, 1),
    )


def test_each_step_is_told() -> None:
    client = SimClient()
    client.connect()
    for kind in (ControlChannelReady, PeerInfoReceived, PeerConnected, ClientConnected):
        assert len(client.told(kind)) == 1
    assert client.server.facts.peer_info[0] == ("IV_VER", "2.6.14")
    assert client.server.facts.key_number == 1


def test_a_hook_may_allow_a_certificate() -> None:
    client = hooked(Done())
    client.connect()
    (action,) = client.asked(VerifyCertificates)
    assert isinstance(action, VerifyCertificates)
    assert action.chain == CHAIN
    assert client.server.facts.chain == CHAIN
    assert client.messages


def test_a_hook_may_refuse_a_certificate() -> None:
    client = hooked(Failed(reason="exit status 1"))
    client.begin()
    assert len(client.told(CertificateRejected)) == 1
    assert client.ended is not None
    assert client.ended.signal_text == "tls-error"


def test_what_comes_before_the_hook_answered_waits() -> None:
    client = hooked(None)
    client.connect()
    assert client.told(PeerInfoReceived) == []
    (action,) = client.asked(VerifyCertificates)
    client.complete(action, Done())
    assert client.messages


def test_the_private_key_may_be_elsewhere() -> None:
    client = SimClient(
        answer=lambda action: (
            Signature(signature=b"signed")
            if isinstance(action, SignData)
            else usual(action, server_options())
        ),
        server_tls=lambda: FakeTls(Side.SERVER, 1, asks=True),
    )
    client.connect()
    assert client.messages


def test_without_a_signature_the_handshake_fails() -> None:
    client = SimClient(
        answer=lambda action: (
            Failed(reason="nobody there")
            if isinstance(action, SignData)
            else usual(action, server_options())
        ),
        server_tls=lambda: FakeTls(Side.SERVER, 1, asks=True),
    )
    client.begin()
    assert client.ended is not None
    assert any("nobody there" in str(notice) for notice in client.told(Warned))


def test_nonsense_inside_tls_ends_the_client() -> None:
    client = SimClient()
    client.begin()
    client.write(b"\xff" * 50)
    assert client.ended is not None
    assert "key-method" in client.ended.explanation


def test_options_that_differ_are_warned_about() -> None:
    other = Said(options_string=PLAIN_STRING.replace("dev-type tun", "dev-type tap"))
    client = SimClient(said=other)
    client.connect()
    assert any("dev-type" in str(notice) for notice in client.told(Warned))
    assert client.messages[-1].startswith("PUSH_REPLY")
    strict = SimClient(server_options(opt_verify=True), said=other)
    strict.connect()
    assert strict.messages == ["AUTH_FAILED"]


def test_a_late_judgement_of_a_renegotiation_keeps_the_old_key() -> None:
    options = server_options(access=PASSWORDS)
    client = SimClient(
        options,
        said=Said(username="user", password=b"x"),
        answer=lambda action: (
            None
            if isinstance(action, Authenticate) and not action.is_first
            else usual(action, options)
        ),
    )
    client.connect()
    client.soft_reset()
    client.introduce()
    assert client.keys.opens() == {0}
    action = client.asked(Authenticate)[-1]
    client.complete(action, Admitted())
    assert client.keys.opens() == {0, 1}


def test_an_answer_to_a_session_that_is_gone_means_nothing() -> None:
    options = server_options(access=PASSWORDS)
    client = SimClient(
        options,
        said=Said(username="user", password=b"x"),
        answer=lambda action: None if isinstance(action, Authenticate) else usual(action, options),
    )
    client.connect()
    client.connect()
    first, second = client.asked(Authenticate)
    client.complete(second, Admitted())
    assert client.messages[-1].startswith("PUSH_REPLY")
    client.complete(first, Failed(reason="late"))
    assert client.ended is None


def test_a_refusal_says_whether_the_login_was_the_reason() -> None:
    options = server_options(access=PASSWORDS)
    client = SimClient(
        options,
        said=Said(username="user", password=b"x"),
        answer=lambda action: (
            Refused(reason="no") if isinstance(action, Authenticate) else usual(action, options)
        ),
    )
    client.connect()
    assert client.notices[-3:] == [
        AuthenticationFailed(reason="no", by_login=True),
        ExitScheduled(seconds=5.0),
        PushSent(common_name="", text="AUTH_FAILED,no"),
    ]
    other = SimClient(said=Said(peer_info="IV_CIPHERS=AES-192-GCM\nIV_PROTO=6\n"))
    other.connect()
    assert other.told(AuthenticationFailed) == [AuthenticationFailed(reason=NO_SHARED_CIPHER)]
    assert other.told(Warned) == [
        Warned(
            text="PUSH: No common cipher between server and client. Server data-ciphers: "
            "'AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305', client supported ciphers 'AES-192-GCM'"
        )
    ]
