"""The compiled data plane, and the keys of control packets: for ``ginnel.dataplane`` alone."""

from typing import Final, final

__all__ = ["Engine", "SivKey", "__interface__", "__version__"]

_Address = tuple[bytes, int, int]
"""Packed address (4 or 16 bytes), port, scope id."""

_Where = tuple[int, int, bytes | None]
"""Link, VLAN, packed address of ours."""

_Note = tuple[str, int, int, _Address | None, int, bytes, _Where]
"""Kind, peer-id, key-id, remote, errno, payload, where."""

_Control = tuple[bytes, _Address | None, int, bytes | None]
"""Packet, source, link, packed address of ours."""

_Material = tuple[bytes, bytes, bytes]
"""Cipher key, implicit IV, HMAC key; what a suite does not use is empty."""

_Nat = tuple[bool, bytes, bytes, bytes]
"""Whether it is a source rule; network, netmask and alias, packed."""

_Payload = tuple[str | None, bool, int, list[_Nat], bytes | None, int, bool]
"""Framing, decompress, fragment, client-nat, address of block-ipv6, shaper, passtos."""

_Stats = tuple[int, int, int, int, int, int, int, int, list[tuple[str, int]]]
"""The counters in the order of ``PeerStats``: tun read, tun write, link read, link write, each
bytes and packets; then drops by reason."""

__interface__: Final[int]
__version__: Final[str]

@final
class Engine:
    """A running data plane. Errors of every call are ``OSError``."""

    def __new__(cls, tun_fd: int | None, mtu: int, vnet_header: bool, ethernet: bool) -> Engine: ...
    def offloads(self) -> list[str]: ...
    def attach(
        self, fd: int, is_stream: bool, unread: bytes, unsent: bytes, is_multihomed: bool
    ) -> None: ...
    def attach_relayed(self, fd: int, front: bytes) -> None: ...
    def add_link(
        self, fd: int, is_stream: bool, unread: bytes, unsent: bytes, is_multihomed: bool
    ) -> int: ...
    def remove_link(self, link: int) -> None: ...
    def serve(
        self,
        client_to_client: bool,
        tcp_queue_limit: int,
        broadcast_limit: int,
        vlans: tuple[str, int] | None,
        stale: tuple[int, int],
    ) -> None: ...
    def limit_resets(self, count: int, seconds: int) -> None: ...
    def credit_resets(self, count: int) -> None: ...
    def learned(self) -> list[tuple[bytes, int, int, int]]: ...
    def new_peer(
        self,
        peer_id: int,
        send_peer_id: int,
        remote: _Address | None,
        *,
        allow_float: bool,
        mss: tuple[int, int],
        replay: tuple[int, int],
        drop_recursive: bool,
        payload: _Payload,
        place: tuple[int, bytes | None],
        bounds: tuple[int, int],
    ) -> None: ...
    def set_peer(
        self,
        peer_id: int,
        ping_interval: int,
        ping_timeout: int,
        inactive_seconds: int,
        inactive_bytes: int,
    ) -> None: ...
    def set_payload(self, peer_id: int, payload: _Payload) -> None: ...
    def set_path(self, peer_id: int, mss: tuple[int, int], inner_mtu: int | None) -> None: ...
    def del_peer(self, peer_id: int) -> None: ...
    def new_key(
        self,
        peer_id: int,
        slot: int,
        key_id: int,
        suite: tuple[str, str],
        format: tuple[str, int],
        send: _Material,
        receive: _Material,
    ) -> None: ...
    def swap_keys(self, peer_id: int) -> None: ...
    def del_key(self, peer_id: int, slot: int) -> None: ...
    def add_iroute(self, peer_id: int, network: bytes, length: int) -> None: ...
    def del_iroute(self, peer_id: int, network: bytes, length: int) -> None: ...
    def stats(self, peer_id: int) -> _Stats: ...
    def unassigned_drops(self) -> list[tuple[str, int]]: ...
    def fileno(self) -> int: ...
    def notifications(self) -> list[_Note]: ...
    def recv_control(self, limit: int) -> list[_Control]: ...
    def send_control(
        self, payload: bytes, destination: _Address | None, link: int, local: bytes | None
    ) -> None: ...
    def send_inner(self, peer_id: int, payload: bytes) -> None: ...
    def close(self) -> None: ...

@final
class SivKey:
    """A ``ginnel.core.wrap.api.SivKey``. ``ValueError`` for keys of another length than 32."""

    def __new__(cls, cipher_key: bytes, mac_key: bytes) -> SivKey: ...
    def seal(self, clear: bytes, secret: bytes) -> tuple[bytes, bytes]: ...
    def open(self, clear: bytes, tag: bytes, ciphertext: bytes) -> bytes | None: ...
