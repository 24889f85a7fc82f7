"""Text forms of key material: static key files and the PEM blocks of tls-crypt-v2 and auth-token.

Responsible for: parsing and rendering (protocol-facts 3, 4, 20 and 23), and which slice of a static
key serves which direction. Not responsible for: reading files, or cryptography.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from ginnel.core.errors import ConfigError
from ginnel.core.types import Side
from ginnel.dataclass import dataclass
from ginnel.options.model import KeyDirection
from ginnel.options.values import FileContent, Secret

STATIC_KEY_LENGTH = 256
SERVER_KEY_LENGTH = 128
"""Length of a tls-crypt-v2 server key and of an auth-token key: cipher slice and hmac slice."""
MAX_WKC_LENGTH = 1024
"""Largest wrapped client key (protocol-facts 4)."""
MIN_WKC_LENGTH = 32 + STATIC_KEY_LENGTH + 2

V2_SERVER_BLOCK = "OpenVPN tls-crypt-v2 server key"
V2_CLIENT_BLOCK = "OpenVPN tls-crypt-v2 client key"
AUTH_TOKEN_BLOCK = "OpenVPN auth-token server key"  # noqa: S105 -- the name of a PEM block

_STATIC_BEGIN = "-----BEGIN OpenVPN Static key V1-----"
_STATIC_END = "-----END OpenVPN Static key V1-----"
_MAX_TEXT = 64 * 1024


@dataclass(frozen=True, slots=True)
class KeyHalf:
    """One of the two keys of a static key: 64 bytes for a cipher and 64 for an HMAC."""

    cipher: Secret
    hmac: Secret


@dataclass(frozen=True, slots=True)
class StaticKey:
    """256 bytes of shared key material: two keys, each with a cipher and an hmac slice."""

    material: Secret

    def __post_init__(self) -> None:
        if len(self.material) != STATIC_KEY_LENGTH:
            raise ValueError(f"a static key has {STATIC_KEY_LENGTH} bytes")

    def half(self, number: int) -> KeyHalf:
        """Returns key 0 or key 1."""
        raw = self.material.reveal()[128 * number : 128 * number + 128]
        return KeyHalf(Secret(raw[:64]), Secret(raw[64:]))

    def by_direction(self, direction: KeyDirection) -> tuple[KeyHalf, KeyHalf]:
        """Returns the (send, receive) halves for a ``key-direction``; none uses key 0 both ways."""
        match direction:
            case KeyDirection.NONE:
                return self.half(0), self.half(0)
            case KeyDirection.NORMAL:
                return self.half(0), self.half(1)
            case KeyDirection.INVERSE:
                return self.half(1), self.half(0)

    def by_side(self, side: Side) -> tuple[KeyHalf, KeyHalf]:
        """Returns the (send, receive) halves of tls-crypt: the server sends with key 0."""
        direction = KeyDirection.NORMAL if side is Side.SERVER else KeyDirection.INVERSE
        return self.by_direction(direction)


@dataclass(frozen=True)
class V2ServerKey:
    """Key that seals client keys: only the first 32 bytes of each slice are used."""

    material: Secret

    def __post_init__(self) -> None:
        if len(self.material) != SERVER_KEY_LENGTH:
            raise ValueError(f"a tls-crypt-v2 server key has {SERVER_KEY_LENGTH} bytes")


@dataclass(frozen=True)
class V2ClientKey:
    """A client's key and the same key sealed for the server (WKc)."""

    key: StaticKey
    wrapped: bytes


def parse_static_key(file: FileContent) -> StaticKey:
    """Reads a static key file: lines of hex digits between the markers, comments around them.

    A shorter key is refused and more of it than needed is ignored, both as OpenVPN 2.6 does.

    Raises ``ConfigError`` that names the option, the file and the line.
    """
    digits: list[str] = []
    inside = complete = False
    for number, line in enumerate(_lines(file), start=1):
        if line == _STATIC_BEGIN:
            if inside or complete:
                raise _error(file, f"has a second '{_STATIC_BEGIN}' in line {number}")
            inside = True
        elif line == _STATIC_END:
            complete, inside = inside, False
            break
        elif inside and line and not line.startswith(("#", ";")):
            if any(character not in "0123456789abcdefABCDEF" for character in line):
                raise _error(file, f"has something other than hex digits in key line {number}")
            digits.append(line)
    if not complete:
        raise _error(file, f"lacks the lines '{_STATIC_BEGIN}' and '{_STATIC_END}'")
    text = "".join(digits)
    if len(text) < 2 * STATIC_KEY_LENGTH:
        found = len(text) // 2
        raise _error(file, f"holds {found} bytes of key material instead of {STATIC_KEY_LENGTH}")
    return StaticKey(Secret(bytes.fromhex(text[: 2 * STATIC_KEY_LENGTH])))


def render_static_key(key: StaticKey) -> str:
    """Renders a static key as ``openvpn --genkey secret`` writes it."""
    text = key.material.reveal().hex()
    rows = [text[start : start + 32] for start in range(0, len(text), 32)]
    header = ["#", "# 2048 bit OpenVPN static key", "#", _STATIC_BEGIN]
    return "\n".join([*header, *rows, _STATIC_END, ""])


def parse_v2_server_key(file: FileContent) -> V2ServerKey:
    """Reads a tls-crypt-v2 server key file. Raises ``ConfigError``."""
    material = _parse_block(file, V2_SERVER_BLOCK)
    if len(material) != SERVER_KEY_LENGTH:
        raise _error(file, f"holds {len(material)} bytes instead of {SERVER_KEY_LENGTH}")
    return V2ServerKey(Secret(material))


def render_v2_server_key(key: V2ServerKey) -> str:
    return _render_block(V2_SERVER_BLOCK, key.material.reveal())


def parse_v2_client_key(file: FileContent) -> V2ClientKey:
    """Reads a tls-crypt-v2 client key file; the wrapped key is checked for its length only.

    Raises ``ConfigError``.
    """
    material = _parse_block(file, V2_CLIENT_BLOCK)
    wrapped = material[STATIC_KEY_LENGTH:]
    if not MIN_WKC_LENGTH <= len(wrapped) <= MAX_WKC_LENGTH:
        raise _error(file, f"has a wrapped client key of {len(wrapped)} bytes, which cannot be")
    if int.from_bytes(wrapped[-2:], "big") != len(wrapped):
        raise _error(file, "has a wrapped client key whose length field does not match")
    return V2ClientKey(StaticKey(Secret(material[:STATIC_KEY_LENGTH])), wrapped)


def render_v2_client_key(key: V2ClientKey) -> str:
    return _render_block(V2_CLIENT_BLOCK, key.key.material.reveal() + key.wrapped)


def parse_auth_token_key(file: FileContent) -> Secret:
    """Reads an auth-token key file (128 bytes). Raises ``ConfigError``."""
    material = _parse_block(file, AUTH_TOKEN_BLOCK)
    if len(material) != SERVER_KEY_LENGTH:
        raise _error(file, f"holds {len(material)} bytes instead of {SERVER_KEY_LENGTH}")
    return Secret(material)


def render_auth_token_key(key: Secret) -> str:
    return _render_block(AUTH_TOKEN_BLOCK, key.reveal())


def _parse_block(file: FileContent, name: str) -> bytes:
    """Returns the bytes of the first PEM block called ``name``; text around it is ignored."""
    begin, end = f"-----BEGIN {name}-----", f"-----END {name}-----"
    lines = _lines(file)
    if begin not in lines:
        other = next((line for line in lines if line.startswith("-----BEGIN ")), None)
        found = f"; it holds '{other[11:].strip('-')}'" if other else ""
        raise _error(file, f"lacks a '{name}' block{found}")
    start = lines.index(begin) + 1
    if end not in lines[start:]:
        raise _error(file, f"has a '{name}' block without its END line")
    try:
        return a2b_base64("".join(lines[start : lines.index(end, start)]), strict_mode=True)
    except (Base64Error, ValueError) as bad:
        raise _error(file, f"has a '{name}' block that is not valid base64") from bad


def _render_block(name: str, material: bytes) -> str:
    text = b2a_base64(material, newline=False).decode("ascii")
    rows = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {name}-----", *rows, f"-----END {name}-----", ""])


def _lines(file: FileContent) -> list[str]:
    content = file.content.reveal()
    if len(content) > _MAX_TEXT:
        raise _error(file, f"is larger than {_MAX_TEXT} bytes")
    return [line.strip() for line in content.decode("latin-1").splitlines()]


def _error(file: FileContent, problem: str) -> ConfigError:
    place = "the inline block" if file.path is None else f"'{file.path}'"
    return ConfigError(f"{file.option}: {place} {problem}", origin=file.origin, option=file.option)
