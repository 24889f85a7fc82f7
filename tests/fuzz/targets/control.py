"""Control packets: their layout, each wrapping, and a whole client that is sent them."""

from collections.abc import Callable, Mapping
from contextlib import suppress

from ginnel.core.errors import Malformed
from ginnel.core.key_files import StaticKey, V2ServerKey
from ginnel.core.key_method import decode_key_method
from ginnel.core.listener import Listener, Reply
from ginnel.core.types import Instant, Side, Transport
from ginnel.core.wire import Opcode, TcpDeframer, decode_body, decode_header
from ginnel.core.wrap import Wrapping, wrapping_for
from ginnel.core.wrap.auth import AuthControl
from ginnel.core.wrap.crypt import CryptControl, siv_keys
from ginnel.core.wrap.crypt_v2 import resend_wkc_requested, split_wrapped_key, unwrap_client_key
from ginnel.core.wrap.plain import PlainControl
from ginnel.options.model import KeyDirection, TlsCrypt
from ginnel.options.server_model import AccessOptions
from ginnel.options.values import Secret
from tests.fuzz.pieces import cut
from tests.sim.client import SimClient
from tests.sim.duo import CLIENT, server_options
from tests.sim.pair import STATIC_KEY, SimPair, profile
from tests.unit.core.test_listener import V2

KEY = StaticKey(Secret(bytes(range(256))))
SERVER_KEY = V2ServerKey(Secret(bytes(range(128))))
MAX_DROP_REASONS = 30
MAX_ANSWER = 64
CRYPT = TlsCrypt(key=STATIC_KEY)


def wrappings() -> tuple[Wrapping, ...]:
    return (
        PlainControl(),
        AuthControl(key=KEY, direction=KeyDirection.NONE, digest="SHA256", unix_time=1),
        CryptControl(key=KEY, keys=siv_keys(KEY, Side.CLIENT), unix_time=1),
    )


def control_packet(data: bytes) -> None:
    with suppress(Malformed):
        decode_header(data)
    for wrapping in wrappings():
        with suppress(Malformed):
            header, raw = wrapping.open(data)
            decode_body(header.opcode, raw)
    for opcode in (Opcode.ACK_V1, Opcode.CONTROL_V1):
        with suppress(Malformed):
            decode_body(opcode, data)


def wrapped_client_key(data: bytes) -> None:
    with suppress(Malformed):
        _, wrapped = split_wrapped_key(data)
        unwrap_client_key(SERVER_KEY, wrapped)
    with suppress(Malformed):
        resend_wkc_requested(data)


def key_method(data: bytes) -> None:
    for sender in Side:
        with suppress(Malformed):
            decode_key_method(data, sender)


def tcp_stream(data: bytes) -> None:
    deframer = TcpDeframer(max_length=2048)
    with suppress(Malformed):
        for piece in cut(data):
            assert all(0 < len(packet) <= 2048 for packet in deframer.feed(piece))
    assert len(deframer.take_unread()) <= len(data)


def client_packets(data: bytes) -> None:
    """Bit 0 of the first byte wraps, bit 1 sends before the connection is up."""
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    pair = SimPair(connection=profile(TlsCrypt(key=STATIC_KEY)) if flags & 1 else profile())
    if flags & 2:
        pair.start()
    else:
        pair.connect()
    for piece in cut(rest):
        pair.inject(piece)
    pair.advance(0.5)
    assert len(pair.client.drops) < MAX_DROP_REASONS


def first_packets(data: bytes) -> None:
    """What an unknown address sends to a server with every kind of key at once, or with none."""
    for options in (server_options(), server_options(wrapping=CRYPT, crypt_v2=V2)):
        listener = Listener(options=options, secret=bytes(32), unix_time=1, now=Instant(0.0))
        for piece in cut(data):
            met = listener.meet(piece, CLIENT, Instant(0.0))
            if isinstance(met, Reply):
                assert len(met.payload) <= len(piece) + 2 * MAX_ANSWER
        assert len(listener.drops) < MAX_DROP_REASONS


def server_packets(data: bytes) -> None:
    """Bit 0 of the first byte wraps, bit 1 sends before the connection is up, bit 2 is TCP."""
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    client = SimClient(
        server_options(wrapping=CRYPT) if flags & 1 else None,
        wrapping=wrapping_for(CRYPT, Side.CLIENT, 1) if flags & 1 else None,
        transport=Transport.TCP if flags & 4 else Transport.UDP,
    )
    client.begin()
    if not flags & 2:
        client.introduce()
    for piece in cut(rest):
        client.send(piece)
    client.advance(2.0)
    if client.machine is not None:
        assert len(client.machine.drops) < MAX_DROP_REASONS


def client_talk(data: bytes) -> None:
    """Records inside TLS; bit 0 of the first byte sends them in place of the key exchange."""
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    client = SimClient(server_options(access=AccessOptions(auth_user_pass_verify=("/check",))))
    client.said.username, client.said.password = "user", b"password"
    client.begin()
    if not flags & 1:
        client.introduce()
    for piece in cut(rest):
        if client.machine is not None and piece:
            client.write(piece)
    client.advance(2.0)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "control-packet": control_packet,
    "wrapped-client-key": wrapped_client_key,
    "key-method": key_method,
    "tcp-stream": tcp_stream,
    "client-packets": client_packets,
    "first-packets": first_packets,
    "server-packets": server_packets,
    "client-talk": client_talk,
}
