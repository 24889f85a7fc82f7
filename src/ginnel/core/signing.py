"""Signatures that somebody outside this process makes: what is asked, and how a handshake waits.

The private key is on a token or with a management client, so the TLS library cannot sign by
itself, and it offers no way to leave a handshake in the middle. Whoever makes the signature may
take as long as a person needs to type a PIN. So a handshake runs on a stack of its own that can be
left and entered again: ``Stacks`` is what the shell provides for that.
"""

from collections.abc import Callable

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.hints import Protocol


class Scheme(Enum):
    """How a TLS signature is made."""

    RSA_PKCS1 = "RSA_PKCS1"
    RSA_PSS = "RSA_PSS"
    ECDSA = "ECDSA"
    ED25519 = "ED25519"
    ED448 = "ED448"


@dataclass(frozen=True, kw_only=True)
class SignatureRequest:
    """What is to be signed. ``message`` is whole: hashing it is the signer's part."""

    scheme: Scheme
    hash_name: str
    """``SHA256`` and so on; ``MD5-SHA1`` before TLS 1.2, with no hash name in the padding; empty
    for Ed25519 and Ed448, which hash by themselves."""
    message: bytes
    key_bytes: int
    """Size of the key in bytes: the modulus of RSA, the order of a curve."""


Ask = Callable[[SignatureRequest], bytes | None]
"""Returns the signature: PKCS#1 octets, or ECDSA in DER; None when there will be none."""


class Suspended(Protocol):
    """A call that waits for a signature."""

    @property
    def request(self) -> SignatureRequest: ...

    def resume(self, signature: bytes | None) -> "Suspended | None":
        """Goes on until the next question, or to the end (None). Raises what the call raises."""
        ...


class Stacks(Protocol):
    """Runs calls that may be suspended."""

    def run(self, work: Callable[[Ask], None]) -> Suspended | None:
        """Runs ``work`` until it asks; None when it came to its end. Raises what it raises."""
        ...


@dataclass(frozen=True, kw_only=True)
class OutsideKey:
    """That the private key is elsewhere, and what its owner can do with it."""

    stacks: Stacks
    option: str
    """The option that said so, for messages."""
    rsa_pss: bool = True
    """Whether RSA keys can sign with PSS padding, which TLS 1.3 needs."""
    rsa_pkcs1: bool = True
    """Whether RSA keys can sign with PKCS#1 v1.5 padding."""
