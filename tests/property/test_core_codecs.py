"""Codecs of the protocol core: what is encoded decodes, and no bytes raise but ``Malformed``."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.errors import ConfigError, Malformed
from ginnel.core.key_files import (
    StaticKey,
    V2ServerKey,
    parse_static_key,
    parse_v2_client_key,
    parse_v2_server_key,
    render_static_key,
    render_v2_client_key,
)
from ginnel.core.key_method import (
    KeyMethodMessage,
    KeySource,
    decode_key_method,
    encode_key_method,
    key_source_length,
)
from ginnel.core.messages import MessageSplitter, encode_message, parse_message
from ginnel.core.options_string import OccTerms, compare, parse_options_string
from ginnel.core.peer_info import parse_peer_info, protocol_flags
from ginnel.core.push import PushAssembler, split_push
from ginnel.core.types import KeyId, SessionId, Side
from ginnel.core.wire import (
    MAX_ACKS,
    ControlBody,
    ControlHeader,
    Opcode,
    TcpDeframer,
    decode_body,
    decode_header,
    encode_body,
    encode_header,
    frame_tcp,
)
from ginnel.core.wrap import Wrapping
from ginnel.core.wrap.api import library_siv
from ginnel.core.wrap.auth import AuthControl
from ginnel.core.wrap.crypt import CryptControl, siv_keys
from ginnel.core.wrap.crypt_v2 import (
    CryptV2Control,
    resend_wkc_requested,
    split_wrapped_key,
    unwrap_client_key,
    wrap_client_key,
)
from ginnel.core.wrap.plain import PlainControl
from ginnel.dataplane.choose import siv_maker
from ginnel.options.model import KeyDirection
from ginnel.options.values import FileContent, Origin, Secret

KEY = StaticKey(Secret(bytes(range(256))))
SERVER_KEY = V2ServerKey(Secret(bytes(range(128))))
CLIENT_KEY = wrap_client_key(SERVER_KEY, KEY, metadata_type=0, metadata=b"m")

control_opcodes = st.sampled_from(
    [opcode for opcode in Opcode if opcode not in {Opcode.DATA_V1, Opcode.DATA_V2}]
)
session_ids = st.binary(min_size=8, max_size=8).filter(any).map(SessionId)
headers = st.builds(ControlHeader, control_opcodes, st.integers(0, 7).map(KeyId), session_ids)
numbers = st.integers(0, 0xFFFFFFFF)
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=100)


@st.composite
def bodies(draw: st.DrawFn) -> ControlBody:
    acks = tuple(draw(st.lists(numbers, max_size=MAX_ACKS)))
    peer = draw(session_ids) if acks else None
    if draw(st.booleans()):
        return ControlBody(acks, peer)
    return ControlBody(acks, peer, draw(numbers), draw(st.binary(max_size=200)))


def both_ends() -> list[tuple[Wrapping, Wrapping]]:
    """Fresh client and server ends of every wrapping."""
    client, server = Side.CLIENT, Side.SERVER
    return [
        (PlainControl(), PlainControl()),
        (
            AuthControl(key=KEY, direction=KeyDirection.INVERSE, digest="SHA1", unix_time=1),
            AuthControl(key=KEY, direction=KeyDirection.NORMAL, digest="SHA1", unix_time=1),
        ),
        (
            CryptControl(key=KEY, keys=siv_keys(KEY, client), unix_time=1),
            CryptControl(key=KEY, keys=siv_keys(KEY, server), unix_time=1),
        ),
        (
            CryptV2Control(key=CLIENT_KEY, side=client, unix_time=1),
            CryptV2Control(key=CLIENT_KEY, side=server, unix_time=1),
        ),
    ]


@given(headers)
def test_headers_round_trip(header: ControlHeader) -> None:
    assert decode_header(encode_header(header)) == header


@given(bodies())
def test_bodies_round_trip(body: ControlBody) -> None:
    opcode = Opcode.ACK_V1 if body.message_id is None else Opcode.CONTROL_V1
    assert decode_body(opcode, encode_body(body)) == body


@given(headers, st.lists(bodies(), min_size=1, max_size=4))
def test_wrapped_packets_round_trip(header: ControlHeader, sent: list[ControlBody]) -> None:
    for client, server in both_ends():
        for body in sent:
            inner = encode_body(body)
            assert server.open(client.seal(header, inner)) == (header, inner)
            assert client.open(server.seal(header, inner)) == (header, inner)


@given(
    headers,
    st.binary(min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), min_size=1, max_size=3),
    st.integers(0, 60),
)
def test_a_damaged_packet_never_opens_with_a_wrapping(
    header: ControlHeader, body: bytes, damage: list[tuple[int, int]], cut: int
) -> None:
    for client, server in both_ends()[1:3]:
        packet = client.seal(header, body)
        changed = bytearray(packet)
        for place, mask in damage:
            changed[place % len(changed)] ^= mask
        for hostile in {bytes(changed), packet[: max(0, len(packet) - cut)]} - {packet}:
            try:
                server.open(hostile)
            except Malformed:
                continue
            raise AssertionError("a damaged packet was taken")
        assert server.open(packet) == (header, body)


def decoders() -> list[Callable[[bytes], object]]:
    """All that takes bytes from the network."""
    wrappings = [end for ends in both_ends() for end in ends]
    return [
        *(end.open for end in wrappings),
        decode_header,
        lambda content: decode_body(Opcode.CONTROL_V1, content),
        lambda content: decode_body(Opcode.ACK_V1, content),
        lambda content: decode_key_method(content, Side.CLIENT),
        lambda content: decode_key_method(content, Side.SERVER),
        split_wrapped_key,
        lambda content: unwrap_client_key(SERVER_KEY, content),
        resend_wkc_requested,
        lambda content: TcpDeframer().feed(content),
        lambda content: MessageSplitter().feed(content),
    ]


hostile_bytes = st.one_of(
    st.binary(max_size=600),
    st.builds(
        lambda opcode, rest: bytes((opcode << 3,)) + rest, control_opcodes, st.binary(max_size=400)
    ),
    st.binary(max_size=300).map(lambda rest: b"\0\0\0\0\x02" + rest),
)


@given(hostile_bytes)
def test_arbitrary_bytes_raise_nothing_but_malformed(content: bytes) -> None:
    for decode in decoders():
        with suppress(Malformed):
            decode(content)


@given(
    st.sampled_from(list(Side)),
    st.binary(min_size=112, max_size=112),
    st.tuples(texts, texts, texts),
    st.binary(max_size=50).filter(lambda text: 0 not in text),
)
def test_key_method_messages_round_trip(
    side: Side, entropy: bytes, words: tuple[str, str, str], password: bytes
) -> None:
    message = KeyMethodMessage(
        source=KeySource.from_entropy(side, entropy[: key_source_length(side)]),
        options_string=words[0],
        username=words[1],
        password=Secret(password),
        peer_info=words[2],
    )
    assert decode_key_method(bytes(encode_key_method(message)), side) == message


def chunks(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(places)]


@given(st.lists(st.binary(min_size=1, max_size=100), max_size=8), st.lists(st.integers(0, 900)))
def test_tcp_frames_survive_any_chunking(packets: list[bytes], cuts: list[int]) -> None:
    deframer = TcpDeframer()
    stream = b"".join(map(frame_tcp, packets))
    found = [packet for chunk in chunks(stream, cuts) for packet in deframer.feed(chunk)]
    assert found == packets


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)


@given(st.lists(printable.filter(bool), max_size=8), st.lists(st.integers(0, 900)))
def test_messages_survive_any_chunking(messages: list[str], cuts: list[int]) -> None:
    splitter = MessageSplitter()
    stream = b"".join(map(encode_message, messages))
    assert [text for chunk in chunks(stream, cuts) for text in splitter.feed(chunk)] == messages


@given(
    st.one_of(
        st.text(max_size=200),
        st.builds(
            "{},{}".format,
            st.sampled_from(["AUTH_FAILED", "AUTH_FAILED,TEMP", "AUTH_PENDING", "RESTART", "HALT"]),
            st.text(max_size=80),
        ),
        st.text("RTE[]:,N ", max_size=30).map("AUTH_FAILED,TEMP[{}".format),
        st.text(":=AQRE,1", max_size=30).map("AUTH_FAILED,CRV1:{}".format),
    )
)
def test_no_text_message_raises(text: str) -> None:
    parse_message(text)


options = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","),
    min_size=1,
    max_size=60,
).filter(lambda option: not option.startswith("push-continuation"))


@given(st.lists(options, max_size=80), st.integers(100, 940))
def test_pushes_come_together_again(items: list[str], limit: int) -> None:
    assembler = PushAssembler()
    *early, last = split_push("PUSH_REPLY", items, limit)
    for part in early:
        assert assembler.add(part.split(",")[1:]) is None
    assert assembler.add(last.split(",")[1:]) == tuple(items)


@given(st.text(max_size=400))
def test_no_peer_text_raises(text: str) -> None:
    protocol_flags(parse_peer_info(text))
    terms = OccTerms(side=Side.SERVER, dev_type="tun", tun_mtu=1500)
    for mismatch in compare(terms, parse_options_string(text)):
        assert str(mismatch)


def key_file(content: bytes) -> FileContent:
    return FileContent(option="key", origin=Origin("c", 1), path="k", content=Secret(content))


@given(st.binary(min_size=256, max_size=256))
def test_static_keys_round_trip(material: bytes) -> None:
    key = StaticKey(Secret(material))
    assert parse_static_key(key_file(render_static_key(key).encode())) == key


@given(
    st.binary(min_size=256, max_size=256), st.integers(0, 255), st.binary(min_size=0, max_size=733)
)
def test_wrapped_keys_round_trip(material: bytes, kind: int, metadata: bytes) -> None:
    key = StaticKey(Secret(material))
    sealed = wrap_client_key(SERVER_KEY, key, metadata_type=kind, metadata=metadata)
    assert parse_v2_client_key(key_file(render_v2_client_key(sealed).encode())) == sealed
    found = unwrap_client_key(SERVER_KEY, sealed.wrapped)
    assert (found.key, found.metadata_type, found.metadata) == (key, kind, metadata)


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=40),
    st.binary(max_size=1300),
)
def test_both_makers_of_control_keys_seal_alike(
    cipher_key: bytes, mac_key: bytes, clear: bytes, secret: bytes
) -> None:
    first, second = library_siv(cipher_key, mac_key), siv_maker(None)(cipher_key, mac_key)
    tag, ciphertext = first.seal(clear, secret)
    assert second.seal(clear, secret) == (tag, ciphertext)
    for key in (first, second):
        assert key.open(clear, tag, ciphertext) == secret
        assert key.open(clear + b"x", tag, ciphertext) is None


@given(st.binary(max_size=300), st.binary(max_size=40), st.integers(0, 700))
def test_a_broken_key_file_is_a_configuration_error(
    garbage: bytes, insert: bytes, place: int
) -> None:
    good = render_static_key(KEY).encode()
    for content in (garbage, good[:place] + insert + good[place:], good[:place]):
        for parse in (parse_static_key, parse_v2_client_key, parse_v2_server_key):
            with suppress(ConfigError):
                parse(key_file(content))
