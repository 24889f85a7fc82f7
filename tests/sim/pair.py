"""A client machine and a ``SimServer`` joined by two wires, under a virtual clock.

The pair also plays the shell: it answers actions at once, and keeps what a data plane would hold,
so that tests can ask which keys could seal and open at any moment.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from random import Random

from ginnel.core import actions
from ginnel.core.client import ClientMachine
from ginnel.core.data_key import DataCipher, DataFormat, DataKey, KeySlot
from ginnel.core.events import DataPlaneEvent
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.notices import Connected, Ended, Notice
from ginnel.core.peer_info import LocalFacts
from ginnel.core.tls import TlsChannel
from ginnel.core.types import Endpoint, Instant, KeyId, SessionId, Side
from ginnel.core.wire import ControlBody, ControlHeader, Opcode, encode_body
from ginnel.core.wrap import Wrapping, wrapping_for
from ginnel.core.wrap.plain import PlainControl
from ginnel.options.model import (
    AddressFamily,
    ClientOptions,
    ConnectionProfile,
    ControlWrapping,
    LinkProtocol,
    PlainWrapping,
)
from ginnel.options.values import Secret
from tests.sim.fake_tls import FakeTls
from tests.sim.pki import ORIGIN, inline
from tests.sim.server import ServerScript, SimServer
from tests.sim.wire import Faults, Wire

SERVER = Endpoint(ip_address("192.0.2.1"), 1194)
UNIX_TIME = 1_800_000_000
MAX_STEPS = 2_000_000

CAPABILITIES = DataCapabilities(
    ciphers=frozenset(DataCipher), formats=frozenset({DataFormat.V1, DataFormat.V2})
)


def static_key_text() -> bytes:
    """A static key file for tls-auth and tls-crypt."""
    lines = [bytes(range(16 * row, 16 * row + 16)).hex() for row in range(16)]
    body = "\n".join(lines)
    return (
        f"-----BEGIN OpenVPN Static key V1-----\n{body}\n-----END OpenVPN Static key V1-----\n"
    ).encode()


STATIC_KEY = inline("tls-crypt", static_key_text())


def profile(wrapping: ControlWrapping | None = None) -> ConnectionProfile:
    """A UDP remote with the wrapping."""
    return ConnectionProfile(
        host="server.example",
        port="1194",
        protocol=LinkProtocol.UDP,
        family=AddressFamily.ANY,
        origin=ORIGIN,
        wrapping=PlainWrapping() if wrapping is None else wrapping,
    )


def client_options(connection: ConnectionProfile) -> ClientOptions:
    """A pulling client with one remote."""
    return ClientOptions(profiles=(connection,))


@dataclass(slots=True)
class HeldKeys:
    """What the data plane holds: by slot, with the wall of every change."""

    slots: dict[KeySlot, DataKey] = field(default_factory=dict)
    history: list[tuple[Instant, str]] = field(default_factory=list)

    @property
    def sending(self) -> DataKey | None:
        return self.slots.get(KeySlot.PRIMARY)

    def opens(self) -> set[int]:
        return {key.key_id for key in self.slots.values()}

    def apply(self, action: actions.Action, now: Instant) -> None:
        match action:
            case actions.InstallKey(slot=slot, key=key):
                self.slots[slot] = key
                self.history.append((now, f"install {key.key_id} {slot.name}"))
            case actions.SwapKeys():
                first = self.slots.pop(KeySlot.PRIMARY)
                self.slots[KeySlot.PRIMARY] = self.slots.pop(KeySlot.SECONDARY)
                self.slots[KeySlot.SECONDARY] = first
                self.history.append((now, "swap"))
            case actions.DeleteKey(slot=slot):
                del self.slots[slot]
                self.history.append((now, f"delete {slot.name}"))
            case _:
                pass


class SimPair:
    """Runs both ends. ``advance`` moves time; ``until`` waits for a condition with a deadline."""

    def __init__(
        self,
        *,
        connection: ConnectionProfile | None = None,
        options: ClientOptions | None = None,
        script: ServerScript | None = None,
        faults: Faults | None = None,
        seed: int = 1,
        client_tls: Callable[[], TlsChannel] | None = None,
        server_tls: Callable[[], TlsChannel] | None = None,
        server_wrapping: Callable[[], Wrapping] | None = None,
        credentials: actions.Credentials | None = None,
        token: actions.Credentials | None = None,
        formats: frozenset[DataFormat] = CAPABILITIES.formats,
        answer: Callable[[actions.Action], actions.ActionResult | None] | None = None,
    ) -> None:
        chosen = profile() if connection is None else connection
        draw = Random(seed)
        self._connection = chosen
        self.now = Instant(1000.0)
        self.keys = HeldKeys()
        self.notices: list[Notice] = []
        self.actions: list[actions.Action] = []
        self.up = Wire(seed * 2 + 1, Faults() if faults is None else faults)
        self.down = Wire(seed * 2 + 2, Faults() if faults is None else faults)
        self._answer = answer
        self._fakes = 0
        self.server = SimServer(
            wrapping=server_wrapping or (lambda: _server_wrapping(chosen.wrapping)),
            tls=server_tls or (lambda: self._fake(Side.SERVER)),
            entropy=draw.randbytes,
            script=script,
        )
        self.client = ClientMachine(
            options=client_options(chosen) if options is None else options,
            profile=chosen,
            remote=SERVER,
            tls=client_tls or (lambda: self._fake(Side.CLIENT)),
            entropy=draw.randbytes,
            unix_time=UNIX_TIME,
            capabilities=replace(CAPABILITIES, formats=formats),
            facts=LocalFacts(version="2.6.14"),
            credentials=credentials,
            token=token,
        )

    @property
    def ended(self) -> Ended | None:
        """The last notice, once it came."""
        last = self.notices[-1] if self.notices else None
        return last if isinstance(last, Ended) else None

    @property
    def is_connected(self) -> bool:
        return any(isinstance(notice, Connected) for notice in self.notices)

    def server_says(self, text: str) -> None:
        """The server sends a text message."""
        self.server.say(text, self.now)
        self._drain()

    @property
    def server_key_id(self) -> KeyId:
        """The key-id of the server's newest data key."""
        return list(self.server.data_keys)[-1]

    def told(self, kind: type[Notice]) -> list[Notice]:
        """The notices of one kind."""
        return [notice for notice in self.notices if isinstance(notice, kind)]

    def start(self) -> None:
        self.client.start(self.now)
        self._drain()

    def connect(self, within: float = 60.0) -> None:
        """Starts and waits for the tunnel."""
        self.start()
        self.until(lambda: self.is_connected, within)

    def until(self, condition: Callable[[], bool], within: float) -> None:
        """Moves time until the condition holds; fails when it does not in time."""
        deadline = Instant(self.now + within)
        while not condition():
            assert self.now < deadline, f"not within {within} s: {self.notices[-5:]}"
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
        """The data plane reports something."""
        self.client.handle_data_plane(event, self.now)
        self._drain()

    def inject(self, packet: bytes, source: Endpoint = SERVER) -> None:
        """A packet arrives at the client, from wherever."""
        self.client.receive(packet, source, self.now)
        self._drain()

    def close(self, reason: str = "SIGTERM") -> None:
        self.client.close(reason, self.now)
        self._drain()

    def complete(self, action: actions.Action, result: actions.ActionResult) -> None:
        """Answers an action that ``answer`` left open."""
        self.client.complete(action.id, result, self.now)
        self._drain()

    def server_acts(self, act: Callable[[Instant], None]) -> None:
        """The server does something of its own."""
        act(self.now)
        self._drain()

    def server_hard_reset(self) -> bytes:
        """A hard reset under the server's key, as a server that was restarted might send."""
        header = ControlHeader(
            Opcode.CONTROL_HARD_RESET_SERVER_V2, KeyId(0), SessionId(b"restart!")
        )
        wrapping = wrapping_for(self._connection.wrapping, Side.SERVER, UNIX_TIME + 1)
        return wrapping.seal(header, encode_body(ControlBody(message_id=0)))

    def _fake(self, side: Side) -> FakeTls:
        self._fakes += 1
        return FakeTls(side, self._fakes)

    def _step(self, deadline: Instant) -> None:
        times = (
            self.client.poll_timeout(),
            self.server.next_timeout(),
            self.up.next_arrival(),
            self.down.next_arrival(),
        )
        soonest = min((time for time in times if time is not None), default=deadline)
        self.now = max(self.now, min(soonest, deadline))
        for packet in self.up.arrived(self.now):
            self.server.receive(packet, self.now)
        for packet in self.down.arrived(self.now):
            self.client.receive(packet, SERVER, self.now)
        self.client.handle_timeout(self.now)
        self._drain()

    def _drain(self) -> None:
        busy = True
        while busy:
            busy = False
            while (transmit := self.client.poll_transmit()) is not None:
                self.up.send(transmit.payload, self.now)
                busy = True
            while (notice := self.client.poll_notice()) is not None:
                assert self.ended is None, f"{notice} after the end"
                self.notices.append(notice)
                busy = True
            while (action := self.client.poll_action()) is not None:
                self._act(action)
                busy = True
        for packet in self.server.outgoing(self.now):
            self.down.send(packet, self.now)

    def _act(self, action: actions.Action) -> None:
        self.actions.append(action)
        self.keys.apply(action, self.now)
        result: actions.ActionResult | None = actions.Done()
        if self._answer is not None:
            result = self._answer(action)
        if result is not None:
            self.client.complete(action.id, result, self.now)


def _server_wrapping(options: ControlWrapping) -> Wrapping:
    if isinstance(options, PlainWrapping):
        return PlainControl()
    return wrapping_for(options, Side.SERVER, UNIX_TIME)


def with_tls(options: ClientOptions, **changes: object) -> ClientOptions:
    """The options with TLS settings changed."""
    return replace(options, tls=replace(options.tls, **changes))  # type: ignore[arg-type]  # names are the test's


def credentials(username: str = "user", password: bytes = b"secret") -> actions.Credentials:
    return actions.Credentials(username=username, password=Secret(password))


def packets_of(wire: Wire, opcodes: Sequence[int]) -> list[bytes]:
    """The packets on a wire with one of these opcodes."""
    return [packet for packet in wire.sent if packet[0] >> 3 in opcodes]
