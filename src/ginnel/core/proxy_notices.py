"""What the proxy machines have to say, and how an exchange with a proxy ends.

Values only. ``compat.proxy_lines`` renders the notices; ``proxy_http`` and ``proxy_socks`` make
them. A credential is never part of a notice.
"""

from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum


@dataclass(frozen=True)
class LineSent:
    """A line of our request, without anything secret in it."""

    line: str


@dataclass(frozen=True)
class LineReceived:
    """The status line of the proxy's answer, as far as it is shown."""

    line: str


class HttpStep(Enum):
    """What happens between request and answer; the value is OpenVPN's line for it."""

    BASIC_ATTEMPT = "Attempting Basic Proxy-Authorization"
    DIGEST_ATTEMPT = "Attempting Digest Proxy-Authorization"
    LOGIN_WANTED = "Proxy requires authentication"
    CLEARTEXT_REFUSED = (
        "HTTP proxy: support for basic auth and other cleartext proxy auth methods is disabled"
    )
    METHOD_UNKNOWN = "HTTP proxy: do not recognize the authentication method required by proxy"
    NO_LOGIN = "HTTP proxy: no support for proxy authentication method"


@dataclass(frozen=True)
class ChallengeReceived:
    """The proxy named a way to log in that we know."""

    scheme: str
    """``basic`` or ``digest``."""
    parameters: str
    """What follows the scheme's name in the header."""


@dataclass(frozen=True)
class RelayNamed:
    """A SOCKS proxy said where datagrams go."""

    relay: Endpoint


@dataclass(frozen=True)
class Complaint:
    """Why the exchange failed, in words for the log."""

    text: str


ProxyNotice = LineSent | LineReceived | HttpStep | ChallengeReceived | RelayNamed | Complaint


# --- ends --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The proxy relays from here on; ``unread`` came after its answer and is the server's."""

    unread: bytes = b""
    relay: Endpoint | None = None
    """Where datagrams go (SOCKS UDP ASSOCIATE); its address may be unspecified."""


@dataclass(frozen=True)
class AnotherConnection:
    """The proxy wants a login, and has to be connected to again for that."""


@dataclass(frozen=True)
class LoginRefused:
    """User name or password is wrong."""


@dataclass(frozen=True)
class Unusable:
    """The proxy refused, or its answer makes no sense."""


ProxyEnd = Opened | AnotherConnection | LoginRefused | Unusable
