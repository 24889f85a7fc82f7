"""A TLS stand-in for long simulations: same calls, no cryptography, no clock, no randomness.

A handshake of two flights each way, records that keep their boundaries, and exported material that
both ends share. It fails on bytes that a real channel would not accept either.
"""

import hashlib

from ginnel.core.signing import Scheme, SignatureRequest
from ginnel.core.tls import TlsFailure, TlsPeer, Verdict
from ginnel.core.types import Side
from ginnel.options.values import Secret

_HELLO, _DATA = 1, 2
FLIGHT = 1800
"""Bytes of a server's flight: more than one control packet, as with real certificates."""

REQUEST = SignatureRequest(
    scheme=Scheme.ECDSA, hash_name="SHA256", message=b"to be signed", key_bytes=72
)


class FakeTls:
    """Half of a pair; ``number`` makes each session's exported material its own."""

    def __init__(
        self, side: Side, number: int, *, refuse: bool = False, asks: bool = False
    ) -> None:
        self._side = side
        self._own = f"{side.value} {number}".encode()
        self._refuse = refuse
        self._inbound = bytearray()
        self._outbound = bytearray()
        self._records: list[bytes] = []
        self._secret = b""
        self._flights = 0
        self._asks = asks
        self._theirs = b""
        self._request: SignatureRequest | None = None
        self.signatures: list[bytes] = []
        self.closed = False

    @property
    def established(self) -> bool:
        return bool(self._secret)

    def start(self) -> None:
        if self._side is Side.CLIENT:
            self._send(_HELLO, self._own)

    def receive(self, ciphertext: bytes) -> None:
        self._inbound += ciphertext
        while len(self._inbound) >= 3:
            kind, length = self._inbound[0], int.from_bytes(self._inbound[1:3], "big")
            if kind not in (_HELLO, _DATA):
                raise TlsFailure("bad record type")
            if len(self._inbound) < 3 + length:
                return
            body = bytes(self._inbound[3 : 3 + length])
            del self._inbound[: 3 + length]
            self._handle(kind, body)

    def take(self, limit: int) -> bytes:
        piece = bytes(self._outbound[:limit])
        del self._outbound[:limit]
        return piece

    def write(self, plaintext: bytes | bytearray) -> None:
        self._send(_DATA, bytes(plaintext))

    def read(self) -> list[bytes]:
        records, self._records = self._records, []
        return records

    def export(self, label: str, length: int) -> Secret:
        return Secret(hashlib.shake_256(label.encode() + self._secret).digest(length))

    def peer(self) -> TlsPeer:
        return TlsPeer(
            tls_version="TLSv1.3", cipher="FAKE", certificate="", common_name="fake", chain=()
        )

    def take_verdicts(self) -> list[Verdict]:
        return []

    def take_request(self) -> SignatureRequest | None:
        request, self._request = self._request, None
        return request

    def supply(self, signature: bytes | None) -> None:
        if signature is None:
            raise TlsFailure("EVP lib")
        self.signatures.append(signature)
        self._finish(self._theirs)

    def close(self) -> None:
        self.closed = True

    def _handle(self, kind: int, body: bytes) -> None:
        if kind == _DATA:
            if not self.established:
                raise TlsFailure("data before the handshake")
            self._records.append(body)
            return
        if self._refuse:
            raise TlsFailure("certificate verify failed", "told to refuse")
        theirs = body.rstrip(b"\0")
        if self._asks:
            self._theirs = theirs
            self._request = REQUEST
        else:
            self._finish(theirs)

    def _finish(self, theirs: bytes) -> None:
        if self._side is Side.SERVER:
            self._send(_HELLO, self._own.ljust(FLIGHT, b"\0"))
            self._secret = theirs + self._own
        else:
            self._secret = self._own + theirs

    def _send(self, kind: int, body: bytes) -> None:
        self._outbound += bytes((kind,)) + len(body).to_bytes(2, "big") + body
