"""The data ciphers and message digests that ginnel has, with the sizes that follow from a name.

Facts only. Which of them a tunnel may use is in ``apply_data``; their code is in the data planes.
"""

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum


class CipherMode(Enum):
    """How a cipher is used on packets (protocol-facts 9)."""

    AEAD = "aead"
    CBC = "cbc"
    """Padded, with a random IV."""
    CFB = "cfb"
    """The packet-id is the IV, as in OFB."""
    OFB = "ofb"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class CipherKind:
    """A cipher by its name on the wire; lengths in bytes."""

    name: str
    mode: CipherMode
    key_length: int
    block_length: int
    """1 for a stream cipher, 0 for none."""
    key_lengths: range = range(0)
    """Lengths that ``keysize`` may choose, where the cipher has a choice."""

    @property
    def is_aead(self) -> bool:
        return self.mode is CipherMode.AEAD

    @property
    def has_short_blocks(self) -> bool:
        """Collisions of 64-bit blocks tell about plaintexts after some gigabytes."""
        return self.block_length == 8

    @property
    def limits_bytes(self) -> bool:
        """A key is used for 64 MiB at most, unless the user says otherwise.

        As in openvpn 2.6, which counts ``none`` among the ciphers with short blocks here.
        """
        return self.has_short_blocks or self.mode is CipherMode.NONE


def _kinds() -> tuple[CipherKind, ...]:
    def cbc(
        name: str, key_length: int, block_length: int, key_lengths: range = range(0)
    ) -> CipherKind:
        return CipherKind(
            name=f"{name}-CBC",
            mode=CipherMode.CBC,
            key_length=key_length,
            block_length=block_length,
            key_lengths=key_lengths,
        )

    def aes(mode: CipherMode, bits: int, suffix: str) -> CipherKind:
        return CipherKind(
            name=f"AES-{bits}-{suffix}", mode=mode, key_length=bits // 8, block_length=16
        )

    sizes = (128, 192, 256)
    chacha = CipherKind(
        name="CHACHA20-POLY1305", mode=CipherMode.AEAD, key_length=32, block_length=1
    )
    return (
        *(aes(CipherMode.AEAD, bits, "GCM") for bits in sizes),
        chacha,
        *(aes(CipherMode.CBC, bits, "CBC") for bits in sizes),
        *(aes(CipherMode.CFB, bits, "CFB") for bits in sizes),
        *(aes(CipherMode.OFB, bits, "OFB") for bits in sizes),
        *(cbc(f"CAMELLIA-{bits}", bits // 8, 16) for bits in sizes),
        cbc("BF", 16, 8, range(4, 57)),
        cbc("CAST5", 16, 8, range(5, 17)),
        cbc("DES", 8, 8),
        cbc("DES-EDE", 16, 8),
        cbc("DES-EDE3", 24, 8),
        CipherKind(name="none", mode=CipherMode.NONE, key_length=0, block_length=0),
    )


CIPHERS = {kind.name: kind for kind in _kinds()}
"""Every cipher by its canonical name."""

DEFAULT_CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")

NO_CIPHER = "none"
_ALIASES = {
    "[null-cipher]": "none",
    "id-aes128-gcm": "AES-128-GCM",
    "id-aes192-gcm": "AES-192-GCM",
    "id-aes256-gcm": "AES-256-GCM",
    "blowfish": "BF-CBC",
    "des-ede3": "DES-EDE3-CBC",
}
_BY_LOWER_NAME = {name.lower(): name for name in CIPHERS}

_FOREIGN = ("ARIA-", "SM4-", "SEED-", "RC2-", "RC5-", "IDEA-", "DESX-")
_FOREIGN_MODES = ("-CFB", "-OFB", "-CFB1", "-CFB8", "-CTR", "-ECB", "-CCM")

DIGESTS = (
    "MD4",
    "MD5",
    "MD5-SHA1",
    "SHA1",
    "SHA224",
    "SHA256",
    "SHA384",
    "SHA512",
    "SHA512-224",
    "SHA512-256",
    "SHA3-224",
    "SHA3-256",
    "SHA3-384",
    "SHA3-512",
    "BLAKE2b512",
    "BLAKE2s256",
    "RIPEMD160",
    "SM3",
    "whirlpool",
)
"""Names ``auth`` takes; whether the TLS library has one is found out when it is used."""

_TLS_AUTH_ONLY = frozenset({"MD4", "MD5-SHA1", "SM3", "whirlpool"})

DATA_DIGESTS = tuple(name for name in DIGESTS if name not in _TLS_AUTH_ONLY)
"""Those that can authenticate data packets."""


def canonical_cipher(name: str) -> str | None:
    """Returns the wire name of a cipher ginnel has, ``none`` included, or None."""
    lower = name.lower()
    return _BY_LOWER_NAME.get(lower) or _ALIASES.get(lower)


def is_foreign_cipher(name: str) -> bool:
    """Knows ciphers that OpenVPN has and ginnel does not."""
    upper = name.upper()
    return upper.startswith(_FOREIGN) or upper.endswith(_FOREIGN_MODES)


def canonical_digest(name: str) -> str | None:
    """Returns the usual spelling of a known digest name, ``none`` included, or None."""
    lower = name.lower().removeprefix("rsa-")
    if lower in ("none", "[null-digest]"):
        return "none"
    squeezed = lower.replace("-", "")
    for known in DIGESTS:
        if squeezed == known.lower().replace("-", ""):
            return known
    return None
