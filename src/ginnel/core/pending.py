"""What a server asks for while it decides about a login: texts of INFO and INFO_PRE messages.

Responsible for parsing them (protocol-facts 16) and for which addresses may be opened. Asking the
user, and opening, are the shell's business.
"""

from ginnel.dataclass import dataclass

MAX_ADDRESS = 2048
"""Longest web address in characters that is passed on."""

METHODS = "webauth,openurl,crtext"
"""What is offered as ``IV_SSO`` where somebody is there to be asked."""


@dataclass(frozen=True, kw_only=True)
class TextChallenge:
    """A question in words; the answer goes back with CR_RESPONSE."""

    text: str
    echo: bool
    response_required: bool


@dataclass(frozen=True, kw_only=True)
class WebLogin:
    """The user has to log in at a web address, which is http or https and safe to pass on."""

    address: str
    hidden: bool = False
    """The page may do its work unseen, if the user is known to it already."""


@dataclass(frozen=True, kw_only=True)
class BadRequest:
    """A request that is not carried out, and why."""

    reason: str


PendingRequest = TextChallenge | WebLogin | BadRequest


def parse_pending(text: str) -> PendingRequest | None:
    """Reads the text of an INFO or INFO_PRE message; None when it asks for nothing."""
    method, _, rest = text.partition(":")
    match method:
        case "CR_TEXT":
            flags, _, question = rest.partition(":")
            chosen = flags.split(",")
            return TextChallenge(text=question, echo="E" in chosen, response_required="R" in chosen)
        case "WEB_AUTH":
            flags, _, address = rest.partition(":")
            return _web_login(address, hidden="hidden" in flags.split(","))
        case "OPEN_URL":
            return _web_login(rest, hidden=False)
        case _:
            return None


def _web_login(address: str, *, hidden: bool) -> WebLogin | BadRequest:
    if not is_safe_address(address):
        return BadRequest(reason="the server's login page is not a plain http or https address")
    return WebLogin(address=address, hidden=hidden)


def is_safe_address(address: str) -> bool:
    """Whether an address is http or https with a host, and of characters that harm no program."""
    if len(address) > MAX_ADDRESS or not address.isascii() or not address.isprintable():
        return False
    if any(character in " \"'<>\\`{}|^" for character in address):
        return False
    from urllib.parse import urlsplit  # needed seldom, and slow to load

    try:
        parts = urlsplit(address)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, a broken IPv6 address
        return False
