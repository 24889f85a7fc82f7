"""A small client for simulations, right on the wire: of any generation, polite or not.

It stands on the same codecs as the server but on none of its machines. It talks to a
``ServerMachine`` without losses, and says whatever a test wants.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from ginnel.core import actions, server_actions
from ginnel.core.data_key import DataKey
from ginnel.core.errors import Malformed
from ginnel.core.key_derivation import (
    DATA_KEYS_LABEL,
    KeyShape,
    SessionPair,
    data_key,
    legacy_key2,
)
from ginnel.core.key_method import (
    KeyMethodMessage,
    KeySource,
    decode_key_method,
    encode_key_method,
    key_source_length,
)
from ginnel.core.key_session import Established, KeySession
from ginnel.core.listener import Listener, Reply, Welcome
from ginnel.core.messages import MessageSplitter, encode_message
from ginnel.core.notices import Ended
from ginnel.core.server import ServerMachine
from ginnel.core.server_notices import ServerNotice
from ginnel.core.types import Endpoint, Instant, KeyId, PeerId, SessionId, Side, Transport
from ginnel.core.wire import (
    ControlBody,
    ControlHeader,
    Opcode,
    decode_body,
    encode_body,
)
from ginnel.core.wrap import Wrapping
from ginnel.core.wrap.plain import PlainControl
from ginnel.options.server_model import ServerOptions
from ginnel.options.values import Secret
from tests.sim.duo import ALL_FORMATS, CLIENT, server_options, terms
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import CAPABILITIES, UNIX_TIME, HeldKeys

NEW = "IV_VER=2.6.14\nIV_NCP=2\nIV_CIPHERS=AES-256-GCM:AES-128-GCM\nIV_PROTO=478\nIV_MTU=1600\n"
"""As 2.6 says it, but without dynamic tls-crypt, which the client here does not do."""
PLAIN_STRING = (
    "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth SHA1,keysize 128,"
    "key-method 2,tls-client"
)
Answer = Callable[[server_actions.ServerAction], server_actions.ServerActionResult | None]


@dataclass(slots=True, kw_only=True)
class Said:
    """What the client puts into its key method message."""

    options_string: str = PLAIN_STRING
    username: str = ""
    password: bytes = b""
    peer_info: str = NEW


class Talk:
    """One negotiation of the client."""

    def __init__(self, key_id: KeyId, reset: Opcode, number: int, first: int, now: Instant) -> None:
        self.tls = FakeTls(Side.CLIENT, number)
        self.key = KeySession(
            key_id=key_id,
            tls=self.tls,
            side=Side.CLIENT,
            started=now,
            reset=reset,
            timeout=2.0,
            first_receive_id=first,
            first_send_id=first,
        )
        self.key.set_payload_limits(ordinary=1100, with_wrapped_key=1100)
        self.splitter = MessageSplitter()
        self.source: KeySource | None = None
        self.server: KeyMethodMessage | None = None


class SimClient:
    """Client and the shell of its server in one. ``messages`` is what the server said."""

    def __init__(
        self,
        options: ServerOptions | None = None,
        *,
        said: Said | None = None,
        wrapping: Wrapping | None = None,
        transport: Transport = Transport.UDP,
        answer: Answer | None = None,
        server_tls: Callable[[], FakeTls] | None = None,
        seed: int = 1,
    ) -> None:
        self.options = server_options() if options is None else options
        self.said = Said() if said is None else said
        self._draw = Random(seed)
        self._number = 100
        self.wrapping = PlainControl() if wrapping is None else wrapping
        self._transport = transport
        self._answer = answer
        self._server_tls = server_tls or self._fake_server
        self.now = Instant(1000.0)
        self.session = SessionId(self._draw.randbytes(8))
        self.server_session: SessionId | None = None
        self.talks: list[Talk] = []
        self.messages: list[str] = []
        self.notices: list[ServerNotice] = []
        self.actions: list[server_actions.ServerAction] = []
        self.keys = HeldKeys()
        """Of the server's data plane."""
        self.listener = Listener(
            options=self.options,
            secret=self._draw.randbytes(32),
            unix_time=UNIX_TIME,
            now=self.now,
        )
        self.machine: ServerMachine | None = None

    @property
    def server(self) -> ServerMachine:
        assert self.machine is not None
        return self.machine

    @property
    def ended(self) -> Ended | None:
        """The machine's last notice, once it came."""
        last = self.notices[-1] if self.notices else None
        return last if isinstance(last, Ended) else None

    def told(self, kind: type[ServerNotice]) -> list[ServerNotice]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    def asked(self, kind: type[server_actions.ServerAction]) -> list[server_actions.ServerAction]:
        return [action for action in self.actions if isinstance(action, kind)]

    # --- steps ---------------------------------------------------------------------------------

    def begin(self, opcode: Opcode = Opcode.CONTROL_HARD_RESET_CLIENT_V2) -> None:
        """Sends the first packet and follows until TLS is up, or as far as it goes."""
        self.session = SessionId(self._draw.randbytes(8))
        self.server_session = None
        self.talks = [self._talk(KeyId(0), opcode)]
        self.run()

    def introduce(self) -> None:
        """Sends the key method message on the newest negotiation."""
        talk = self.talks[-1]
        assert isinstance(talk.key.state, Established), talk.key.state
        talk.source = KeySource.from_entropy(
            Side.CLIENT, self._draw.randbytes(key_source_length(Side.CLIENT))
        )
        message = KeyMethodMessage(
            source=talk.source,
            options_string=self.said.options_string,
            username=self.said.username,
            password=Secret(self.said.password),
            peer_info=self.said.peer_info,
        )
        self.write(bytes(encode_key_method(message)))

    def connect(self) -> None:
        """Up to the key exchange."""
        self.begin()
        self.introduce()

    def say(self, text: str) -> None:
        self.write(encode_message(text))

    def write(self, record: bytes) -> None:
        """Sends a record, whatever it holds, on the newest negotiation."""
        self.talks[-1].key.write(record, self.now)
        self.run()

    def soft_reset(self) -> None:
        """Begins a renegotiation."""
        key_id = self.talks[-1].key.key_id
        following = KeyId(1 if key_id == 7 else key_id + 1)
        self.talks = [self.talks[-1], self._talk(following, Opcode.CONTROL_SOFT_RESET_V1)]
        self.run()

    def advance(self, seconds: float) -> None:
        """Moves time, in steps that let both ends repeat themselves."""
        until = self.now + seconds
        while self.now < until:
            self.now = Instant(min(self.now + 1.0, until))
            if self.machine is not None:
                self.machine.handle_timeout(self.now)
            self.run()

    def act(self, deed: Callable[[ServerMachine, Instant], object]) -> object:
        """The server's shell does something with its machine."""
        result = deed(self.server, self.now)
        self.run()
        return result

    def complete(
        self, action: server_actions.ServerAction, result: server_actions.ServerActionResult
    ) -> None:
        self.server.complete(action.id, result, self.now)
        self.run()

    def data_key(self, cipher_shape: KeyShape) -> DataKey:
        """The key that the client derives by the legacy way."""
        talk = self.talks[-1]
        assert talk.source is not None
        assert talk.server is not None
        assert self.server_session is not None
        pair = SessionPair(client=self.session, server=self.server_session)
        key2 = legacy_key2(talk.source, talk.server.source, pair)
        return data_key(key2, cipher_shape, side=Side.CLIENT, key_id=talk.key.key_id)

    def exported_key(self, cipher_shape: KeyShape) -> DataKey:
        """The key that the client derives by exporter."""
        talk = self.talks[-1]
        key2 = talk.tls.export(DATA_KEYS_LABEL, 256)
        return data_key(key2, cipher_shape, side=Side.CLIENT, key_id=talk.key.key_id)

    # --- the loop ------------------------------------------------------------------------------

    def run(self) -> None:
        """Exchanges packets until both ends are quiet."""
        for _ in range(200):
            moved = self._drain_server()
            for packet in self._outgoing():
                moved = True
                self._to_server(packet)
            if not moved:
                return
        raise AssertionError("both ends go on and on")

    def send(self, packet: bytes, source: Endpoint | None = CLIENT) -> None:
        """Sends a packet as it is."""
        self._to_server(packet, source)
        self.run()

    def packet(self, opcode: Opcode, body: ControlBody, key_id: int = 0) -> bytes:
        """Wraps a packet of the session."""
        header = ControlHeader(opcode, KeyId(key_id), self.session)
        return self.wrapping.seal(header, encode_body(body))

    def _talk(self, key_id: KeyId, reset: Opcode, first: int = 0) -> Talk:
        self._number += 1
        return Talk(key_id, reset, self._number, first, self.now)

    def _fake_server(self) -> FakeTls:
        self._number += 1
        return FakeTls(Side.SERVER, self._number)

    def _outgoing(self) -> list[bytes]:
        packets = []
        for talk in self.talks:
            for opcode, body in talk.key.outgoing(self.now, self.server_session):
                packets.append(self.packet(opcode, body, talk.key.key_id))
        return packets

    def _to_server(self, packet: bytes, source: Endpoint | None = CLIENT) -> None:
        stream = self._transport is Transport.TCP
        if self.machine is None and stream:
            self._make(None)
        if self.machine is not None:
            self.machine.receive(packet, None if stream else source, self.now)
            return
        met = self.listener.meet(packet, CLIENT if source is None else source, self.now)
        if isinstance(met, Reply):
            self._to_client(met.payload)
        elif isinstance(met, Welcome):
            self._make(met)

    def _make(self, welcome: Welcome | None) -> None:
        self.machine = ServerMachine(
            options=self.options,
            keys=self.listener.keys,
            client_id=server_actions.ClientId(0),
            peer_id=PeerId(5),
            remote=CLIENT,
            local=None,
            transport=self._transport,
            admission=None if welcome is None else welcome.admission,
            tls=self._server_tls,
            entropy=self._draw.randbytes,
            unix_time=UNIX_TIME,
            capabilities=replace(CAPABILITIES, formats=ALL_FORMATS),
            tokens=None,
        )
        self.machine.start(self.now)

    def _drain_server(self) -> bool:
        machine = self.machine
        if machine is None:
            return False
        moved = False
        while (action := machine.poll_action()) is not None:
            moved = True
            self.actions.append(action)
            if isinstance(action, actions.InstallKey | actions.SwapKeys | actions.DeleteKey):
                self.keys.apply(action, self.now)
            result = self._usual(action) if self._answer is None else self._answer(action)
            if result is not None:
                machine.complete(action.id, result, self.now)
        while (transmit := machine.poll_transmit()) is not None:
            moved = True
            self._to_client(transmit.payload)
        while (notice := machine.poll_notice()) is not None:
            self.notices.append(notice)
        if machine.is_over:
            self.machine = None
        return moved

    def _usual(self, action: server_actions.ServerAction) -> server_actions.ServerActionResult:
        return usual(action, self.options)

    def _to_client(self, packet: bytes) -> None:
        try:
            header, raw = self.wrapping.open(packet)
            body = decode_body(header.opcode, raw)
            if header.opcode is Opcode.CONTROL_HARD_RESET_SERVER_V2:
                if body.peer_session_id == self.session or self.server_session is None:
                    self.server_session = header.session_id
                body = replace_payload(body)
            talk = self._find(header, body)
            talk.key.receive(header.opcode, body, self.now)
        except Malformed:
            return
        if not isinstance(talk.key.state, Established):
            return
        for record in talk.key.take_records():
            if talk.server is None:
                talk.server = decode_key_method(record, Side.SERVER)
                continue
            self.messages += talk.splitter.feed(record)

    def _find(self, header: ControlHeader, body: ControlBody) -> Talk:
        if header.session_id != self.server_session:
            raise Malformed("other-session")
        for talk in self.talks:
            if talk.key.key_id == header.key_id:
                return talk
        if header.opcode is Opcode.CONTROL_SOFT_RESET_V1 and body.message_id == 0:
            self.talks = [self.talks[-1], self._talk(header.key_id, header.opcode)]
            return self.talks[-1]
        raise Malformed("key-id")


def replace_payload(body: ControlBody) -> ControlBody:
    """A reset without the early negotiation, which this client does not need."""
    return replace(body, payload=b"")


def usual(
    action: server_actions.ServerAction, options: ServerOptions
) -> server_actions.ServerActionResult:
    """What a shell answers that has nothing against anybody."""
    match action:
        case server_actions.Authenticate():
            return server_actions.Admitted()
        case server_actions.ConnectClient():
            return terms(options)
        case _:
            return actions.Done()
