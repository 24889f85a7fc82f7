"""A small server for simulations: one client, right on the wire, with levers for what goes wrong.

It stands on the same codecs as the client but on none of its machines. It is not the server that
ginnel will have: no demux, no cookies, no policy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ginnel.core.data_key import DataCipher, DataFormat, DataKey
from ginnel.core.errors import Malformed
from ginnel.core.key_derivation import (
    DATA_KEYS_LABEL,
    DYNAMIC_CRYPT_LABEL,
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
from ginnel.core.key_session import Broken, Established, KeySession
from ginnel.core.messages import MessageSplitter, encode_message
from ginnel.core.tls import TlsChannel
from ginnel.core.types import Instant, KeyId, PeerId, SessionId, Side
from ginnel.core.wire import (
    ControlBody,
    ControlHeader,
    Opcode,
    decode_body,
    decode_header,
    encode_body,
)
from ginnel.core.wrap import Wrapping
from ginnel.core.wrap.crypt import dynamic_crypt
from ginnel.core.wrap.crypt_v2 import encode_resend_wkc

OPTIONS = (
    "V4,dev-type tun,link-mtu 1549,tun-mtu 1500,proto UDPv4,cipher AES-256-GCM,"
    "auth [null-digest],keysize 256,key-method 2,tls-server"
)
_RESETS = (Opcode.CONTROL_HARD_RESET_CLIENT_V2, Opcode.CONTROL_HARD_RESET_CLIENT_V3)


@dataclass(slots=True, kw_only=True)
class ServerScript:
    """What the server does; tests change it as they go."""

    push: list[str] = field(
        default_factory=lambda: [
            "PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ping 10,ping-restart 60,"
            "ifconfig 10.8.0.2 255.255.255.0,peer-id 0,cipher AES-256-GCM,"
            "protocol-flags cc-exit tls-ekm dyn-tls-crypt"
        ]
    )
    """Messages that answer a PUSH_REQUEST."""
    push_unasked: bool = False
    silent_to_push: bool = False
    silent: bool = False
    """Takes packets and says nothing."""
    ekm: bool = True
    dynamic_crypt: bool = True
    options: str = OPTIONS
    peer_info: str = ""
    after_exchange: list[str] = field(default_factory=list)
    """Messages sent after the first key exchange, in place of answering a push request."""
    resend_wkc: bool = False
    garble_key_method: bool = False
    cipher: DataCipher = DataCipher.AES_256_GCM


@dataclass(slots=True)
class _Talk:
    key: KeySession
    splitter: MessageSplitter
    client: KeyMethodMessage | None = None


class SimServer:
    """The server's end. ``receive`` and ``outgoing`` are called by the simulation."""

    def __init__(
        self,
        *,
        wrapping: Callable[[], Wrapping],
        tls: Callable[[], TlsChannel],
        entropy: Callable[[int], bytes],
        script: ServerScript | None = None,
        unix_time: int = 1_800_000_000,
    ) -> None:
        self.script = ServerScript() if script is None else script
        self._new_wrapping = wrapping
        self._tls = tls
        self._entropy = entropy
        self._unix_time = unix_time
        self.messages: list[str] = []
        """Text messages of the client."""
        self.logins: list[tuple[str, bytes]] = []
        self.peer_info: list[str] = []
        self.data_keys: dict[KeyId, DataKey] = {}
        """The newest data key of each key-id."""
        self.seen: list[Opcode] = []
        self.refused: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Forgets everything, as a process that is started again."""
        self._wrapping = self._new_wrapping()
        self._dynamic: Wrapping | None = None
        self._own_id = SessionId(self._entropy(8))
        self._peer_id: SessionId | None = None
        self._talks: list[_Talk] = []
        self._pushed = False

    @property
    def handshakes(self) -> int:
        """Negotiations that ended with a data key."""
        return len(self.peer_info)

    def receive(self, packet: bytes, now: Instant) -> None:
        """Takes a packet; hostile or stale ones are noted in ``refused``."""
        try:
            header = decode_header(packet)
            if header.opcode in _RESETS and header.session_id != self._peer_id:
                self._new_session()
            opened, raw = self._wrapping_of(header.key_id).open(packet)
            body = decode_body(opened.opcode, raw)
        except Malformed as bad:
            self.refused.append(bad.reason)
            return
        self.seen.append(opened.opcode)
        if self.script.silent:
            return
        try:
            talk = self._find(opened, body, now)
            if talk is not None:
                talk.key.receive(opened.opcode, body, now)
        except Malformed as bad:
            self.refused.append(bad.reason)
            return
        if talk is not None:
            self._converse(talk, now)

    def outgoing(self, now: Instant) -> list[bytes]:
        """The packets to send now."""
        packets = []
        for talk in self._talks:
            for opcode, plain in talk.key.outgoing(now, self._peer_id):
                is_reset = opcode is Opcode.CONTROL_HARD_RESET_SERVER_V2
                asks = is_reset and self.script.resend_wkc
                body = replace(plain, payload=encode_resend_wkc()) if asks else plain
                header = ControlHeader(opcode, talk.key.key_id, self._own_id)
                wrapping = self._wrapping_of(talk.key.key_id)
                packets.append(wrapping.seal(header, encode_body(body)))
        return packets

    def next_timeout(self) -> Instant | None:
        times = (talk.key.next_timeout() for talk in self._talks)
        return min((time for time in times if time is not None), default=None)

    def say(self, text: str, now: Instant) -> None:
        """Sends a text message on the newest negotiation."""
        self._talks[-1].key.write(encode_message(text), now)

    def soft_reset(self, now: Instant) -> None:
        """Begins a renegotiation."""
        key_id = self._talks[-1].key.key_id
        self._add(KeyId(1 if key_id == 7 else key_id + 1), Opcode.CONTROL_SOFT_RESET_V1, now)

    def _new_session(self) -> None:
        self._wrapping = self._new_wrapping()
        self._dynamic = None
        self._own_id = SessionId(self._entropy(8))
        self._peer_id = None
        self._talks = []
        self._pushed = False

    def _wrapping_of(self, key_id: KeyId) -> Wrapping:
        return self._dynamic if self._dynamic is not None and key_id else self._wrapping

    def _find(self, header: ControlHeader, body: ControlBody, now: Instant) -> _Talk | None:
        if body.peer_session_id is not None and body.peer_session_id != self._own_id:
            raise Malformed("session-id")
        if self._peer_id is None:
            if header.opcode not in _RESETS:
                raise Malformed("no-session")
            self._peer_id = header.session_id
            return self._add(KeyId(0), Opcode.CONTROL_HARD_RESET_SERVER_V2, now)
        if header.session_id != self._peer_id:
            raise Malformed("other-session")
        for talk in self._talks:
            if talk.key.key_id == header.key_id:
                return talk
        if header.opcode is Opcode.CONTROL_SOFT_RESET_V1:
            return self._add(header.key_id, Opcode.CONTROL_SOFT_RESET_V1, now)
        raise Malformed("key-id")

    def _add(self, key_id: KeyId, reset: Opcode, now: Instant) -> _Talk:
        key = KeySession(
            key_id=key_id,
            tls=self._tls(),
            side=Side.SERVER,
            started=now,
            reset=reset,
            timeout=2.0,
        )
        key.set_payload_limits(ordinary=1100, with_wrapped_key=1100)
        self._talks = [*self._talks[-1:], _Talk(key, MessageSplitter())]
        return self._talks[-1]

    def _converse(self, talk: _Talk, now: Instant) -> None:
        if isinstance(talk.key.state, Broken):
            self.refused.append("tls")
            return
        if not isinstance(talk.key.state, Established):
            return
        for record in talk.key.take_records():
            if talk.client is None:
                self._exchange(talk, record, now)
                continue
            for text in talk.splitter.feed(record):
                self.messages.append(text)
                if text == "PUSH_REQUEST" and not self.script.silent_to_push:
                    self._push(now)

    def _exchange(self, talk: _Talk, record: bytes, now: Instant) -> None:
        client = decode_key_method(record, Side.CLIENT)
        talk.client = client
        self.logins.append((client.username, client.password.reveal()))
        self.peer_info.append(client.peer_info)
        source = KeySource.from_entropy(Side.SERVER, self._entropy(key_source_length(Side.SERVER)))
        answer = encode_key_method(
            KeyMethodMessage(
                source=source, options_string=self.script.options, peer_info=self.script.peer_info
            )
        )
        if self.script.garble_key_method:
            answer = bytearray(b"\xff" * len(answer))
        talk.key.write(answer, now)
        self._derive(talk, client, source)
        if talk.key.key_id == 0:
            if self.script.dynamic_crypt:
                self._dynamic = dynamic_crypt(
                    exported=talk.key.tls.export(DYNAMIC_CRYPT_LABEL, 256),
                    base=self._wrapping.static_key,
                    side=Side.SERVER,
                    unix_time=self._unix_time,
                )
            for text in self.script.after_exchange:
                self.say(text, now)
            if self.script.push_unasked:
                self._push(now)

    def _derive(self, talk: _Talk, client: KeyMethodMessage, source: KeySource) -> None:
        if self._peer_id is None:
            raise AssertionError("no client")
        if self.script.ekm:
            key2 = talk.key.tls.export(DATA_KEYS_LABEL, 256)
        else:
            pair = SessionPair(client=self._peer_id, server=self._own_id)
            key2 = legacy_key2(client.source, source, pair)
        self.data_keys.pop(talk.key.key_id, None)  # so that the newest one is last
        self.data_keys[talk.key.key_id] = data_key(
            key2,
            KeyShape(cipher=self.script.cipher, format=DataFormat.V2),
            side=Side.SERVER,
            key_id=talk.key.key_id,
        )

    def _push(self, now: Instant) -> None:
        if not self._pushed:
            self._pushed = True
            for text in self.script.push:
                self.say(text, now)


PUSHED_PEER = PeerId(0)
"""The peer-id in the default push."""
