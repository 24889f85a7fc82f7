"""The one loop: feeds a client machine, drains what it says, arms its timer.

It moves bytes and nothing else: a decision about OpenVPN belongs in the core, host work in
``shell.tunnel``, words for people in ``compat.log_lines``.
"""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from functools import partial

from ginnel.compat.status_file import LinkStatistics
from ginnel.core import actions
from ginnel.core import client_end as end
from ginnel.core.errors import DataPlaneError
from ginnel.core.events import (
    DataPlaneEvent,
    DecryptFailed,
    Floated,
    FramingMismatch,
    Inactive,
    KeyExhausted,
    LinkLost,
    OccReceived,
    PathMtuFound,
    PeerHeard,
    PeerSilent,
    TunLost,
)
from ginnel.core.notices import Advance, Connected, Ended, Notice, Outcome, PeerConnected
from ginnel.core.types import UNDEFINED_PEER_ID, ActionId, Instant, KeyId, PeerId, Transmit
from ginnel.dataplane.api import PING, DataPlane, Notification, NotificationKind, PeerStats
from ginnel.hints import Protocol, assert_never
from ginnel.options.model import LinkOptions
from ginnel.options.values import Secret
from ginnel.shell.clock import monotonic_now
from ginnel.shell.link import BadRecord, Link
from ginnel.shell.machine import Machine
from ginnel.shell.path_mtu import fit_path, path_mtu
from ginnel.shell.signer import Signer
from ginnel.shell.tasks import plain_errors

READ_BATCH = 64
"""Packets taken from the link or the data plane before the loop may do something else."""

TRAFFIC_INTERVAL = 2.0
"""Seconds between two reports of the traffic counters to the machine."""


FIRST_LOOK = 0.02
"""Seconds until it is first looked whether the peer was heard."""


class TunnelOwner(Protocol):
    """What carries out the actions that touch the host: ``shell.tunnel.Tunnel``."""

    async def open(
        self, config: actions.TunnelConfig, link: Link, over: asyncio.Future[Ended]
    ) -> DataPlane | actions.Failed: ...
    async def finish_start(self, over: asyncio.Future[Ended]) -> None: ...
    async def update(
        self, config: actions.TunnelConfig, over: asyncio.Future[Ended]
    ) -> actions.ActionResult: ...


class Hooks(Protocol):
    """What asks people and scripts: ``shell.hooks.ClientHooks``."""

    async def verify_certificates(
        self, chain: tuple[actions.CertificateInfo, ...]
    ) -> actions.ActionResult: ...
    async def credentials(self) -> actions.ActionResult: ...
    async def peer_connected(self, notice: PeerConnected) -> None: ...


class Drive:
    """Runs one machine on one link until it ends."""

    def __init__(
        self,
        *,
        machine: Machine,
        link: Link,
        tunnel: TunnelOwner,
        hooks: Hooks,
        signer: Signer | None = None,
        on_notice: Callable[[Notice], None],
    ) -> None:
        self._machine = machine
        self._link = link
        self._tunnel = tunnel
        self._hooks = hooks
        self._signer = signer
        self._on_notice = on_notice
        self._data_plane: DataPlane | None = None
        self._ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._passing: set[asyncio.Task[None]] = set()
        """Tasks that nobody needs once the machine has ended."""
        self._draining = False
        self._peer_id = UNDEFINED_PEER_ID
        self._link_options = LinkOptions()
        self._peer_id_sent = False
        self._link_read = 0
        self._link_written = 0
        self.notified = False
        """True when the peer was told that we leave, and the machine waits for that to arrive."""

    @property
    def over(self) -> bool:
        """True once the machine has ended."""
        return self._ended.done()

    @property
    def floats(self) -> bool:
        """True once the server follows us to another address: it knows our packets by peer-id."""
        return self._data_plane is not None and self._peer_id_sent

    def announce(self) -> None:
        """Sends a ping at once: a server learns from it where we are now."""
        if self._data_plane is not None and not self.over:
            self._guarded(partial(self._data_plane.send_inner, self._peer_id, PING))

    def statistics(self) -> LinkStatistics:
        """Counts this connection's bytes: ours before the data plane took over, then its own."""
        peer = PeerStats() if self._data_plane is None else self._data_plane.stats(self._peer_id)
        return LinkStatistics(
            tun_read=peer.tun_read_bytes,
            tun_write=peer.tun_write_bytes,
            link_read=self._link_read + peer.link_read_bytes,
            link_write=self._link_written + peer.link_write_bytes,
            authenticated_read=peer.link_read_bytes,
        )

    async def run(self) -> Ended:
        """Runs the machine to its end, and what it caused: a script that runs is waited for.

        Raises what a task or the handling of a packet raised, after all tasks were stopped.
        """
        loop = asyncio.get_running_loop()
        try:
            with plain_errors():
                async with asyncio.TaskGroup() as tasks:
                    self._tasks = tasks
                    loop.add_reader(self._link.fileno(), self._guarded, self._read_link)
                    self._feed(self._machine.start)
                    loop.call_soon(self._guarded, self._read_link)  # what was read with a proxy
                    ended = await self._ended
                    self._stop(loop)
                    for task in self._passing:
                        task.cancel()
        finally:
            self._stop(loop)
        return ended

    def close(self, reason: str, outcome: Outcome) -> None:
        """Asks the machine to leave: it says goodbye to the peer where that is configured."""
        self._feed(lambda now: self._machine.close(reason, now, outcome=outcome))
        self.notified = not self.over

    def respond(self, response: Secret) -> bool:
        """Sends an answer, in base64, to a question of the server; False when it cannot go out."""
        text = response.reveal().decode("ascii", "replace")
        sent = not self.over and self._machine.respond(text, monotonic_now())
        self._drain()
        return sent

    @property
    def token(self) -> actions.Credentials | None:
        """What stands in for the password at the next connection."""
        return self._machine.token

    def forget_login(self) -> None:
        """The password is not to be remembered."""
        self._machine.forget_login()

    def abandon(self, ended: Ended) -> None:
        """Ends at once, whatever the machine still wanted to do."""
        if not self.over:
            self._ended.set_result(ended)

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop.remove_reader(self._link.fileno())
        if self._data_plane is not None:
            loop.remove_reader(self._data_plane.fileno())

    # --- in ------------------------------------------------------------------------------------

    def _guarded(self, callback: Callable[[], None]) -> None:
        """The top of every callback of the loop, where an error would otherwise only be logged."""
        try:
            callback()
        except DataPlaneError as error:
            self._data_plane_failed(error)
        except Exception as bug:
            if self._ended.done():
                raise
            self._ended.set_exception(bug)

    def _data_plane_failed(self, error: DataPlaneError) -> None:
        self.abandon(end.restart("tls-error", f"the data plane failed: {error}", Advance.SAME))

    def _feed(self, step: Callable[[Instant], None]) -> None:
        if self._ended.done():
            return
        step(monotonic_now())
        self._drain()

    def _read_link(self) -> None:
        """Takes what is there, and sends what it leads to once: acknowledgements above all."""
        self._take_from_link()
        self._feed(self._machine.handle_timeout)

    def _take_from_link(self) -> None:
        for _ in range(READ_BATCH):
            try:
                received = self._link.receive()
            except OSError as error:
                self._link_error(error)
                received = ()
            if received is None:
                return
            for packet, source in received:
                self._link_read += len(packet)
                self._feed(partial(self._machine.receive, packet, source, more=True))
            if self._data_plane is not None or self._ended.done():
                return

    def _link_error(self, error: OSError) -> None:
        """Tells the machine about a link that failed; a refusal by ICMP is only a hint on UDP."""
        lost = LinkLost(
            errno=errno.EIO if error.errno is None else error.errno,
            bad_length=(error.length, error.limit) if isinstance(error, BadRecord) else None,
        )
        self._feed(partial(self._machine.handle_data_plane, lost))

    def _read_data_plane(self) -> None:
        data_plane = self._data_plane
        if data_plane is None:
            return
        for notification in data_plane.notifications():
            event = self._event_of(notification)
            if event is not None:
                self._feed(partial(self._machine.handle_data_plane, event))
        packets = data_plane.recv_control(READ_BATCH)
        for packet in packets:
            take = partial(self._machine.receive, packet.payload, packet.source, more=True)
            self._feed(take)
        if packets:
            self._feed(self._machine.handle_timeout)

    def _event_of(self, notification: Notification) -> DataPlaneEvent | None:
        if notification.kind is not NotificationKind.TOO_LONG:
            return _core_event(notification)
        remote = notification.remote
        mtu = None if remote is None else path_mtu(remote, notification.local, self._link_options)
        return None if mtu is None else PathMtuFound(mtu=mtu)

    # --- out -----------------------------------------------------------------------------------

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        try:
            while self._drain_once() and not self._ended.done():
                pass
        finally:
            self._draining = False
        self._arm()

    def _drain_once(self) -> bool:
        """Carries out everything that waits now; False when there was nothing.

        Actions go before packets: a key is installed before the packet that lets the peer use it.
        """
        busy = False
        while (action := self._machine.poll_action()) is not None:
            busy = True
            self._act(action)
        while (transmit := self._machine.poll_transmit()) is not None:
            busy = True
            self._send(transmit)
        while (notice := self._machine.poll_notice()) is not None:
            busy = True
            self._announce(notice)
        return busy

    def _announce(self, notice: Notice) -> None:
        self._on_notice(notice)
        if isinstance(notice, Ended):
            self._ended.set_result(notice)
        elif isinstance(notice, Connected):
            self._spawn(self._tunnel.finish_start(self._ended), "finish start")
        elif isinstance(notice, PeerConnected):
            self._spawn(self._hooks.peer_connected(notice), "ipchange")

    def _send(self, transmit: Transmit) -> None:
        if self._data_plane is not None:
            self._data_plane.send_control(transmit)
            return
        self._link_written += len(transmit.payload)
        try:
            self._link.send(transmit)
        except OSError as error:
            self._link_error(error)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._machine.poll_timeout()
        if due is not None and not self._ended.done():
            delay = max(0.0, due - monotonic_now())
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(delay, self._guarded, self._on_timer)

    def _on_timer(self) -> None:
        self._feed(self._machine.handle_timeout)

    # --- actions -------------------------------------------------------------------------------

    def _act(self, action: actions.Action) -> None:
        match action:
            case actions.OpenTunnel():
                self._spawn(self._open_tunnel(action), "open tunnel")
            case actions.UpdateTunnel():
                self._answer_later(action.id, self._tunnel.update(action.config, self._ended))
            case actions.VerifyCertificates():
                self._answer_later(action.id, self._hooks.verify_certificates(action.chain))
            case actions.SignData():
                self._sign(action)
            case actions.AskCredentials():
                self._let_pass(self._answer_later(action.id, self._hooks.credentials()))
            case (
                actions.InstallKey()
                | actions.SwapKeys()
                | actions.DeleteKey()
                | actions.SendInner()
                | actions.FitPath()
            ):
                self._complete(action.id, self._key_work(action))
            case _:
                assert_never(action)

    def _sign(self, action: actions.SignData) -> None:
        """Asks the owner of the private key; nobody waits for that when the connection ends."""
        assert self._signer is not None, "asked for only with a key outside"
        self._let_pass(self._answer_later(action.id, self._signer.sign(action.request)))

    def _key_work(
        self,
        action: actions.InstallKey
        | actions.SwapKeys
        | actions.DeleteKey
        | actions.SendInner
        | actions.FitPath,
    ) -> actions.ActionResult:
        data_plane = self._data_plane
        if data_plane is None:
            return actions.Failed(reason="the tunnel is not open")
        try:
            match action:
                case actions.InstallKey():
                    data_plane.new_key(action.peer_id, action.slot, action.key)
                case actions.SwapKeys():
                    data_plane.swap_keys(action.peer_id)
                case actions.DeleteKey():
                    data_plane.del_key(action.peer_id, action.slot)
                case actions.SendInner():
                    data_plane.send_inner(action.peer_id, action.payload)
                case actions.FitPath():
                    fit_path(data_plane, action)
                case _:
                    assert_never(action)
        except DataPlaneError as error:
            return actions.Failed(reason=str(error))
        return actions.Done()

    async def _open_tunnel(self, action: actions.OpenTunnel) -> None:
        opened = await self._tunnel.open(action.config, self._link, self._ended)
        if self.over:
            return  # whoever owns the tunnel takes it down
        if isinstance(opened, actions.Failed):
            self._complete(action.id, opened)
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._link.fileno())
        self._data_plane = opened
        self._peer_id = action.config.peer_id
        self._link_options = action.config.options.link
        self._peer_id_sent = action.config.send_peer_id != UNDEFINED_PEER_ID
        loop.add_reader(opened.fileno(), self._guarded, self._read_data_plane)
        if action.await_peer:
            watch = self._watch_first_packet(opened, action.config.peer_id)
            self._let_pass(self._spawn(watch, "first packet"))
        tls = action.config.options.tls
        if tls.reneg_bytes or tls.reneg_pkts:
            self._let_pass(
                self._spawn(self._report_traffic(opened, action.config.peer_id), "traffic")
            )
        self._complete(action.id, actions.Done())

    async def _watch_first_packet(self, data_plane: DataPlane, peer_id: PeerId) -> None:
        """Tells the machine when the peer was heard, soon at first and then once a second."""
        pause = FIRST_LOOK
        while not data_plane.stats(peer_id).link_read_packets:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
        self._feed(partial(self._machine.handle_data_plane, PeerHeard()))

    async def _report_traffic(self, data_plane: DataPlane, peer_id: PeerId) -> None:
        """Tells the machine how much crossed the tunnel, for ``reneg-bytes`` and ``reneg-pkts``."""
        while True:
            await asyncio.sleep(TRAFFIC_INTERVAL)
            stats = data_plane.stats(peer_id)
            size = stats.tun_read_bytes + stats.tun_write_bytes
            count = stats.tun_read_packets + stats.tun_write_packets
            self._feed(partial(self._machine.report_traffic, size, count))

    def _complete(self, action_id: ActionId, result: actions.ActionResult) -> None:
        self._feed(partial(self._machine.complete, action_id, result))

    def _answer_later(
        self,
        action_id: ActionId,
        answer: Coroutine[None, None, actions.ActionResult],
    ) -> asyncio.Task[None]:
        async def ask() -> None:
            self._complete(action_id, await answer)

        return self._spawn(ask(), "answer")

    def _let_pass(self, task: asyncio.Task[None]) -> None:
        """The end of the machine ends the task: a question to the user, a report."""
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        assert self._tasks is not None, "actions come only while the machine runs"
        return self._tasks.create_task(work, name=name)


def _core_event(notification: Notification) -> DataPlaneEvent:
    """Translates a report of the data plane into the core's word for it."""
    match notification.kind:
        case NotificationKind.SILENT:
            return PeerSilent()
        case NotificationKind.INACTIVE:
            return Inactive()
        case NotificationKind.FLOATED:
            assert notification.remote is not None, "a float names the new address"
            return Floated(remote=notification.remote)
        case NotificationKind.KEY_EXHAUSTED:
            return KeyExhausted(key_id=KeyId(notification.key_id))
        case NotificationKind.DECRYPT_ERROR:
            return DecryptFailed()
        case NotificationKind.LINK_LOST:
            return LinkLost(errno=notification.errno)
        case NotificationKind.TUN_LOST:
            return TunLost(errno=notification.errno)
        case NotificationKind.BAD_FRAMING:
            return FramingMismatch(first=notification.payload[0])
        case NotificationKind.OCC:
            return OccReceived(payload=notification.payload)
        case (
            NotificationKind.BAD_SOURCE
            | NotificationKind.LEARNED
            | NotificationKind.RELEARNED
            | NotificationKind.FORGOTTEN
        ):
            raise AssertionError("only a server's data plane reports this")
        case NotificationKind.TOO_LONG:
            raise AssertionError("the system is asked for the rest of it")
        case _:
            assert_never(notification.kind)
