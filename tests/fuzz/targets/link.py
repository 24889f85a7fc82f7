"""Packets of the link, reads of the device and frames, as the Python engine takes them.

The targets have the names, and take the inputs, of those for the compiled engine.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, DirectionKey
from ginnel.core.errors import Malformed
from ginnel.core.types import KeyId, PeerId
from ginnel.dataplane import formats
from ginnel.dataplane.api import PeerConfig, ServingRules
from ginnel.dataplane.open_key import open_key
from ginnel.dataplane.reference_inner import RouteTable
from ginnel.dataplane.reference_keys import Dropped, PacketKey, UsageLimits
from ginnel.dataplane.reference_offload import HEADER_LENGTH, MAX_JOINED, joined
from ginnel.dataplane.reference_peer import ReferencePeer
from ginnel.dataplane.reference_rules import ETHERNET_HEADER
from ginnel.dataplane.reference_switch import Switch, tag, tag_of, untag
from ginnel.options.server_model import VlanAccept, VlanOptions
from ginnel.options.values import Secret
from tests.fuzz.pieces import cut
from tests.unit.dataplane.cutting import packets_of

SHORTEST_PACKET = 20
"""What cannot be told to be for anybody is not written to the device."""
MOST_LEARNT = 4
KINDS = (
    (DataCipher.CHACHA20_POLY1305, DataFormat.V2),
    (DataCipher.CHACHA20_POLY1305, DataFormat.EPOCH),
    # Without an HMAC, so that what is behind one is reached.
    (DataCipher.AES_256_CBC, DataFormat.V2),
    (DataCipher.AES_256_CFB, DataFormat.V1),
    (DataCipher.NONE, DataFormat.V2),
    (DataCipher.AES_256_CBC, DataFormat.STATIC),
)


def _key(cipher: DataCipher, layout: DataFormat) -> PacketKey:
    half = DirectionKey(
        cipher_key=Secret(bytes([7]) * cipher.key_length), implicit_iv=Secret(bytes([9]) * 8)
    )
    key = DataKey(
        key_id=KeyId(0), cipher=cipher, format=layout, send=half, receive=half, packet_time=1
    )
    limits = UsageLimits()
    return open_key(key, send_peer_id=PeerId(0), replay_window=64, replay_time=15, limits=limits)


def data_packet(data: bytes) -> None:
    """Packets of the link to each kind of key: what opens is no longer than what came."""
    for cipher, layout in KINDS:
        key = _key(cipher, layout)
        for piece in cut(data):
            if not piece:
                continue
            with suppress(Malformed, Dropped):
                header = formats.NO_HEADER
                if layout is not DataFormat.STATIC:
                    header = formats.decode_header(piece)
                assert len(key.open(header, piece, 0.0)) <= len(piece)


def device_read(data: bytes) -> None:
    """A read of the device, offload header first: refused, or cut; cut again it is the same."""
    with suppress(Malformed):
        packets = packets_of(data)
        assert sum(map(len, packets)) >= len(data) - HEADER_LENGTH
        if any(len(packet) < SHORTEST_PACKET for packet in packets):
            return
        joins = joined(packets, MAX_JOINED)
        assert [packet for join in joins for packet in join.packets] == packets
        for join in joins:
            assert packets_of(b"".join(join.parts())) == list(join.packets)


def frames(data: bytes) -> None:
    """The first byte chooses the rules; of each frame, its length says which peer it is of."""
    rules, rest = (data[0], data[1:]) if data else (0, b"")
    accept = (VlanAccept.ALL, VlanAccept.TAGGED, VlanAccept.UNTAGGED)[rules % 3]
    vlans = VlanOptions(accept=accept, pvid=(rules >> 4) + 1)
    tagging = ServingRules(vlan=vlans if rules & 8 else None, client_to_client=bool(rules & 4))
    switch = Switch(tagging, RouteTable(), is_ethernet=True)
    peers = [_peer(number) for number in range(3)]
    for number, piece in enumerate(cut(rest)):
        if len(piece) < ETHERNET_HEADER:
            continue
        peer, now = peers[len(piece) % 3], number * 0.7
        with suppress(Dropped):
            switch.check_source(peer, piece, now, may_learn=True)
            switch.from_peer(peer, piece)
        with suppress(Dropped):
            switch.from_device(piece)
        with suppress(Dropped):
            frame, vlan = untag(piece, vlans)
            assert vlan > 0
            assert len(piece) - len(frame) in (0, 4)
        tag(piece, vlans, 5)
        tag_of(piece)
        held = [entry.peer_id for entry in switch.learned.all(now)]
        assert all(held.count(peer.peer_id) <= MOST_LEARNT for peer in peers)
        if number % 16 == 15:
            switch.learned.remove_peer(peer.peer_id)
            switch.learned.forget_stale(5.0, now, number % 32)


def _peer(number: int) -> ReferencePeer:
    peer_id = PeerId(number)
    config = PeerConfig(
        peer_id=peer_id, send_peer_id=peer_id, remote=None, max_learned=MOST_LEARNT, vlan=number + 1
    )
    return ReferencePeer(config, None, 0.0)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "data-packet": data_packet,
    "device-read": device_read,
    "frames": frames,
}
