"""A certificate, as far as OpenVPN looks into it: names, serial number, dates, uses, kind of key.

Whatever is read here is a certificate by OpenSSL's judgement already, and whether it is to be
trusted is OpenSSL's to say as well. The cryptography package reads the same, and more; but its
objects bring some fifty Python modules along, a fifth of a client's start (ADR 21).
"""

from ginnel.core.der import (
    BIT_STRING,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    bits,
    dotted,
    elements,
    inside,
    integer,
    only,
)
from ginnel.core.moments import Moment, checked

Attribute = tuple[str, str | bytes]
"""Object identifier and value of one part of a name."""
Name = tuple[tuple[Attribute, ...], ...]
"""A distinguished name in the certificate's order; parts that belong together side by side."""

_KEY_USAGE = "2.5.29.15"
_ALTERNATIVE_NAME = "2.5.29.17"
_EXTENDED_USES = "2.5.29.37"
_NETSCAPE_TYPE = "2.16.840.1.113730.1.1"
_UNIQUE_IDENTIFIER = "2.5.4.45"

_VERSION, _ISSUER_ID, _SUBJECT_ID, _EXTENSIONS = 0xA0, 0x81, 0x82, 0xA3
_EMAIL = 0x81
_BOOLEAN, _UTC_TIME, _GENERALIZED_TIME = 0x01, 0x17, 0x18

_ENCODINGS = {28: "utf_32_be", 30: "utf_16_be"}
_STRINGS = {4, 12, 18, 19, 20, 22, 23, 24, 26, *_ENCODINGS}

_KEY_AGREEMENT, _ENCIPHER_ONLY = 0x08, 0x01
_DECIPHER_ONLY = 0x80


class Certificate:
    """One certificate. Making one, and asking it, raises ValueError for what cannot be read."""

    __slots__ = (
        "_extensions",
        "_issuer",
        "_key",
        "der",
        "serial_number",
        "signature_algorithm",
        "subject",
        "validity",
    )

    def __init__(self, der: bytes) -> None:
        body, algorithm, _signature = elements(only(SEQUENCE, der))
        fields = elements(inside(SEQUENCE, body))
        if fields and fields[0][0] == _VERSION:
            version = integer(only(INTEGER, fields.pop(0)[1]))
            if not 0 <= version <= 2:
                raise ValueError(f"a certificate of version {version + 1}")
        serial, _algorithm, issuer, validity, subject, key, *further = fields
        beside = dict(further)
        if [tag for tag in (_ISSUER_ID, _SUBJECT_ID, _EXTENSIONS) if tag in beside] != [
            tag for tag, _ in further
        ]:
            raise ValueError("a certificate with fields of an unknown kind")
        self.der = der
        self.serial_number = integer(inside(INTEGER, serial))
        self.signature_algorithm = _algorithm_of(algorithm)[0]
        """Object identifier."""
        self.subject: Name = _name(inside(SEQUENCE, subject))
        self._issuer = inside(SEQUENCE, issuer)
        start, end = elements(inside(SEQUENCE, validity))
        self.validity = _time(start), _time(end)
        """The first and the last moment."""
        self._key = inside(SEQUENCE, key)
        self._extensions = beside.get(_EXTENSIONS)

    @property
    def issuer(self) -> Name:
        return _name(self._issuer)

    def public_key(self) -> tuple[str, bytes, bytes]:
        """The key's algorithm, the encoded parameters of that, and the key as the bits it has."""
        algorithm, key = elements(self._key)
        return *_algorithm_of(algorithm), bits(inside(BIT_STRING, key))

    def key_usage(self) -> int | None:
        """The key usage bits as OpenVPN counts them: digitalSignature is 0x80, cRLSign 0x02.

        None without the extension.
        """
        value = self._extension(_KEY_USAGE)
        if value is None:
            return None
        octets = bits(only(BIT_STRING, value)) + bytes(2)
        narrowed = octets[0] & _ENCIPHER_ONLY or octets[1] & _DECIPHER_ONLY
        if narrowed and not octets[0] & _KEY_AGREEMENT:
            raise ValueError("key usage narrows a key agreement that it does not allow")
        return octets[0]

    def extended_uses(self) -> list[str] | None:
        """Object identifiers of the extended key usage; None without the extension."""
        value = self._extension(_EXTENDED_USES)
        if value is None:
            return None
        return [dotted(inside(OBJECT_IDENTIFIER, use)) for use in elements(only(SEQUENCE, value))]

    def netscape_type(self) -> int:
        """The first octet of the Netscape certificate type's bit string; 0 without one."""
        value = self._extension(_NETSCAPE_TYPE)
        return value[3] if value is not None and len(value) == 4 else 0

    def alternative_email(self) -> str | None:
        """The first address of electronic mail among the alternative names of the subject."""
        value = self._extension(_ALTERNATIVE_NAME)
        names = () if value is None else elements(only(SEQUENCE, value))
        return next((name.decode("ascii") for tag, name in names if tag == _EMAIL), None)

    def _extension(self, wanted: str) -> bytes | None:
        """The content of an extension; one that is there twice says nothing that counts."""
        if self._extensions is None:
            return None
        found: dict[str, bytes] = {}
        for extension in elements(only(SEQUENCE, self._extensions)):
            parts = elements(inside(SEQUENCE, extension))
            if len(parts) == 3:
                inside(_BOOLEAN, parts.pop(1))  # whether it is critical is the library's to judge
            if len(parts) != 2:
                raise ValueError("an extension of an unknown shape")
            number = dotted(inside(OBJECT_IDENTIFIER, parts[0]))
            if number in found:
                raise ValueError(f"extension {number} is there twice")
            found[number] = inside(OCTET_STRING, parts[1])
        return found.get(wanted)


def _algorithm_of(element: tuple[int, bytes]) -> tuple[str, bytes]:
    """Object identifier and parameters."""
    kind, *parameters = elements(inside(SEQUENCE, element))
    rest = parameters[0][1] if parameters else b""
    return dotted(inside(OBJECT_IDENTIFIER, kind)), rest


def _time(element: tuple[int, bytes]) -> Moment:
    kind, content = element
    if kind == _UTC_TIME:
        content = (b"19" if content >= b"50" else b"20") + content
    elif kind != _GENERALIZED_TIME:
        raise ValueError("a date of an unknown kind")
    if len(content) != 15 or content[14:] != b"Z" or not content[:14].isdigit():
        raise ValueError("a date of an unknown form")
    year, *rest = (int(content[at : at + 2]) for at in range(2, 14, 2))
    month, day, hour, minute, second = rest
    return checked((100 * int(content[:2]) + year, month, day, hour, minute, second))


def _name(content: bytes) -> Name:
    return tuple(_together(inside(SET, group)) for group in elements(content))


def _together(content: bytes) -> tuple[Attribute, ...]:
    found = tuple(_attribute(inside(SEQUENCE, part)) for part in elements(content))
    if not found or len(set(found)) != len(found):
        raise ValueError("a name with an empty part, or with the same one twice")
    return found


def _attribute(content: bytes) -> Attribute:
    kind, (tag, value) = elements(content)
    number = dotted(inside(OBJECT_IDENTIFIER, kind))
    if tag == BIT_STRING and number == _UNIQUE_IDENTIFIER:
        return number, value
    if tag not in _STRINGS:
        raise ValueError(f"a name with a value of kind {tag:#04x}")
    return number, value.decode(_ENCODINGS.get(tag, "utf-8"))
