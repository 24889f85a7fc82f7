"""Typed reading of JSON objects that crossed a process or came from a file.

Responsible for turning untrusted ``object`` values into checked Python values; a ``BadRecord``
names the field. What the fields mean is up to the modules that read them.
"""

import json
from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from ginnel.core.types import IPAddress, IPNetwork

Record = Mapping[str, object]
_DECODER = json.JSONDecoder()
_DEVICE_NAME_LENGTH = 15


class BadRecord(Exception):
    """A record that does not have the shape it should."""


def parse_record(text: bytes | str) -> Record:
    """Parses one JSON object."""
    try:
        line = (text if isinstance(text, str) else text.decode()).strip(" \t\r\n")
        # Not ``loads``, which looks for white space with a pattern: a start does without ``re``.
        value, end = _DECODER.raw_decode(line)
        if end < len(line):
            raise ValueError("more than one value")
    except (ValueError, RecursionError) as bad:
        raise BadRecord("not JSON") from bad
    return as_record(value)


def as_record(value: object) -> Record:
    """Checks that a value is a JSON object."""
    if not isinstance(value, dict):
        raise BadRecord("not an object")
    return value


def render_record(record: Record) -> bytes:
    """Renders one object without line breaks."""
    return json.dumps(record, separators=(",", ":")).encode()


def text_field(record: Record, name: str, limit: int = 4096) -> str:
    """A string of at most ``limit`` characters that every system call can take."""
    value = record.get(name)
    if not isinstance(value, str) or len(value) > limit or "\0" in value:
        raise BadRecord(name)
    try:
        value.encode()
    except UnicodeEncodeError as bad:  # half a surrogate pair, which has no bytes
        raise BadRecord(name) from bad
    return value


def number_field(record: Record, name: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
    """An integer within bounds."""
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadRecord(name)
    return value


def optional_number(record: Record, name: str, low: int = 0, high: int = 0xFFFFFFFF) -> int | None:
    """An integer within bounds, or None when absent or null."""
    return None if record.get(name) is None else number_field(record, name, low, high)


def flag_field(record: Record, name: str) -> bool:
    """A boolean."""
    value = record.get(name)
    if not isinstance(value, bool):
        raise BadRecord(name)
    return value


def list_field(record: Record, name: str, limit: int) -> list[object]:
    """A list of at most ``limit`` values."""
    value = record.get(name)
    if not isinstance(value, list) or len(value) > limit:
        raise BadRecord(name)
    return value


def device_field(record: Record, name: str) -> str:
    """The name of a network device."""
    value = text_field(record, name, 15)
    if not is_device_name(value):
        raise BadRecord(name)
    return value


def is_device_name(name: str) -> bool:
    """True for a name that the kernel and our files can carry."""
    if not 1 <= len(name) <= _DEVICE_NAME_LENGTH or name in (".", ".."):
        return False
    return not any(char.isspace() or char < " " or char in "/\x7f" for char in name)


def optional_device(record: Record, name: str) -> str | None:
    """The name of a network device, or None when absent or null."""
    return None if record.get(name) is None else device_field(record, name)


def address_field(record: Record, name: str) -> IPAddress:
    """An IPv4 or IPv6 address."""
    try:
        return ip_address(text_field(record, name, 64))
    except ValueError as bad:
        raise BadRecord(name) from bad


def optional_address(record: Record, name: str) -> IPAddress | None:
    """An address, or None when absent or null."""
    return None if record.get(name) is None else address_field(record, name)


def network_field(record: Record, name: str) -> IPNetwork:
    """A network without host bits."""
    try:
        return ip_network(text_field(record, name, 64))
    except ValueError as bad:
        raise BadRecord(name) from bad


def bytes_field(record: Record, name: str, limit: int = 4096) -> bytes:
    """Bytes written as hexadecimal digits."""
    try:
        return bytes.fromhex(text_field(record, name, 2 * limit))
    except ValueError as bad:
        raise BadRecord(name) from bad


def optional_text(value: object | None) -> str | None:
    """Renders an address or network for a record; None stays None."""
    return None if value is None else str(value)
