"""The seam between the protocol core and a TLS library: bytes in, bytes out, keys exported.

Responsible for the ``TlsChannel`` protocol and for what its implementations share; they are
``tls_wheel_channel`` and ``libssl_channel``. What a context contains is ``tls_context``'s business,
which certificates are good is ``x509``'s. OpenSSL keeps its own clock and randomness; that is the
one impurity the core accepts (house-style 1).
"""

from ginnel.core.actions import CertificateInfo
from ginnel.core.certificate import Certificate
from ginnel.core.notices import CertificateAccepted, CertificateRejected
from ginnel.core.signing import SignatureRequest
from ginnel.core.tls_text import describe_public_key, explain_tls_error
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy, ChainError, describe_unreadable
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.hints import Protocol
from ginnel.options.values import Secret

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


class KeyMismatch(Exception):
    """The private key is not the one of the certificate."""


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
        self._leaf: Certificate | None = None
        self._described: TlsPeer | None = None

    def __call__(self, der: bytes, *, depth: int, error_number: int, error_text: str) -> bool:
        """Takes one call of the library's verification; ``error_number`` is 0 without an error."""
        if len(self._verdicts) >= MAX_CERTIFICATES:
            return False
        known = None if error_number else self._policy.accepted_before(der, depth)
        if known is not None:
            self._verdicts.append(known)
            self._chain[depth] = known.certificate
            return True
        error = ChainError(code=error_number, text=error_text) if error_number else None
        return self._look(der, depth, error)

    def _look(self, der: bytes, depth: int, chain_error: ChainError | None) -> bool:
        """Judges a certificate that was not seen before."""
        try:
            certificate = Certificate(der)
            verdict = self._policy.judge(certificate, depth=depth, chain_error=chain_error)
        except ValueError as bad:
            verdict = describe_unreadable(depth, str(bad))
        if verdict is None:  # a chain error that does not matter; the real check follows
            return True
        self._verdicts.append(verdict)
        if isinstance(verdict, CertificateRejected):
            return False
        self._chain[depth] = verdict.certificate
        if depth == 0:
            self._leaf = certificate
        else:
            self._policy.remember(der, verdict)
        return True

    def require_certificate(self) -> None:
        """The handshake is complete. Raises TlsFailure when a server showed no certificate."""
        if self._needs_certificate and 0 not in self._chain:
            # Suites without certificates, which a tls-cipher may allow, prove nobody's name.
            raise TlsFailure(
                "the server showed no certificate", "tls-cipher must not allow anonymous suites"
            )

    def describe(self, *, tls_version: str, cipher: str) -> TlsPeer:
        """Describes the peer and its certificate, if it showed one.

        The certificate itself is let go of then: of a client that stays, its description is enough.
        """
        if self._described is None:
            leaf, self._leaf = self._leaf, None
            self._described = TlsPeer(
                tls_version=tls_version,
                cipher=cipher,
                certificate="" if leaf is None else describe_public_key(leaf),
                common_name="" if leaf is None else self._policy.common_name(leaf) or "",
                chain=tuple(self._chain[depth] for depth in sorted(self._chain, reverse=True)),
            )
        return self._described

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
