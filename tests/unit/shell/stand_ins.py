"""Stand-ins for what the shell drives: the host, the scripts and the data plane."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ginnel.core.actions import TunnelConfig
from ginnel.core.data_key import DataCipher, DataFormat, DataKey, KeySlot
from ginnel.core.errors import DataPlaneError, HostError
from ginnel.core.payload import PayloadTerms
from ginnel.core.types import Endpoint, IPAddress, IPNetwork, PeerId, Transmit, Transport
from ginnel.dataplane.api import (
    FIRST_LINK,
    Capabilities,
    ControlPacket,
    Keepalive,
    Learned,
    Link,
    LinkId,
    Notification,
    PeerConfig,
    PeerStats,
    ServingRules,
    TunDevice,
)
from ginnel.host.client import ApplyReport, Recovered, UndoReport
from ginnel.host.diff import Change, Do
from ginnel.host.plan import Device, HostPlan
from ginnel.host.results import ChangeResult, Outcome
from ginnel.host.steps import AddRoute, RemoveRoute, describe
from ginnel.host.tun import DeviceRequest
from ginnel.host.underlay import UnderlaySnapshot
from ginnel.shell.hooks import ScriptFailed
from tests.unit.host.plans import UNDERLAY


@dataclass
class Story:
    """What happened, in order, told by all stand-ins of a test."""

    told: list[str] = field(default_factory=list)

    def tell(self, what: str) -> None:
        self.told.append(what)


@dataclass
class FakeHost:
    """Does nothing, and remembers. Calls and changes named in ``refuse`` fail."""

    story: Story
    refuse: set[str] = field(default_factory=set)
    present: set[str] = field(default_factory=set)
    helper_pid: int = field(default_factory=os.getpid)
    earlier: tuple[Recovered, ...] = ()
    applied: list[str] = field(default_factory=list)
    on_call: Callable[[str], None] = lambda _name: None
    network: UnderlaySnapshot = UNDERLAY

    def _call(self, name: str) -> None:
        self.story.tell(name)
        self.on_call(name)
        if name.partition(" ")[0] in self.refuse:
            raise HostError(name, 1, "refused")

    async def recovered(self) -> tuple[Recovered, ...]:
        return self.earlier

    async def open_tun(
        self, request: DeviceRequest, server: Endpoint | None
    ) -> tuple[TunDevice, UnderlaySnapshot]:
        self._call("open-tun")
        name = "tun0" if request.name == "tun" else request.name
        fd = os.open(os.devnull, os.O_RDWR)
        return TunDevice(fd=fd, name=name, mtu=1500, vnet_header=True), self.network

    def device(self, name: str) -> Device:
        return Device(name, 7)

    async def underlay(self, server: Endpoint | None) -> UnderlaySnapshot:
        self._call("underlay")
        return self.network

    async def apply(self, changes: Sequence[Change]) -> ApplyReport:
        self._call("apply" if changes else "apply-nothing")
        results = []
        for change in changes:
            what = describe(change.step)
            kind = type(change.step).__name__
            if kind in self.refuse:
                failed = ChangeResult(outcome=Outcome.FAILED, what=what, errno=1, detail="no")
                results.append(failed)
                if not isinstance(change.step, AddRoute | RemoveRoute):
                    return ApplyReport(results=tuple(results), fatal=failed)
                continue
            self.applied.append(("" if isinstance(change, Do) else "-") + what)
            outcome = Outcome.PRESENT if kind in self.present else Outcome.APPLIED
            results.append(ChangeResult(outcome=outcome, what=what))
        return ApplyReport(results=tuple(results))

    async def undo_routes(self) -> UndoReport:
        self._call("undo-routes")
        return UndoReport(results=self._undone("route "))

    async def close_tun(self, name: str) -> UndoReport:
        self._call(f"close-tun {name}")
        return UndoReport(results=self._undone(""))

    def _undone(self, prefix: str) -> tuple[ChangeResult, ...]:
        gone = [what for what in reversed(self.applied) if what.startswith(prefix)]
        self.applied = [what for what in self.applied if what not in gone]
        return tuple(ChangeResult(outcome=Outcome.REVERTED, what=what) for what in gone)


@dataclass
class FakeScripts:
    """Runs nothing; those named in ``failing`` fail."""

    story: Story
    failing: set[str] = field(default_factory=set)

    async def up(
        self, config: TunnelConfig, plan: HostPlan, device: TunDevice, *, restart: bool
    ) -> None:
        self.story.tell("up restart" if restart else "up")
        if "up" in self.failing:
            raise ScriptFailed("Failed running command (--up)")

    async def route_up(self, config: TunnelConfig, plan: HostPlan, device: TunDevice) -> None:
        self.story.tell("route-up")

    async def route_pre_down(
        self, config: TunnelConfig, plan: HostPlan, device: TunDevice, *, signal_text: str
    ) -> None:
        self.story.tell("route-pre-down")

    async def down(
        self,
        config: TunnelConfig,
        plan: HostPlan,
        device: TunDevice,
        *,
        signal_text: str,
        restart: bool,
    ) -> None:
        self.story.tell(f"down {'restart ' if restart else ''}{signal_text}".strip())


class FakePlane:
    """A data plane of lists. ``fileno`` becomes readable by ``wake``."""

    capabilities = Capabilities(
        name="fake",
        ciphers=frozenset(DataCipher),
        formats=frozenset({DataFormat.V1, DataFormat.V2}),
        transports=frozenset({Transport.UDP}),
        offloads=frozenset(),
    )

    def __init__(self, story: Story, refuse: str = "") -> None:
        self._story = story
        self._refuse = refuse
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._link: socket.socket | None = None
        self.reports: list[Notification] = []
        self.control: list[ControlPacket] = []
        self.sent: list[Transmit] = []
        self.inner: list[bytes] = []
        self.keepalive = Keepalive()
        self.path: tuple[int, int, int | None] = (0, 0, None)
        self.payload: PayloadTerms | None = None
        self.counters = PeerStats()
        self.keys: dict[KeySlot, DataKey] = {}
        self.links = 0
        self.credited = 0
        self.closed = False
        self.handed = (Transport.UDP, b"", b"")
        """Transport, unread and unsent bytes of the link."""

    def _do(self, name: str) -> None:
        self._story.tell(f"plane {name}")
        if name == self._refuse:
            raise DataPlaneError(name, 0, 22)

    def wake(self) -> None:
        self._theirs.send(b"x")

    def attach(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> None:
        self._do("attach")
        self.handed = (link.transport, unread, unsent)
        self._link = socket.socket(fileno=os.dup(link.fd))

    def serve(self, rules: ServingRules) -> None:
        self._do("serve")

    def add_link(self, link: Link, unread: bytes = b"", unsent: bytes = b"") -> LinkId:
        self._do("add-link")
        self.links += 1
        return LinkId(self.links)

    def remove_link(self, link_id: LinkId) -> None:
        self._do("remove-link")

    def limit_resets(self, count: int, seconds: int) -> None:
        self._do("limit-resets")

    def credit_resets(self, count: int) -> None:
        self.credited += count

    def new_peer(self, peer: PeerConfig) -> None:
        self._do("new-peer")

    def set_peer(self, peer_id: PeerId, keepalive: Keepalive) -> None:
        self._do("set-peer")
        self.keepalive = keepalive

    def set_payload(self, peer_id: PeerId, payload: PayloadTerms) -> None:
        self.payload = payload

    def set_path(self, peer_id: PeerId, mss: tuple[int, int], inner_mtu: int | None) -> None:
        self.path = (*mss, inner_mtu)

    def del_peer(self, peer_id: PeerId) -> None:
        self._do("del-peer")

    def new_key(self, peer_id: PeerId, slot: KeySlot, key: DataKey) -> None:
        self._do("new-key")
        self.keys[slot] = key

    def swap_keys(self, peer_id: PeerId) -> None:
        self._do("swap-keys")

    def del_key(self, peer_id: PeerId, slot: KeySlot) -> None:
        self._do("del-key")

    def add_iroute(self, peer_id: PeerId, prefix: IPNetwork) -> None:
        self._do("add-iroute")

    def del_iroute(self, peer_id: PeerId, prefix: IPNetwork) -> None:
        self._do("del-iroute")

    def learned(self) -> Sequence[Learned]:
        return []

    def unassigned_drops(self) -> Mapping[str, int]:
        return {}

    def stats(self, peer_id: PeerId) -> PeerStats:
        return self.counters

    def fileno(self) -> int:
        return self._ours.fileno()

    def notifications(self) -> Sequence[Notification]:
        self._ours.recv(1)
        if self._refuse == "notifications":
            self._do("notifications")
        reports, self.reports = self.reports, []
        return reports

    def recv_control(self, limit: int) -> Sequence[ControlPacket]:
        packets, self.control = self.control[:limit], self.control[limit:]
        return packets

    def send_control(
        self, packet: Transmit, link: LinkId = FIRST_LINK, local: IPAddress | None = None
    ) -> None:
        self.sent.append(packet)
        if self._link is not None and packet.destination is not None:
            address = (str(packet.destination.address), packet.destination.port)
            self._link.sendto(packet.payload, address)

    def send_inner(self, peer_id: PeerId, payload: bytes) -> None:
        self.inner.append(payload)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._story.tell("plane close")
            self._ours.close()
            self._theirs.close()
            if self._link is not None:
                self._link.close()
