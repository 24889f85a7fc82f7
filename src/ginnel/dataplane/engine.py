"""The compiled engine behind the DataPlane interface: converts values, nothing else.

Packets stay in Rust; what crosses here are settings, control packets and reports. Importing this
module never fails: a missing extension shows when a RustDataPlane is opened.
"""

import errno
import importlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from types import ModuleType, TracebackType

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, DirectionKey, KeySlot
from ginnel.core.errors import DataPlaneError
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import (
    UNDEFINED_PEER_ID,
    Endpoint,
    IPAddress,
    IPNetwork,
    PeerId,
    Transmit,
    Transport,
)
from ginnel.dataplane.api import (
    FIRST_LINK,
    Capabilities,
    ControlPacket,
    Keepalive,
    Learned,
    Link,
    LinkId,
    Notification,
    NotificationKind,
    PeerConfig,
    PeerStats,
    Relay,
    ServingRules,
    TunDevice,
)
from ginnel.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from ginnel_engine import Engine

_NO_TUN_MTU = 1500
_Nat = tuple[bool, bytes, bytes, bytes]
_Payload = tuple[str | None, bool, int, list[_Nat], bytes | None, int, bool]
"""PayloadTerms as the extension takes them, field by field."""
_Address = tuple[bytes, int, int]
"""Packed address, port, scope id: how the extension writes an endpoint."""


def capabilities(offloads: Iterable[str] = ()) -> Capabilities:
    """What this engine can do; ``offloads`` are known of an open one."""
    return Capabilities(
        name="rust",
        ciphers=frozenset(DataCipher),
        formats=frozenset(DataFormat),
        transports=frozenset(Transport),
        offloads=frozenset(offloads),
    )


class RustDataPlane:
    """A DataPlane whose packets are moved by one thread of the extension ``ginnel_engine``.

    ``tun`` None is ``dev null``: what arrives is discarded. Raises DataPlaneError (``ENOSYS``) when
    the extension is not installed, and for every error of the operating system.
    """

    capabilities: Capabilities

    def __init__(self, tun: TunDevice | None) -> None:
        module = _extension()
        self._relay: Relay | None = None
        with _Reporting("open"):
            self._engine: Engine = module.Engine(
                tun.fd if tun is not None else None,
                tun.mtu if tun is not None else _NO_TUN_MTU,
                tun.vnet_header if tun is not None else False,
                tun.ethernet if tun is not None else False,
            )
        self._refresh()

    def attach(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> None:
        """Starts reading the link, instead of an earlier one."""
        self._relay = link.relay
        with _Reporting("attach"):
            if link.relay is None:
                self._engine.attach(*_link(link), unread, unsent, link.multihome)
            else:
                from ginnel.core.proxy_socks import datagram_header

                self._engine.attach_relayed(link.fd, datagram_header(link.relay.server))
        self._refresh()

    def serve(self, rules: ServingRules) -> None:
        """Makes this a server's data plane."""
        vlan = rules.vlan
        with _Reporting("serve"):
            self._engine.serve(
                rules.client_to_client,
                rules.tcp_queue_limit,
                rules.broadcast_limit,
                None if vlan is None else (vlan.accept.value, vlan.pvid),
                (rules.stale_age, rules.stale_interval),
            )

    def add_link(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> LinkId:
        """Starts reading one more link of a server."""
        if link.relay is not None:
            raise DataPlaneError("add_link", UNDEFINED_PEER_ID, errno.EINVAL)
        with _Reporting("add_link"):
            added = self._engine.add_link(*_link(link), unread, unsent, link.multihome)
        return LinkId(added)

    def remove_link(self, link_id: LinkId) -> None:
        """Stops reading a link; its peers are deleted by the caller."""
        with _Reporting("remove_link"):
            self._engine.remove_link(link_id)

    def limit_resets(self, count: int, seconds: int) -> None:
        """Lets so many hard resets pass in so many seconds."""
        with _Reporting("limit_resets"):
            self._engine.limit_resets(count, seconds)

    def credit_resets(self, count: int) -> None:
        """Gives back what was taken for resets that turned out genuine."""
        with _Reporting("credit_resets"):
            self._engine.credit_resets(count)

    def learned(self) -> Sequence[Learned]:
        """Every address learnt on tap."""
        with _Reporting("learned"):
            found = self._engine.learned()
        return [
            Learned(address=address, vlan=vlan, peer_id=PeerId(peer_id), age=age)
            for address, vlan, peer_id, age in found
        ]

    def new_peer(self, peer: PeerConfig) -> None:
        """Adds a peer without keys; its packets from tun need an iroute."""
        with _Reporting("new_peer", peer.peer_id):
            self._engine.new_peer(
                peer.peer_id,
                peer.send_peer_id,
                self._outer(peer.remote),
                allow_float=peer.allow_float and self._relay is None,
                mss=(peer.mss_ipv4, peer.mss_ipv6),
                replay=(peer.replay_window, peer.replay_time),
                drop_recursive=peer.drop_recursive,
                payload=_payload(peer.payload),
                place=(peer.link, _packed_local(peer.local)),
                bounds=(peer.max_learned, peer.vlan),
            )

    def set_peer(self, peer_id: PeerId, keepalive: Keepalive) -> None:
        """Sets the limits and restarts their timers."""
        with _Reporting("set_peer", peer_id):
            self._engine.set_peer(
                peer_id,
                keepalive.ping_interval,
                keepalive.ping_timeout,
                keepalive.inactive_seconds,
                keepalive.inactive_bytes,
            )

    def set_payload(self, peer_id: PeerId, payload: PayloadTerms) -> None:
        """Changes what is done to the peer's payloads."""
        with _Reporting("set_payload", peer_id):
            self._engine.set_payload(peer_id, _payload(payload))

    def set_path(self, peer_id: PeerId, mss: tuple[int, int], inner_mtu: int | None) -> None:
        """Changes the MSS limits, and how long packets for the peer may be."""
        with _Reporting("set_path", peer_id):
            self._engine.set_path(peer_id, mss, inner_mtu)

    def del_peer(self, peer_id: PeerId) -> None:
        """Forgets the peer, its keys and its iroutes."""
        with _Reporting("del_peer", peer_id):
            self._engine.del_peer(peer_id)

    def new_key(self, peer_id: PeerId, slot: KeySlot, key: DataKey) -> None:
        """Installs a key, replacing (and wiping) what the slot held."""
        with _Reporting("new_key", peer_id):
            self._engine.new_key(
                peer_id,
                slot.value,
                key.key_id,
                (key.cipher.value, key.digest.name if key.digest is not None else "none"),
                (key.format.value, key.packet_time),
                _material(key.send),
                _material(key.receive),
            )

    def swap_keys(self, peer_id: PeerId) -> None:
        """Exchanges the two slots."""
        with _Reporting("swap_keys", peer_id):
            self._engine.swap_keys(peer_id)

    def del_key(self, peer_id: PeerId, slot: KeySlot) -> None:
        """Empties the slot, which may be empty already."""
        with _Reporting("del_key", peer_id):
            self._engine.del_key(peer_id, slot.value)

    def add_iroute(self, peer_id: PeerId, prefix: IPNetwork) -> None:
        """Sends packets from tun for the prefix to the peer."""
        with _Reporting("add_iroute", peer_id):
            self._engine.add_iroute(peer_id, prefix.network_address.packed, prefix.prefixlen)

    def del_iroute(self, peer_id: PeerId, prefix: IPNetwork) -> None:
        """Takes a prefix from the peer, if it has it."""
        with _Reporting("del_iroute", peer_id):
            self._engine.del_iroute(peer_id, prefix.network_address.packed, prefix.prefixlen)

    def stats(self, peer_id: PeerId) -> PeerStats:
        """Counters of data packets since ``new_peer``."""
        with _Reporting("stats", peer_id):
            counters = self._engine.stats(peer_id)
        tun_read, tun_write = counters[0:2], counters[2:4]
        link_read, link_write = counters[4:6], counters[6:8]
        return PeerStats(
            tun_read_bytes=tun_read[0],
            tun_read_packets=tun_read[1],
            tun_write_bytes=tun_write[0],
            tun_write_packets=tun_write[1],
            link_read_bytes=link_read[0],
            link_read_packets=link_read[1],
            link_write_bytes=link_write[0],
            link_write_packets=link_write[1],
            drops=tuple(sorted(counters[8])),
        )

    def unassigned_drops(self) -> dict[str, int]:
        """Drops that belong to no peer, by reason."""
        with _Reporting("unassigned_drops"):
            return dict(self._engine.unassigned_drops())

    def fileno(self) -> int:
        """An eventfd, readable while a call of the two below has something."""
        return self._engine.fileno()

    def notifications(self) -> Sequence[Notification]:
        """Drains the reports."""
        return [
            Notification(
                kind=NotificationKind(kind),
                peer_id=PeerId(peer_id),
                key_id=key_id,
                remote=_endpoint(remote),
                errno=number,
                payload=payload,
                link=LinkId(link),
                vlan=vlan,
                local=_unpacked_local(local),
            )
            for kind, peer_id, key_id, remote, number, payload, (
                link,
                vlan,
                local,
            ) in self._engine.notifications()
        ]

    def recv_control(self, limit: int) -> Sequence[ControlPacket]:
        """Drains up to ``limit`` control packets."""
        return [
            ControlPacket(payload, self._inner(source), LinkId(link), _unpacked_local(local))
            for payload, source, link, local in self._engine.recv_control(limit)
        ]

    def send_control(
        self, packet: Transmit, link: LinkId = FIRST_LINK, local: IPAddress | None = None
    ) -> None:
        """Sends before any queued data, or drops and counts."""
        target, source = self._outer(packet.destination), _packed_local(local)
        try:
            self._engine.send_control(packet.payload, target, link, source)
        except (OSError, OverflowError, ValueError) as bad:  # no context manager for each packet
            raise _failure("send_control", UNDEFINED_PEER_ID, bad) from bad

    def send_inner(self, peer_id: PeerId, payload: bytes) -> None:
        """Seals the payload with the primary key; no-op without one."""
        with _Reporting("send_inner", peer_id):
            self._engine.send_inner(peer_id, payload)

    def close(self) -> None:
        """Ends the thread, wipes keys and closes every descriptor of ours. Idempotent."""
        self._engine.close()

    def _outer(self, remote: Endpoint | None) -> _Address | None:
        """Where packets for an address go: the extension knows the relay as the peer."""
        return _packed(remote if self._relay is None else self._relay.address)

    def _inner(self, source: _Address | None) -> Endpoint | None:
        """Who sent what came from an address."""
        found = _endpoint(source)
        relay = self._relay
        return relay.server if relay is not None and found == relay.address else found

    def _refresh(self) -> None:
        with _Reporting("capabilities"):
            self.capabilities = capabilities(self._engine.offloads())


def _extension() -> ModuleType:
    try:
        return importlib.import_module("ginnel_engine")
    except ImportError as missing:
        raise DataPlaneError("open", UNDEFINED_PEER_ID, errno.ENOSYS) from missing


class _Reporting:
    """Turns the extension's errors into the one of this interface.

    Not a generator with ``contextmanager``: that costs more than most of the calls it is around.
    """

    __slots__ = ("_operation", "_peer_id")

    def __init__(self, operation: str, peer_id: PeerId = UNDEFINED_PEER_ID) -> None:
        self._operation = operation
        self._peer_id = peer_id

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, bad: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(bad, OSError | OverflowError | ValueError):
            raise _failure(self._operation, self._peer_id, bad) from bad


def _failure(operation: str, peer_id: PeerId, bad: Exception) -> DataPlaneError:
    number = (bad.errno or errno.EIO) if isinstance(bad, OSError) else errno.EINVAL
    return DataPlaneError(operation, peer_id, number)


def _material(key: DirectionKey) -> tuple[bytes, bytes, bytes]:
    return key.cipher_key.reveal(), key.implicit_iv.reveal(), key.hmac_key.reveal()


def _payload(terms: PayloadTerms) -> _Payload:
    return (
        None if terms.framing is None else terms.framing.value,
        terms.decompress,
        terms.fragment,
        [
            (rule.is_source, rule.network.packed, rule.netmask.packed, rule.alias.packed)
            for rule in terms.client_nat
        ],
        None if terms.block_ipv6 is None else terms.block_ipv6.packed,
        terms.shaper,
        terms.passtos,
    )


def _link(link: Link) -> tuple[int, bool]:
    return link.fd, link.transport is Transport.TCP


def _packed_local(local: IPAddress | None) -> bytes | None:
    return None if local is None else local.packed


def _unpacked_local(local: bytes | None) -> IPAddress | None:
    return None if local is None else ip_address(local)


def _packed(endpoint: Endpoint | None) -> _Address | None:
    if endpoint is None:
        return None
    return endpoint.address.packed, endpoint.port, endpoint.scope_id


@lru_cache(maxsize=1024)
def _endpoint(address: _Address | None) -> Endpoint | None:
    """Clients that are connecting send many packets from one address."""
    if address is None:
        return None
    packed, port, scope_id = address
    return Endpoint(ip_address(packed), port, scope_id)
