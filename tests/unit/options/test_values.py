"""Secrets, origins and file contents."""

import copy
import pickle

import pytest

from ginnel.options.values import FileContent, Origin, Secret


def test_a_secret_does_not_show() -> None:
    secret = Secret(b"hunter2")
    content = FileContent(option="key", origin=Origin("c", 1), path=None, content=secret)
    for text in (repr(secret), str(secret), f"{secret}", repr(content), repr([secret])):
        assert "hunter2" not in text
    assert secret.reveal() == b"hunter2"
    assert len(secret) == 7


def test_secrets_compare_by_value_only_with_each_other() -> None:
    assert Secret(b"a") == Secret(b"a")
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != b"a"


def test_a_secret_is_not_hashed_or_serialized() -> None:
    with pytest.raises(TypeError, match="not hashable"):
        hash(Secret(b"a"))
    with pytest.raises(TypeError, match="not serialized"):
        pickle.dumps(Secret(b"a"))
    with pytest.raises(TypeError, match="not serialized"):
        copy.copy(Secret(b"a"))


def test_an_origin_is_shown_as_file_and_line() -> None:
    assert str(Origin("a.ovpn", 7)) == "a.ovpn:7"


def test_a_wiped_secret_is_empty_and_its_buffer_overwritten() -> None:
    buffer = bytearray(b"hunter2")
    secret = Secret(buffer)
    copy_of_it = secret.reveal()
    with secret.view() as lent:
        assert bytes(lent) == b"hunter2"
        assert lent.readonly
        secret.wipe()
        assert bytes(lent) == bytes(7)
    assert buffer == bytes(7)
    assert (len(secret), secret.reveal()) == (0, b"")
    assert copy_of_it == b"hunter2", "what was revealed before is out of reach"
