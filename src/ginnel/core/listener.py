"""Answers first packets without keeping anything of them, and lets proven clients in.

Responsible for what comes from addresses that no client is known at: a client's reset is answered
with a session id that only its own address can learn (``cookie``), and the packet that quotes it is
a client's first real one (protocol-facts 4 and 6). What happens then is ``server``'s business.

A client of tls-crypt-v2 that cannot send its wrapped key again has to be believed at once, unless
``force-cookie``. A forged address is worth one short answer, or a machine for one hand-window.
"""

from collections import Counter, OrderedDict

from ginnel.core.control_keys import (
    FIRST_RESETS,
    ClientKeyClaim,
    ControlKeys,
    Opened,
    announces_resend,
)
from ginnel.core.cookie import CookieMaker
from ginnel.core.errors import Malformed
from ginnel.core.frequency import FrequencyLimit
from ginnel.core.types import Endpoint, Instant, KeyId, SessionId
from ginnel.core.wire import (
    ControlBody,
    ControlHeader,
    Opcode,
    decode_header,
    encode_body,
)
from ginnel.core.wrap import Wrapping
from ginnel.core.wrap.api import SivMaker, library_siv
from ginnel.dataclass import dataclass
from ginnel.options.server_model import ServerOptions

MAX_REMEMBERED = 4096
"""Cookies that let somebody in lately: each does so once."""

_FIRST_KEY = KeyId(0)
_SECONDS = frozenset({Opcode.CONTROL_V1, Opcode.ACK_V1, Opcode.CONTROL_WKC_V1})
"""What a client says after our answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What is known of a client that is let in: for ``ServerMachine``, which replays ``packet``."""

    client_session: SessionId
    own_session: SessionId | None
    """The id that we gave to the client; None when its first packet is not answered yet."""
    wrapping: Wrapping
    claim: ClientKeyClaim | None
    packet: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """Nothing follows from the packet."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this to where the packet came from."""

    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """Make a machine for the client."""

    admission: Admission
    credits: int
    """Give the data plane so many resets back: the client proved its address."""


class Listener:
    """One for all sockets of a process. No input raises; what is dropped is counted."""

    def __init__(
        self,
        *,
        options: ServerOptions,
        secret: bytes,
        unix_time: int,
        now: Instant,
        siv: SivMaker = library_siv,
    ) -> None:
        """``secret`` are 32 random bytes; ``unix_time`` is the wall clock in seconds ``now``.

        ``siv`` makes the keys of control packets.

        Raises ``ConfigError`` for a key of the control channel that does not parse.
        """
        self.keys = ControlKeys(options, siv)
        """For the machines as well."""
        self.drops: Counter[str] = Counter()
        self._cookies = CookieMaker(secret, hand_window=options.tls.hand_window)
        self._needs_cookie = options.crypt_v2 is not None and options.crypt_v2.force_cookie
        self._newcomers = FrequencyLimit(options.limits.connect_freq)
        self._unix_time = unix_time
        self._started = now
        self._admitted: OrderedDict[SessionId, Instant] = OrderedDict()

    def meet(self, packet: bytes, source: Endpoint, now: Instant) -> Dropped | Reply | Welcome:
        """Judges a control packet from an address that no client is known at."""
        try:
            return self._meet(packet, source, now)
        except Malformed as bad:
            self.drops[bad.reason] += 1
            return Dropped(bad.reason)

    def admit_stream(self, now: Instant) -> bool:
        """Whether ``connect-freq`` allows one more TCP connection."""
        if self._newcomers.allows(now):
            return True
        self.drops["connect-freq"] += 1
        return False

    def _meet(self, packet: bytes, source: Endpoint, now: Instant) -> Reply | Welcome:
        header = decode_header(packet)
        if header.key_id != _FIRST_KEY:
            raise Malformed("key-id")
        if header.opcode in FIRST_RESETS:
            return self._first(packet, header, source, now)
        if header.opcode in _SECONDS:
            return self._second(packet, header, source, now)
        raise Malformed("opcode")

    def _first(
        self, packet: bytes, header: ControlHeader, source: Endpoint, now: Instant
    ) -> Reply | Welcome:
        opened = self.keys.open(packet, header, unix_time=self._wall_clock(now))
        if opened.body.acks or opened.body.message_id != 0:
            raise Malformed("unsolicited-reset")
        payload = b""
        if header.opcode is Opcode.CONTROL_HARD_RESET_CLIENT_V3:
            if not announces_resend(packet):
                return self._believe(packet, opened, now)
            from ginnel.core.wrap.crypt_v2 import encode_resend_wkc

            payload = encode_resend_wkc()
        cookie = self._cookies.make(source, header.session_id, now)
        answer = ControlHeader(Opcode.CONTROL_HARD_RESET_SERVER_V2, _FIRST_KEY, cookie)
        body = ControlBody((0,), header.session_id, 0, payload)
        return Reply(opened.wrapping.seal(answer, encode_body(body)))

    def _believe(self, packet: bytes, opened: Opened, now: Instant) -> Welcome:
        """Lets a client in that cannot prove its address."""
        if self._needs_cookie:
            raise Malformed("force-cookie")
        self._count_newcomer(now)
        return Welcome(admission=_admission(packet, opened, None), credits=0)

    def _second(
        self, packet: bytes, header: ControlHeader, source: Endpoint, now: Instant
    ) -> Welcome:
        opened = self.keys.open(packet, header, unix_time=self._wall_clock(now), sent=1)
        body = opened.body
        cookie = body.peer_session_id
        if cookie is None or (body.message_id or 0) > 1 or max(body.acks) > 1:
            raise Malformed("no-session")
        if not self._cookies.is_good(cookie, source, header.session_id, now):
            raise Malformed("cookie")
        if not self._is_first_use(cookie, now):
            raise Malformed("cookie-used")
        self._count_newcomer(now)
        self._admitted[cookie] = now
        return Welcome(admission=_admission(packet, opened, cookie), credits=1)

    def _is_first_use(self, cookie: SessionId, now: Instant) -> bool:
        """A packet that is replayed after its client has gone lets nobody in."""
        while self._admitted:
            oldest, since = next(iter(self._admitted.items()))
            if now - since <= self._cookies.lifetime and len(self._admitted) <= MAX_REMEMBERED:
                break
            del self._admitted[oldest]
        return cookie not in self._admitted

    def _count_newcomer(self, now: Instant) -> None:
        if not self._newcomers.allows(now):
            raise Malformed("connect-freq")

    def _wall_clock(self, now: Instant) -> int:
        return self._unix_time + int(now - self._started)


def _admission(packet: bytes, opened: Opened, own: SessionId | None) -> Admission:
    return Admission(
        client_session=opened.header.session_id,
        own_session=own,
        wrapping=opened.wrapping,
        claim=opened.claim,
        packet=packet,
    )
