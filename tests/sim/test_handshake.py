"""From the first packet to the first data key, on wires good and bad."""

import pytest

from ginnel.core.actions import (
    AskCredentials,
    Done,
    Failed,
    InstallKey,
    OpenTunnel,
    VerifyCertificates,
)
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.key_files import StaticKey, V2ServerKey, render_v2_client_key
from ginnel.core.notices import (
    Advance,
    CertificateRejected,
    InitialPacket,
    ManagementState,
    Outcome,
    PeerConnected,
    StateEntered,
    Warned,
)
from ginnel.core.types import Side
from ginnel.core.wire import Opcode
from ginnel.core.wrap.crypt_v2 import METADATA_TIMESTAMP, wrap_client_key
from ginnel.options.model import (
    ControlWrapping,
    KeyDirection,
    LoginOptions,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
)
from ginnel.options.values import Secret
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import (
    STATIC_KEY,
    SimPair,
    client_options,
    credentials,
    packets_of,
    profile,
    with_tls,
)
from tests.sim.pki import inline
from tests.sim.server import ServerScript
from tests.sim.wire import Faults

WRAPPINGS: list[ControlWrapping] = [
    PlainWrapping(),
    TlsAuth(key=STATIC_KEY, direction=KeyDirection.NONE, digest="SHA256"),
    TlsCrypt(key=STATIC_KEY),
]


@pytest.mark.parametrize("wrapping", WRAPPINGS, ids=lambda wrapping: type(wrapping).__name__)
def test_both_ends_hold_the_same_first_key(wrapping: ControlWrapping) -> None:
    pair = SimPair(connection=profile(wrapping))
    pair.connect()
    ours, theirs = pair.keys.sending, pair.server.data_keys.get(pair.server_key_id)
    assert ours is not None
    assert theirs is not None
    assert ours.send == theirs.receive
    assert ours.receive == theirs.send
    assert ours.send != ours.receive


@pytest.mark.parametrize("resend", [True, False])
def test_wrapped_client_key_is_sent_again_only_when_asked_for(resend: bool) -> None:
    server_key = V2ServerKey(Secret(bytes(range(128))))
    client_key = wrap_client_key(
        server_key,
        StaticKey(Secret(bytes(range(256)))),
        metadata_type=METADATA_TIMESTAMP,
        metadata=bytes(8),
    )
    pem = inline("tls-crypt-v2", render_v2_client_key(client_key).encode())
    pair = SimPair(connection=profile(TlsCryptV2(key=pem)), script=ServerScript(resend_wkc=resend))
    pair.connect(within=5.0)
    assert [packet[0] >> 3 for packet in pair.up.sent[:1]] == [Opcode.CONTROL_HARD_RESET_CLIENT_V3]
    carriers = packets_of(pair.up, [Opcode.CONTROL_WKC_V1])
    assert len(carriers) == (1 if resend else 0)
    for packet in (pair.up.sent[0], *carriers):
        assert packet.endswith(client_key.wrapped)
        assert len(packet) + 28 <= 1250
    assert pair.keys.sending is not None
    assert pair.keys.sending.send == pair.server.data_keys[pair.server_key_id].receive


def test_both_ends_agree_with_the_legacy_derivation() -> None:
    push = "PUSH_REPLY,ifconfig 10.8.0.2 255.255.255.0,topology subnet,peer-id 0,cipher AES-256-GCM"
    script = ServerScript(ekm=False, dynamic_crypt=False, push=[push])
    pair = SimPair(script=script)
    pair.connect()
    assert pair.keys.sending is not None
    assert pair.keys.sending.send == pair.server.data_keys[pair.server_key_id].receive


def test_the_stages_come_in_order() -> None:
    pair = SimPair()
    pair.connect()
    states = [notice.state for notice in pair.notices if isinstance(notice, StateEntered)]
    assert states == [
        ManagementState.WAIT,
        ManagementState.AUTH,
        ManagementState.GET_CONFIG,
        ManagementState.ASSIGN_IP,
        ManagementState.ADD_ROUTES,
        ManagementState.CONNECTED,
    ]
    kinds = [type(action) for action in pair.actions]
    assert kinds.index(OpenTunnel) < kinds.index(InstallKey)


@pytest.mark.parametrize("seed", range(12))
def test_connects_over_a_bad_wire(seed: int) -> None:
    bad = Faults(loss=0.25, duplicate=0.2, corrupt=0.05, delay=0.02, jitter=0.3)
    pair = SimPair(connection=profile(TlsCrypt(key=STATIC_KEY)), faults=bad, seed=seed)
    pair.connect(within=58.0)
    assert pair.keys.sending is not None
    assert pair.keys.sending.send == pair.server.data_keys[pair.server_key_id].receive


def test_lost_reset_is_sent_again() -> None:
    pair = SimPair()
    pair.up.drop_next(2)
    pair.start()
    pair.advance(1.9)
    assert len(pair.up.sent) == 1
    pair.until(lambda: pair.server.seen != [], within=6.0)
    resets = packets_of(pair.up, [Opcode.CONTROL_HARD_RESET_CLIENT_V2])
    assert len(resets) == 3
    assert len(pair.told(InitialPacket)) == 0


def test_push_request_is_sent_a_second_after_the_exchange() -> None:
    pair = SimPair(script=ServerScript())
    pair.start()
    pair.until(lambda: bool(pair.told(PeerConnected)), within=5.0)
    began = pair.now
    pair.until(lambda: "PUSH_REQUEST" in pair.server.messages, within=5.0)
    assert 1.0 <= pair.now - began < 1.1


def test_a_push_that_comes_unasked_is_taken() -> None:
    pair = SimPair(script=ServerScript(push_unasked=True))
    pair.connect(within=1.0)
    assert pair.server.messages == []


def test_no_push_reply_ends_in_a_restart() -> None:
    pair = SimPair(script=ServerScript(silent_to_push=True))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=62.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "no-push-reply"
    assert pair.ended.outcome is Outcome.RESTART
    # One second after the exchange, then every five.
    assert pair.server.messages.count("PUSH_REQUEST") == 12


def test_silent_server_is_given_up_with_the_causes_named() -> None:
    pair = SimPair(connection=profile(TlsCrypt(key=STATIC_KEY)), script=ServerScript(silent=True))
    pair.start()
    began = pair.now
    pair.until(lambda: pair.ended is not None, within=61.0)
    assert pair.now - began == pytest.approx(60.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"
    assert pair.ended.advance is Advance.NEXT_ADDRESS
    assert "tls-crypt" in pair.ended.explanation
    warnings = [notice.text for notice in pair.notices if isinstance(notice, Warned)]
    assert any("failed to occur within 60 seconds" in text for text in warnings)


def test_connect_timeout_counts_until_the_first_answer() -> None:
    impatient = profile()
    impatient = type(impatient)(
        host=impatient.host,
        port=impatient.port,
        protocol=impatient.protocol,
        family=impatient.family,
        origin=impatient.origin,
        connect_timeout=10,
    )
    pair = SimPair(connection=impatient, script=ServerScript(silent=True))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=10.5)
    assert pair.ended is not None
    assert pair.ended.signal_text == "server_poll"
    answering = SimPair(connection=impatient, script=ServerScript(silent_to_push=True))
    answering.start()
    answering.advance(15.0)
    assert answering.ended is None


def test_another_tls_crypt_key_is_named_as_the_cause() -> None:
    pair = SimPair(
        connection=profile(TlsAuth(key=STATIC_KEY, direction=KeyDirection.NORMAL, digest="SHA1"))
    )
    pair.start()
    for _ in range(3):
        pair.inject(bytes((Opcode.CONTROL_HARD_RESET_SERVER_V2 << 3,)) + bytes(range(1, 60)))
    pair.until(lambda: pair.ended is not None, within=61.0)
    assert pair.ended is not None
    assert "did not authenticate" in pair.ended.explanation
    assert "tls-auth" in pair.ended.explanation


def test_tls_refusal_ends_in_tls_error_and_the_alert_leaves() -> None:
    fakes = iter(range(100))
    pair = SimPair(client_tls=lambda: FakeTls(Side.CLIENT, next(fakes), refuse=True))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"
    assert "certificate verify failed" in pair.ended.explanation
    assert pair.client.poll_timeout() is None


def test_tls_exit_turns_a_failure_into_the_end() -> None:
    fakes = iter(range(100))
    connection = profile()
    pair = SimPair(
        connection=connection,
        options=with_tls(client_options(connection), tls_exit=True),
        client_tls=lambda: FakeTls(Side.CLIENT, next(fakes), refuse=True),
    )
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.outcome is Outcome.TERMINATE
    assert pair.ended.signal_text == "tls-error"


def test_garbled_key_exchange_ends_in_tls_error() -> None:
    pair = SimPair(script=ServerScript(garble_key_method=True))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"


def test_login_is_asked_for_before_the_first_packet() -> None:
    connection = profile()
    options = client_options(connection)
    login = LoginOptions(auth_user_pass=True)
    options = type(options)(profiles=options.profiles, login=login)
    asked: list[AskCredentials] = []

    def answer(action: object) -> None:
        assert isinstance(action, AskCredentials)
        asked.append(action)

    pair = SimPair(connection=connection, options=options, answer=answer)
    pair.start()
    assert pair.up.sent == []
    assert pair.client.poll_timeout() is None
    pair.complete(asked[0], credentials("alice", b"open sesame"))
    pair.until(lambda: pair.server.logins != [], within=5.0)
    assert pair.server.logins == [("alice", b"open sesame")]


def test_login_that_nobody_gives_is_a_hard_error() -> None:
    connection = profile()
    options = client_options(connection)
    options = type(options)(profiles=options.profiles, login=LoginOptions(auth_user_pass=True))
    pair = SimPair(
        connection=connection,
        options=options,
        answer=lambda _action: Failed(reason="no terminal"),
    )
    pair.start()
    assert pair.ended is not None
    assert pair.ended.hard_error
    assert "no terminal" in pair.ended.explanation


def test_hook_is_asked_before_the_key_exchange() -> None:
    connection = profile()
    options = with_tls(client_options(connection), tls_verify=("/bin/check",))
    waiting: list[VerifyCertificates] = []

    def hold(action: object) -> None:
        assert isinstance(action, VerifyCertificates)
        waiting.append(action)

    pair = SimPair(connection=connection, options=options, answer=hold)
    pair.start()
    pair.until(lambda: waiting != [], within=5.0)
    pair.advance(3.0)
    assert pair.server.logins == []
    pair.complete(waiting[0], Failed(reason="exit status 1"))
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"
    assert [type(notice) for notice in pair.told(CertificateRejected)] == [CertificateRejected]


def test_tunnel_that_does_not_open_is_a_hard_error() -> None:
    def refuse(action: object) -> Failed | None:
        return Failed(reason="no such device") if isinstance(action, OpenTunnel) else None

    pair = SimPair(answer=refuse)
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.hard_error
    assert "no such device" in pair.ended.explanation


def test_a_machine_without_pull_makes_its_key_at_once() -> None:
    connection = profile()
    options = type(client_options(connection))(profiles=(connection,), pull=False)
    info = "IV_VER=2.6.14\nIV_CIPHERS=CHACHA20-POLY1305:AES-256-GCM\nIV_PROTO=682\n"
    pair = SimPair(
        connection=connection,
        options=options,
        script=ServerScript(peer_info=info, silent_to_push=True, dynamic_crypt=False),
    )
    pair.connect(within=5.0)
    assert pair.server.messages == []
    assert pair.keys.sending is not None
    # Bits 1, 3, 5, 7 and 9: the server's order of ciphers decides, the exporter gives the key.
    assert pair.keys.sending.cipher.value == "CHACHA20-POLY1305"


class MuteTls(FakeTls):
    """Hears and says nothing."""

    def receive(self, ciphertext: bytes) -> None:
        assert ciphertext


class HalfTls(FakeTls):
    """Says a few bytes and no more."""

    said = False

    def take(self, limit: int) -> bytes:
        piece = b"" if self.said else super().take(min(limit, 9))
        self.said = self.said or bool(piece)
        return piece


class DeafTls(FakeTls):
    """Finishes the handshake and answers nothing after it."""

    def write(self, plaintext: bytes | bytearray) -> None:
        assert plaintext


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        (MuteTls, "said nothing inside TLS"),
        (HalfTls, "TLS began and did not finish"),
        (DeafTls, "did not answer the key exchange"),
    ],
)
def test_a_handshake_that_stalls_is_explained_by_what_was_heard(
    kind: type[FakeTls], heard: str
) -> None:
    pair = SimPair(server_tls=lambda: kind(Side.SERVER, 77))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=61.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "tls-error"
    assert heard in pair.ended.explanation


def test_a_late_no_to_a_question_of_an_earlier_session_ends_nothing() -> None:
    connection = profile()
    options = with_tls(client_options(connection), tls_verify=("/bin/check",), reneg_sec=100)
    held: list[VerifyCertificates] = []

    def answer(action: object) -> Done | None:
        if isinstance(action, VerifyCertificates) and pair.is_connected and not held:
            held.append(action)
            return None
        return Done()

    pair = SimPair(connection=connection, options=options, answer=answer)
    pair.connect()
    pair.advance(170.0)  # the renegotiation waited for the hook until it was given up
    assert held != []
    pair.complete(held[0], Failed(reason="too late"))
    pair.advance(5.0)
    assert pair.ended is None


OLD_OPTIONS = (
    "V4,dev-type tun,link-mtu 1549,tun-mtu 1500,proto UDPv4,cipher AES-128-GCM,"
    "auth [null-digest],keysize 128,key-method 2,tls-server"
)


def same_material(pair: SimPair) -> bool:
    """Whether both ends hold the same newest key, whatever the format around it."""
    ours, theirs = pair.keys.sending, pair.server.data_keys[pair.server_key_id]
    return ours is not None and (ours.send, ours.receive) == (theirs.receive, theirs.send)


def test_a_server_of_2_4_without_negotiation() -> None:
    """No IV_PROTO bits, no pushed cipher, no peer-id: options string, PRF and DATA_V1."""
    script = ServerScript(
        push=["PUSH_REPLY,route 10.0.0.0 255.0.0.0,ifconfig 10.8.0.6 10.8.0.5"],
        ekm=False,
        dynamic_crypt=False,
        options=OLD_OPTIONS,
        cipher=DataCipher.AES_128_GCM,
    )
    pair = SimPair(script=script)
    pair.connect()
    assert pair.keys.sending is not None
    assert pair.keys.sending.cipher is DataCipher.AES_128_GCM
    assert pair.keys.sending.format is DataFormat.V1
    assert same_material(pair)
    pair.server_acts(pair.server.soft_reset)
    pair.advance(61.0)
    assert pair.keys.sending.key_id == 1
    assert same_material(pair)


def test_a_server_of_2_7_with_epoch_keys() -> None:
    push = (
        "PUSH_REPLY,ifconfig 10.8.0.2 255.255.255.0,topology subnet,peer-id 5,cipher AES-256-GCM,"
        "protocol-flags cc-exit tls-ekm dyn-tls-crypt aead-epoch"
    )
    formats = frozenset(DataFormat)
    pair = SimPair(script=ServerScript(push=[push]), formats=formats)
    pair.connect()
    bits = [line for line in pair.server.peer_info[0].splitlines() if line.startswith("IV_PROTO=")]
    assert int(bits[0].removeprefix("IV_PROTO=")) & 1 << 10
    assert pair.keys.sending is not None
    assert pair.keys.sending.format is DataFormat.EPOCH
    assert len(pair.keys.sending.send.cipher_key) == 32


def test_epoch_keys_are_neither_offered_nor_taken_without_a_data_plane_for_them() -> None:
    push = "PUSH_REPLY,ifconfig 10.8.0.2 10.8.0.1,peer-id 5,protocol-flags tls-ekm aead-epoch"
    pair = SimPair(script=ServerScript(push=[push]))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert "epoch" in pair.ended.explanation
    bits = [line for line in pair.server.peer_info[0].splitlines() if line.startswith("IV_PROTO=")]
    assert int(bits[0].removeprefix("IV_PROTO=")) & 1 << 10 == 0
