"""The life of a server: tunnel, sockets, one run after the other, and putting the host back.

The order is OpenVPN's: device, addresses, ``up``, routes, then sockets, then rights are given up,
then clients are let in. SIGUSR1 begins anew with the same configuration, SIGHUP with what the files
say by then; TERM and INT end it. Sockets stay open over both where they are the same, so that no
first packet is lost. ``shell.server`` prepares all of it, a run itself is ``shell.serving``.
"""

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address

from ginnel.compat import server_lines, shell_lines
from ginnel.compat.shell_lines import SignalSource
from ginnel.core.actions import TunnelConfig
from ginnel.core.errors import GinnelError, HostError
from ginnel.core.notices import Ended
from ginnel.core.options_string import configured_tun_mtu
from ginnel.core.types import UNDEFINED_PEER_ID, Endpoint, Transport
from ginnel.dataclass import dataclass
from ginnel.dataplane.api import DataPlane
from ginnel.hints import Protocol, TypeVar
from ginnel.host.client import Recovered
from ginnel.options.server_model import ServerOptions
from ginnel.options.tunnel_of_server import tunnel_options
from ginnel.shell.helper_watch import report_recovered, watch_helper
from ginnel.shell.hold import held
from ginnel.shell.listeners import Listeners
from ginnel.shell.logging_setup import LogOutput
from ginnel.shell.pool_store import PoolStore
from ginnel.shell.process import INITIALISING
from ginnel.shell.race import Interrupted, race
from ginnel.shell.rights import Rights
from ginnel.shell.server_frontend import ServerFrontend
from ginnel.shell.server_status import ServerStatusFile
from ginnel.shell.serving import Serving, ServingMeans
from ginnel.shell.signals import STOPPING, Signals
from ginnel.shell.tasks import plain_errors
from ginnel.shell.tunnel import OpenPlane, Tunnel, TunnelHost, TunnelScripts

T = TypeVar("T")

HASH_SIZE = 256
"""Size of OpenVPN's hash tables, which its log names; ours have none."""

TCP_EVENTS = 5
"""What OpenVPN's log counts besides one event for each client."""

PAUSE = 1
"""Seconds between two starts that a management client is told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How the server ended: an exit status, or a reload of the configuration (SIGHUP)."""

    status: int = 0
    reload: bool = False


class ServerHost(TunnelHost, Protocol):
    """The privileged helper as the lifecycle sees it: ``host.client.HostClient``."""

    @property
    def helper_pid(self) -> int: ...
    async def recovered(self) -> tuple[Recovered, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEquipment:
    """What ``shell.server`` prepared before the loop began, or before a reload."""

    host: ServerHost
    log: LogOutput
    rights: Rights
    signals: Signals
    status: ServerStatusFile
    listeners: Listeners
    store: PoolStore | None
    scripts: TunnelScripts
    on_insist: Callable[[], None]
    """Ends the script of the tunnel that runs now: somebody insists on the end."""
    open_plane: OpenPlane
    frontend: ServerFrontend
    means: ServingMeans
    on_ready: Callable[[], None] = lambda: None


class ServerLifecycle:
    """One run of a configuration, up to the exit or a reload."""

    def __init__(self, options: ServerOptions, equipment: ServerEquipment) -> None:
        self._options = options
        self._kit = equipment
        self._log = equipment.log
        self._signals = equipment.signals
        self._frontend = equipment.frontend
        self._with_errors = False
        self._tunnel = Tunnel(
            host=equipment.host,
            scripts=equipment.scripts,
            log=equipment.log.log,
            on_started=self._tunnel_started,
            open_plane=equipment.open_plane,
        )
        self._serving: Serving | None = None
        self._showing: asyncio.Task[None] | None = None
        """Writes the rest of a long status into the log."""

    async def run(self) -> Finished:
        """Serves until a signal or an error ends it.

        The host is as before when this returns or raises, as far as the helper lives to do it.
        """
        self._signals.on_status = self._tell_status
        self._signals.on_insist = self._insist
        try:
            with plain_errors():
                async with asyncio.TaskGroup() as tasks:
                    helper = watch_helper(self._kit.host.helper_pid)
                    watch = tasks.create_task(helper, name="helper")
                    await report_recovered(self._kit.host, self._log.log)
                    finished = await self._loop()
                    watch.cancel()
        except GinnelError as error:
            self._log.log(shell_lines.fatal(str(error))[0])
            self._frontend.fatal(str(error))
            await self._clean_up()
            self._log.log(shell_lines.exiting_on_error())
            return Finished(status=1)
        except Exception:
            await self._clean_up()
            raise
        return finished

    async def _clean_up(self) -> None:
        """Takes the tunnel down after a failure; the helper's own end undoes what this cannot."""
        try:
            await self._tunnel.take_down("error")
        except HostError as error:
            self._log.log(shell_lines.warning(str(error)))

    async def _loop(self) -> Finished:
        while True:
            signal, text = await self._serve()
            source = SignalSource.SOFT if text else SignalSource.HARD
            remapped = self._options.link.remap_usr1
            if signal == "SIGUSR1" and remapped is not None:
                signal, source = remapped, SignalSource.SOFT
            told = text or signal.lower()
            if signal == "SIGUSR1":
                await self._tunnel.restart(told)
            else:
                await self._tunnel.take_down(told)
            self._log.log(shell_lines.signal_received(signal, source, text))
            if signal == "SIGUSR1":
                self._frontend.state("RECONNECTING", text or signal)
                stopped = await held(self._signals, self._frontend, PAUSE)
                if stopped is None:
                    continue
                signal, text = stopped, self._signals.text_of(stopped)
                source = SignalSource.SOFT if text else SignalSource.HARD
                await self._tunnel.take_down(text or signal.lower())
                self._log.log(shell_lines.signal_received(signal, source, text))
            pending = self._signals.pending
            if signal == "SIGHUP" and pending in STOPPING:
                self._log.log(shell_lines.signal_received(pending, SignalSource.HARD))
                signal = pending
            is_reload = signal == "SIGHUP"
            self._frontend.state("RECONNECTING" if is_reload else "EXITING", text or signal)
            return Finished(reload=is_reload)

    # --- one run -------------------------------------------------------------------------------

    async def _serve(self) -> tuple[str, str]:
        """Serves until a signal; returns its name, and why the program itself threw it."""
        over: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._with_errors = False
        self._frontend.addresses_assigned(*self._own_addresses())
        if self._options.routes.routes:
            self._frontend.state("ADD_ROUTES")
        opened = await race(self._signals, self._tunnel.open_device(self._config(), over))
        if isinstance(opened, Interrupted):
            return opened.signal, self._signals.text_of(opened.signal) or INITIALISING
        self._kit.listeners.open(self._options)
        with plain_errors():
            async with asyncio.TaskGroup() as tasks:
                serving: list[Serving] = []

                def connect(plane: DataPlane) -> None:
                    serving.append(Serving(self._kit.means, plane, tasks))

                self._tunnel.open_plane(opened, connect)
                return await self._serve_with(serving[0])

    async def _serve_with(self, serving: Serving) -> tuple[str, str]:
        try:
            serving.open()
            self._serving = serving
            self._frontend.serve(serving.control)
            self._ready(serving)
            ended = await race(self._signals, serving.lost())
            if not isinstance(ended, Interrupted):
                self._kit.listeners.close()
                return "SIGUSR1", ended
            name = await self._part(serving, ended.signal)
            return name, self._signals.text_of(name)
        finally:
            self._serving = None
            self._frontend.serve(None)
            await serving.close()
            if self._kit.store is not None:
                self._kit.store.write()
            self._tunnel.detach()

    async def _part(self, serving: Serving, signal: str) -> str:
        """Tells the clients, where that is configured; returns the signal to obey by then."""
        message = self._farewell()
        if message is None:
            return signal
        again = await race(self._signals, serving.say_farewell(message))
        if not isinstance(again, Interrupted):
            return signal
        return again.signal if again.signal in STOPPING else signal

    def _farewell(self) -> str | None:
        """What clients are told when the server goes; None when they are told nothing."""
        how = self._options.profile.explicit_exit_notify
        if not how or all(item.transport is Transport.TCP for item in self._kit.listeners.all):
            return None
        return "RESTART,[N]" if how == 2 else "RESTART"

    def _ready(self, serving: Serving) -> None:
        """The last step of a start: rights are given up, then clients are let in."""
        log = self._log
        log.log_all(self._kit.rights.drop())
        log.log(server_lines.multi_init(HASH_SIZE, HASH_SIZE))
        log.log_all(server_lines.pool_lines(self._options))
        listeners = self._kit.listeners.all
        if any(item.transport is Transport.TCP for item in listeners):
            limit = self._options.limits.max_clients
            log.log(server_lines.tcp_init(limit, limit + TCP_EVENTS))
        serving.beside(self._kit.status.keep(serving.control.status), "status file")
        if self._kit.store is not None:
            serving.beside(self._kit.store.keep(), "pool file")
        log.log(shell_lines.initialization_completed())
        self._kit.on_ready()
        tun_ip4, tun_ip6 = self._own_addresses()
        self._frontend.server_started(
            with_errors=self._with_errors,
            tun_ip4=tun_ip4,
            tun_ip6=tun_ip6,
            local=next((item.endpoint.known for item in listeners), None),
        )

    def _own_addresses(self) -> tuple[str, str]:
        """The addresses of our end of the tunnel, empty for none."""
        tun = self._options.tun
        return (
            "" if tun.ifconfig is None else str(tun.ifconfig[0]),
            "" if tun.ifconfig_ipv6 is None else str(tun.ifconfig_ipv6.ip),
        )

    def _tunnel_started(self, with_errors: bool) -> None:
        self._with_errors = with_errors

    def _config(self) -> TunnelConfig:
        """What the host's part is set up from: a tunnel without a peer."""
        options = tunnel_options(self._options)
        return TunnelConfig(
            options=options,
            remote=Endpoint(IPv4Address(0), 0),
            peer_id=UNDEFINED_PEER_ID,
            send_peer_id=UNDEFINED_PEER_ID,
            tun_mtu=configured_tun_mtu(options.data, self._options.profile),
            mss_ipv4=0,
            mss_ipv6=0,
            allow_float=False,
            device_items=(),  # it pulls nothing: each tunnel fits the next
        )

    # --- signals -------------------------------------------------------------------------------

    def _tell_status(self) -> None:
        """SIGUSR2."""
        if self._serving is None or (self._showing is not None and not self._showing.done()):
            return  # what is asked again while a long one is written, that one answers
        rest = self._kit.status.log(self._serving.control.status)
        if rest is not None:
            self._showing = self._serving.beside(rest, "status in the log")

    def _insist(self) -> None:
        """A further TERM or INT: what hangs is not waited for."""
        self._kit.on_insist()
        if self._serving is not None:
            self._serving.drive.abandon_departures()
