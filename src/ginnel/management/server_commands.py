"""The grammar of a server's own commands: words become a command, or a refusal.

Names, numbers of arguments and every text are those of openvpn 2.6.14, but for ``push-update-*``,
which are those of 2.7 (tests/vectors/management/server.json). Pure; what a command does is in
``server_executor``. How many words a command needs at least is checked before (``commands``).
"""

import re
from ipaddress import IPv4Address, ip_address

from ginnel.core.server_actions import ClientId
from ginnel.core.types import Endpoint, IPAddress, Transport
from ginnel.dataclass import dataclass
from ginnel.management.commands import Refused, leading_number

MAX_ID = 2**64 - 1

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCount:
    """``nclients``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillName:
    """``kill CN``."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KillAddress:
    """``kill ADDRESS:PORT``, also with ``udp:`` or ``tcp:`` before it, as in OpenVPN 2.7.

    IPv6 addresses are in brackets.
    """

    remote: Endpoint
    transport: Transport | None
    shown: str
    """The address as replies show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOf:
    """Which negotiation of which client: ``CID KID``."""

    client_id: ClientId
    key_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """``client-auth`` and ``client-auth-nt``; ``config`` are the lines up to END."""

    key: KeyOf
    config: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """``client-deny``."""

    key: KeyOf
    reason: str
    client_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """``client-pending-auth``."""

    key: KeyOf
    extra: str
    timeout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """``client-kill``; the message is a control message, RESTART when none is given."""

    client_id: ClientId
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushUpdate:
    """``push-update-broad`` and ``push-update-cid``; ``client_id`` None is everybody."""

    client_id: ClientId | None
    options: tuple[str, ...]


ServerCommand = (
    ClientCount | KillName | KillAddress | Allow | Deny | Pending | Restart | PushUpdate | Refused
)


def parse_server_command(words: tuple[str, ...]) -> ServerCommand:
    """Parses the words of a command that a client does not have."""
    match words:
        case ("kill", target, *_):
            return _kill(target)
        case ("client-auth-nt", client, key, *_):
            found = parse_key(client, key)
            return found if isinstance(found, Refused) else Allow(key=found)
        case ("client-deny", client, key, reason, *rest):
            found = parse_key(client, key)
            if isinstance(found, Refused):
                return found
            return Deny(key=found, reason=reason, client_reason=rest[0] if rest else None)
        case ("client-pending-auth", client, key, extra, timeout, *_):
            return _pending(client, key, extra, timeout)
        case ("client-kill", client, *rest):
            client_id = _client_id(client)
            if isinstance(client_id, Refused):
                return client_id
            return Restart(client_id=client_id, message=rest[0] if rest else RESTART)
        case ("push-update-broad", options, *_):
            return _push_update(None, options)
        case ("push-update-cid", client, options, *_):
            client_id = _client_id(client)
            if isinstance(client_id, Refused):
                return client_id
            return _push_update(client_id, options)
        case _:
            return ClientCount()


RESTART = "RESTART"


def parse_key(client: str, key: str) -> KeyOf | Refused:
    """Reads ``CID KID``."""
    client_id, key_number = _client_id(client), _number(key)
    if isinstance(client_id, Refused):
        return client_id
    if key_number is None:
        return Refused(replies=("ERROR: cannot parse KID",))
    return KeyOf(client_id=client_id, key_number=key_number)


def _client_id(text: str) -> ClientId | Refused:
    number = _number(text)
    return Refused(replies=("ERROR: cannot parse CID",)) if number is None else ClientId(number)


def _number(text: str) -> int | None:
    """Reads the unsigned number that a word begins with, as C's ``sscanf`` does."""
    found = _NUMBER.match(text)
    return None if found is None else int(found.group()) & MAX_ID


def _pending(client: str, key: str, extra: str, timeout: str) -> ServerCommand:
    found = parse_key(client, key)
    if isinstance(found, Refused):
        return found
    seconds = _number(timeout)
    if seconds is None:
        return Refused(replies=("ERROR: cannot parse TIMEOUT",))
    return Pending(key=found, extra=extra, timeout=seconds)


def _push_update(client_id: ClientId | None, options: str) -> ServerCommand:
    parts = tuple(part.strip() for part in options.split(","))
    return PushUpdate(client_id=client_id, options=tuple(part for part in parts if part))


def _kill(target: str) -> ServerCommand:
    transport, rest = _transport(target)
    if rest.startswith("["):
        address, _, port = rest.rpartition(":")
    else:
        address, _, after = rest.partition(":")
        port = after.partition(":")[0]
    if not address and transport is None:
        return Refused(replies=("ERROR: kill parse",))
    if not port:
        return KillName(name=address or target)
    found = _address(address)
    if found is None:
        return Refused(replies=(f"ERROR: error parsing IP address: {address}",))
    number = leading_number(port)
    if not 0 < number < 65536:
        return Refused(replies=(f"ERROR: port number is out of range: {port}",))
    return KillAddress(remote=Endpoint(found, number), transport=transport, shown=rest)


def _address(text: str) -> IPAddress | None:
    try:
        if text.isascii() and text.isdecimal():
            return IPv4Address(int(text[:10]))  # one number is an address for OpenVPN as well
        return ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _transport(target: str) -> tuple[Transport | None, str]:
    name, colon, rest = target.partition(":")
    for transport in Transport:
        if colon and name == transport.value:
            return transport, rest
    return None, target
