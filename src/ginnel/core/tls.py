"""The seam between the protocol core and a TLS library: bytes in, bytes out, keys exported.

Responsible for the ``TlsChannel`` protocol and its implementation on pyOpenSSL memory BIOs. What a
context contains is ``tls_context``'s business, which certificates are good is ``x509``'s. OpenSSL
keeps its own clock and randomness; that is the one impurity the core accepts (house-style 1).
"""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from ginnel.core.actions import CertificateInfo
from ginnel.core.notices import CertificateAccepted, CertificateRejected
from ginnel.core.signing import SignatureRequest
from ginnel.core.tls_text import describe_public_key, explain_tls_error
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy, ChainError, describe_unreadable
from ginnel.dataclass import dataclass
from ginnel.options.values import Secret

if TYPE_CHECKING:
    from OpenSSL import SSL, crypto

READ_SIZE = 16384
MAX_CERTIFICATES = 32
"""Verdicts kept for one handshake; a peer cannot make us remember more."""

Verdict = CertificateAccepted | CertificateRejected


class TlsFailure(Exception):
    """The TLS session is over. ``reason`` is the library's, ``hint`` a plain sentence or empty."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPeer:
    """What a finished handshake says about the peer."""

    tls_version: str
    """For example ``TLSv1.3``."""
    cipher: str
    """Name of the suite: ``TLS_AES_256_GCM_SHA384``."""
    certificate: str
    """``256 bits ECprime256v1, signature: ecdsa-with-SHA256``; empty without a certificate."""
    common_name: str
    chain: tuple[CertificateInfo, ...]
    """Top depth first; empty without a certificate."""


class PeerCheck(Enum):
    """What is asked of the other side's certificate."""

    NONE = "none"
    IF_SENT = "if sent"
    """A server sends one in any case; its client sees to that (``Judge``)."""
    REQUIRED = "required"


class TlsChannel(Protocol):
    """One TLS session over bytes that somebody else carries. Every call may raise TlsFailure."""

    @property
    def established(self) -> bool:
        """True once the handshake is complete on this side."""
        ...

    def start(self) -> None:
        """Begins the handshake; a client has its first message ready afterwards."""
        ...

    def receive(self, ciphertext: bytes) -> None:
        """Takes bytes from the peer and moves the handshake on."""
        ...

    def take(self, limit: int) -> bytes:
        """Returns up to ``limit`` bytes for the peer; empty when there are none."""
        ...

    def write(self, plaintext: bytes | bytearray) -> None:
        """Encrypts; the result is there to ``take``. Keeps no reference to the plaintext."""
        ...

    def read(self) -> list[bytes]:
        """Returns the records decrypted since the last call.

        OpenVPN gives each message a TLS record of its own and relies on that boundary.
        """
        ...

    def export(self, label: str, length: int) -> Secret:
        """RFC 5705 keying material without a context."""
        ...

    def peer(self) -> TlsPeer:
        """Describes the peer of an established session."""
        ...

    def take_verdicts(self) -> list[Verdict]:
        """Drains what the certificate checks said."""
        ...

    def take_request(self) -> SignatureRequest | None:
        """Returns, once, what somebody outside has to sign before the handshake goes on."""
        ...

    def supply(self, signature: bytes | None) -> None:
        """Answers the request; None says that there will be no signature."""
        ...

    def close(self) -> None:
        """Forgets the session's secrets. Nothing is sent: OpenVPN has no use for close_notify."""
        ...


class Judge:
    """Applies the policy to one handshake's certificates and keeps what it found."""

    def __init__(self, policy: CertificatePolicy, side: Side) -> None:
        self._policy = policy
        self._needs_certificate = side is Side.CLIENT
        self._verdicts: list[Verdict] = []
        self._chain: dict[int, CertificateInfo] = {}
        self._common_name = ""

    def __call__(self, der: bytes, *, depth: int, error_number: int, error_text: str) -> bool:
        """Takes one call of the library's verification; ``error_number`` is 0 without an error."""
        from cryptography.x509 import load_der_x509_certificate

        if len(self._verdicts) >= MAX_CERTIFICATES:
            return False
        chain_error = ChainError(code=error_number, text=error_text) if error_number else None
        try:
            certificate = load_der_x509_certificate(der)
            verdict = self._policy.judge(certificate, depth=depth, chain_error=chain_error)
        except ValueError as unreadable:
            verdict = describe_unreadable(depth, str(unreadable))
        if verdict is None:  # a chain error that does not matter; the real check follows
            return True
        self._verdicts.append(verdict)
        if isinstance(verdict, CertificateRejected):
            return False
        self._chain[depth] = verdict.certificate
        if depth == 0:
            self._common_name = self._policy.common_name(certificate) or ""
        return True

    def require_certificate(self) -> None:
        """The handshake is complete. Raises TlsFailure when a server showed no certificate."""
        if self._needs_certificate and 0 not in self._chain:
            # Suites without certificates, which a tls-cipher may allow, prove nobody's name.
            raise TlsFailure(
                "the server showed no certificate", "tls-cipher must not allow anonymous suites"
            )

    def describe(self, *, tls_version: str, cipher: str, der: bytes) -> TlsPeer:
        """Describes the peer; ``der`` is its certificate, empty without one."""
        from cryptography.x509 import load_der_x509_certificate

        return TlsPeer(
            tls_version=tls_version,
            cipher=cipher,
            certificate=describe_public_key(load_der_x509_certificate(der)) if der else "",
            common_name=self._common_name,
            chain=tuple(self._chain[depth] for depth in sorted(self._chain, reverse=True)),
        )

    def take_verdicts(self) -> list[Verdict]:
        """Drains the verdicts."""
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def hint(self, reason: str) -> str:
        """A plain sentence about a failure: our own verdict's, or what the reason means."""
        for verdict in self._verdicts:
            if isinstance(verdict, CertificateRejected):
                return verdict.hint
        return explain_tls_error(reason)


class OpenSslChannel:
    """A ``TlsChannel`` on a pyOpenSSL connection without a socket."""

    def __init__(
        self,
        connection: "SSL.Connection",
        *,
        side: Side,
        judge: Judge,
        verify_mode: int,
    ) -> None:
        self._connection = connection
        self._judge = judge
        self._records: list[bytes] = []
        self._established = False
        connection.set_verify(verify_mode, self._verify)
        if side is Side.CLIENT:
            connection.set_connect_state()
        else:
            connection.set_accept_state()

    @property
    def established(self) -> bool:
        return self._established

    def start(self) -> None:
        self._handshake()

    def receive(self, ciphertext: bytes) -> None:
        if ciphertext:
            self._guard(lambda: self._connection.bio_write(ciphertext))
        if not self._established:
            self._handshake()
        if self._established:
            self._drain()

    def take(self, limit: int) -> bytes:
        from OpenSSL import SSL

        try:
            return self._connection.bio_read(limit)
        except SSL.WantReadError:
            return b""

    def write(self, plaintext: bytes | bytearray) -> None:
        self._guard(lambda: self._connection.sendall(plaintext))

    def read(self) -> list[bytes]:
        records, self._records = self._records, []
        return records

    def export(self, label: str, length: int) -> Secret:
        exported = self._connection.export_keying_material(label.encode("ascii"), length, None)
        return Secret(exported)

    def peer(self) -> TlsPeer:
        connection = self._connection
        certificate = connection.get_peer_certificate(as_cryptography=False)
        return self._judge.describe(
            tls_version=connection.get_protocol_version_name(),
            cipher=connection.get_cipher_name() or "",
            der=b"" if certificate is None else _der(certificate),
        )

    def take_verdicts(self) -> list[Verdict]:
        return self._judge.take_verdicts()

    def take_request(self) -> SignatureRequest | None:
        return None  # the key is in this process

    def supply(self, signature: bytes | None) -> None:
        """Nothing was asked for."""

    def close(self) -> None:
        self._records.clear()
        self._established = False

    def _handshake(self) -> None:
        if not self._guard(self._connection.do_handshake):
            return
        self._judge.require_certificate()
        self._established = True

    def _drain(self) -> None:
        while self._guard(self._read_some):
            pass

    def _read_some(self) -> None:
        self._records.append(self._connection.recv(READ_SIZE))

    def _guard(self, call: Callable[[], object]) -> bool:
        """Runs a call of the library; False means that it wants more bytes from the peer."""
        from OpenSSL import SSL

        try:
            call()
        except SSL.WantReadError:
            return False
        except SSL.ZeroReturnError as closed:
            raise TlsFailure("the peer closed the TLS session") from closed
        except SSL.SysCallError as broken:
            raise TlsFailure("unexpected end of the TLS session") from broken
        except SSL.Error as failed:
            reason = tls_error_reason(failed.args)
            raise TlsFailure(reason, self._judge.hint(reason)) from failed
        return True

    def _verify(
        self,
        _connection: "SSL.Connection",
        raw: "crypto.X509",
        error_number: int,
        depth: int,
        preverified: int,
    ) -> bool:
        """The verify callback: one call for each certificate and for each chain error."""
        return self._judge(
            _der(raw),
            depth=depth,
            error_number=0 if preverified else error_number,
            error_text=verify_error_text(error_number),
        )


def _der(certificate: "crypto.X509") -> bytes:
    from OpenSSL import crypto

    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def tls_error_reason(args: tuple[object, ...]) -> str:
    """The library's own words for the first error of its queue."""
    queue = args[0] if args else ()
    if isinstance(queue, list | tuple):
        for entry in queue:
            if isinstance(entry, tuple) and entry and entry[-1]:
                return str(entry[-1])
    return "TLS error"


def verify_error_text(code: int) -> str:
    """OpenSSL's words for a certificate verification error."""
    from OpenSSL._util import ffi, lib

    words = ffi.string(lib.X509_verify_cert_error_string(code))
    return words.decode("ascii", "replace") if isinstance(words, bytes) else str(words)
