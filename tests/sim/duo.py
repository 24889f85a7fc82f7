"""Real machines at both ends: ``ClientMachine`` against ``Listener`` and ``ServerMachine``.

Two wires join them under a virtual clock. The duo plays both shells: it answers actions at once, or
leaves them to the test, and keeps what either data plane would hold.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_address
from random import Random

from ginnel.core import actions, server_actions
from ginnel.core.auth_token import TokenIssuer
from ginnel.core.client import ClientMachine
from ginnel.core.data_key import DataFormat, KeySlot
from ginnel.core.events import DataPlaneEvent
from ginnel.core.listener import Dropped, Listener, Reply, Welcome
from ginnel.core.notices import Connected, Ended, Notice, Outcome
from ginnel.core.peer_info import LocalFacts
from ginnel.core.server import ServerMachine
from ginnel.core.server_notices import ServerNotice
from ginnel.core.server_push import pushes_for
from ginnel.core.tls import TlsChannel
from ginnel.core.types import Endpoint, Instant, PeerId, Side, Transport
from ginnel.options.model import (
    AddressFamily,
    ClientOptions,
    ConnectionProfile,
    LinkProtocol,
    Topology,
    TunOptions,
)
from ginnel.options.server_model import ClientConfig, ServerOptions
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import (
    CAPABILITIES,
    MAX_STEPS,
    SERVER,
    UNIX_TIME,
    HeldKeys,
    client_options,
    profile,
)
from tests.sim.pki import ORIGIN
from tests.sim.wire import Faults, Wire

CLIENT = Endpoint(ip_address("192.0.2.10"), 40000)
ALL_FORMATS = frozenset({DataFormat.V1, DataFormat.V2, DataFormat.EPOCH})
Answer = Callable[[server_actions.ServerAction], server_actions.ServerActionResult | None]

SERVER_PROFILE = ConnectionProfile(
    host="", port="1194", protocol=LinkProtocol.UDP, family=AddressFamily.ANY, origin=ORIGIN
)


def server_options(**changes: object) -> ServerOptions:
    """A server in a subnet that pushes a gateway and timers."""
    base = ServerOptions(
        listeners=(),
        profile=SERVER_PROFILE,
        tun=TunOptions(
            topology=Topology.SUBNET,
            ifconfig=(IPv4Address("10.8.0.1"), IPv4Address("255.255.255.0")),
        ),
        push=("route-gateway 10.8.0.1", "topology subnet", "ping 10", "ping-restart 60"),
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # names are the test's


def terms(options: ServerOptions, config: ClientConfig | None = None) -> server_actions.ClientTerms:
    """What a shell would answer ConnectClient with."""
    own = ClientConfig() if config is None else config
    return server_actions.ClientTerms(
        config=own,
        ifconfig=(IPv4Address("10.8.0.2"), IPv4Address("255.255.255.0")),
        push=pushes_for(options.push, own),
    )


@dataclass(slots=True)
class ServerSide:
    """What the server's shell has of its one client."""

    machine: ServerMachine | None = None
    keys: HeldKeys = field(default_factory=HeldKeys)
    notices: list[ServerNotice] = field(default_factory=list)
    actions: list[server_actions.ServerAction] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    welcomes: int = 0
    before: list[ServerMachine] = field(default_factory=list)
    """Machines that are over."""


class Duo:
    """Runs both ends. ``advance`` moves time; ``until`` waits for a condition with a deadline."""

    def __init__(
        self,
        *,
        server: ServerOptions | None = None,
        connection: ConnectionProfile | None = None,
        client: ClientOptions | None = None,
        transport: Transport = Transport.UDP,
        faults: Faults | None = None,
        seed: int = 1,
        client_tls: Callable[[], TlsChannel] | None = None,
        server_tls: Callable[[], TlsChannel] | None = None,
        credentials: actions.Credentials | None = None,
        tokens: TokenIssuer | None = None,
        formats: frozenset[DataFormat] = ALL_FORMATS,
        answer: Answer | None = None,
        config: ClientConfig | None = None,
    ) -> None:
        self.options = server_options() if server is None else server
        chosen = profile() if connection is None else connection
        if transport is Transport.TCP:
            chosen = replace(chosen, protocol=LinkProtocol.TCP_CLIENT)
        self._profile = chosen
        self._client_options = client_options(chosen) if client is None else client
        self._transport = transport
        self._draw = Random(seed)
        self._fakes = 0
        self._formats = formats
        self._client_tls = client_tls or (lambda: self._fake(Side.CLIENT))
        self._server_tls = server_tls or (lambda: self._fake(Side.SERVER))
        self._credentials = credentials
        self._tokens = tokens
        self._answer = answer
        self._config = config
        self.now = Instant(1000.0)
        self.listener = Listener(
            options=self.options,
            secret=self._draw.randbytes(32),
            unix_time=UNIX_TIME,
            now=self.now,
        )
        self.server = ServerSide()
        self.keys = HeldKeys()
        """The client's."""
        self.notices: list[Notice] = []
        """The client's."""
        self.up = Wire(seed * 2 + 1, Faults() if faults is None else faults)
        self.down = Wire(seed * 2 + 2, Faults() if faults is None else faults)
        self.client_address = CLIENT
        self.wall_clock_error = 0
        """Seconds by which the server's idea of the date differs from the client's."""
        self._clients = 0
        self.client = self._make_client(None)
        if transport is Transport.TCP:
            self._welcome(None)

    # --- what tests do -------------------------------------------------------------------------

    @property
    def machine(self) -> ServerMachine:
        assert self.server.machine is not None, f"nobody is there: {self.server.dropped}"
        return self.server.machine

    @property
    def is_connected(self) -> bool:
        return any(isinstance(notice, Connected) for notice in self.notices)

    @property
    def ended(self) -> Ended | None:
        """The client's last notice, once it came."""
        last = self.notices[-1] if self.notices else None
        return last if isinstance(last, Ended) else None

    @property
    def server_ended(self) -> Ended | None:
        """The last notice of the server's machine, once it came."""
        last = self.server.notices[-1] if self.server.notices else None
        return last if isinstance(last, Ended) else None

    def told(self, kind: type[ServerNotice]) -> list[ServerNotice]:
        """The server's notices of one kind."""
        return [notice for notice in self.server.notices if isinstance(notice, kind)]

    def asked(self, kind: type[server_actions.ServerAction]) -> list[server_actions.ServerAction]:
        """What the server's machine asked for, of one kind."""
        return [action for action in self.server.actions if isinstance(action, kind)]

    def start(self) -> None:
        self.client.start(self.now)
        self._drain()

    def connect(self, within: float = 60.0) -> None:
        """Starts and waits for the tunnel at both ends."""
        self.start()
        self.until(lambda: self.is_connected and self.server.keys.sending is not None, within)

    def restart_client(self, *, token: actions.Credentials | None = None) -> None:
        """The client begins again from the same address, without a word about it."""
        self.notices.clear()
        self.keys = HeldKeys()
        self.client = self._make_client(token)
        self.start()

    def until(self, condition: Callable[[], bool], within: float) -> None:
        """Moves time until the condition holds; fails when it does not in time."""
        deadline = Instant(self.now + within)
        while not condition():
            story = f"{self.notices[-3:]} {self.server.notices[-3:]} {self.server.dropped[-3:]}"
            assert self.now < deadline, f"not within {within} s: {story}"
            self._step(deadline)

    def advance(self, seconds: float) -> None:
        """Moves time and lets everything that is due happen."""
        deadline = Instant(self.now + seconds)
        for _ in range(MAX_STEPS):
            if self.now >= deadline:
                return
            self._step(deadline)
        raise AssertionError("time stands still")

    def report(self, event: DataPlaneEvent) -> None:
        """The server's data plane reports something."""
        self.machine.handle_data_plane(event, self.now)
        self._drain()

    def act(self, deed: Callable[[ServerMachine, Instant], object]) -> object:
        """The server's shell does something with its machine."""
        result = deed(self.machine, self.now)
        self._drain()
        return result

    def complete(
        self, action: server_actions.ServerAction, result: server_actions.ServerActionResult
    ) -> None:
        """Answers an action of the server that ``answer`` left open."""
        self.machine.complete(action.id, result, self.now)
        self._drain()

    def leave(self) -> None:
        """The client ends by itself."""
        self.client.close("SIGTERM", self.now)
        self._drain()

    def restart_of_client(self) -> None:
        """The client ends without a word."""
        self.client.close("SIGUSR1", self.now, outcome=Outcome.RESTART)
        self._drain()

    def inject(self, packet: bytes, source: Endpoint = CLIENT) -> None:
        """A packet arrives at the server, from wherever."""
        self._arrive(packet, source)
        self._drain()

    @property
    def keys_match(self) -> bool:
        """Whether what either end seals opens at the other."""
        ours, theirs = self.keys.sending, self.server.keys.sending
        return (
            ours is not None
            and theirs is not None
            and any(key.receive == ours.send for key in self.server.keys.slots.values())
            and any(key.receive == theirs.send for key in self.keys.slots.values())
        )

    # --- both shells ---------------------------------------------------------------------------

    def _make_client(self, token: actions.Credentials | None) -> ClientMachine:
        return ClientMachine(
            options=self._client_options,
            profile=self._profile,
            remote=SERVER,
            tls=self._client_tls,
            entropy=self._draw.randbytes,
            unix_time=UNIX_TIME,
            capabilities=replace(CAPABILITIES, formats=self._formats),
            facts=LocalFacts(version="2.6.14"),
            credentials=self._credentials,
            token=token,
        )

    def _fake(self, side: Side) -> FakeTls:
        self._fakes += 1
        return FakeTls(side, self._fakes)

    def _welcome(self, welcome: Welcome | None) -> None:
        self.server.welcomes += 1
        self._clients += 1
        self.server.machine = ServerMachine(
            options=self.options,
            keys=self.listener.keys,
            client_id=server_actions.ClientId(self._clients - 1),
            peer_id=PeerId(0),
            remote=self.client_address,
            local=None,
            transport=self._transport,
            admission=None if welcome is None else welcome.admission,
            tls=self._server_tls,
            entropy=self._draw.randbytes,
            unix_time=UNIX_TIME + int(self.now - 1000.0) + self.wall_clock_error,
            capabilities=replace(CAPABILITIES, formats=ALL_FORMATS),
            tokens=self._tokens,
        )
        self.server.machine.start(self.now)

    def _arrive(self, packet: bytes, source: Endpoint, *, more: bool = False) -> None:
        if self.server.machine is not None:
            known = None if self._transport is Transport.TCP else source
            self.server.machine.receive(packet, known, self.now, more=more)
            return
        match self.listener.meet(packet, source, self.now):
            case Dropped(reason=reason):
                self.server.dropped.append(reason)
            case Reply(payload=payload):
                self.down.send(payload, self.now)
            case Welcome() as welcome:
                self._welcome(welcome)

    def _step(self, deadline: Instant) -> None:
        machine = self.server.machine
        times = (
            self.client.poll_timeout(),
            None if machine is None else machine.poll_timeout(),
            self.up.next_arrival(),
            self.down.next_arrival(),
        )
        soonest = min((time for time in times if time is not None), default=deadline)
        self.now = max(self.now, min(soonest, deadline))
        arrived = list(self.up.arrived(self.now))
        for left, packet in zip(reversed(range(len(arrived))), arrived, strict=True):
            self._arrive(packet, self.client_address, more=left > 0)
        for packet in self.down.arrived(self.now):
            self.client.receive(packet, SERVER, self.now)
        self.client.handle_timeout(self.now)
        if self.server.machine is not None:
            self.server.machine.handle_timeout(self.now)
        self._drain()

    def _drain(self) -> None:
        while self._drain_client() or self._drain_server():
            pass

    def _drain_client(self) -> bool:
        busy = False
        while (action := self.client.poll_action()) is not None:
            self.keys.apply(action, self.now)
            self.client.complete(action.id, actions.Done(), self.now)
            busy = True
        while (transmit := self.client.poll_transmit()) is not None:
            self.up.send(transmit.payload, self.now)
            busy = True
        while (notice := self.client.poll_notice()) is not None:
            assert self.ended is None, f"{notice} after the end"
            self.notices.append(notice)
            busy = True
        return busy

    def _drain_server(self) -> bool:
        machine = self.server.machine
        if machine is None:
            return False
        busy = False
        while (action := machine.poll_action()) is not None:
            self._do(machine, action)
            busy = True
        while (transmit := machine.poll_transmit()) is not None:
            expected = self.client_address if self._transport is Transport.UDP else None
            assert transmit.destination == expected
            self.down.send(transmit.payload, self.now)
            busy = True
        while (notice := machine.poll_notice()) is not None:
            self.server.notices.append(notice)
            busy = True
        if machine.is_over:
            self.server.before.append(machine)
            self.server.machine = None
            self.server.keys = HeldKeys()
        return busy

    def _do(self, machine: ServerMachine, action: server_actions.ServerAction) -> None:
        self.server.actions.append(action)
        if isinstance(action, actions.InstallKey | actions.SwapKeys | actions.DeleteKey):
            self.server.keys.apply(action, self.now)
        if isinstance(action, actions.InstallKey) and action.slot is KeySlot.PRIMARY:
            assert any(isinstance(one, server_actions.AddClient) for one in self.server.actions)
        if self._answer is not None:
            chosen = self._answer(action)
            if chosen is not None:
                machine.complete(action.id, chosen, self.now)
                return
            if isinstance(action, server_actions.Authenticate | server_actions.ConnectClient):
                return
        machine.complete(action.id, self._usual(action), self.now)

    def _usual(self, action: server_actions.ServerAction) -> server_actions.ServerActionResult:
        match action:
            case server_actions.Authenticate():
                return server_actions.Admitted()
            case server_actions.ConnectClient():
                return terms(self.options, self._config)
            case _:
                return actions.Done()
