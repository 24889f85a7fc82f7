"""A server's engine with several hand-made peers, for the conformance suite."""

import socket
from collections.abc import Callable
from ipaddress import ip_network
from typing import Unpack

from ginnel.core.data_key import DataFormat, KeySlot
from ginnel.core.types import PeerId, Transport
from ginnel.dataplane.api import (
    FIRST_LINK,
    Link,
    LinkId,
    Notification,
    NotificationKind,
    PeerConfig,
    ServingRules,
)
from tests.unit.dataplane.inner_packets import udp_packet
from tests.unit.dataplane.rig import (
    Bench,
    Hand,
    Node,
    Settings,
    endpoint,
    make_key,
    receive,
    seal,
    settle,
    unseal,
)

HOST = "10.8.0.1"


class Client:
    """A peer of a server: it has an address of its own, a key and a socket."""

    def __init__(self, office: "Office", number: int, layout: DataFormat) -> None:
        self.peer_id = PeerId(number)
        self.address = f"10.8.0.{number + 10}"
        self.address6 = f"fd00:8::{number + 10:x}"
        self.mac = bytes((2, 0, 0, 0, 0, number))
        self.key = make_key(f"client {number}", layout=layout)
        self.hand = Hand(office.made, office.node, self.key)
        self.office = office
        self._next_id = 0

    def sealed(self, payload: bytes) -> bytes:
        self._next_id += 1
        return seal(self.key, self._next_id, payload, peer_id=self.peer_id)

    def send(self, payload: bytes, to: tuple[str, int] | None = None) -> None:
        """Sends an inner packet from its socket, to the first link if not told otherwise."""
        target = to or self.office.node.link.getsockname()
        self.hand.socket.sendto(self.sealed(payload), target)

    def sends_to(self, address: str, text: bytes = b"hello") -> bytes:
        packet = udp_packet(self.address, address, text)
        self.send(packet)
        return packet

    def opened(self) -> list[bytes]:
        """Every inner packet that has arrived at its socket."""
        return [unseal(self.key, packet).payload for packet in self.hand.collect()]

    def gets(self, *payloads: bytes) -> None:
        """Waits for inner packets, in order."""
        self.office.settle(lambda: len(self.opened()) >= len(payloads), f"{len(payloads)} packets")
        assert self.opened() == list(payloads)

    def drops(self) -> dict[str, int]:
        return self.office.node.drops(self.peer_id)

    def dropped(self, reason: str, count: int = 1) -> None:
        self.office.settle(
            lambda: self.drops().get(reason, 0) >= count,
            f"{count} drops of {self.peer_id} named {reason}",
        )


class Office:
    """A server's engine on one UDP link."""

    def __init__(
        self,
        made: Bench,
        engine: str,
        rules: ServingRules | None = None,
        *,
        ethernet: bool = False,
        multihome: bool = False,
        link_family: int = 4,
    ) -> None:
        self.made = made
        link = made.dual_stack() if multihome else made.udp(link_family)
        self.node: Node = made.server(
            engine, link, rules or ServingRules(), ethernet=ethernet, multihome=multihome
        )
        self.clients: list[Client] = []

    @property
    def delivered(self) -> list[bytes]:
        return self.node.delivered

    def client(
        self,
        *,
        layout: DataFormat = DataFormat.V2,
        link: LinkId = FIRST_LINK,
        max_learned: int = 256,
        vlan: int = 1,
        on_stream: bool = False,
        **settings: Unpack[Settings],
    ) -> Client:
        """A further peer, which has its address and a key."""
        made = Client(self, len(self.clients) + 1, layout)
        merged: Settings = {"send_peer_id": made.peer_id, **settings}
        self.node.plane.new_peer(
            PeerConfig(
                peer_id=made.peer_id,
                remote=None if on_stream else made.hand.endpoint,
                link=link,
                max_learned=max_learned,
                vlan=vlan,
                **merged,
            )
        )
        for prefix in (made.address, made.address6):
            self.node.plane.add_iroute(made.peer_id, ip_network(prefix))
        self.node.plane.new_key(made.peer_id, KeySlot.PRIMARY, made.key)
        self.clients.append(made)
        return made

    def stream(self, sndbuf: int | None = None) -> "StreamClient":
        """A further peer, on a TCP stream of its own."""
        near, far = self.made.tcp_pair()
        if sndbuf is not None:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        link = self.node.plane.add_link(Link(fd=near.fileno(), transport=Transport.TCP))
        near.close()
        client = self.client(link=link, on_stream=True)
        return StreamClient(self, client, link, far)

    def settle(self, condition: Callable[[], object], what: str) -> None:
        settle([self.node], condition, what)

    def hands_out(self, *packets: bytes) -> None:
        """Waits for packets at the device."""
        self.settle(lambda: len(self.delivered) >= len(packets), f"{len(packets)} at the device")
        assert self.delivered == list(packets)

    def reported(self, kind: NotificationKind) -> Notification:
        self.settle(lambda: kind in self.node.kinds(), f"the report {kind.value}")
        return next(report for report in self.node.reports if report.kind is kind)

    def unassigned(self, reason: str, count: int = 1) -> None:
        self.settle(
            lambda: self.node.plane.unassigned_drops().get(reason, 0) >= count,
            f"{count} drops of nobody named {reason}",
        )


class StreamClient:
    """The far end of a TCP peer."""

    def __init__(self, office: Office, client: Client, link: LinkId, far: socket.socket) -> None:
        self.office = office
        self.client = client
        self.link = link
        self.socket = far
        self._bytes = b""
        self.records: list[bytes] = []

    def send(self, payload: bytes) -> None:
        self.send_record(self.client.sealed(payload))

    def send_record(self, record: bytes) -> None:
        self.socket.sendall(len(record).to_bytes(2, "big") + record)

    def collect(self) -> list[bytes]:
        while chunk := receive(self.socket):
            self._bytes += chunk
        while len(self._bytes) >= 2:
            end = 2 + int.from_bytes(self._bytes[:2], "big")
            if len(self._bytes) < end:
                break
            self.records.append(self._bytes[2:end])
            self._bytes = self._bytes[end:]
        return self.records

    def opened(self) -> list[bytes]:
        return [
            unseal(self.client.key, record).payload
            for record in self.collect()
            if record[0] >> 3 in (6, 9)
        ]

    def gets(self, *payloads: bytes) -> None:
        self.office.settle(lambda: len(self.opened()) >= len(payloads), f"{len(payloads)} records")
        assert self.opened() == list(payloads)


def at(link: socket.socket) -> tuple[str, int]:
    """Where a bound socket is reached."""
    found = endpoint(link)
    return str(found.address), found.port
