"""Notices become the lines that scripts grep for. Expected texts were logged by OpenVPN 2.6.14."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from ginnel.compat.log_lines import MAX_LINE, Category, LogLine, Severity, printable, render
from ginnel.core.actions import CertificateInfo
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.digests import digest_named
from ginnel.core.notices import (
    Advance,
    CertificateAccepted,
    CertificateRejected,
    Connected,
    ControlChannelReady,
    ControlMessage,
    DataChannelReady,
    Ended,
    InitialPacket,
    KeyRenegotiating,
    ManagementState,
    Notice,
    OptionsImported,
    Outcome,
    PathNarrowed,
    PeerConnected,
    PushOptionFiltered,
    PushOptionRefused,
    PushReceived,
    PushRequested,
    StateEntered,
    Warned,
)
from ginnel.core.types import Endpoint, KeyId, SessionId
from ginnel.options.model import ClientOptions, CompressionKind

REMOTE = Endpoint(ip_address("127.0.0.1"), 11940)
CA = CertificateInfo(depth=1, subject="C=GB, O=Example, CN=Test CA", der=b"")
LEAF = CertificateInfo(depth=0, subject="C=GB, O=Example, CN=server", der=b"")
PUSH = "PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ping 10,ping-restart 60"


def ended(signal_text: str = "", explanation: str = "", **rest: object) -> Ended:
    values: dict[str, object] = {
        "outcome": Outcome.RESTART,
        "signal_text": signal_text,
        "advance": Advance.SAME,
        "explanation": explanation,
        **rest,
    }
    make: Callable[..., Ended] = Ended
    return make(**values)


REAL_LINES: list[tuple[Notice, list[tuple[int, str]]]] = [
    (
        InitialPacket(source=REMOTE, session_id=SessionId(bytes.fromhex("9e99d44f3d4a548a"))),
        [(3, "TLS: Initial packet from [AF_INET]127.0.0.1:11940, sid=9e99d44f 3d4a548a")],
    ),
    (
        CertificateAccepted(certificate=CA, checks=()),
        [(2, "VERIFY OK: depth=1, C=GB, O=Example, CN=Test CA")],
    ),
    (
        CertificateAccepted(certificate=LEAF, checks=("VERIFY KU OK", "VERIFY EKU OK")),
        [
            (2, "VERIFY KU OK"),
            (2, "VERIFY EKU OK"),
            (2, "VERIFY OK: depth=0, C=GB, O=Example, CN=server"),
        ],
    ),
    (
        ControlChannelReady(
            tls_version="TLSv1.3",
            cipher="TLS_AES_256_GCM_SHA384",
            peer_certificate="256 bits ECprime256v1, signature: ecdsa-with-SHA256",
        ),
        [
            (
                2,
                "Control Channel: TLSv1.3, cipher TLSv1.3 TLS_AES_256_GCM_SHA384, peer "
                "certificate: 256 bits ECprime256v1, signature: ecdsa-with-SHA256",
            )
        ],
    ),
    (
        PeerConnected(common_name="server", remote=REMOTE),
        [(1, "[server] Peer Connection Initiated with [AF_INET]127.0.0.1:11940")],
    ),
    (
        PushRequested(common_name="server"),
        [(3, "SENT CONTROL [server]: 'PUSH_REQUEST' (status=1)")],
    ),
    (PushReceived(text=PUSH), [(3, f"PUSH: Received control message: '{PUSH}'")]),
    (
        OptionsImported(
            options=ClientOptions(profiles=()),
            groups=("--ifconfig/up options", "route options modified", "tun-mtu"),
        ),
        [
            (3, "OPTIONS IMPORT: --ifconfig/up options modified"),
            (3, "OPTIONS IMPORT: route options modified"),
            (3, "OPTIONS IMPORT: tun-mtu set to 1500"),
        ],
    ),
    (
        DataChannelReady(
            cipher=DataCipher.AES_256_GCM,
            format=DataFormat.V2,
            peer_id=0,
            ping=10,
            ping_restart=60,
            protocol_flags=("cc-exit", "tls-ekm", "dyn-tls-crypt"),
            compression=CompressionKind.LZO_STUB,
        ),
        [
            (4, "Outgoing Data Channel: Cipher 'AES-256-GCM' initialized with 256 bit key"),
            (4, "Incoming Data Channel: Cipher 'AES-256-GCM' initialized with 256 bit key"),
            (2, "Data Channel: cipher 'AES-256-GCM', peer-id: 0, compression: 'stub'"),
            (2, "Timers: ping 10, ping-restart 60"),
            (2, "Protocol options: protocol-flags cc-exit tls-ekm dyn-tls-crypt"),
        ],
    ),
    (
        KeyRenegotiating(key_id=KeyId(1), reason="sec=2/2 bytes=188/-1 pkts=4/0"),
        [(3, "TLS: soft reset sec=2/2 bytes=188/-1 pkts=4/0")],
    ),
]


@pytest.mark.parametrize(
    ("notice", "expected"), REAL_LINES, ids=[type(case[0]).__name__ for case in REAL_LINES]
)
def test_lines_and_verbs_are_openvpns(notice: Notice, expected: list[tuple[int, str]]) -> None:
    assert [(line.verb, line.text) for line in render(notice)] == expected


def test_states_and_connected_have_no_line_of_their_own() -> None:
    assert render(StateEntered(state=ManagementState.AUTH)) == ()
    assert render(Connected()) == ()


def test_the_version_of_the_cipher_is_named_once() -> None:
    notice = ControlChannelReady(
        tls_version="TLSv1.2", cipher="TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384", peer_certificate=""
    )
    assert [line.text for line in render(notice)] == [
        "Control Channel: TLSv1.2, cipher TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"
    ]


def test_data_channel_leaves_out_what_is_not_there() -> None:
    notice = DataChannelReady(
        cipher=DataCipher.AES_128_GCM,
        format=DataFormat.V1,
        peer_id=None,
        ping=0,
        ping_restart=2,
        protocol_flags=(),
    )
    shown = [line.text for line in render(notice) if line.verb < 4]
    assert shown == ["Data Channel: cipher 'AES-128-GCM'", "Timers: ping-restart 2"]


def test_epoch_keys_are_named() -> None:
    notice = DataChannelReady(
        cipher=DataCipher.AES_128_GCM,
        format=DataFormat.EPOCH,
        peer_id=1,
        ping=0,
        ping_restart=0,
        protocol_flags=(),
    )
    assert [line.text for line in render(notice)] == [
        "Outgoing Epoch Data Channel: Cipher 'AES-128-GCM' initialized with 128 bit key",
        "Incoming Epoch Data Channel: Cipher 'AES-128-GCM' initialized with 128 bit key",
        "Data Channel: cipher 'AES-128-GCM', peer-id: 1",
    ]


def self_signed(serial: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test CA")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_rejected_certificate_names_depth_subject_and_serial() -> None:
    certificate = CertificateInfo(depth=1, subject="C=GB, CN=Test CA", der=self_signed(4044))
    notice = CertificateRejected(
        certificate=certificate,
        error="self-signed certificate in certificate chain",
        hint="the server's CA is not the one in 'ca'",
    )
    line, hint = render(notice)
    assert line.text == (
        "VERIFY ERROR: depth=1, error=self-signed certificate in certificate chain: "
        "C=GB, CN=Test CA, serial=4044"
    )
    assert (line.verb, line.severity, line.category) == (1, Severity.ERROR, Category.TLS_ERROR)
    assert hint.text == "NOTE: the server's CA is not the one in 'ca'"


def test_rejection_survives_a_certificate_that_does_not_parse() -> None:
    notice = CertificateRejected(certificate=LEAF, error="certificate revoked", hint="")
    (line,) = render(notice)
    assert line.text == (
        "VERIFY ERROR: depth=0, error=certificate revoked: C=GB, O=Example, CN=server"
    )


def test_rejection_with_openvpns_own_wording_is_not_wrapped_in_another() -> None:
    text = "VERIFY X509NAME ERROR: C=GB, O=Example, CN=server, must be foo"
    (line,) = render(CertificateRejected(certificate=LEAF, error=text, hint=""))
    assert line.text == text


def test_rejection_without_a_certificate() -> None:
    notice = CertificateRejected(certificate=None, error="cannot be decoded", hint="")
    assert [line.text for line in render(notice)] == ["VERIFY ERROR: cannot be decoded"]


@pytest.mark.parametrize(
    ("keyword", "text", "expected"),
    [
        ("INFO", "hello", "Info command was pushed by server ('hello')"),
        ("RESTART", "", "Connection reset command was pushed by server ('')"),
        ("RESTART", "RESTART,[N]", "Connection reset command was pushed by server ('RESTART,[N]')"),
        ("HALT", "bye", "Halt command was pushed by server ('bye')"),
        ("EXIT", "", "CC-EEN exit message received by peer"),
        ("AUTH_FAILED", "no", "AUTH: Received control message: AUTH_FAILED,no"),
        ("FOO", "bar", "WARNING: Received unknown control message: FOO,bar"),
    ],
)
def test_control_messages(keyword: str, text: str, expected: str) -> None:
    (line,) = render(ControlMessage(keyword=keyword, text=text))
    assert line.text == expected


def test_a_path_that_got_narrow_is_told_as_openvpn_does() -> None:
    (line,) = render(PathNarrowed(option="mssfix", before="1492 mtu", mtu=1300))
    text = "Note adjusting 'mssfix 1492 mtu' to 'mssfix 1300 mtu' according to path MTU discovery"
    assert line == LogLine(text=text, verb=4, category=Category.MTU)


def test_warnings_are_shown_at_every_verb() -> None:
    (line,) = render(Warned(text="the clock is wrong"))
    assert line == LogLine(text="WARNING: the clock is wrong", verb=0, severity=Severity.WARNING)
    (line,) = render(Warned(text="NOTE: as it is"))
    assert line.text == "NOTE: as it is"


def test_tls_failures_are_errors_in_openvpns_words() -> None:
    text = (
        "TLS Error: TLS key negotiation failed to occur within 60 seconds "
        "(check your network connectivity)"
    )
    (line,) = render(Warned(text=text))
    assert line == LogLine(text=text, severity=Severity.ERROR, category=Category.TLS_ERROR)


def test_a_hard_end_is_an_error() -> None:
    (line,) = render(ended("tun-abort", "no device", hard_error=True))
    assert (line.text, line.severity) == ("no device", Severity.ERROR)


def test_refused_push_option_names_it_and_why() -> None:
    (line,) = render(Warned(text="read UDPv4 [ECONNREFUSED]: Connection refused"))
    assert (line.text, line.severity) == (
        "read UDPv4 [ECONNREFUSED]: Connection refused",
        Severity.ERROR,
    )
    (line,) = render(PushOptionFiltered(option="route 10.20.0.0 255.255.0.0"))
    assert line.text == "Pushed option removed by filter: 'route 10.20.0.0 255.255.0.0'"
    (line,) = render(PushOptionRefused(option="up /bin/true", reason="not pushable"))
    assert line.text == "Options error: pushed option 'up /bin/true' ignored: not pushable"
    assert line.severity is Severity.ERROR


@pytest.mark.parametrize(
    ("notice", "common_name", "expected"),
    [
        (
            ended("ping-restart"),
            "server",
            ["[server] Inactivity timeout (--ping-restart), restarting"],
        ),
        (ended("ping-exit"), "", ["[UNDEF] Inactivity timeout (--ping-exit), exiting"]),
        (ended("inactive"), "server", ["Inactivity timeout (--inactive), exiting"]),
        (ended("server_poll"), "", ["Server poll timeout, restarting"]),
        (
            ended("tls-error", "TLS with [AF_INET]127.0.0.1:1 failed: wrong version"),
            "",
            ["TLS with [AF_INET]127.0.0.1:1 failed: wrong version"],
        ),
        (
            ended("tls-error", "the last data key expired"),
            "",
            ["TLS Error: the last data key expired"],
        ),
        (
            ended("auth-failure", "the server refused the login: go", auth_failed="go"),
            "server",
            ["the server refused the login: go"],
        ),
        (
            ended("ping-restart", "the server has been silent for too long"),
            "server",
            [
                "the server has been silent for too long",
                "[server] Inactivity timeout (--ping-restart), restarting",
            ],
        ),
        (
            ended("decryption-error", "a data packet is not authentic"),
            "server",
            [
                "a data packet is not authentic",
                "Fatal decryption error (process_incoming_link), restarting",
            ],
        ),
        (ended(), "server", []),
    ],
)
def test_ends(notice: Ended, common_name: str, expected: list[str]) -> None:
    assert [line.text for line in render(notice, common_name=common_name)] == expected


HOSTILE = "a\nSIGTERM[hard,] received\x1b[2J\x00\u202e\ud800b"


@pytest.mark.parametrize(
    "notice",
    [
        PeerConnected(common_name=HOSTILE, remote=REMOTE),
        PushReceived(text=HOSTILE),
        PushRequested(common_name=HOSTILE),
        PushOptionFiltered(option=HOSTILE),
        PushOptionRefused(option=HOSTILE, reason=HOSTILE),
        ControlMessage(keyword=HOSTILE, text=HOSTILE),
        Warned(text=HOSTILE),
        ended("ping-restart", HOSTILE, auth_failed=HOSTILE),
        CertificateAccepted(
            certificate=CertificateInfo(depth=0, subject=HOSTILE, der=b""), checks=(HOSTILE,)
        ),
        CertificateRejected(
            certificate=CertificateInfo(depth=0, subject=HOSTILE, der=b"\x30\x82"),
            error=HOSTILE,
            hint=HOSTILE,
        ),
        ControlChannelReady(tls_version=HOSTILE, cipher=HOSTILE, peer_certificate=HOSTILE),
        KeyRenegotiating(key_id=KeyId(1), reason=HOSTILE),
    ],
    ids=lambda notice: type(notice).__name__,
)
def test_what_a_peer_sends_cannot_forge_lines(notice: Notice) -> None:
    lines = render(notice, common_name=HOSTILE)
    assert lines
    for line in lines:
        assert line.text.isprintable(), line.text


def test_what_a_peer_sends_is_bounded() -> None:
    (line,) = render(PushReceived(text="x" * 1_000_000))
    assert len(line.text) < MAX_LINE + 100
    assert line.text.endswith(f"... [{1_000_000 - MAX_LINE} more]'")


@given(st.text(alphabet=st.characters(), max_size=300), st.integers(min_value=1, max_value=50))
def test_printable_is_one_bounded_line_and_stable(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit + len(f"... [{len(text)} more]")
    assert printable(shown) == shown
    if len(text) <= limit and text.isprintable():
        assert shown == text


def test_printable_keeps_other_languages() -> None:
    assert printable("Zürich 東京") == "Zürich 東京"


def old_channel(cipher: DataCipher, auth: str) -> list[tuple[int, str]]:
    notice = DataChannelReady(
        cipher=cipher,
        format=DataFormat.V2,
        peer_id=0,
        ping=0,
        ping_restart=0,
        protocol_flags=(),
        digest=None if auth == "none" else digest_named(auth),
        limits_bytes=cipher.kind.limits_bytes,
    )
    return [(line.verb, line.text) for line in render(notice)]


def test_a_cipher_with_hmac_names_both() -> None:
    assert old_channel(DataCipher.AES_256_CBC, "SHA512") == [
        (4, "Outgoing Data Channel: Cipher 'AES-256-CBC' initialized with 256 bit key"),
        (4, "Outgoing Data Channel: Using 512 bit message hash 'SHA512' for HMAC authentication"),
        (4, "Incoming Data Channel: Cipher 'AES-256-CBC' initialized with 256 bit key"),
        (4, "Incoming Data Channel: Using 512 bit message hash 'SHA512' for HMAC authentication"),
        (2, "Data Channel: cipher 'AES-256-CBC', auth 'SHA512', peer-id: 0"),
    ]


def test_short_blocks_no_cipher_and_no_digest_are_warned_about() -> None:
    short = "\n".join(text for verb, text in old_channel(DataCipher.BF_CBC, "SHA1") if not verb)
    assert "reducing reneg-bytes to 64MB" in short
    assert short.count("INSECURE cipher (BF-CBC) with block size less than 128 bit") == 3
    bare = "\n".join(text for verb, text in old_channel(DataCipher.NONE, "none") if not verb)
    assert "'--cipher none' was specified" in bare
    assert "'--auth none' was specified" in bare
