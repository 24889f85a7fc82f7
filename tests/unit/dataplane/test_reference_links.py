"""Many links of the reference engine: numbers, readiness, removal."""

import errno
import select
import socket

import pytest

from ginnel.core.errors import DataPlaneError
from ginnel.core.types import Transport
from ginnel.dataplane.api import FIRST_LINK, Link, LinkId
from ginnel.dataplane.reference_links import Links
from ginnel.dataplane.reference_ports import Waker


def test_links_have_numbers_of_their_own_and_are_ready_one_by_one() -> None:
    waker = Waker()
    links = Links(waker, 1500)
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(3)]
    numbers = []
    for near, _ in pairs:
        link = Link(fd=near.fileno(), transport=Transport.TCP)
        numbers.append(links.add("add_link", link, b"", b""))
        near.close()
    assert numbers == [1, 2, 3]
    assert links.ready(waker.ready()) == []
    pairs[1][1].sendall(b"\x00\x01x\x00\x01y")
    assert links.ready(waker.ready()) == [2]
    opened = links.get(LinkId(2))
    assert opened is not None
    assert len(opened.receive(1)) == 1
    links.note(LinkId(2))
    assert links.has_records()
    assert links.ready([]) == [2], "a record that was read already is shown by no descriptor"
    assert links.remove(LinkId(2))
    assert not links.remove(LinkId(2))
    assert not links.has_records()
    assert list(links) == [1, 3]
    links.close()
    assert list(links) == []
    waker.close()
    for _, far in pairs:
        far.close()


def test_a_link_that_is_not_to_be_read_wakes_nobody() -> None:
    waker = Waker()
    links = Links(waker, 1500)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with near, far:
        link = Link(fd=near.fileno(), transport=Transport.TCP)
        links.put("attach", FIRST_LINK, link, b"", b"")
        far.sendall(b"\x00\x01x")
        links.note(FIRST_LINK, readable=False)
        poller = select.poll()
        poller.register(waker.fd, select.POLLIN)
        assert poller.poll(0) == []
        links.note(FIRST_LINK)
        assert poller.poll(0) != []
        links.close()
    waker.close()


def test_a_descriptor_that_is_not_open_is_an_error_of_the_call() -> None:
    waker = Waker()
    links = Links(waker, 1500)
    with pytest.raises(DataPlaneError) as refused:
        links.add("add_link", Link(fd=1 << 20, transport=Transport.UDP), b"", b"")
    assert (refused.value.operation, refused.value.errno) == ("add_link", errno.EBADF)
    waker.close()
