"""The least that talks to an OpenVPN over UDP: one key, no data channel, no error recovery.

For the vector tool only. It drives the codecs of ``ginnel.core`` from one blocking loop and keeps
every decrypted TLS record. The real machines are in ``ginnel.core``.
"""

import secrets
import select
import socket
import time
from collections.abc import Callable

from OpenSSL import SSL

from ginnel.core.errors import Malformed
from ginnel.core.key_method import (
    KeyMethodMessage,
    KeySource,
    encode_key_method,
    key_source_length,
)
from ginnel.core.messages import encode_message
from ginnel.core.peer_info import Detail, LocalFacts, LocalPeer, ProtocolFlag, build_peer_info
from ginnel.core.reliable import PIGGYBACKED_ACKS, ReliableReceiver, ReliableSender
from ginnel.core.types import Instant, KeyId, SessionId, Side
from ginnel.core.wire import (
    ControlBody,
    ControlHeader,
    Opcode,
    decode_body,
    encode_body,
)
from ginnel.core.wrap import Wrapping
from ginnel.core.wrap.crypt_v2 import resend_wkc_requested

_TLS_OPCODES = (Opcode.CONTROL_V1, Opcode.CONTROL_WKC_V1)
_CHUNK = 1000


def _now() -> Instant:
    return Instant(time.monotonic())


class MiniPeer:
    """One end of one connection. ``plaintext`` are the records received inside TLS."""

    def __init__(
        self, *, side: Side, wrapping: Wrapping, certificates: tuple[str, str, str], port: int
    ) -> None:
        self.plaintext: list[bytes] = []
        self.unopened: list[bytes] = []
        """Packets of another key id."""
        self._side = side
        self._wrapping = wrapping
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._peer: tuple[str, int] | None = None
        self._session_id = SessionId(secrets.token_bytes(8))
        self._peer_session_id: SessionId | None = None
        self._sender = ReliableSender()
        self._receiver = ReliableReceiver()
        self._outgoing = bytearray()
        self._resend_wkc = False
        self._said_key_method = False
        self._tls = self._make_tls(certificates)
        if side is Side.CLIENT:
            self._peer = ("127.0.0.1", port)
            first = Opcode.CONTROL_HARD_RESET_CLIENT_V2
            if wrapping.trailer(Opcode.CONTROL_HARD_RESET_CLIENT_V3):
                first = Opcode.CONTROL_HARD_RESET_CLIENT_V3
            self._sender.queue(first, b"", _now())
        else:
            self._socket.bind(("127.0.0.1", port))

    def _make_tls(self, certificates: tuple[str, str, str]) -> SSL.Connection:
        authority, certificate, key = certificates
        context = SSL.Context(SSL.TLS_METHOD)
        context.load_verify_locations(authority)
        context.use_certificate_file(certificate)
        context.use_privatekey_file(key)
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        connection = SSL.Connection(context, None)
        if self._side is Side.CLIENT:
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        return connection

    def export(self, label: str, length: int) -> bytes:
        """Returns exported keying material of the TLS session."""
        return self._tls.export_keying_material(label.encode(), length)

    def run(self, until: Callable[["MiniPeer"], bool], deadline: float) -> None:
        """Talks until the condition holds; fails after ``deadline`` seconds."""
        end = time.monotonic() + deadline
        while not until(self):
            self._flush()
            ready, _, _ = select.select([self._socket], [], [], 0.1)
            if time.monotonic() > end:
                raise SystemExit("the peer did not say what was expected in time")
            if ready:
                packet, self._peer = self._socket.recvfrom(65535)
                self._receive(packet)
        self._socket.close()

    def _receive(self, packet: bytes) -> None:
        if packet[0] >> 3 in (Opcode.DATA_V1, Opcode.DATA_V2):
            return
        if packet[0] & 7:
            self.unopened.append(packet)
            return
        try:
            header, inner = self._wrapping.open(packet)
            body = decode_body(header.opcode, inner)
        except Malformed as bad:
            # Repeated first replies of a cookie server carry the same replay id.
            print(f"dropped a packet: {bad.reason}")
            return
        self._peer_session_id = header.session_id
        self._sender.acknowledge(body.acks)
        if body.message_id is None:
            return
        self._receiver.receive(body.message_id, header.opcode, body.payload)
        for message in self._receiver.take():
            if message.opcode in _TLS_OPCODES:
                self._tls.bio_write(message.payload)
            elif self._side is Side.CLIENT:
                self._resend_wkc = resend_wkc_requested(message.payload)
            else:
                self._sender.queue(Opcode.CONTROL_HARD_RESET_SERVER_V2, b"", _now())
        self._pump()

    def _pump(self) -> None:
        """Moves TLS on and collects what it wants to send."""
        try:
            self._tls.do_handshake()
            self._greet()
            while True:
                self.plaintext.append(self._tls.recv(65535))
        except SSL.WantReadError:
            pass
        finally:
            self._collect()

    def _collect(self) -> None:
        try:
            while True:
                self._outgoing += self._tls.bio_read(65535)
        except SSL.WantReadError:
            return

    def _greet(self) -> None:
        """Sends our key method message: a client at once, a server after the client's."""
        if self._said_key_method or (self._side is Side.SERVER and not self.plaintext):
            return
        self._said_key_method = True
        entropy = secrets.token_bytes(key_source_length(self._side))
        flags = ProtocolFlag.DATA_V2 | ProtocolFlag.REQUEST_PUSH | ProtocolFlag.TLS_KEY_EXPORT
        flags |= ProtocolFlag.CC_EXIT | ProtocolFlag.DYN_TLS_CRYPT
        peer = LocalPeer(
            facts=LocalFacts(version="2.6.14"),
            flags=flags,
            ciphers=("AES-256-GCM", "AES-128-GCM"),
        )
        role = "client" if self._side is Side.CLIENT else "server"
        message = KeyMethodMessage(
            source=KeySource.from_entropy(self._side, entropy),
            options_string=f"V4,dev-type tun,key-method 2,tls-{role}",
            peer_info=build_peer_info(
                peer, Detail.PULL if self._side is Side.CLIENT else Detail.NOTHING
            ),
        )
        self._tls.send(bytes(encode_key_method(message)))
        if self._side is Side.CLIENT:
            self._tls.send(encode_message("PUSH_REQUEST"))

    def _flush(self) -> None:
        if self._peer is None:
            return
        if self._receiver.next_id or self._side is Side.SERVER:
            self._pump()
        while self._outgoing and self._sender.room > 0 and self._sender.next_id:
            wkc = self._resend_wkc and self._sender.next_id == 1
            opcode = Opcode.CONTROL_WKC_V1 if wkc else Opcode.CONTROL_V1
            length = _CHUNK - self._wrapping.trailer(opcode)
            self._sender.queue(opcode, bytes(self._outgoing[:length]), _now())
            del self._outgoing[:length]
        for message in self._sender.due(_now()):
            acks = self._receiver.take_acks(PIGGYBACKED_ACKS)
            self._send(
                message.opcode,
                ControlBody(
                    acks,
                    self._peer_session_id if acks else None,
                    message.message_id,
                    message.payload,
                ),
            )
        if self._receiver.has_acks:
            body = ControlBody(self._receiver.take_acks(), self._peer_session_id)
            self._send(Opcode.ACK_V1, body)

    def _send(self, opcode: Opcode, body: ControlBody) -> None:
        header = ControlHeader(opcode, KeyId(0), self._session_id)
        packet = self._wrapping.seal(header, encode_body(body))
        if self._peer is not None:
            self._socket.sendto(packet, self._peer)
