"""Continuation of pushed options."""

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.messages import PushReply, parse_message
from ginnel.core.push import (
    BUNDLE_SIZE,
    MAX_PUSH_CHARACTERS,
    MAX_PUSH_ITEMS,
    PushAssembler,
    redact,
    split_push,
)


def test_a_single_part_is_whole() -> None:
    assembler = PushAssembler()
    assert assembler.add(["ping 1"]) == ("ping 1",)
    assert assembler.add([]) == ()


def test_parts_are_joined_without_their_marks() -> None:
    assembler = PushAssembler()
    assert assembler.add(["a", "push-continuation 2"]) is None
    assert assembler.add(["b", "push-continuation 2"]) is None
    assert assembler.add(["c", "push-continuation 1"]) == ("a", "b", "c")
    assert assembler.add(["d"]) == ("d",)


def test_a_push_without_end_is_refused() -> None:
    assembler = PushAssembler()
    for _ in range(MAX_PUSH_CHARACTERS // 60000):
        assert assembler.add(["x" * 60000, "push-continuation 2"]) is None
    with pytest.raises(Malformed, match="push-length"):
        assembler.add(["x" * 60000, "push-continuation 2"])
    assert assembler.add(["fresh"]) == ("fresh",)
    with pytest.raises(Malformed, match="push-length"):
        assembler.add(["x"] * (MAX_PUSH_ITEMS + 1))


def test_few_options_need_no_marks() -> None:
    assert split_push("PUSH_REPLY", ["ping 1", "topology subnet"]) == [
        "PUSH_REPLY,ping 1,topology subnet"
    ]
    assert split_push("PUSH_REPLY", []) == ["PUSH_REPLY"]


def test_many_options_are_split_and_come_together_again() -> None:
    items = [f"route 10.{number}.0.0 255.255.0.0" for number in range(200)]
    parts = split_push("PUSH_REPLY", items)
    assert len(parts) > 5
    assert all(len(part) <= BUNDLE_SIZE + len(",push-continuation 2") for part in parts)
    assert all(part.endswith(",push-continuation 2") for part in parts[:-1])
    assert parts[-1].endswith(",push-continuation 1")
    assembler = PushAssembler()
    whole: tuple[str, ...] | None = None
    for part in parts:
        message = parse_message(part)
        assert isinstance(message, PushReply)
        assert whole is None
        whole = assembler.add(message.items)
    assert whole == tuple(items)


def test_an_option_that_cannot_be_pushed_is_refused() -> None:
    with pytest.raises(ValueError, match="comma"):
        split_push("PUSH_REPLY", ["a,b"])
    with pytest.raises(ValueError, match="too long"):
        split_push("PUSH_REPLY", ["x" * BUNDLE_SIZE])


def test_tokens_are_not_logged() -> None:
    shown = redact("PUSH_REPLY", ("peer-id 1", "auth-token SECRET", "auth-token-user dQ=="))
    assert shown == "PUSH_REPLY,peer-id 1,auth-token [secret],auth-token-user dQ=="
    assert redact("PUSH_REPLY", ("echo my secret", "echoes x")) == "PUSH_REPLY,echo,echoes x"
