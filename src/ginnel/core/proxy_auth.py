"""Logging in to an HTTP proxy: its challenges (RFC 7235), Basic (7617) and Digest (7616) answers.

Responsible for text and hashes. When to log in, and how often, is ``proxy_http``'s business.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence

from ginnel.core.actions import Credentials
from ginnel.dataclass import dataclass, field

WIRE = "latin-1"
"""Headers are kept as text of one character a byte, so that they go back as they came."""

BASIC = "basic"
DIGEST = "digest"
CNONCE_BYTES = 8
_FIRST_USE = "00000001"  # each answer has a client nonce of its own

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r'\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_TOKEN68 = re.compile(r"[ \t]+([0-9A-Za-z._~+/-]+=*)[ \t]*(?=,|$)")
_SEPARATORS = re.compile(r"[\s,]*")
_ESCAPED = re.compile(r"\\(.)")
_SPECIAL = re.compile(r'(["\\])')

_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_SESSION_SUFFIX = "-SESS"


@dataclass(frozen=True)
class Challenge:
    """One way to log in that the proxy offers."""

    scheme: str
    """In lower case."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case, values without quotes."""
    text: str = ""
    """What followed the scheme's name."""


def parse_challenges(value: str) -> list[Challenge]:
    """Reads the value of one ``Proxy-Authenticate`` header, which may hold several challenges.

    Anything that fits no rule is skipped up to the next comma.
    """
    found: list[Challenge] = []
    at = 0
    while (at := _end(_SEPARATORS, value, at)) < len(value):
        name = _TOKEN.match(value, at)
        if name is None:
            comma = value.find(",", at)
            at = len(value) if comma < 0 else comma
            continue
        parameter = _VALUE.match(value, name.end())
        if parameter is not None and found:
            quoted, plain = parameter.groups()
            text = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
            last = found[-1]
            known = {**last.parameters}
            known.setdefault(name[0].lower(), text)
            separator = ", " if last.text else ""
            shown = f"{last.text}{separator}{value[name.start() : parameter.end()]}"
            found[-1] = Challenge(last.scheme, known, shown)
            at = parameter.end()
            continue
        token = _TOKEN68.match(value, name.end())
        found.append(Challenge(name[0].lower(), text="" if token is None else token[1]))
        at = name.end() if token is None else token.end()
    return found


def choose(challenges: Sequence[Challenge]) -> Challenge | None:
    """Returns the strongest one that we can answer."""
    return max((c for c in challenges if _strength(c)), key=_strength, default=None)


def _strength(challenge: Challenge) -> int:
    """Zero for what cannot be answered."""
    if challenge.scheme == BASIC:
        return 1
    if challenge.scheme != DIGEST or not answerable(challenge):
        return 0
    return 3 if _algorithm(challenge)[0] == "sha256" else 2


def is_complete(challenge: Challenge) -> bool:
    """Whether a Digest challenge has what every answer needs."""
    return {"realm", "nonce"} <= challenge.parameters.keys()


def answerable(challenge: Challenge) -> bool:
    """Whether hash and quality of protection are ones that we know."""
    offered = challenge.parameters.get("qop")
    hash_name, per_session = _algorithm(challenge)
    protection = not per_session if offered is None else "auth" in _words(offered)
    return protection and hash_name != ""


def is_stale(challenge: Challenge) -> bool:
    """Whether only the nonce of the last answer was too old, not the login wrong."""
    return challenge.parameters.get("stale", "").lower() == "true"


def basic_authorization(login: Credentials) -> bytes:
    """Renders the value of the Basic header."""
    return b"Basic " + base64.b64encode(_user(login) + b":" + login.password.reveal())


def digest_authorization(
    challenge: Challenge, login: Credentials, uri: str, client_random: bytes
) -> bytes:
    """Renders the value of the Digest header for a CONNECT to ``uri``.

    The challenge must be complete and answerable.
    """
    given = challenge.parameters
    realm, nonce = given["realm"], given["nonce"]
    cnonce = base64.b64encode(client_random).decode("ascii")
    hash_name, per_session = _algorithm(challenge)

    def hashed(*parts: bytes) -> str:
        return hashlib.new(hash_name, b":".join(parts), usedforsecurity=False).hexdigest()

    first = hashed(_user(login), _bytes(realm), login.password.reveal())
    if per_session:
        first = hashed(_bytes(first), _bytes(nonce), _bytes(cnonce))
    second = hashed(b"CONNECT", _bytes(uri))
    fields = [
        ("username", _quoted(_user(login).decode(WIRE))),
        ("realm", _quoted(realm)),
        ("nonce", _quoted(nonce)),
        ("uri", _quoted(uri)),
    ]
    if "algorithm" in given:
        fields.append(("algorithm", given["algorithm"]))
    if "qop" in given:
        parts = (first, nonce, _FIRST_USE, cnonce, "auth", second)
        response = hashed(*map(_bytes, parts))
        fields += [("qop", "auth"), ("nc", _FIRST_USE), ("cnonce", _quoted(cnonce))]
    else:  # as before RFC 2617
        response = hashed(_bytes(first), _bytes(nonce), _bytes(second))
    fields.append(("response", _quoted(response)))
    if "opaque" in given:
        fields.append(("opaque", _quoted(given["opaque"])))
    return b"Digest " + _bytes(", ".join(f"{name}={value}" for name, value in fields))


def _algorithm(challenge: Challenge) -> tuple[str, bool]:
    """Name of the hash (empty: unknown) and whether it is bound to the session."""
    name = challenge.parameters.get("algorithm", "MD5").upper()
    per_session = name.endswith(_SESSION_SUFFIX)
    return _HASHES.get(name.removesuffix(_SESSION_SUFFIX), ""), per_session


def _user(login: Credentials) -> bytes:
    return login.username.encode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode(WIRE)


def _words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


def _quoted(text: str) -> str:
    return '"' + _SPECIAL.sub(r"\\\1", text) + '"'


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()
