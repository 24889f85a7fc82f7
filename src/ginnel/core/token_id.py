"""The names of certificates on tokens, in the form of pkcs11-helper, which OpenVPN uses.

``manufacturer/model/serial/label/id``: texts with everything unusual as ``\\xHH``, the id in
hexadecimal. ``--show-pkcs11-ids`` prints such names and ``--pkcs11-id`` takes them.
"""

from ginnel.dataclass import dataclass

_ESCAPED = frozenset("\\/\"'%&#@!?$* <>{}[]()`|:;,.+-")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenId:
    """Which token; equal when all four texts are."""

    manufacturer: str
    model: str
    serial: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectId:
    """Which certificate, and with it which private key, on which token."""

    token: TokenId
    id: bytes


def render_object_id(name: ObjectId) -> str:
    """The serialized form."""
    token = name.token
    texts = (token.manufacturer, token.model, token.serial, token.label)
    return "/".join([*map(_escape, texts), name.id.hex().upper()])


def parse_object_id(text: str) -> ObjectId:
    """Reads the serialized form. Raises ValueError."""
    parts = text.split("/")
    if len(parts) != 5:
        raise ValueError("expected five parts between slashes")
    manufacturer, model, serial, label = map(_unescape, parts[:4])
    token = TokenId(manufacturer=manufacturer, model=model, serial=serial, label=label)
    return ObjectId(token=token, id=bytes.fromhex(parts[4]))


def _escape(text: str) -> str:
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and chr(byte) not in _ESCAPED else f"\\x{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


def _unescape(text: str) -> str:
    head, *rest = text.split("\\x")
    plain = head.encode()
    for part in rest:
        if len(part) < 2:
            raise ValueError("a code is cut short")
        plain += bytes.fromhex(part[:2]) + part[2:].encode()
    if b"\\" in plain and "\\" in text.replace("\\x", ""):
        raise ValueError("a stray backslash")
    return plain.decode("utf-8", "surrogateescape")
