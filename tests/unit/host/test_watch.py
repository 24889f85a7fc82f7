"""Changes as the kernel tells them; real ones are in the interop tests."""

import socket

from ginnel.host.rtnetlink import Flag, MessageType, encode_message
from ginnel.host.watch import ChangeSocket, is_change


def test_links_addresses_and_routes_are_changes() -> None:
    kinds = MessageType.NEWLINK, MessageType.DELADDR, MessageType.NEWROUTE, MessageType.DELNEXTHOP
    for kind in kinds:
        assert is_change(encode_message(kind, 0, 0, b""))
    assert not is_change(encode_message(MessageType.DONE, Flag.MULTI, 0, b""))
    assert not is_change(b"")


def test_what_does_not_decode_may_have_been_a_change() -> None:
    assert is_change(b"\x05" + bytes(20))


def test_a_quiet_socket_has_nothing_to_say() -> None:
    changes = ChangeSocket()
    try:
        changes.drain()  # of what happens on this machine meanwhile
        assert changes.fileno() > 0
        # Only the kernel is believed: a message of a process is no change.
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as other:
            other.bind((0, 0))
            assert other.getsockname()[0] != 0
    finally:
        changes.close()
        changes.close()
