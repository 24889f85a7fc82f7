"""Text messages of the control channel."""

import json
from pathlib import Path

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.messages import (
    MAX_MESSAGE,
    MAX_MESSAGES_AT_ONCE,
    AuthFailed,
    AuthPending,
    CrResponse,
    DynamicChallenge,
    Exit,
    Halt,
    Info,
    InfoPre,
    MessageSplitter,
    PushReply,
    PushRequest,
    PushUpdate,
    Restart,
    TemporaryAdvance,
    TemporaryFailure,
    TextMessage,
    Unknown,
    clean_text,
    encode_message,
    parse_message,
    without_controls,
)

VECTOR = Path(__file__).parents[2] / "vectors" / "control" / "key-exchange.json"


def test_one_record_may_hold_several_messages() -> None:
    splitter = MessageSplitter()
    assert splitter.feed(b"INFO,a\0\0EXIT\0") == ["INFO,a", "EXIT"]


def test_a_message_may_come_in_pieces() -> None:
    splitter = MessageSplitter()
    assert splitter.feed(b"PUSH_RE") == []
    assert splitter.feed(b"PLY,ping 1\0INFO") == ["PUSH_REPLY,ping 1"]
    assert splitter.feed(b"\0") == ["INFO"]


def test_control_characters_are_taken_out() -> None:
    splitter = MessageSplitter()
    hostile = b"INFO,a\r\nSUCCESS\x1b[31m\x7f caf\xc3\xa9 \xc2\x9b2J \xff\0"
    assert splitter.feed(hostile) == ["INFO,aSUCCESS[31m café 2J \ufffd"]
    assert splitter.feed(b"\r\n\0") == []
    assert clean_text("a\tb") == "ab"


def test_control_characters_of_names_leave_a_mark() -> None:
    assert without_controls("al\r\nice\x7f \udcff") == "al__ice_ \udcff"


def test_an_endless_message_is_cut_off() -> None:
    splitter = MessageSplitter()
    assert splitter.feed(b"x" * MAX_MESSAGE) == []
    with pytest.raises(Malformed, match="message-length"):
        splitter.feed(b"x")
    with pytest.raises(Malformed, match="message-length"):
        MessageSplitter().feed(b"x" * (MAX_MESSAGE + 1) + b"\0")


def test_a_flood_of_empty_messages_is_refused() -> None:
    with pytest.raises(Malformed, match="message-count"):
        MessageSplitter().feed(bytes(MAX_MESSAGES_AT_ONCE + 1))


def test_a_message_ends_with_a_nul_and_holds_none() -> None:
    assert encode_message("PUSH_REQUEST") == b"PUSH_REQUEST\0"
    with pytest.raises(ValueError, match="NUL"):
        encode_message("a\0b")


def test_what_openvpn_says_is_understood() -> None:
    vector = json.loads(VECTOR.read_text())
    [push] = MessageSplitter().feed(bytes.fromhex(vector["server_records"][1]))
    assert parse_message(push) == PushReply(
        items=(
            "ping 1",
            "ping-restart 30",
            "ifconfig 10.8.0.2 255.255.255.0",
            "peer-id 0",
            "cipher AES-256-GCM",
            "protocol-flags cc-exit tls-ekm dyn-tls-crypt",
        )
    )
    [request] = MessageSplitter().feed(bytes.fromhex(vector["client_records"][1]))
    assert parse_message(request) == PushRequest()


CHALLENGE = "CRV1:R,E:state:YWRh:Enter the code: now"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AUTH_FAILED", AuthFailed()),
        ("AUTH_FAILED,no, really", AuthFailed(reason="no, really")),
        ("AUTH_FAILED,SESSION: too old", AuthFailed(reason="SESSION: too old")),
        ("AUTH_FAILED,TEMP", AuthFailed(temporary=TemporaryFailure())),
        ("AUTH_FAILED,TEMP:busy", AuthFailed(reason="busy", temporary=TemporaryFailure())),
        (
            "AUTH_FAILED,TEMP[backoff 42,advance no]:come back",
            AuthFailed(
                reason="come back",
                temporary=TemporaryFailure(backoff=42, advance=TemporaryAdvance.SAME),
            ),
        ),
        (
            "AUTH_FAILED,TEMP[advance remote,unknown 1]",
            AuthFailed(temporary=TemporaryFailure(advance=TemporaryAdvance.NEXT_REMOTE)),
        ),
        (
            "AUTH_FAILED,TEMP[backoff 99999999999999999999,advance sideways,backoff]",
            AuthFailed(temporary=TemporaryFailure()),
        ),
        (
            "AUTH_FAILED,TEMP[backoff 1",
            AuthFailed(reason="[backoff 1", temporary=TemporaryFailure()),
        ),
        (
            "AUTH_FAILED,TEMP overload",
            AuthFailed(reason=" overload", temporary=TemporaryFailure()),
        ),
        (
            f"AUTH_FAILED,{CHALLENGE}",
            AuthFailed(
                reason=CHALLENGE,
                challenge=DynamicChallenge(
                    echo=True,
                    response_required=True,
                    state_id="state",
                    username="ada",
                    text="Enter the code: now",
                ),
            ),
        ),
        ("AUTH_FAILED,CRV1:R:x", AuthFailed(reason="CRV1:R:x")),
        ("AUTH_FAILED,CRV1:R:x:*:y", AuthFailed(reason="CRV1:R:x:*:y")),
        ("AUTH_PENDING", AuthPending()),
        ("AUTH_PENDING,timeout 120", AuthPending(timeout=120)),
        ("AUTH_PENDING,timeout x,other y", AuthPending(keywords=("other y",))),
        ("INFO,hello, you", Info(text="hello, you")),
        ("INFO_PRE,WEB_AUTH::https://x/", InfoPre(text="WEB_AUTH::https://x/")),
        ("RESTART", Restart()),
        ("RESTART,going down", Restart(text="going down")),
        ("RESTART,[N]", Restart(next_remote=True)),
        ("RESTART,[NP]bye", Restart(text="bye", next_remote=True, keep_password=True)),
        ("RESTART,[N", Restart(text="[N")),
        ("HALT,[P]enough", Halt(text="enough", keep_password=True)),
        ("HALT", Halt()),
        ("EXIT", Exit()),
        ("EXIT,now", Unknown(keyword="EXIT", text="now")),
        ("PUSH_REQUEST", PushRequest()),
        ("PUSH_REPLY", PushReply()),
        ("PUSH_REPLY, ping 1,,route 10.0.0.0", PushReply(items=("ping 1", "route 10.0.0.0"))),
        ("PUSH_UPDATE,-route,?dns x", PushUpdate(items=("-route", "?dns x"))),
        ("CR_RESPONSE,MTIz", CrResponse(response="MTIz")),
        ("ACC,x,1,A,y", Unknown(keyword="ACC", text="x,1,A,y")),
        ("", Unknown(keyword="", text="")),
        ("auth_failed", Unknown(keyword="auth_failed", text="")),
    ],
)
def test_each_message_becomes_its_value(text: str, message: TextMessage) -> None:
    assert parse_message(text) == message
