"""The tunnel on this host: device, addresses, routes, scripts and data plane, in OpenVPN's order.

Lives as long as the process: with ``persist-tun`` the device and its configuration stay over a
restart. What to configure is planned by ``host.plan``; the privileged helper carries it out.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.actions import Done, Failed, TunnelConfig
from ginnel.core.errors import GinnelError, HostError
from ginnel.core.notices import Ended
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass, replace
from ginnel.dataplane.api import DataPlane, Keepalive, PeerConfig, TunDevice
from ginnel.hints import Protocol
from ginnel.host.client import ApplyReport, UndoReport
from ginnel.host.diff import Change, Do, Revert, changes, diff
from ginnel.host.plan import Device, HostPlan, plan_tunnel
from ginnel.host.results import ChangeResult, Outcome
from ginnel.host.steps import AddAddress, AddRoute, RemoveRoute, SetLink, describe
from ginnel.host.tun import DeviceRequest
from ginnel.host.underlay import UnderlaySnapshot
from ginnel.options.model import DeviceType
from ginnel.shell.link import Link
from ginnel.shell.names import Lookup, resolve_names
from ginnel.shell.resolve import resolve_ipv4

OpenPlane = Callable[[TunDevice | None], tuple[DataPlane, tuple[str, ...]]]
"""Opens a data plane on a device and says why it is this one."""

EVERYTHING = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
"""A client has one peer: all that enters the device is for it."""


MAX_LINES = 64
"""Lines about routes of one push that could not be set; the rest is counted."""


class TunnelHost(Protocol):
    """What changes the host: ``host.client.HostClient``."""

    async def open_tun(
        self, request: DeviceRequest, server: Endpoint | None
    ) -> tuple[TunDevice, UnderlaySnapshot]: ...
    def device(self, name: str) -> Device: ...
    async def underlay(self, server: Endpoint | None) -> UnderlaySnapshot: ...
    async def apply(self, changes: Sequence[Change]) -> ApplyReport: ...
    async def undo_routes(self) -> UndoReport: ...
    async def close_tun(self, name: str) -> UndoReport: ...


class TunnelScripts(Protocol):
    """What runs at the tunnel's moments: ``shell.hooks.ClientHooks``."""

    async def up(
        self, config: TunnelConfig, plan: HostPlan, device: TunDevice, *, restart: bool
    ) -> None: ...
    async def route_up(self, config: TunnelConfig, plan: HostPlan, device: TunDevice) -> None: ...
    async def route_pre_down(
        self, config: TunnelConfig, plan: HostPlan, device: TunDevice, *, signal_text: str
    ) -> None: ...
    async def down(
        self,
        config: TunnelConfig,
        plan: HostPlan,
        device: TunDevice,
        *,
        signal_text: str,
        restart: bool,
    ) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Established:
    """What was set up on the host, kept until it is taken down."""

    device: TunDevice
    plan: HostPlan
    config: TunnelConfig


class Tunnel:
    """See the module."""

    def __init__(
        self,
        *,
        host: TunnelHost,
        scripts: TunnelScripts,
        log: Callable[[LogLine], None],
        on_started: Callable[[bool], None],
        open_plane: OpenPlane,
        lookup: Lookup = resolve_ipv4,
    ) -> None:
        """``on_started`` is told at the end of a start, with True when something went wrong."""
        self._lookup = lookup
        self._host = host
        self._scripts = scripts
        self._log = log
        self._on_started = on_started
        self._open_plane = open_plane
        self._established: Established | None = None
        self._data_plane: DataPlane | None = None
        self._pending: tuple[Change, ...] = ()
        """What remains to be configured once the tunnel carries data."""
        self._reused = False
        self._spoilt = False
        """True when a change failed half-way: the device cannot be kept over a restart."""
        self._busy = asyncio.Lock()
        """Held while the start is finished, and by each update."""

    @property
    def config(self) -> TunnelConfig | None:
        """What the tunnel that there is was set up from."""
        return None if self._established is None else self._established.config

    # --- up ------------------------------------------------------------------------------------

    async def make_way(self, remote: Endpoint) -> None:
        """Before a kept tunnel is used for another server: keeps that one reachable outside it.

        Without it, redirected traffic would swallow the first packet to a further remote.
        """
        kept = self._established
        if kept is None:
            return
        underlay = await self._host.underlay(remote)
        device = self._host.device(kept.device.name)
        plan = plan_tunnel(replace(kept.config, remote=remote), device, underlay)
        had = {item.step for item in kept.plan.routes}
        fresh = tuple(item for item in plan.routes if item.bypass and item.step not in had)
        if not fresh:
            return
        places = {item.step.network for item in fresh if isinstance(item.step, AddRoute)}
        stale = tuple(
            item
            for item in kept.plan.routes
            if item.bypass and isinstance(item.step, AddRoute) and item.step.network in places
        )
        moved = (*(Revert(item.step) for item in stale), *changes(fresh))
        report = await self._host.apply(moved)
        self._log_results(moved, report.results)
        rest = tuple(item for item in kept.plan.routes if item not in stale)
        self._established = replace(kept, plan=replace(kept.plan, routes=(*fresh, *rest)))

    async def renew(self) -> None:
        """The network under the tunnel changed: leads around it by the way that there is now.

        The kernel drops routes of a device that goes down: those that must stay are made again.
        """
        async with self._busy:  # an update would plan from what is changed here
            await self._renew()

    async def _renew(self) -> None:
        kept = self._established
        if kept is None or self._pending:
            return
        underlay = await self._host.underlay(kept.config.remote)
        if underlay.server is None or kept is not self._established:
            return  # nowhere to lead to, or taken down meanwhile
        plan = plan_tunnel(kept.config, self._host.device(kept.device.name), underlay)
        had = {item.step for item in kept.plan.routes}
        moved = diff(kept.plan, plan)
        again = changes([item for item in plan.routes if item.bypass and item.step in had])
        self._established = replace(kept, plan=plan)
        report = await self._host.apply((*moved, *again))
        fresh = [
            (change, result)
            for change, result in zip((*moved, *again), report.results, strict=False)
            if result.outcome is not Outcome.PRESENT
        ]
        self._log_results([change for change, _ in fresh], [result for _, result in fresh])

    async def open(
        self, config: TunnelConfig, link: Link, over: asyncio.Future[Ended]
    ) -> DataPlane | Failed:
        """Opens device and data plane and configures the interface; routes come with the start.

        ``over`` is done when the connection has ended meanwhile, for example during ``up``.
        """
        try:
            config = await resolve_names(config, self._lookup, self._name_failed)
            # Routes around the tunnel are for whom our packets really go to.
            outer = config if link.relay is None else replace(config, remote=link.relay.address)
            device = await self._device(outer)
            if over.done():
                return Failed(reason="the connection ended meanwhile")
            return self.open_plane(device, lambda plane: self._connect_peer(plane, config, link))
        except GinnelError as error:
            return Failed(reason=str(error))

    async def open_device(
        self, config: TunnelConfig, over: asyncio.Future[Ended]
    ) -> TunDevice | None:
        """Sets up all of the host's part, routes included, before there is a data plane.

        That is a server's order. Raises GinnelError.
        """
        config = await resolve_names(config, self._lookup, self._name_failed)
        device = await self._device(config)
        if not over.done():
            await self.finish_start(over)
        return device

    def open_plane(
        self, device: TunDevice | None, connect: Callable[[DataPlane], None]
    ) -> DataPlane:
        """Opens the data plane; ``connect`` gives it links and peers. Raises GinnelError."""
        data_plane, reasons = self._open_plane(device)
        offloads = ", ".join(sorted(data_plane.capabilities.offloads)) or "none"
        why = "; ".join(reasons)
        self._log(
            LogLine(
                text=f"Data plane: {data_plane.capabilities.name} ({why}), offloads: {offloads}",
                verb=3,
            )
        )
        try:
            connect(data_plane)
        except GinnelError:
            data_plane.close()
            raise
        self._data_plane = data_plane
        return data_plane

    async def finish_start(self, over: asyncio.Future[Ended]) -> None:
        """Adds the routes, runs ``route-up`` and reports that the start is complete.

        Stops at the next step when the connection is over.
        """
        async with self._busy:
            await self._finish_start(over)

    async def _finish_start(self, over: asyncio.Future[Ended]) -> None:
        established = self._established
        with_errors = False
        if established is not None:
            delay = established.config.options.routes.route_delay
            if delay and not self._reused:
                await asyncio.wait((over,), timeout=delay)
            if over.done():
                return
            pending, self._pending = self._pending, ()
            report = await self._host.apply(pending)
            self._log_results(pending, report.results)
            with_errors = bool(report.failed)
            if not self._reused and not over.done():
                await self._scripts.route_up(
                    established.config, established.plan, established.device
                )
        if not over.done():
            self._on_started(with_errors)

    async def update(self, config: TunnelConfig, over: asyncio.Future[Ended]) -> Done | Failed:
        """Changes the running tunnel to another configuration (``PUSH_UPDATE``).

        Only what differs is changed, so that packets go on meanwhile; scripts run as if the tunnel
        was closed and opened again, which is what OpenVPN 2.7 does.
        """
        async with self._busy:
            if over.done():
                return Failed(reason="the connection ended meanwhile")
            try:
                failed = await self._update(config)
            except GinnelError as error:
                self._spoilt = True
                return Failed(reason=str(error))
        if not over.done():
            self._on_started(failed)
        return Done()

    async def _update(self, config: TunnelConfig) -> bool:
        """Returns whether a route could not be set. Raises GinnelError."""
        if self._data_plane is not None:
            self._data_plane.set_peer(config.peer_id, _keepalive(config))
            self._data_plane.set_payload(config.peer_id, config.payload)
        kept = self._established
        if kept is None:
            return False
        config = await resolve_names(config, self._lookup, self._name_failed)
        device = kept.device
        underlay = await self._host.underlay(config.remote)
        plan = plan_tunnel(config, self._host.device(device.name), underlay)
        self._log_warnings(plan)
        old = kept.config, kept.plan, device
        await self._scripts.route_pre_down(*old, signal_text="")
        await self._scripts.down(*old, signal_text="", restart=False)
        moved = diff(kept.plan, plan)
        report = await self._host.apply(moved)
        self._log_results(moved, report.results)
        _raise_fatal(report)
        self._established = Established(device=device, plan=plan, config=config)
        await self._scripts.up(config, plan, device, restart=False)
        await self._scripts.route_up(config, plan, device)
        return bool(report.failed)

    def _name_failed(self, name: str, cause: str) -> None:
        self._log(shell_lines.cannot_resolve(name, "", cause))

    async def _device(self, config: TunnelConfig) -> TunDevice | None:
        if config.options.tun.dev_type is DeviceType.NULL:
            return None
        kept = self._established
        fits = kept is not None and kept.config.device_items == config.device_items
        if kept is not None and fits and not self._spoilt:
            return await self._reuse(kept, config)
        if kept is not None:
            self._log(shell_lines.pulled_options_changed())
            await self.take_down("")
        return await self._open_device(config)

    async def _reuse(self, kept: Established, config: TunnelConfig) -> TunDevice:
        """Keeps device and routes; only what depends on the server's address changes."""
        name = kept.device.name
        self._log(shell_lines.tun_preserved(name))
        underlay = await self._host.underlay(config.remote.known)
        plan = plan_tunnel(config, self._host.device(name), underlay)
        self._pending = diff(kept.plan, plan)
        self._established = Established(device=kept.device, plan=plan, config=config)
        self._reused = True
        if config.options.scripts.up_restart:
            await self._scripts.up(config, plan, kept.device, restart=True)
        return replace(kept.device, mtu=_largest_mtu(config))

    async def _open_device(self, config: TunnelConfig) -> TunDevice:
        tun = config.options.tun
        request = DeviceRequest(
            name=tun.dev,
            kind=tun.dev_type,
            node=tun.dev_node,
            vnet_header=_wants_offloads(config),
            lladdr=tun.lladdr,
        )
        device, underlay = await self._host.open_tun(request, config.remote.known)
        self._log(shell_lines.tun_opened(device.name))
        self._reused, self._spoilt = False, False
        plan = plan_tunnel(config, self._host.device(device.name), underlay)
        self._established = Established(device=device, plan=plan, config=config)
        self._log_warnings(plan)
        interface = changes(plan.interface)
        report = await self._host.apply(interface)
        self._log_results(interface, report.results)
        _raise_fatal(report)
        await self._scripts.up(config, plan, device, restart=False)
        self._pending = changes(plan.routes)
        return replace(device, mtu=_largest_mtu(config))

    def _connect_peer(self, data_plane: DataPlane, config: TunnelConfig, link: Link) -> None:
        """Hands the link over, and tells about the one peer of a client."""
        options = config.options
        try:
            link.hand_over(data_plane, options.link)
        except OSError as refused:
            raise HostError("link socket", refused.errno or 0, str(refused)) from refused
        data_plane.new_peer(
            PeerConfig(
                peer_id=config.peer_id,
                send_peer_id=config.send_peer_id,
                remote=config.remote.known,
                allow_float=config.allow_float,
                mss_ipv4=config.mss_ipv4,
                mss_ipv6=config.mss_ipv6,
                replay_window=options.data.replay_window,
                replay_time=options.data.replay_time,
                drop_recursive=not options.routes.allow_recursive_routing,
                payload=config.payload,
            )
        )
        for network in EVERYTHING:
            data_plane.add_iroute(config.peer_id, network)
        data_plane.set_peer(config.peer_id, _keepalive(config))

    # --- down ----------------------------------------------------------------------------------

    def detach(self) -> None:
        """Closes the data plane; the device stays as it is."""
        if self._data_plane is not None:
            self._data_plane.close()
            self._data_plane = None

    async def restart(self, signal_text: str) -> None:
        """Ends one connection that another one follows: ``persist-tun`` keeps the device."""
        self.detach()
        established = self._established
        if established is None:
            return
        if self._spoilt or not established.config.options.tun.persist_tun:
            await self.take_down(signal_text)
        elif established.config.options.scripts.up_restart:
            await self._scripts.down(
                established.config,
                established.plan,
                established.device,
                signal_text=signal_text,
                restart=True,
            )

    async def take_down(self, signal_text: str) -> None:
        """Takes routes, addresses and device away again, with the scripts around them.

        A refusal of the host does not keep the rest from being taken down; it is raised at the end
        as HostError.
        """
        self.detach()
        established, self._established = self._established, None
        if established is None:
            return
        self._pending = ()
        refusal: HostError | None = None
        config, plan, device = established.config, established.plan, established.device
        await self._scripts.route_pre_down(config, plan, device, signal_text=signal_text)
        try:
            self._log_undone(plan, (await self._host.undo_routes()).results)
        except HostError as error:
            refusal = error
        if config.options.scripts.down_pre:
            await self._scripts.down(config, plan, device, signal_text=signal_text, restart=False)
        self._log(shell_lines.tun_closing())
        os.close(device.fd)
        try:
            self._log_undone(plan, (await self._host.close_tun(device.name)).results)
        except HostError as error:
            refusal = error
        if not config.options.scripts.down_pre:
            await self._scripts.down(config, plan, device, signal_text=signal_text, restart=False)
        if refusal is not None:
            raise refusal

    # --- log -----------------------------------------------------------------------------------

    def _log_warnings(self, plan: HostPlan) -> None:
        for warning in plan.warnings[:MAX_LINES]:
            self._log(shell_lines.warning(warning))
        more = len(plan.warnings) - MAX_LINES
        if more > 0:
            self._log(shell_lines.warning(f"ROUTE: {more} more such lines were left out"))

    def _log_results(self, wanted: Sequence[Change], results: Sequence[ChangeResult]) -> None:
        failures = 0
        for change, result in zip(wanted, results, strict=False):
            about_route = isinstance(change.step, AddRoute | RemoveRoute)
            if result.outcome is Outcome.FAILED:
                failures += about_route
                if about_route and failures <= MAX_LINES:  # all else ends the start, with a reason
                    added = isinstance(change, Do)
                    self._log(shell_lines.route_failed(result.what, result.detail, added=added))
            elif result.outcome is Outcome.PRESENT and about_route:
                self._log(shell_lines.route_exists(result.what))
            else:
                for line in _change_lines(change):
                    self._log(line)
        if failures > MAX_LINES:
            text = f"{failures - MAX_LINES} more routes could not be changed"
            self._log(shell_lines.warning(text))

    def _log_undone(self, plan: HostPlan, results: Sequence[ChangeResult]) -> None:
        steps = {describe(item.step): item.step for item in (*plan.interface, *plan.routes)}
        for result in results:
            step = steps.get(result.what)
            if result.outcome is Outcome.FAILED:
                self._log(shell_lines.route_failed(result.what, result.detail, added=False))
            elif step is not None and not isinstance(step, SetLink):
                for line in _change_lines(Revert(step)):
                    self._log(line)


def _keepalive(config: TunnelConfig) -> Keepalive:
    timers = config.options.link
    return Keepalive(
        ping_interval=timers.ping,
        ping_timeout=timers.ping_restart or timers.ping_exit,
        inactive_seconds=timers.inactive,
        inactive_bytes=timers.inactive_bytes,
    )


def _largest_mtu(config: TunnelConfig) -> int:
    """What the data plane must be ready for: a server may change the MTU while the tunnel is up."""
    return max(config.tun_mtu, config.options.tun.tun_mtu_max)


def _wants_offloads(config: TunnelConfig) -> bool:
    """Super-packets are of no use where each packet counts, nor made of Ethernet frames."""
    return config.options.tun.dev_type is not DeviceType.TAP and not config.payload.shaper


def _raise_fatal(report: ApplyReport) -> None:
    if report.fatal is not None:
        raise HostError(report.fatal.what, report.fatal.errno, report.fatal.detail)


def _change_lines(change: Change) -> tuple[LogLine, ...]:
    """The lines OpenVPN logs for a change."""
    added = not isinstance(change, Revert)
    match change.step:
        case SetLink(device=device, mtu=mtu):
            up = (shell_lines.interface_up(device),)
            return up if mtu is None else (shell_lines.mtu_set(device, mtu), *up)
        case AddAddress() as step:
            return (
                shell_lines.address_changed(
                    step.device,
                    str(step.local) if step.peer is not None else f"{step.local}/{step.prefix}",
                    version=step.local.version,
                    added=added,
                    peer=None if step.peer is None else str(step.peer),
                ),
            )
        case (AddRoute() | RemoveRoute()) as step:
            return (
                shell_lines.route_changed(
                    str(step.network),
                    None if step.gateway is None else str(step.gateway),
                    step.device if step.gateway is None else None,
                    step.metric,
                    version=step.network.version,
                    added=added is isinstance(step, AddRoute),
                ),
            )
