"""Asks the kernel about links, addresses and routes, and changes them. Blocks: for the helper.

Responsible for one request at a time over one rtnetlink socket. What to change is decided in
``plan``; the bytes are made in ``rtnetlink``.
"""

import os
import socket
from collections.abc import Iterator
from types import TracebackType

from ginnel.core.errors import HostError
from ginnel.core.types import IPAddress, IPNetwork
from ginnel.hints import Self
from ginnel.host.rtnetlink import (
    PROTOCOL_BOOT,
    TABLE_MAIN,
    AddressState,
    Flag,
    LinkState,
    Message,
    MessageType,
    NetlinkMalformed,
    NoSuchThing,
    RouteState,
    decode_address,
    decode_error,
    decode_link,
    decode_messages,
    decode_route,
    encode_address,
    encode_link,
    encode_link_name,
    encode_message,
    encode_route,
    encode_route_dump,
    encode_route_lookup,
    is_cloned,
    may_be_of_table,
)

_RECEIVE_BYTES = 1 << 17
_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11
_ANSWER_SECONDS = 10.0
_DUMP_ATTEMPTS = 5


class Netlink:
    """One rtnetlink socket of the current network namespace. Raises ``HostError``."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.settimeout(_ANSWER_SECONDS)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the socket. Idempotent."""
        self._socket.close()

    # --- questions -----------------------------------------------------------------------------

    def links(self) -> list[LinkState]:
        """All devices of the namespace."""
        return [decode_link(body) for body in self._dump(MessageType.GETLINK, encode_link(0))]

    def link(self, index: int) -> LinkState | None:
        """The device with that index, or None."""
        return self._one_link(encode_link(index))

    def link_named(self, name: str) -> LinkState | None:
        """The device with that name, or None."""
        return self._one_link(encode_link_name(name))

    def addresses(self) -> list[AddressState]:
        """All addresses of the namespace."""
        found = (decode_address(body) for body in self._dump(MessageType.GETADDR, bytes(8)))
        return [address for address in found if address is not None]

    def routes(self, version: int, table: int = TABLE_MAIN) -> list[RouteState]:
        """Unicast and other routes of a table for IP version 4 or 6."""
        family = int(socket.AF_INET if version == 4 else socket.AF_INET6)
        bodies = self._dump(MessageType.GETROUTE, encode_route_dump(family))
        wanted = (b for b in bodies if may_be_of_table(b, table) and not is_cloned(b))
        found = (decode_route(body) for body in wanted)
        return [route for route in found if route is not None and route.table == table]

    def routes_to(self, network: IPNetwork, table: int) -> list[RouteState]:
        """Those of a table for one destination."""
        return [r for r in self.routes(network.version, table) if r.network == network]

    def route_to(self, destination: IPAddress) -> RouteState | None:
        """How the kernel would reach ``destination`` now; None when it would not."""
        body = encode_route_lookup(destination)
        try:
            answers = self._request(MessageType.GETROUTE, 0, body, "route lookup")
        except HostError:
            return None
        for answer in answers:
            return decode_route(answer)
        return None

    # --- changes -------------------------------------------------------------------------------

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        mtu: int | None = None,
        txqueuelen: int | None = None,
    ) -> None:
        """Changes the given properties of a device."""
        body = encode_link(index, up=up, mtu=mtu, txqueuelen=txqueuelen)
        self._request(MessageType.NEWLINK, Flag.ACK, body, "set link")

    def delete_link(self, index: int) -> None:
        """Removes a virtual device."""
        self._request(MessageType.DELLINK, Flag.ACK, encode_link(index), "delete link")

    def add_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None:
        """Adds an address; EEXIST when the device already has it."""
        flags = Flag.ACK | Flag.CREATE | Flag.EXCLUSIVE
        body = encode_address(index, local, prefix, peer)
        self._request(MessageType.NEWADDR, flags, body, "add address")

    def delete_address(
        self, index: int, local: IPAddress, prefix: int, peer: IPAddress | None
    ) -> None:
        """Removes an address."""
        body = encode_address(index, local, prefix, peer)
        self._request(MessageType.DELADDR, Flag.ACK, body, "delete address")

    def add_route(
        self,
        network: IPNetwork,
        *,
        gateway: IPAddress | None,
        index: int | None,
        metric: int | None,
        table: int = TABLE_MAIN,
    ) -> None:
        """Adds a route to a table; EEXIST for one that is there.

        An IPv4 route goes before another one of the same destination and metric, as OpenVPN has
        it: a pushed network that is also the local one's name leads into the tunnel.
        """
        flags = Flag.ACK | Flag.CREATE
        if network.version == 6:  # where both would share the traffic
            flags |= Flag.EXCLUSIVE
        body = encode_route(network, gateway=gateway, index=index, metric=metric, table=table)
        self._request(MessageType.NEWROUTE, flags, body, "add route")

    def delete_route(self, route: RouteState) -> None:
        """Removes exactly the route that the kernel described."""
        self._request(MessageType.DELROUTE, Flag.ACK, route.message, "delete route")

    def put_back_route(self, message: bytes) -> None:
        """Adds a route from the bytes kept of it (``RouteState.message``)."""
        flags = Flag.ACK | Flag.CREATE | Flag.EXCLUSIVE
        self._request(MessageType.NEWROUTE, flags, message, "restore route")

    # --- transport -----------------------------------------------------------------------------

    def _one_link(self, body: bytes) -> LinkState | None:
        try:
            answers = self._request(MessageType.GETLINK, 0, body, "link lookup")
        except NoSuchThing:
            return None
        return decode_link(answers[0]) if answers else None

    def _dump(self, kind: MessageType, body: bytes) -> list[bytes]:
        """Collects a listing; asks again when it changed while the kernel was writing it."""
        for _attempt in range(_DUMP_ATTEMPTS):
            sequence = self._send(kind, Flag.DUMP, body)
            answers: list[bytes] = []
            interrupted = False
            for message in self._answers(sequence):
                interrupted = interrupted or bool(message.flags & Flag.DUMP_INTERRUPTED)
                if message.kind == MessageType.DONE:
                    break
                if message.kind == MessageType.ERROR:
                    self._raise_error(message, "listing")
                answers.append(message.body)
            if not interrupted:
                return answers
        raise HostError("listing", 0, "the kernel's tables kept changing while they were read")

    def _request(self, kind: MessageType, flags: int, body: bytes, step: str) -> list[bytes]:
        """Sends one request and returns its answers; without ACK there is exactly one."""
        sequence = self._send(kind, flags, body)
        answers: list[bytes] = []
        for message in self._answers(sequence):
            if message.kind == MessageType.ERROR:
                self._raise_error(message, step)
                return answers
            answers.append(message.body)
            if not flags & Flag.ACK:
                return answers
        return answers

    def _send(self, kind: MessageType, flags: int, body: bytes) -> int:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        request = encode_message(kind, Flag.REQUEST | flags, self._sequence, body)
        try:
            self._socket.sendto(request, (0, 0))
        except OSError as refused:
            raise HostError("netlink", refused.errno or 0, str(refused)) from refused
        return self._sequence

    def _answers(self, sequence: int) -> Iterator[Message]:
        while True:
            try:
                datagram, _ancillary, flags, sender = self._socket.recvmsg(_RECEIVE_BYTES)
            except OSError as lost:
                raise HostError("netlink", lost.errno or 0, str(lost)) from lost
            if sender[0] != 0:
                continue
            if flags & socket.MSG_TRUNC:
                raise HostError("netlink", 0, "the kernel's answer was longer than the buffer")
            try:
                for message in decode_messages(datagram):
                    if message.sequence == sequence:
                        yield message
            except NetlinkMalformed as bad:
                raise HostError("netlink", 0, f"answer does not decode: {bad}") from bad

    def _raise_error(self, message: Message, step: str) -> None:
        code, explanation = decode_error(message)
        if code == 0:
            return
        text = os.strerror(code)
        detail = f"{text} ({explanation})" if explanation else text
        raise (NoSuchThing if code in _ABSENT else HostError)(step, code, detail)


_ABSENT = frozenset({2, 3, 19, 99})
"""ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL: how the kernel says that something is not there."""

__all__ = ["PROTOCOL_BOOT", "Netlink", "NoSuchThing"]
