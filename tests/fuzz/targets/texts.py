"""Texts that an authenticated server sends: messages, pushes, its options string and peer info."""

from collections.abc import Callable, Mapping
from contextlib import suppress

from ginnel.core.errors import Malformed
from ginnel.core.messages import MessageSplitter, parse_message
from ginnel.core.occ import read_occ
from ginnel.core.options_string import OccTerms, compare, parse_options_string
from ginnel.core.peer_info import parse_peer_info, protocol_flags
from ginnel.core.types import Side
from tests.fuzz.pieces import cut
from tests.sim.pair import SimPair

TERMS = OccTerms(side=Side.SERVER, dev_type="tun", tun_mtu=1500)
MAX_TOLD = 400
"""Notices that a handful of messages may cause; each may become a log line."""


def server_message(data: bytes) -> None:
    splitter = MessageSplitter()
    with suppress(Malformed):
        for piece in cut(data):
            for text in splitter.feed(piece):
                parse_message(text)


def server_talk(data: bytes) -> None:
    """Messages to a whole client: the first bit of the input says before or after the push."""
    early = bool(data[:1] and data[0] & 1)
    pair = SimPair()
    pair.start()
    if early:
        pair.advance(0.5)
    else:
        pair.until(lambda: pair.is_connected, 60)
    for piece in cut(data[1:]):
        text = piece.decode("utf-8", "replace").replace("\0", "")
        if text and len(text) < 900 and pair.ended is None and pair.server.data_keys:
            pair.server_says(text)
            pair.advance(0.2)
    assert len(pair.notices) < MAX_TOLD


def options_string(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for mismatch in compare(TERMS, parse_options_string(text)):
        assert str(mismatch).isprintable()


def peer_info(data: bytes) -> None:
    variables = parse_peer_info(data.decode("utf-8", "replace"))
    protocol_flags(variables)
    assert all(name.startswith(("IV_", "UV_")) for name in variables)


def occ(data: bytes) -> None:
    read_occ(data)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "server-message": server_message,
    "server-talk": server_talk,
    "options-string": options_string,
    "peer-info": peer_info,
    "occ": occ,
}
