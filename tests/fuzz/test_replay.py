"""Every input of the committed corpora again, and simple damage done to each."""

from pathlib import Path
from random import Random

import pytest

from tests.fuzz.__main__ import CORPUS, names
from tests.fuzz.pieces import cut, join
from tests.fuzz.targets import TARGETS

DAMAGED = 3
"""Variants of each input. Deeper search is ``make fuzz``'s business."""

SLOW = {"client-packets", "server-packets", "server-talk", "client-talk", "certificate-file"}
"""Targets with a whole machine or with OpenSSL in them: their inputs are replayed as they are."""


def test_each_target_has_a_corpus() -> None:
    assert names() == sorted(TARGETS)
    assert all(any((CORPUS / name).iterdir()) for name in names())


def test_pieces_round_trip() -> None:
    assert list(cut(join(b"", b"ab", b"c" * 300))) == [b"", b"ab", b"c" * 300]
    assert list(cut(b"\x00\x05ab")) == [b"ab"]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_corpus(name: str) -> None:
    target = TARGETS[name]
    for number, path in enumerate(sorted((CORPUS / name).iterdir())):
        content = path.read_bytes()
        target(content)
        for variant in range(0 if name in SLOW else DAMAGED):
            target(damaged(content, Random(number * DAMAGED + variant)))


def damaged(content: bytes, draw: Random) -> bytes:
    """Cuts, flips or doubles a part."""
    if not content:
        return draw.randbytes(8)
    at = draw.randrange(len(content))
    match draw.randrange(3):
        case 0:
            return content[:at]
        case 1:
            return (
                content[:at] + bytes((content[at] ^ (1 << draw.randrange(8)),)) + content[at + 1 :]
            )
        case _:
            return content[:at] + content[at // 2 :]


def test_no_input_is_large() -> None:
    large = [path for path in CORPUS.rglob("*") if path.is_file() and path.stat().st_size > 8192]
    assert large == [], [Path(path).name for path in large]
