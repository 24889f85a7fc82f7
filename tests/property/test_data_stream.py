"""Records of a TCP link survive every way of cutting the stream."""

import errno
import socket
from contextlib import closing
from itertools import pairwise
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.types import Transport
from ginnel.dataplane.api import Link
from ginnel.dataplane.reference_link import LinkBroken, TcpLink

records = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20)


def opened(near: socket.socket, unread: bytes, max_record: int) -> closing[TcpLink]:
    return closing(
        TcpLink(Link(fd=near.fileno(), transport=Transport.TCP), unread, b"", max_record)
    )


def take_all(link: TcpLink, taken: list[bytes]) -> NoReturn:
    """Receives until the link breaks, which every stream ends with."""
    while True:
        taken += [packet for arrived in link.receive(64) for packet in arrived.packets]


@given(records, st.data())
def test_records_survive_every_cut(packets: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), min_size=1, max_size=12)))
    near, far = socket.socketpair()
    with near, far, opened(near, stream[: cuts[0]], 4096) as link:
        taken = [packet for arrived in link.receive(64) for packet in arrived.packets]
        for at, end in pairwise([*cuts, len(stream)]):
            far.sendall(stream[at:end])
            taken += [packet for arrived in link.receive(64) for packet in arrived.packets]
        assert taken == packets
        assert not link.has_records()


@given(st.binary(max_size=2000))
def test_any_stream_ends_in_records_or_a_lost_link(stream: bytes) -> None:
    near, far = socket.socketpair()
    with near, far, opened(near, b"", 512) as link:
        far.sendall(stream)
        far.close()
        taken: list[bytes] = []
        with pytest.raises(LinkBroken) as broken:
            take_all(link, taken)
        rest = stream[sum(2 + len(packet) for packet in taken) :]
        claimed = int.from_bytes(rest[:2], "big")
        bad_length = len(rest) >= 2 and not 0 < claimed <= 512
        assert broken.value.errno == (errno.EBADMSG if bad_length else 0)
        assert all(0 < len(packet) <= 512 for packet in taken)
