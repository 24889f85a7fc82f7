"""Talks a SOCKS5 proxy into relaying (RFC 1928, 1929): CONNECT for TCP, UDP ASSOCIATE for UDP.

Responsible for the dialogue and for the header of relayed datagrams. Not responsible for sockets
or for where a login comes from. As openvpn 2.6 does, one way to log in is offered: user name and
password when they were configured, none otherwise.
"""

from collections import deque
from ipaddress import IPv4Address, IPv6Address, ip_address

from ginnel.core.actions import Credentials
from ginnel.core.cursor import Reader, Writer
from ginnel.core.errors import LocalMisuse, Malformed
from ginnel.core.proxy_notices import (
    Complaint,
    LoginRefused,
    Opened,
    ProxyEnd,
    ProxyNotice,
    RelayNamed,
    Unusable,
)
from ginnel.core.types import Endpoint
from ginnel.enumeration import IntEnum
from ginnel.hints import assert_never

VERSION = 5
LOGIN_VERSION = 1
MAX_LOGIN = 255
"""Bytes of a user name, and of a password."""

MAX_NAME = 255
"""Bytes of a host's name."""


class Command(IntEnum):
    """What the proxy is asked to do."""

    CONNECT = 0x01
    UDP_ASSOCIATE = 0x03


class _Method(IntEnum):
    NONE = 0x00
    LOGIN = 0x02


class _Address(IntEnum):
    IPV4 = 0x01
    NAME = 0x03
    IPV6 = 0x04


class _State(IntEnum):
    METHOD = 0
    LOGIN = 1
    REPLY = 2


_REPLIES = {
    1: "it failed",
    2: "its rules do not allow this connection",
    3: "the network cannot be reached from there",
    4: "the host cannot be reached from there",
    5: "the host refused the connection",
    6: "the time to live ran out",
    7: "it does not know this command",
    8: "it does not know this kind of address",
}
_COMMAND_UNKNOWN = 7
_UNSPECIFIED = Endpoint(IPv4Address(0), 0)


class SocksProxyClient:
    """The dialogue on one connection to the proxy."""

    def __init__(self, command: Command, host: str, port: int, *, with_login: bool) -> None:
        """``host`` and ``port`` are the server's; UDP ASSOCIATE does not tell them."""
        self._command = command
        self._host = host
        self._port = port
        self._state = _State.METHOD
        self._login: Credentials | None = None
        self._notices: deque[ProxyNotice] = deque()
        self._outgoing = b""
        self._incoming = b""
        self.needs_login = with_login
        self.end: ProxyEnd | None = None
        """How the dialogue ended; None while it goes on."""

    def begin(self, login: Credentials | None) -> None:
        """Starts on a fresh connection. ``login`` is used only where ``needs_login``."""
        self._state = _State.METHOD
        self._incoming = b""
        self.end = None
        if self.needs_login and login is None:
            raise LocalMisuse("the proxy needs a login")
        self._login = login if self.needs_login else None
        self._outgoing = bytes((VERSION, 1, self._method))

    @property
    def _method(self) -> _Method:
        return _Method.LOGIN if self.needs_login else _Method.NONE

    def poll_transmit(self) -> bytes:
        """Takes what is to be sent; empty when there is nothing."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def poll_notice(self) -> ProxyNotice | None:
        """Takes the next thing to tell."""
        return self._notices.popleft() if self._notices else None

    def receive(self, data: bytes) -> None:
        """Takes bytes of the proxy's answers; more than one answer is never kept."""
        self._incoming += data
        while self.end is None:
            reader = Reader(self._incoming)
            try:
                self._step(reader)
            except Malformed as bad:
                if bad.reason == "short":
                    return  # not all of it is here yet; no answer is longer than 262 bytes
                self._fail("recv_socks_reply: Socks proxy returned bad address type")
                return
            self._incoming = reader.rest()

    def receive_end(self) -> None:
        """Takes the end of the stream."""
        if self.end is None and self._state is _State.LOGIN:
            # Many a proxy closes instead of saying no.
            self._refuse_login()
        elif self.end is None and self._state is _State.METHOD:
            self._fail("socks_handshake: the proxy closed the connection")
        elif self.end is None:
            self._fail("ERROR: recv_socks_reply: empty response from socks server")

    def _step(self, reader: Reader) -> None:
        """Takes one answer. Raises Malformed when it is not complete."""
        match self._state:
            case _State.METHOD:
                self._take_method(reader.u8(), reader)
            case _State.LOGIN:
                reader.u8()  # many a proxy does not say 1 here, nor does OpenVPN look
                if reader.u8() == 0:
                    self._ask()
                else:
                    self._refuse_login()
            case _State.REPLY:
                self._take_reply(reader)
            case _:
                assert_never(self._state)

    def _take_method(self, version: int, reader: Reader) -> None:
        if version != VERSION:
            self._fail("socks_handshake: Socks proxy returned bad status")
            return
        if reader.u8() != self._method:
            self._fail("socks_handshake: Socks proxy returned unexpected auth")
            hint = "refuses a login" if self.needs_login else "wants user name and password"
            self._notices.append(Complaint(f"SOCKS proxy: it {hint}"))
            return
        if self._login is None:
            self._ask()
            return
        user = self._login.username.encode("utf-8", "surrogateescape")
        password = self._login.password.reveal()
        if max(len(user), len(password)) > MAX_LOGIN:
            self._fail(
                f"SOCKS username and/or password exceeds {MAX_LOGIN} characters.  "
                "Authentication not possible."
            )
            return
        writer = Writer()
        writer.u8(LOGIN_VERSION)
        for text in (user, password):
            writer.u8(len(text))
            writer.put(text)
        self._outgoing = writer.bytes()
        self._state = _State.LOGIN

    def _ask(self) -> None:
        """Sends the request itself."""
        writer = Writer()
        for byte in (VERSION, self._command, 0):
            writer.u8(byte)
        if self._command is Command.UDP_ASSOCIATE:
            # From where we shall send is not known yet.
            writer.put(_encode_address(_UNSPECIFIED))
        else:
            writer.put(_encode_target(self._host, self._port))
        self._outgoing = writer.bytes()
        self._state = _State.REPLY

    def _take_reply(self, reader: Reader) -> None:
        version, reply, _ = reader.u8(), reader.u8(), reader.u8()
        if version != VERSION or reply != 0:
            self._bad_reply(version, reply)
            return
        bound = _read_address(reader)
        if bound is None and self._command is Command.UDP_ASSOCIATE:
            self._fail("recv_socks_reply: Socks proxy returned bad address type")
            return
        if self._command is Command.UDP_ASSOCIATE and bound is not None:
            self._notices.append(RelayNamed(bound))
            self.end = Opened(unread=reader.rest(), relay=bound)
        else:
            self.end = Opened(unread=reader.rest())

    def _bad_reply(self, version: int, reply: int) -> None:
        self._fail("recv_socks_reply: Socks proxy returned bad reply")
        if version == VERSION:
            reason = _REPLIES.get(reply, "it gives no reason that is known")
            if reply == _COMMAND_UNKNOWN and self._command is Command.UDP_ASSOCIATE:
                reason = "it does not relay UDP; use a server's TCP port"
            self._notices.append(Complaint(f"SOCKS proxy: {reason} (reply {reply})"))

    def _refuse_login(self) -> None:
        text = "socks_username_password_auth: server refused the authentication"
        self._notices.append(Complaint(text))
        self.end = LoginRefused()

    def _fail(self, text: str) -> None:
        self._notices.append(Complaint(text))
        self.end = Unusable()


# --- datagrams ---------------------------------------------------------------------------------


def datagram_header(destination: Endpoint) -> bytes:
    """Renders what goes before a datagram that the relay is to send on."""
    return b"\0\0\0" + _encode_address(destination)


def read_datagram(datagram: bytes) -> tuple[Endpoint, bytes] | None:
    """Parts a datagram of the relay into its source and the packet; None when it is none."""
    reader = Reader(datagram)
    try:
        if reader.take(3) != b"\0\0\0":  # the third byte is not 0 in fragments
            return None
        source = _read_address(reader)
        return None if source is None else (source, reader.rest())
    except Malformed:
        return None


def _encode_target(host: str, port: int) -> bytes:
    try:
        return _encode_address(Endpoint(ip_address(host), port))
    except ValueError:
        name = host.encode("utf-8", "surrogateescape")[:MAX_NAME]
        return bytes((_Address.NAME, len(name))) + name + port.to_bytes(2, "big")


def _encode_address(endpoint: Endpoint) -> bytes:
    kind = _Address.IPV4 if endpoint.address.version == 4 else _Address.IPV6
    return bytes((kind,)) + endpoint.address.packed + endpoint.port.to_bytes(2, "big")


def _read_address(reader: Reader) -> Endpoint | None:
    """Reads address and port; None for a name. Raises Malformed."""
    kind = reader.u8()
    if kind == _Address.IPV4:
        return Endpoint(IPv4Address(reader.take(4)), reader.u16())
    if kind == _Address.IPV6:
        return Endpoint(IPv6Address(reader.take(16)), reader.u16())
    if kind == _Address.NAME:
        reader.take(reader.u8())
        reader.u16()
        return None
    raise Malformed("address type")
