"""What every data plane must do behind a SOCKS relay: a header on each datagram, both ways."""

from ipaddress import ip_address

import pytest

from ginnel.core.proxy_socks import datagram_header
from ginnel.core.types import Endpoint, Transmit
from ginnel.dataplane.api import Relay
from tests.unit.dataplane.inner_packets import udp_packet
from tests.unit.dataplane.rig import Bench, Hand, add_peer, endpoint, make_key, seal, unseal

KEY = make_key("relay")
INNER = udp_packet("10.8.0.6", "10.8.0.1", b"to the office")
INWARD = udp_packet("10.8.0.1", "10.8.0.6", b"from the office")
CONTROL = b"\x20" + b"c" * 200
SERVERS = (Endpoint(ip_address("192.0.2.7"), 1194), Endpoint(ip_address("2001:db8::7"), 1194))
OTHER = Endpoint(ip_address("192.0.2.8"), 1194)


class RelayHand(Hand):
    """The relay, played by the test; the engine knows its peer by the server's address."""

    def __init__(self, made: Bench, engine: str, server: Endpoint) -> None:
        self.server = server
        relay = made.udp()
        between = Relay(address=endpoint(relay), server=server)
        node = made.node(engine, made.udp(), relay=between)
        super().__init__(made, node, KEY)
        self.socket = relay
        add_peer(node, server, KEY, allow_float=True)

    def relay(self, packet: bytes, source: Endpoint | None = None) -> None:
        """Sends a packet on as if it had come from the server, or from somebody else."""
        self.send(datagram_header(source or self.server) + packet)


@pytest.mark.parametrize("server", SERVERS, ids=str)
def test_every_datagram_names_the_server(made: Bench, engine: str, server: Endpoint) -> None:
    hand = RelayHand(made, engine, server)
    hand.node.inject(INNER)
    hand.node.plane.send_control(Transmit(CONTROL, server))
    header = datagram_header(server)
    packets = [packet.removeprefix(header) for packet in hand.expect(2)]
    assert all(packet.startswith(header) for packet in hand.received)
    assert CONTROL in packets
    packets.remove(CONTROL)
    assert unseal(KEY, packets[0]).payload == INNER


@pytest.mark.parametrize("server", SERVERS, ids=str)
def test_what_comes_from_the_server_is_taken(made: Bench, engine: str, server: Endpoint) -> None:
    hand = RelayHand(made, engine, server)
    hand.relay(seal(KEY, 1, INWARD))
    assert hand.delivered(1) == [INWARD]
    hand.relay(CONTROL)
    hand.settle(lambda: hand.node.control, "the control packet")
    (packet,) = hand.node.control
    assert (packet.payload, packet.source) == (CONTROL, server)


def test_what_bears_no_header_or_another_one_is_dropped(made: Bench, engine: str) -> None:
    hand = RelayHand(made, engine, SERVERS[0])
    header = datagram_header(SERVERS[0])
    hand.send(CONTROL)
    hand.send(header[:-1])
    hand.send(b"\0\0\1" + header[3:] + CONTROL)  # a fragment
    hand.relay(CONTROL, source=OTHER)
    hand.relay(seal(KEY, 1, INWARD), source=OTHER)
    hand.relay(seal(KEY, 2, INWARD))
    assert hand.delivered(1) == [INWARD]
    assert hand.node.control == []


def test_a_stranger_cannot_pass_for_the_relay(made: Bench, engine: str) -> None:
    hand = RelayHand(made, engine, SERVERS[0])
    stranger = made.udp()
    header = datagram_header(SERVERS[0])
    stranger.sendto(header + seal(KEY, 1, INWARD), hand.node.link.getsockname())
    hand.dropped("source")
    assert hand.node.delivered == []


def test_packets_to_the_relay_itself_do_not_enter_the_tunnel(made: Bench, engine: str) -> None:
    hand = RelayHand(made, engine, SERVERS[0])
    hand.node.inject(udp_packet("10.8.0.6", "127.0.0.1", b"round and round"))
    hand.dropped("recursive")
    hand.node.inject(udp_packet("10.8.0.6", "192.0.2.7", b"which the relay reaches, not we"))
    assert len(hand.expect(1)) == 1
