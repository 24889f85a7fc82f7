"""Feeds the machines of all clients, drains what they say, carries out what they ask for.

One object for all clients, so that one that is idle costs neither a task nor a timer of the loop.
What takes time runs in a task of its own; what a machine or a hook raises ends that client alone.
Which packet is for which client is ``shell.reception``'s business, who may in the hooks'.
"""

import asyncio
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

from ginnel.compat import server_lines, shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.actions import (
    DeleteKey,
    Done,
    Failed,
    FitPath,
    InstallKey,
    SendInner,
    Signature,
    SignData,
    SwapKeys,
    VerifyCertificates,
)
from ginnel.core.errors import DataPlaneError
from ginnel.core.events import DataPlaneEvent, Floated
from ginnel.core.notices import ControlMessage, Ended, PeerConnected
from ginnel.core.server_actions import (
    AddClient,
    AgreedClient,
    AnswerChallenge,
    Authenticate,
    ConnectClient,
    ServerAction,
    ServerActionResult,
    VerifyClientKey,
)
from ginnel.core.server_notices import ClientConnected, ClientMoved, ServerNotice
from ginnel.core.types import ActionId, Endpoint, Instant, IPAddress, Transmit, Transport
from ginnel.dataclass import replace
from ginnel.dataplane.api import DataPlane, LinkId, PeerStats
from ginnel.hints import Protocol, assert_never
from ginnel.options.server_model import ServerOptions
from ginnel.shell.clients import Client, Clients, client_name
from ginnel.shell.clock import monotonic_now
from ginnel.shell.path_mtu import fit_path
from ginnel.shell.peer_log import Log, PeerLog
from ginnel.shell.server_hooks import Departure, ServerHooks
from ginnel.shell.server_peers import add_peer
from ginnel.shell.signer import Signer
from ginnel.shell.timer_heap import TimerHeap

BURST, RATE = 10_000, 500.0
"""Lines about strangers that may come at once, and lines a second after that."""

Work = Callable[[], Coroutine[None, None, None]]
Ask = Callable[[], Coroutine[None, None, ServerActionResult]]

MAX_TASKS = 512
"""What may be under way for one client: more is refused, as each may be a script that runs."""

SERVER_EXIT = "server-exit"
"""Why clients end with the server."""

BUG = "internal-error"
"""Why a client ended whose machine or hook had a bug."""


class ClientWatcher(Protocol):
    """Who hears what becomes of clients, besides the hooks."""

    def client_added(self, client: Client) -> None:
        """It has addresses, and its peer is in the data plane."""
        ...

    def client_gone(self, client: Client) -> None: ...


class ServerDrive:
    """See the module."""

    def __init__(
        self,
        *,
        options: ServerOptions,
        data_plane: DataPlane,
        clients: Clients,
        hooks: ServerHooks,
        tasks: asyncio.TaskGroup,
        log: Log,
        shows: Callable[[int], bool] = lambda _verb: True,
        signer: Signer | None = None,
        on_leave: Callable[[], None] = lambda: None,
        clock: Callable[[], Instant] = monotonic_now,
    ) -> None:
        """``on_leave`` is called when a client says goodbye, before its end."""
        self._options = options
        self._data_plane = data_plane
        self._clients = clients
        self._hooks = hooks
        self._tasks = tasks
        self._log = log
        self._shows = shows
        self._watchers: list[ClientWatcher] = []
        self._signer = signer
        self._on_leave = on_leave
        self._clock = clock
        self.unproved = PeerLog(
            log, clock, who="those who are not let in yet", burst=BURST, rate=RATE
        )
        """Room for lines about clients that have not proved who they are, all together."""
        self._timers: TimerHeap[Client] = TimerHeap(self._on_timer, clock)
        self._departures: set[asyncio.Task[None]] = set()

    def watch(self, watcher: ClientWatcher) -> None:
        """Adds one who hears what becomes of clients."""
        self._watchers.append(watcher)

    # --- in ------------------------------------------------------------------------------------

    def start(self, client: Client) -> None:
        """Begins with a client that is registered already."""
        self._feed(client, client.machine.start)

    def receive(self, client: Client, packets: Sequence[tuple[bytes, Endpoint | None]]) -> None:
        """Gives the client's machine packets that came one after the other: one at least.

        They are answered together: each answer is a packet that the client answers in turn.
        """

        def take(now: Instant) -> None:
            left = len(packets)
            for packet, source in packets:
                left -= 1
                client.control_read += len(packet)
                client.machine.receive(packet, source, now, more=left > 0)

        self._feed(client, take)

    def tell(self, client: Client, event: DataPlaneEvent) -> None:
        """Tells the client's machine what the data plane reported."""
        self._feed(client, partial(client.machine.handle_data_plane, event))

    def close(self, client: Client, reason: str) -> None:
        """Ends a client at once."""
        self._feed(client, partial(client.machine.close, reason))

    def restart(self, client: Client, message: str) -> None:
        """Sends the client RESTART or HALT, the whole message, and ends it soon after."""
        self._feed(client, partial(client.machine.restart_client, message))

    def refuse(self, client: Client, reason: str) -> None:
        """Sends the client AUTH_FAILED, and ends it soon after."""
        self._feed(client, partial(client.machine.refuse, reason))

    def pend(self, client: Client, timeout: int, extra: str) -> bool:
        """Asks the client for patience with its login; False when none is judged."""
        return self._ask(client, lambda now: client.machine.pend(timeout, extra, now))

    def say(self, client: Client, text: str) -> bool:
        """Sends a control message; False when there is nothing to send it on."""
        return self._ask(client, lambda now: client.machine.say(text, now))

    def update(self, client: Client, items: tuple[str, ...]) -> bool:
        """Sends PUSH_UPDATE; False when the client does not know it."""
        return self._ask(client, lambda now: client.machine.update(items, now))

    def report_traffic(self, client: Client) -> None:
        """Tells the machine how much crossed the tunnel, for ``reneg-bytes`` and ``reneg-pkts``."""
        stats = self._data_counters(client)
        size = stats.tun_read_bytes + stats.tun_write_bytes
        count = stats.tun_read_packets + stats.tun_write_packets
        self._feed(client, partial(client.machine.report_traffic, size, count))

    def counters(self, client: Client) -> PeerStats:
        """The client's counters, also those of one that is gone; the link's are of all packets."""
        data = self._data_counters(client)
        return replace(
            data,
            link_read_bytes=data.link_read_bytes + client.control_read,
            link_write_bytes=data.link_write_bytes + client.control_written,
        )

    def _data_counters(self, client: Client) -> PeerStats:
        if not client.peer_added:
            return client.counters
        return self._data_plane.stats(client.peer_id)

    async def all_departed(self) -> None:
        """Waits until the hooks were told of all that is gone."""
        while self._departures:
            await asyncio.wait(tuple(self._departures))

    def abandon_departures(self) -> None:
        """Stops what runs for those that are gone: somebody insists on the end."""
        for task in self._departures:
            task.cancel()

    def shut(self) -> None:
        """Stops the timers."""
        self._timers.close()

    def _ask(self, client: Client, step: Callable[[Instant], bool]) -> bool:
        answers: list[bool] = []
        self._feed(client, lambda now: answers.append(step(now)))
        return bool(answers and answers[0])

    def _feed(self, client: Client, step: Callable[[Instant], None]) -> None:
        """The top of everything that runs for one client: what it raises ends that client."""
        if client.over:
            return
        try:
            step(self._clock())
            self._drain(client)
        except DataPlaneError as error:
            self._say(client, shell_lines.warning(f"the data plane failed: {error}"))
            self._finish(client, "data-plane")
        except Exception as bug:
            self._crashed(client, bug)

    def _crashed(self, client: Client, bug: Exception) -> None:
        if client.over:
            return
        self._say(client, *shell_lines.crashed(traceback.format_exception(bug))[:-1])
        self._finish(client, BUG)

    def _on_timer(self, client: Client) -> None:
        self._feed(client, client.machine.handle_timeout)

    # --- out -----------------------------------------------------------------------------------

    def _drain(self, client: Client) -> None:
        if client.draining:
            return
        client.draining = True
        try:
            while not client.over and self._drain_once(client):
                pass
        finally:
            client.draining = False
        if not client.over:
            self._timers.set(client, client.machine.poll_timeout())

    def _drain_once(self, client: Client) -> bool:
        """Carries out everything that waits now; False when there was nothing.

        Actions go before packets: a key is installed before the packet that lets the peer use it.
        """
        busy = False
        machine = client.machine
        while not client.over and (action := machine.poll_action()) is not None:
            busy = True
            self._act(client, action)
        while (transmit := machine.poll_transmit()) is not None:
            busy = True
            self._send(client, transmit)
        return self._drain_notices(client) or busy

    def _drain_notices(self, client: Client) -> bool:
        busy = False
        while (notice := client.machine.poll_notice()) is not None:
            busy = True
            self._announce(client, notice)
        return busy

    def _send(self, client: Client, transmit: Transmit) -> None:
        client.control_written += len(transmit.payload)
        self._data_plane.send_control(transmit, client.link, client.local)

    def _announce(self, client: Client, notice: ServerNotice) -> None:
        if not isinstance(notice, server_lines.DETAILS) or self._shows(server_lines.DETAIL_VERB):
            self._say(client, *server_lines.render(notice, common_name=client.common_name))
        match notice:
            case PeerConnected(common_name=name):
                self._clients.name(client, name)
            case ClientConnected(agreed=agreed):
                self._connected(client, agreed)
            case ClientMoved(remote=remote):
                self._move(client, client.link, remote, client.local)
            case ControlMessage(keyword="EXIT"):
                self._on_leave()
            case Ended():
                if notice.signal_text != SERVER_EXIT:  # thousands of lines that say the same
                    self._say(client, server_lines.client_ended(notice))
                self._finish(client, notice.signal_text)
            case _:
                return

    def _say(self, client: Client, *lines: LogLine) -> None:
        shown = [server_lines.about(client.name, line) for line in lines if self._shows(line.verb)]
        if shown:
            room = client.log if client.common_name else self.unproved
            room.log_all(shown)

    def _connected(self, client: Client, agreed: AgreedClient) -> None:
        client.connected_at = self._clock()
        client.began = time.time()
        client.agreed = agreed
        if self._hooks.hears_connections:
            self._spawn(client, partial(self._hooks.connected, agreed), "connected")

    def float_to(
        self, client: Client, link: LinkId, remote: Endpoint, local: IPAddress | None
    ) -> None:
        """The data plane found the client at another address, and sends there now.

        Where somebody else is known the client may not go: it could pretend to be anywhere, and
        throw others out. It is told to begin anew instead.
        """
        other = self._clients.at((link, remote))
        if other is not None and other is not client and not _is_same(client, other):
            self._say(client, server_lines.float_refused(other.name))
            self.restart(client, "RESTART")
            return
        self._move(client, link, remote, local)
        self.tell(client, Floated(remote=remote))

    def _move(
        self, client: Client, link: LinkId, remote: Endpoint, local: IPAddress | None
    ) -> None:
        """Registers the client's new address; whoever was known there is gone from it."""
        before = client.remote
        replaced = self._clients.move(client, link, remote, local)
        if replaced is not None:
            self.close(replaced, "float")
        if client.agreed is None or remote == before:
            return
        place = client_name("", before)
        line = server_lines.moved(client.peer_id, client.common_name, place, remote)
        client.log.log_all((line,))
        agreed = replace(client.agreed, client=replace(client.agreed.client, remote=remote))
        client.agreed = agreed
        self._spawn(client, partial(self._hooks.moved, agreed), "moved")

    def learn(self, client: Client, address: str, *, added: bool, anew: bool) -> None:
        """An address was seen in the client's traffic, or was not for long."""
        if client.agreed is None or _has_much_to_do(client):
            return
        if added:
            self._say(client, server_lines.learnt(address, client.name, anew=anew))
        learnt = partial(self._hooks.learnt, client.agreed, address, added=added)
        self._spawn(client, learnt, "learnt")

    def bad_source(self, client: Client, address: str) -> None:
        """The client sent a packet from an address that is not its own."""
        self._say(client, server_lines.bad_source(address))

    def _finish(self, client: Client, reason: str) -> None:
        """Forgets the client everywhere; the hooks are told last."""
        if client.over:
            return
        client.over = True
        self._timers.set(client, None)
        for task in client.tasks or ():
            task.cancel()
        self._leave_data_plane(client)
        began_at = client.connected_at
        self._clients.remove(client)
        for watcher in self._watchers:
            watcher.client_gone(client)
        if not client.served:
            return
        departure = Departure(
            facts=client.facts,
            agreed=client.agreed,
            counters=self.counters(client),
            began=client.began,
            duration=0.0 if began_at is None else self._clock() - began_at,
            reason=reason,
        )
        task = self._tasks.create_task(self._depart(client, departure), name="disconnected")
        self._departures.add(task)
        task.add_done_callback(self._departures.discard)

    def _leave_data_plane(self, client: Client) -> None:
        try:
            if client.peer_added:
                client.counters = self._data_plane.stats(client.peer_id)
                client.peer_added = False
                self._data_plane.del_peer(client.peer_id)
            if client.transport is Transport.TCP and not client.link_gone:
                self._data_plane.remove_link(client.link)
        except DataPlaneError as error:
            self._say(client, shell_lines.warning(f"the data plane failed: {error}"))

    async def _depart(self, client: Client, departure: Departure) -> None:
        try:
            await self._hooks.disconnected(departure)
        except Exception as bug:
            self._say(client, *shell_lines.crashed(traceback.format_exception(bug))[:-1])

    # --- actions -------------------------------------------------------------------------------

    def _act(self, client: Client, action: ServerAction) -> None:
        hooks = self._hooks
        match action:
            case VerifyClientKey():
                client.served = True
                self._answer_later(client, action.id, partial(hooks.verify_client_key, action))
            case SignData():
                self._sign(client, action)
            case VerifyCertificates():
                client.served = True
                verify = partial(hooks.verify_certificates, client.facts, action.chain)
                self._answer_later(client, action.id, verify)
            case Authenticate():
                client.served = True
                if action.is_first:
                    client.judged = action.client
                pend = partial(self.pend, client)
                self._answer_later(client, action.id, partial(hooks.authenticate, action, pend))
            case ConnectClient():
                client.served = True
                self._drain_notices(client)  # lines before this one do not bear the name yet
                client.judged = None
                self._clients.name(client, action.client.common_name)
                self._take_over_name(client)
                self._answer_later(client, action.id, partial(hooks.connect, action))
            case AnswerChallenge():
                self._answer_later(client, action.id, partial(hooks.answer_challenge, action))
            case AddClient():
                self._complete(client, action.id, self._add(client, action.agreed))
            case InstallKey() | SwapKeys() | DeleteKey() | SendInner() | FitPath():
                self._complete(client, action.id, self._key_work(action))
            case _:
                assert_never(action)

    def _sign(self, client: Client, action: SignData) -> None:
        """Asks the owner of the private key."""
        signer = self._signer
        if signer is None:
            self._complete(client, action.id, Failed(reason="nobody has the private key"))
            return

        async def sign() -> Signature | Failed:
            answer = await signer.sign(action.request)
            assert isinstance(answer, Signature | Failed), "a signer answers with nothing else"
            return answer

        self._answer_later(client, action.id, sign)

    def _take_over_name(self, client: Client) -> None:
        """Without ``duplicate-cn`` the newest client of a name is the only one."""
        if self._options.access.duplicate_cn or not client.common_name:
            return
        earlier = [
            other
            for other in self._clients.named(client.common_name)
            if other is not client and other.served
        ]
        if not earlier:
            return
        client.log.log_all((server_lines.name_taken_over(client.common_name),))
        for other in earlier:
            self.close(other, "duplicate-cn")

    def _add(self, client: Client, agreed: AgreedClient) -> Done | Failed:
        try:
            client.peer_added = True
            lines = add_peer(self._data_plane, client, agreed, self._options)
        except DataPlaneError as error:
            return Failed(reason=str(error))
        client.agreed = agreed
        self._say(client, *lines)
        for watcher in self._watchers:
            watcher.client_added(client)
        return Done()

    def _key_work(
        self, action: InstallKey | SwapKeys | DeleteKey | SendInner | FitPath
    ) -> Done | Failed:
        data_plane = self._data_plane
        try:
            match action:
                case InstallKey():
                    data_plane.new_key(action.peer_id, action.slot, action.key)
                case SwapKeys():
                    data_plane.swap_keys(action.peer_id)
                case DeleteKey():
                    data_plane.del_key(action.peer_id, action.slot)
                case SendInner():
                    data_plane.send_inner(action.peer_id, action.payload)
                case FitPath():
                    fit_path(data_plane, action)
                case _:
                    assert_never(action)
        except DataPlaneError as error:
            return Failed(reason=str(error))
        return Done()

    def _complete(self, client: Client, action_id: ActionId, result: ServerActionResult) -> None:
        self._feed(client, partial(client.machine.complete, action_id, result))

    def _answer_later(self, client: Client, action_id: ActionId, ask: Ask) -> None:
        if _has_much_to_do(client):
            self._complete(client, action_id, Failed(reason="it asks for too much at once"))
            return

        async def answer() -> None:
            self._complete(client, action_id, await ask())

        self._spawn(client, answer, "answer")

    def _spawn(self, client: Client, work: Work, name: str) -> None:
        """Runs work that the client's end cancels, even before it began."""
        task = self._tasks.create_task(self._guarded(client, work), name=name)
        if client.tasks is None:
            client.tasks = set()
        client.tasks.add(task)
        task.add_done_callback(client.task_ended)

    async def _guarded(self, client: Client, work: Work) -> None:
        try:
            await work()
        except Exception as bug:
            self._crashed(client, bug)


def _has_much_to_do(client: Client) -> bool:
    return client.tasks is not None and len(client.tasks) >= MAX_TASKS


def _is_same(one: Client, other: Client) -> bool:
    """Whether two clients are certainly the same user, who may be in two places for a while."""
    facts, others = one.facts, other.facts
    proved = bool(one.common_name) and one.common_name == other.common_name
    return proved and facts.chain[-1:] == others.chain[-1:]
