"""One run of the server: everything between its data plane's opening and its end.

Puts the parts together (registry, drive, reception, sockets) and takes them apart again. When a run
begins and ends is ``shell.server_lifecycle``'s business.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine

from ginnel.compat import server_lines, shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.actions import CertificateInfo
from ginnel.core.auth_token import TokenIssuer
from ginnel.core.errors import DataPlaneError, GinnelError, HostError
from ginnel.core.listener import Admission, Listener
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.server import ServerMachine
from ginnel.core.server_actions import ClientFacts, ClientId
from ginnel.core.tls import TlsChannel
from ginnel.core.types import Endpoint, PeerId, Transport
from ginnel.core.wrap.api import SivMaker
from ginnel.dataclass import dataclass
from ginnel.dataplane import api
from ginnel.dataplane.api import DataPlane, ServingRules
from ginnel.options.server_model import ServerOptions
from ginnel.shell.accept import Acceptor
from ginnel.shell.addresses import own_address
from ginnel.shell.clients import Client, Clients, client_name
from ginnel.shell.clock import monotonic_now, unix_now
from ginnel.shell.listeners import Listeners, OpenListener
from ginnel.shell.peer_log import Log
from ginnel.shell.port_share import PortSharing
from ginnel.shell.reception import Reception
from ginnel.shell.repeats import Repeats
from ginnel.shell.revocation import RevocationWatch
from ginnel.shell.script_gate import Say
from ginnel.shell.server_control import Control
from ginnel.shell.server_drive import SERVER_EXIT, ServerDrive
from ginnel.shell.server_frontend import ServerFrontend
from ginnel.shell.server_hooks import ServerHooks
from ginnel.shell.signer import Signer
from ginnel.shell.socket_options import set_datagram_buffers
from ginnel.shell.tcp import UNSENT_LIMIT

COOKIE_KEY = 32
"""Bytes of the secret that first answers are made with."""

TRAFFIC_INTERVAL = 2.0
"""Seconds between two reports of the traffic counters to the machines."""

AT_ONCE = 64
"""Clients that are told something before the loop may do something else."""

FAREWELL = 2.0
"""Seconds for clients to hear that the server restarts, as OpenVPN waits."""

REVOKED = "certificate-revoked"

SOCKET_LOST = "socket-lost"
"""Why a run ends whose sockets have to be opened anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingMeans:
    """What a run is made of besides its data plane."""

    options: ServerOptions
    make_hooks: Callable[[Say], ServerHooks]
    """Makes what answers for the clients of one run; it logs about them with what it is given."""
    frontend: ServerFrontend
    tls: Callable[[], TlsChannel]
    """Makes the channel of one negotiation."""
    renew_tls: Callable[[], bool]
    """Takes a new revocation list for further negotiations; False when it is bad."""
    watch_tls: Callable[[], Coroutine[None, None, None]]
    """Takes new certificates and keys for further negotiations, until it is cancelled."""
    signer: Signer | None
    tokens: TokenIssuer | None
    capabilities: DataCapabilities
    siv: SivMaker
    """Makes the keys of control packets."""
    log: Log
    listeners: Listeners
    shows: Callable[[int], bool] = lambda _verb: True
    """Whether lines of a verbosity are written: most about a client are not."""


class Serving:
    """See the module."""

    def __init__(self, means: ServingMeans, plane: DataPlane, tasks: asyncio.TaskGroup) -> None:
        """Raises ConfigError for a key of the control channel that does not parse."""
        options = means.options
        self._means = means
        self._options = options
        self._plane = plane
        self._tasks = tasks
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.clients = Clients()
        self._listener = Listener(
            options=options,
            secret=os.urandom(COOKIE_KEY),
            unix_time=unix_now(),
            now=monotonic_now(),
            siv=means.siv,
        )
        self.drive = ServerDrive(
            options=options,
            data_plane=plane,
            clients=self.clients,
            hooks=means.make_hooks(self._say),
            tasks=tasks,
            log=means.log,
            shows=means.shows,
            signer=means.signer,
            on_leave=means.frontend.client_leaves,
        )
        self.control = Control(options, self.clients, self.drive, plane)
        self.drive.watch(self.control)
        self._limited = _Limited(options, self.drive)
        self.drive.watch(self._limited)
        self._reception = Reception(
            options=options,
            data_plane=plane,
            clients=self.clients,
            drive=self.drive,
            listener=self._listener,
            make_machine=self._machine,
            log=means.log,
            owner=self,
        )
        self._acceptor = Acceptor(
            guest=self,
            patience=options.tls.hand_window,
            nodelay=options.tcp_nodelay,
            log=means.log,
        )
        self._sharing = (
            PortSharing(options.port_share, tasks=tasks, log=self._say_of_strangers)
            if options.port_share is not None
            else None
        )
        self._repeats = Repeats(means.log, monotonic_now)
        self._beside: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begins to serve. Raises HostError or DataPlaneError."""
        options = self._options
        self._plane.serve(serving_rules(options))
        self._plane.limit_resets(*options.limits.connect_freq_initial)
        for listener in self._means.listeners.all:
            if listener.transport is Transport.UDP:
                self._read_datagrams(listener)
            else:
                self._acceptor.open(listener)
        self._reception.open()
        self.beside(self._limited.report(), "traffic")
        self.beside(self._means.watch_tls(), "certificates")
        revocation = RevocationWatch(options.tls, renew=self._means.renew_tls)
        if revocation.is_needed:
            self.beside(revocation.run(lambda: self.clients, self._revoked), "revocation")

    def beside(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Runs work that the end of this run ends."""
        task = self._tasks.create_task(work, name=name)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task

    async def lost(self) -> str:
        """Waits until this run cannot go on, and says why another one may.

        Raises GinnelError when none may.
        """
        return await self._lost

    async def say_farewell(self, message: str) -> None:
        """Tells the clients that the server goes; waits until they are gone, two seconds at most.

        Streams are not told: their clients see the end of the connection.
        """
        self._reception.is_closing = True
        for number, client in enumerate(self.clients):
            if client.transport is Transport.UDP and client.connected_at is not None:
                self.drive.restart(client, message)
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        until = loop.time() + FAREWELL
        while any(c.connected_at is not None for c in self.clients if c.transport is Transport.UDP):
            left = until - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.05))

    async def close(self) -> None:
        """Ends all clients, and waits for the hooks that are told of it."""
        self._reception.is_closing = True
        self._acceptor.close()
        if self._sharing is not None:
            self._sharing.close()
        for task in self._beside:
            task.cancel()
        self._lost.cancel()
        for client in self.clients:
            self.drive.close(client, SERVER_EXIT)
        self._reception.close()
        self.drive.shut()
        await self.drive.all_departed()

    # --- streams -------------------------------------------------------------------------------

    def is_busy(self) -> bool:
        return self._reception.is_busy()

    def welcome(self, sock: socket.socket, remote: Endpoint, unread: bytes) -> None:
        """A TCP connection brought its first packet."""
        with sock:
            if not self._reception.admit_stream(remote):
                return
            self._say_of_strangers(server_lines.tcp_accepted(remote))
            local = own_address(sock)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)
                link = api.Link(fd=sock.fileno(), transport=Transport.TCP)
                link_id = self._plane.add_link(link, unread)
            except (OSError, DataPlaneError) as error:
                self._repeats.say("add-link", shell_lines.warning(f"{remote}: {error}"))
                return
        try:
            self._reception.let_in_stream(link_id, remote, local)
        except BaseException:
            self._plane.remove_link(link_id)
            raise

    def divert(self, sock: socket.socket, remote: Endpoint, unread: bytes) -> None:
        """A TCP connection does not speak OpenVPN."""
        if self._sharing is None:
            self._reception.refuse_stranger(remote)
            sock.close()
        else:
            self._sharing.take(sock, remote, unread)

    # --- parts ---------------------------------------------------------------------------------

    def _read_datagrams(self, listener: OpenListener) -> None:
        try:
            set_datagram_buffers(listener.socket, self._options.link)
        except OSError as error:
            raise HostError("link socket", error.errno or 0, str(error)) from error
        link = self._plane.add_link(
            api.Link(
                fd=listener.socket.fileno(),
                transport=Transport.UDP,
                multihome=self._options.multihome,
            )
        )
        self._reception.shared_links.add(link)

    def _machine(
        self,
        *,
        client_id: ClientId,
        peer_id: PeerId,
        remote: Endpoint,
        local: Endpoint | None,
        transport: Transport,
        admission: Admission | None,
    ) -> ServerMachine:
        return ServerMachine(
            options=self._options,
            keys=self._listener.keys,
            client_id=client_id,
            peer_id=peer_id,
            remote=remote,
            local=local,
            transport=transport,
            admission=admission,
            tls=self._means.tls,
            entropy=os.urandom,
            unix_time=unix_now(),
            capabilities=self._means.capabilities,
            tokens=self._means.tokens,
        )

    def _say(self, facts: ClientFacts, line: LogLine) -> None:
        """Logs a line about a client, with its name in front, as long as it has room for lines."""
        client = self.clients.by_id(facts.client_id)
        known = facts.common_name if client is None else client.common_name
        name = client_name(facts.common_name, facts.remote) if client is None else client.name
        if not known:
            self._say_of_strangers(server_lines.about(name, line))
        elif client is None:
            self._means.log(server_lines.about(name, line))
        else:
            client.log.log_all((server_lines.about(name, line),))

    def _say_of_strangers(self, line: LogLine) -> None:
        """Logs a line that anybody can cause, and as often as they connect."""
        self.drive.unproved.log_all((line,))

    def _revoked(self, client: Client, certificate: CertificateInfo) -> None:
        line = server_lines.revoked(certificate.depth, certificate.subject)
        self._say(client.facts, line)
        self.drive.close(client, REVOKED)

    # --- what ends it --------------------------------------------------------------------------

    def tun_lost(self, errno: int) -> None:
        self._fail(HostError("tun device", errno, "it is gone, so this program ends too"))

    def plane_failed(self, error: DataPlaneError) -> None:
        self._fail(error)

    def _fail(self, error: GinnelError) -> None:
        if not self._lost.done():
            self._lost.set_exception(error)

    def socket_lost(self, errno: int) -> None:
        cause = os.strerror(errno) if errno else "it was closed"
        self._means.log(shell_lines.warning(f"a socket of the server failed: {cause}"))
        if not self._lost.done():
            self._lost.set_result(SOCKET_LOST)


class _Limited:
    """Those whose keys last for so many bytes or packets, which they must be told of."""

    def __init__(self, options: ServerOptions, drive: ServerDrive) -> None:
        self._for_all = bool(options.tls.reneg_bytes or options.tls.reneg_pkts)
        self._by_cipher = options.tls.reneg_bytes is None
        self._drive = drive
        self._clients: set[Client] = set()

    def client_added(self, client: Client) -> None:
        assert client.agreed is not None, "an added client has agreed"
        short = client.agreed.agreement.cipher.kind.limits_bytes
        if self._for_all or (self._by_cipher and short):
            self._clients.add(client)

    def client_gone(self, client: Client) -> None:
        self._clients.discard(client)

    async def report(self) -> None:
        """Tells their machines how much crossed the tunnel, until it is cancelled."""
        while True:
            await asyncio.sleep(TRAFFIC_INTERVAL)
            for number, client in enumerate(tuple(self._clients)):
                self._drive.report_traffic(client)
                if number % AT_ONCE == AT_ONCE - 1:
                    await asyncio.sleep(0)


def serving_rules(options: ServerOptions) -> ServingRules:
    """What the data plane has to know about all clients."""
    stale = options.limits.stale_routes or (0, 0)
    return ServingRules(
        client_to_client=options.client_to_client,
        tcp_queue_limit=options.limits.tcp_queue_limit,
        vlan=options.vlan,
        stale_age=stale[0],
        stale_interval=stale[1],
    )
