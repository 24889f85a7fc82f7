"""The ``--show-…`` commands: lists of what this program can use, in the shape of OpenVPN's.

Programs read them (NetworkManager's editor fills its cipher list from ``--show-ciphers``): a
heading, an empty line, one name a line with its numbers behind it. Only what ginnel itself takes is
listed.
"""

from collections.abc import Iterator

from ginnel.dataclass import replace
from ginnel.hints import TYPE_CHECKING
from ginnel.options.errors import ConfigError
from ginnel.options.model import TlsOptions

if TYPE_CHECKING:
    from ginnel.core.tls_context import TlsContext
    from ginnel.options.ciphers import CipherKind


def ciphers() -> Iterator[str]:
    """The lines of ``--show-ciphers``, in OpenVPN's form."""
    from ginnel.options.ciphers import CIPHERS, NO_CIPHER

    kinds = [CIPHERS[name] for name in sorted(CIPHERS) if name != NO_CIPHER]
    yield "The following ciphers can be used on the data channel, as an entry of --data-ciphers"
    yield "or as the argument of --data-ciphers-fallback. Those of TLS mode alone cannot be used"
    yield "with a static key."
    yield ""
    yield from (_cipher_line(kind) for kind in kinds if not kind.has_short_blocks)
    yield ""
    yield "The following ciphers have a block size of less than 128 bits,"
    yield "and are therefore deprecated.  Do not use unless you have to."
    yield ""
    yield from (_cipher_line(kind) for kind in kinds if kind.has_short_blocks)
    yield ""


def _cipher_line(kind: "CipherKind") -> str:
    blocks = kind.block_length
    size = f"{blocks * 8} bit block" if blocks > 1 else "stream cipher"
    only = "" if kind.mode.value == "cbc" else ", TLS client/server mode only"
    return f"{kind.name}  ({kind.key_length * 8} bit key, {size}{only})"


def digests() -> Iterator[str]:
    """The lines of ``--show-digests``."""
    from ginnel.core.digests import available_digests

    yield "The following message digests can be given to --auth. They authenticate control packets"
    yield "with --tls-auth, and data packets with ciphers that do not do so themselves."
    yield ""
    for digest in available_digests():
        yield f"{digest.name} {digest.size * 8} bit digest size"
    yield ""


def engines() -> Iterator[str]:
    """The lines of ``--show-engines``: the TLS library was built without support for them."""
    yield "Sorry, OpenSSL hardware crypto engine functionality is not available."


def tls(options: TlsOptions) -> Iterator[str]:
    """The lines of ``--show-tls``. Raises ConfigError when the options leave no cipher."""
    modern, older = tls_cipher_names(options)
    yield "Available TLS Ciphers, listed in order of preference:"
    yield ""
    yield "For TLS 1.3 and newer (--tls-ciphersuites):"
    yield ""
    yield from modern
    yield ""
    yield "For TLS 1.2 and older (--tls-cipher):"
    yield ""
    yield from older
    yield ""
    yield "Which of them a connection ends up with also depends on the certificates and on the"
    yield "other side."
    yield ""


def groups() -> Iterator[str]:
    """The lines of ``--show-curves`` and ``--show-groups``."""
    yield "The following groups can be given to --tls-groups, joined by colons."
    yield ""
    yield "Available Elliptic curves/groups:"
    for name in _GROUPS:
        if _context(TlsOptions(tls_groups=name)) is not None:
            yield name


def tls_cipher_names(options: TlsOptions) -> tuple[list[str], list[str]]:
    """The TLS 1.3 suites and the older ones (in IANA's spelling) that the options allow."""
    wanted = TlsOptions(
        tls_cipher=options.tls_cipher,
        tls_ciphersuites=options.tls_ciphersuites,
        tls_cert_profile=options.tls_cert_profile,
    )
    context = _context(wanted, must_fit=True)
    assert context is not None
    names = context.tls_library.cipher_names()
    modern = [name for name in names if name.startswith("TLS_")]
    return modern, [iana_cipher_name(name) for name in names if not name.startswith("TLS_")]


def iana_cipher_name(name: str) -> str:
    """Translates OpenSSL's name of a TLS 1.2 suite: the reverse of ``openssl_cipher_name``.

    ``ECDHE-RSA-AES256-GCM-SHA384`` becomes ``TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384``, the form
    that OpenVPN prints and takes. A name of another shape is returned as it is.
    """
    words = name.split("-")
    start = next((at for at, word in enumerate(words) if word.startswith(_BULK)), None)
    if start is None:
        return name
    exchange = "-".join(words[:start]) or "RSA"
    cipher, *rest = words[start:]
    for family in ("AES", "CAMELLIA", "ARIA"):
        bits = cipher.removeprefix(family)
        if bits != cipher and bits.isdigit():
            block_mode = [] if rest[0] in {"GCM", "CCM", "CCM8"} else ["CBC"]
            rest = ["CCM", "8", *rest[1:]] if rest[0] == "CCM8" else rest
            return "-".join(["TLS", exchange, "WITH", family, bits, *block_mode, *rest])
    if cipher == "CHACHA20":
        return "-".join(["TLS", exchange, "WITH", cipher, *rest, "SHA256"])
    return name


_BULK = ("AES", "CAMELLIA", "ARIA", "CHACHA20")

_GROUPS = (
    "X25519",
    "X448",
    "prime256v1",
    "secp384r1",
    "secp521r1",
    "secp256k1",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
    "ffdhe2048",
    "ffdhe3072",
    "ffdhe4096",
    "X25519MLKEM768",
    "SecP256r1MLKEM768",
    "SecP384r1MLKEM1024",
    "MLKEM512",
    "MLKEM768",
    "MLKEM1024",
)
"""Candidates in order of use; what this machine's TLS library does not know is left out."""


def _context(options: TlsOptions, *, must_fit: bool = False) -> "TlsContext | None":
    """A context with the options' lists; None when the library refuses them.

    The fingerprint matches no certificate: it only stands for the trust a context must have.
    """
    from ginnel.core.tls_context import build_tls_context
    from ginnel.core.types import Side

    try:
        return build_tls_context(
            replace(options, peer_fingerprint=(bytes(32),)), side=Side.CLIENT, unix_time=0
        )
    except ConfigError:
        if must_fit:
            raise
        return None
