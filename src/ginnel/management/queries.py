"""What the program may ask a management client, and what the answers are.

Values and their lines only; who waits for which answer is in ``session`` and ``frontend``.
"""

from ginnel.dataclass import dataclass
from ginnel.hints import assert_never
from ginnel.management.commands import BodyKind, ProxyKind, QueryAnswer
from ginnel.management.state import clean
from ginnel.options.model import StaticChallenge
from ginnel.options.values import Secret

USERNAME_ONLY_VERSION = 4
"""Clients from this version on know what it means to be asked for a name alone."""

BASE64_PASSWORD_VERSION = 5
"""Clients from this version on may send a password as lines of base64."""


@dataclass(frozen=True, kw_only=True)
class HoldQuery:
    """The start, or the restart after ``wait`` seconds, waits for ``hold release``."""

    wait: int = 0


@dataclass(frozen=True, kw_only=True)
class LoginQuery:
    """User name and password of one type, such as ``Auth``."""

    type_name: str
    challenge: StaticChallenge | None = None
    username_only: bool = False
    """Clients of version 4 and later are asked for the name alone."""


@dataclass(frozen=True, kw_only=True)
class PasswordQuery:
    """A password alone, such as that of ``Private Key``."""

    type_name: str


@dataclass(frozen=True, kw_only=True)
class NeedOkQuery:
    """A confirmation: ``ok`` or ``cancel``."""

    type_name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class NeedStrQuery:
    """A text."""

    type_name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RemoteQuery:
    """Whether to use this remote; ``protocol`` as in the option, such as ``udp4``."""

    host: str
    port: str
    protocol: str


@dataclass(frozen=True, kw_only=True)
class ProxyQuery:
    """Which proxy to use for remote number ``index``, counted from 1."""

    index: int
    transport: str
    """``UDP`` or ``TCP``: an HTTP proxy carries TCP only."""
    host: str


@dataclass(frozen=True, kw_only=True)
class SignQuery:
    """A signature with the external key; ``algorithm`` as clients of version 3 and later see it."""

    content: str
    """What to sign, in base64."""
    algorithm: str


@dataclass(frozen=True, kw_only=True)
class CertificateQuery:
    """The certificate of ``management-external-cert``."""

    hint: str


Query = (
    HoldQuery
    | LoginQuery
    | PasswordQuery
    | NeedOkQuery
    | NeedStrQuery
    | RemoteQuery
    | ProxyQuery
    | SignQuery
    | CertificateQuery
)


def render_query(query: Query, client_version: int) -> str:
    """Renders the line that asks, without its end."""
    match query:
        case HoldQuery(wait=wait):
            return f">HOLD:Waiting for hold release:{wait}"
        case LoginQuery():
            return _login_line(query, client_version)
        case PasswordQuery(type_name=name):
            return f">PASSWORD:Need '{clean(name)}' password"
        case NeedOkQuery(type_name=name, text=text):
            return f">NEED-OK:Need '{clean(name)}' confirmation MSG:{clean(text)}"
        case NeedStrQuery(type_name=name, text=text):
            return f">NEED-STR:Need '{clean(name)}' string MSG:{clean(text)}"
        case RemoteQuery(host=host, port=port, protocol=protocol):
            return f">REMOTE:{clean(host)},{clean(port)},{protocol}"
        case ProxyQuery(index=index, transport=transport, host=host):
            return f">PROXY:{index},{transport},{clean(host)}"
        case SignQuery():
            return _sign_line(query, client_version)
        case CertificateQuery(hint=hint):
            return f">NEED-CERTIFICATE:{clean(hint)}"
        case _:
            assert_never(query)


def asks_name_only(query: Query, client_version: int) -> bool:
    """Whether a client of this version is asked for a name and no password."""
    if not isinstance(query, LoginQuery):
        return False
    return query.username_only and client_version >= USERNAME_ONLY_VERSION


def _login_line(query: LoginQuery, client_version: int) -> str:
    if asks_name_only(query, client_version):
        return f">PASSWORD:Need '{clean(query.type_name)}' username"
    line = f">PASSWORD:Need '{clean(query.type_name)}' username/password"
    challenge = query.challenge
    if challenge is None:
        return line
    flags = int(challenge.echo) | int(challenge.concatenate) << 1
    return f"{line} SC:{flags},{clean(challenge.text)}"


def _sign_line(query: SignQuery, client_version: int) -> str:
    if client_version < 2:
        return f">RSA_SIGN:{query.content}"
    if client_version < 3:
        return f">PK_SIGN:{query.content}"
    return f">PK_SIGN:{query.content},{query.algorithm}"


def wanted_body(query: Query | None) -> tuple[BodyKind, ...]:
    """Which commands with a body answer the query."""
    match query:
        case SignQuery():
            return (BodyKind.PK_SIGNATURE, BodyKind.RSA_SIGNATURE)
        case CertificateQuery():
            return (BodyKind.CERTIFICATE,)
        case _:
            return ()


def wanted_type(query: Query | None, answer: QueryAnswer) -> str | None:
    """The type that a command of this kind has to name now; None when it is not asked for."""
    match (query, answer):
        case (LoginQuery(type_name=name), QueryAnswer.USERNAME | QueryAnswer.PASSWORD):
            return name
        case (PasswordQuery(type_name=name), QueryAnswer.PASSWORD):
            return name
        case (NeedOkQuery(type_name=name), QueryAnswer.NEED_OK):
            return name
        case (NeedStrQuery(type_name=name), QueryAnswer.NEED_STR):
            return name
        case _:
            return None


# --- answers -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Released:
    """``hold release``."""


@dataclass(frozen=True, kw_only=True)
class LoginAnswer:
    """User name and password; the name is empty where only a password was asked for."""

    username: str
    password: Secret


@dataclass(frozen=True, kw_only=True)
class TextAnswer:
    """Answer to NeedOk (``ok`` or ``cancel``) and NeedStr."""

    text: str


@dataclass(frozen=True, kw_only=True)
class AcceptRemote:
    """Use the remote as it is."""


@dataclass(frozen=True, kw_only=True)
class SkipRemote:
    """Go on to the next remote."""


@dataclass(frozen=True, kw_only=True)
class ModifyRemote:
    """Use this host and port instead."""

    host: str
    port: str


@dataclass(frozen=True, kw_only=True)
class UseProxy:
    """Use this proxy, or none."""

    kind: ProxyKind
    host: str = ""
    port: str = ""
    allow_cleartext: bool = True
    """False when the proxy login may not be sent in the clear (``nct``)."""


@dataclass(frozen=True, kw_only=True)
class BodyAnswer:
    """Signature or certificate in base64, lines joined."""

    text: str


ReplyToQuery = (
    Released
    | LoginAnswer
    | TextAnswer
    | AcceptRemote
    | SkipRemote
    | ModifyRemote
    | UseProxy
    | BodyAnswer
)


def remote_answer(words: tuple[str, ...]) -> AcceptRemote | SkipRemote | ModifyRemote | None:
    """Reads the words of ``remote``; None when they mean nothing."""
    match words:
        case ("ACCEPT", *_):
            return AcceptRemote()
        case ("SKIP", *_):
            return SkipRemote()
        case ("MOD", host, port, *_) if _is_host(host) and _is_port(port):
            return ModifyRemote(host=host, port=port)
        case _:
            return None


def proxy_answer(words: tuple[str, ...], transport: str) -> UseProxy | None:
    """Reads the words of ``proxy``; None when they mean nothing, or HTTP is to carry UDP."""
    match words:
        case ("NONE", *_):
            return UseProxy(kind=ProxyKind.NONE)
        case ("HTTP", host, port, *rest) if transport == "TCP" and _is_port(port):
            return UseProxy(
                kind=ProxyKind.HTTP, host=host, port=port, allow_cleartext=rest[:1] != ["nct"]
            )
        case ("SOCKS", host, port, *_) if _is_port(port):
            return UseProxy(kind=ProxyKind.SOCKS, host=host, port=port)
        case _:
            return None


def _is_host(host: str) -> bool:
    return 0 < len(host) < 256 and host.isprintable()


def _is_port(port: str) -> bool:
    return port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536
