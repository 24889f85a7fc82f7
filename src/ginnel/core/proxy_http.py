"""Talks an HTTP proxy into relaying a connection: CONNECT, with a login where it asks for one.

Responsible for requests and answers over the connections of one attempt, in openvpn 2.6's order:
the login is only shown on a further connection, after the proxy asked for it. Not responsible for
sockets, for where a login comes from, or for how the answers to challenges are built
(``proxy_auth``). The bytes come from whoever answers at the proxy's port: what is kept of them is
bounded, and nothing they say raises.
"""

from collections import deque
from collections.abc import Callable

from ginnel.core import proxy_auth
from ginnel.core.actions import Credentials
from ginnel.core.errors import LocalMisuse
from ginnel.core.proxy_auth import Challenge
from ginnel.core.proxy_notices import (
    AnotherConnection,
    ChallengeReceived,
    Complaint,
    HttpStep,
    LineReceived,
    LineSent,
    LoginRefused,
    Opened,
    ProxyEnd,
    ProxyNotice,
    Unusable,
)
from ginnel.options.model import HttpProxy, ProxyLogin

MAX_LINE = 8192
MAX_HEADERS = 65536
"""Bytes of an answer's head; real ones have a few hundred."""

MAX_ROUNDS = 4
"""Connections in a row that end in another demand for the same login."""

_LOGIN_WANTED = 407
_SHOWN_SCHEMES = 6


class HttpProxyClient:
    """The dialogue of one attempt. ``begin`` it anew on each connection to the proxy."""

    def __init__(
        self, proxy: HttpProxy, host: str, port: str, *, entropy: Callable[[int], bytes]
    ) -> None:
        self._proxy = proxy
        self._host = f"[{host}]" if ":" in host else host
        self._target = f"{self._host}:{port}"
        self._entropy = entropy
        self._basic = proxy.login is ProxyLogin.BASIC
        self._challenge: Challenge | None = None
        """The Digest challenge to answer."""
        self._rounds = 0
        self._notices: deque[ProxyNotice] = deque()
        self._outgoing = b""
        self._head = bytearray()
        self._scanned = 0
        """Bytes of the head whose lines were looked at."""
        self._status: int | None = None
        self._headers: list[bytes] = []
        self._showed_login = False
        self.end: ProxyEnd | None = None
        """How this connection's part ended; None while it goes on."""

    @property
    def needs_login(self) -> bool:
        """Whether the next request has to bring user name and password."""
        return self._basic or self._challenge is not None

    def begin(self, login: Credentials | None) -> None:
        """Starts on a fresh connection. ``login`` is used only where ``needs_login``."""
        self._head.clear()
        self._scanned = 0
        self._status = None
        self._headers = []
        self.end = None
        self._showed_login = self.needs_login
        lines = self._request_lines()
        if self.needs_login:
            if login is None:
                raise LocalMisuse("the proxy needs a login")
            lines.append(b"Proxy-Authorization: " + self._authorization(login))
        self._outgoing = b"".join(line + b"\r\n" for line in [*lines, b""])

    def poll_transmit(self) -> bytes:
        """Takes what is to be sent; empty when there is nothing."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def poll_notice(self) -> ProxyNotice | None:
        """Takes the next thing to tell."""
        return self._notices.popleft() if self._notices else None

    def receive(self, data: bytes) -> None:
        """Takes bytes of the proxy's answer."""
        if self.end is not None:
            return
        self._head += data
        while self.end is None:
            line = self._next_line()
            if line is None:
                break
            if self._status is None:
                self._take_status(line)
            elif line:
                self._headers.append(line)
            else:
                self._finish()
        if self.end is None and max(len(self._head) - self._scanned, 0) > MAX_LINE:
            self._fail(f"HTTP proxy: a line of its answer is longer than {MAX_LINE} bytes")
        elif self.end is None and len(self._head) > MAX_HEADERS:
            self._fail(f"HTTP proxy: the head of its answer is longer than {MAX_HEADERS} bytes")

    def receive_end(self) -> None:
        """Takes the end of the stream."""
        if self.end is None:
            self._fail("HTTP proxy: it closed the connection before its answer was complete")

    # --- request -------------------------------------------------------------------------------

    def _request_lines(self) -> list[bytes]:
        """The request without its login; tells each line."""
        proxy = self._proxy
        if self._challenge is not None:
            self._notices.append(HttpStep.LOGIN_WANTED)
        lines = [f"CONNECT {self._target} HTTP/{proxy.version}"]
        lines += [name if value is None else f"{name}: {value}" for name, value in proxy.headers]
        if not any(_names_host(name) for name, _ in proxy.headers):
            lines.append(f"Host: {self._host}")
        if proxy.agent is not None:
            lines.append(f"User-Agent: {proxy.agent}")
        self._notices += [LineSent(line) for line in lines]
        return [line.encode("utf-8", "surrogateescape") for line in lines]

    def _authorization(self, login: Credentials) -> bytes:
        if self._challenge is None:
            self._notices.append(HttpStep.BASIC_ATTEMPT)
            return proxy_auth.basic_authorization(login)
        self._notices.append(HttpStep.DIGEST_ATTEMPT)
        client_random = self._entropy(proxy_auth.CNONCE_BYTES)
        return proxy_auth.digest_authorization(self._challenge, login, self._target, client_random)

    # --- answer --------------------------------------------------------------------------------

    def _next_line(self) -> bytes | None:
        """The next whole line without its end; None when it has not come yet."""
        end = self._head.find(b"\n", self._scanned)
        if end < 0 or end - self._scanned > MAX_LINE or end > MAX_HEADERS:
            return None
        line = bytes(self._head[self._scanned : end]).removesuffix(b"\r")
        self._scanned = end + 1
        return line

    def _take_status(self, line: bytes) -> None:
        self._notices.append(LineReceived(line.decode("utf-8", "replace")))
        self._status = _status_of(line)
        if self._status == _LOGIN_WANTED:
            self._notices.append(HttpStep.LOGIN_WANTED)
        elif not 200 <= self._status < 300:
            self._fail("HTTP proxy returned bad status")

    def _finish(self) -> None:
        """The head is complete."""
        if self._status == _LOGIN_WANTED:
            self._login_wanted()
        else:
            self.end = Opened(unread=bytes(self._head[self._scanned :]))

    def _login_wanted(self) -> None:
        if self._showed_login:
            self._notices.append(HttpStep.LOGIN_WANTED)
        if self._proxy.login is ProxyLogin.NONE:
            self._notices.append(HttpStep.NO_LOGIN)
            self.end = Unusable()
            return
        if self._proxy.login is ProxyLogin.BASIC:
            self.end = LoginRefused()
            return
        chosen = self._choose(self._challenges())
        if chosen is None:
            return
        refused = self._showed_login and not proxy_auth.is_stale(chosen)
        self._basic = chosen.scheme == proxy_auth.BASIC
        self._challenge = None if self._basic else chosen
        self._rounds = 0 if refused else self._rounds + 1
        if self._rounds > MAX_ROUNDS:
            self._fail("HTTP proxy: it asks for the login again and again")
        else:
            self.end = LoginRefused() if refused else AnotherConnection()

    def _choose(self, offered: list[Challenge]) -> Challenge | None:
        """The challenge to answer; None when there is none, which ends the attempt."""
        chosen = proxy_auth.choose(offered)
        if chosen is None:
            self._notices.append(HttpStep.METHOD_UNKNOWN)
            names = ", ".join(c.scheme[:20] for c in offered[:_SHOWN_SCHEMES]) or "nothing"
            self._fail(
                f"HTTP proxy: it offers {names}; Basic and Digest are supported, NTLM is not"
            )
            return None
        if chosen.scheme == proxy_auth.DIGEST and not proxy_auth.is_complete(chosen):
            self._fail(
                "HTTP proxy: digest auth failed, malformed response from server: "
                "realm= or nonce= missing"
            )
            return None
        self._notices.append(ChallengeReceived(chosen.scheme, chosen.text))
        if chosen.scheme == proxy_auth.BASIC and self._proxy.login is ProxyLogin.AUTO_NO_CLEARTEXT:
            self._notices.append(HttpStep.CLEARTEXT_REFUSED)
            self.end = Unusable()
            return None
        return chosen

    def _challenges(self) -> list[Challenge]:
        found: list[Challenge] = []
        for header in self._headers:
            name, _, value = header.partition(b":")
            if name.strip().lower() == b"proxy-authenticate":
                found += proxy_auth.parse_challenges(value.strip().decode(proxy_auth.WIRE))
        return found

    def _fail(self, text: str) -> None:
        self._notices.append(Complaint(text))
        self.end = Unusable()


def _names_host(header: str) -> bool:
    return header.partition(":")[0].strip().lower() == "host"


def _status_of(line: bytes) -> int:
    """The number in a status line; 0 when it is none."""
    words = line.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        return 0
    return int(words[1]) if len(words[1]) == 3 and words[1].isdigit() else 0
