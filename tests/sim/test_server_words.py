"""Words that no client says: a server's machine hears them all, and what it tells stays bounded."""

from random import Random

import pytest

from tests.sim.duo import Duo

LONG = 9000
WORDS = (
    b"\0",
    b"\0\1\2\0\0",
    b"no such message\0",
    b"no end",
    b"PUSH_REPLY,ifconfig 10.8.0.1 255.255.255.0\0",
    b"PUSH_REQUEST" * 50 + b"\0",
    b"CR_RESPONSE,%%%not-base64%%%\0",
    b"CR_RESPONSE," + b"QUJD" * 2000 + b"\0",
    b"AUTH_FAILED,I refuse you\0",
    b"RESTART,[N]\0",
    b"HALT\0",
    b"INFO," + b"A" * LONG + b"\0",
    b"PUSH_UPDATE,-ifconfig\0",
    b"AUTH_PENDING,timeout 4000000000\0",
    bytes(range(256)),
)


def say(duo: Duo, words: bytes) -> None:
    """Lets the client say what no client has a method for."""
    duo.client._link.current.key.write(words, duo.now)
    duo.client.handle_timeout(duo.now)
    duo.advance(0.05)


@pytest.mark.parametrize("words", WORDS)
def test_a_word_out_of_place_ends_nobody(words: bytes) -> None:
    """The client asks for nothing that it may have: it stays, and its keys work."""
    duo = Duo()
    duo.connect()
    say(duo, words)
    assert duo.server.machine is not None
    assert duo.keys_match
    assert len(duo.server.notices) < 20


def test_a_thousand_words_tell_no_thousand_things() -> None:
    """The tenth of a kind says no more than the first."""
    duo = Duo()
    duo.connect()
    before = len(duo.server.notices)
    draw = Random(3)
    for number in range(300):
        say(duo, WORDS[number % len(WORDS)] + draw.randbytes(number % 7))
    told = duo.server.notices[before:]
    assert len({str(type(notice)) for notice in told}) < 6
    assert len(told) < 60, told[:20]
