"""Log lines about proxies, in the words of openvpn 2.6.14 where it has any.

What a proxy said is shown without control characters and cut. Nothing secret comes this far.
"""

from ginnel.compat.log_lines import Category, LogLine, Severity, printable
from ginnel.core.proxy_notices import (
    ChallengeReceived,
    Complaint,
    HttpStep,
    LineReceived,
    LineSent,
    ProxyNotice,
    RelayNamed,
)
from ginnel.core.types import Endpoint
from ginnel.hints import assert_never
from ginnel.options.model import HttpProxy, Proxy

MAX_SHOWN = 480
"""Characters of a proxy's line that are shown."""


def render(notice: ProxyNotice) -> tuple[LogLine, ...]:
    """Renders what a proxy machine tells."""
    match notice:
        case LineSent(line=line):
            return (_note(f"Send to HTTP proxy: '{_shown(line)}'"),)
        case LineReceived(line=line):
            return (_note(f"HTTP proxy returned: '{_shown(line)}'"),)
        case HttpStep():
            return (_note(notice.value),)
        case ChallengeReceived(scheme=scheme, parameters=parameters):
            name = scheme.capitalize()
            text = _shown(parameters)
            return (
                _note(f"PROXY AUTH {name.upper()}: 'Proxy-Authenticate: {name} {text}'"),
                _note(f"HTTP proxy authenticate '{text}'"),
            )
        case RelayNamed(relay=relay):
            return (LogLine(text=f"SOCKS proxy wants us to send UDP to {relay}"),)
        case Complaint(text=text):
            return (_complaint(text),)
        case _:
            assert_never(notice)


def login_refused(proxy: Proxy) -> LogLine:
    """User name or password is wrong; OpenVPN only says so for SOCKS."""
    kind = "HTTP" if isinstance(proxy, HttpProxy) else "SOCKS"
    return _complaint(f"{kind} proxy: user name or password was refused by {_shown(proxy.host)}")


def silent(proxy: Endpoint) -> LogLine:
    """Nothing came within ``connect-timeout``."""
    return _complaint(f"recv_line: TCP port read timeout expired: the proxy at {proxy} is silent")


def lost(proxy: Endpoint, cause: str) -> LogLine:
    """The connection to the proxy broke."""
    return _complaint(f"the connection to the proxy at {proxy} broke: {printable(cause)}")


def association_ended(cause: str) -> LogLine:
    """A SOCKS proxy does not relay any longer."""
    return _complaint(f"SOCKS proxy: it ended the relaying of UDP: {printable(cause)}")


def unknown_port(port: str) -> LogLine:
    """A service name that this host does not know."""
    return _complaint(
        f"establish_socks_proxy_passthrough: Cannot convert {_shown(port)} to port number"
    )


def _note(text: str) -> LogLine:
    return LogLine(text=text, verb=2, category=Category.PROXY)


def _complaint(text: str) -> LogLine:
    return LogLine(text=printable(text), severity=Severity.ERROR, category=Category.LINK_ERROR)


def _shown(text: str) -> str:
    return printable(text[:MAX_SHOWN])
