"""What the proxy options do: HTTP and SOCKS proxies of a connection. Rows in ``rows.proxy``."""

from ginnel.dataclass import replace
from ginnel.options.draft import Draft, Handler, HttpProxyDraft, ProfileDraft, SocksProxyDraft, Use
from ginnel.options.errors import ConfigError
from ginnel.options.files import FileLoader, FileRef
from ginnel.options.model import HttpProxy, LinkProtocol, Proxy, ProxyLogin, SocksProxy
from ginnel.options.notes import Note, NoteKind

MAX_HEADERS = 10
"""Headers of a request, as in OpenVPN."""

DEFAULT_SOCKS_PORT = "1080"
OVERRIDE_AGENT = "OpenVPN-Autoproxy/1.0"
ASK_WORD = "stdin"
"""In place of a file: ask for user name and password."""

_MAX_HOST = 255
_AUTOMATIC = {"auto": ProxyLogin.AUTO, "auto-nct": ProxyLogin.AUTO_NO_CLEARTEXT}


def build_proxy(entry: ProfileDraft, loader: FileLoader) -> Proxy | None:
    """Builds the proxy of a connection whose options were checked. Raises ConfigError."""
    http, socks = entry.http_proxy, entry.socks_proxy
    if http is not None:
        credentials = http.user_pass or http.authfile
        return HttpProxy(
            host=http.host or "",
            port=http.port,
            login=http.login,
            credentials=None if credentials is None else loader.load(credentials),
            version=http.version,
            agent=http.agent,
            headers=http.headers,
        )
    if socks is not None:
        return SocksProxy(
            host=socks.host,
            port=socks.port,
            with_login=socks.with_login,
            credentials=None if socks.authfile is None else loader.load(socks.authfile),
        )
    return None


def override_proxies(draft: Draft, candidates: list[ProfileDraft]) -> list[ProfileDraft]:
    """Carries ``http-proxy-override`` out: that proxy for all TCP remotes, and no UDP remote."""
    wanted = draft.proxy_override
    if wanted is None:
        return candidates
    if any(entry.protocol is not LinkProtocol.UDP for entry in candidates):
        return [
            replace(entry, http_proxy=wanted, socks_proxy=None)
            if entry.protocol is not LinkProtocol.UDP
            else replace(entry, enabled=False)
            for entry in candidates
        ]
    text = (
        "Note: option http-proxy-override ignored because no TCP-based connection profiles are "
        "defined"
    )
    draft.notes.append(
        Note(text=text, kind=NoteKind.WARNING, origin=wanted.origin, option="http-proxy-override")
    )
    return candidates


def _http_proxy(draft: Draft, use: Use) -> None:
    known = _http_draft(draft, use)
    login, authfile = ProxyLogin.NONE, None
    word = use.text(2)
    if word in _AUTOMATIC:
        login = _AUTOMATIC[word]
    elif word:
        if use.text(3).startswith("ntlm"):
            raise ConfigError(
                f"In {use.origin}: http-proxy: NTLM authentication is not supported by ginnel: "
                "use basic, or auto for Basic and Digest",
                origin=use.origin,
                option=use.row.name,
            )
        if use.text(3) != "none":
            login, authfile = ProxyLogin.BASIC, _authfile(use, word)
    draft.profile = replace(
        draft.profile,
        http_proxy=replace(
            known,
            origin=use.origin,
            host=_host(use, 0),
            port=use.text(1),
            login=login,
            authfile=authfile,
        ),
    )


def _http_proxy_user_pass(draft: Draft, use: Use) -> None:
    known = _http_draft(draft, use)
    path = use.words[0] if use.words else None
    earlier = known.user_pass
    if path == "[inline]" and earlier is not None and earlier.inline is not None:
        return
    given = FileRef(option=use.row.name, origin=use.origin, path=path, inline=use.inline)
    asked = path == ASK_WORD and use.inline is None
    draft.profile = replace(
        draft.profile, http_proxy=replace(known, user_pass=None if asked else given)
    )


def _http_proxy_option(draft: Draft, use: Use) -> None:
    known = _http_draft(draft, use)
    kind, words = use.text(0), use.words[1:]
    if any(not char.isprintable() for word in words for char in word):
        raise use.wrong("expected text without control characters")
    match kind, words:
        case "VERSION", (version,):
            known = replace(known, version=version)
        case "AGENT", (agent,):
            known = replace(known, agent=agent)
        case (("EXT1" | "EXT2" | "CUSTOM-HEADER"), (name, *rest)):
            if len(known.headers) >= MAX_HEADERS:
                raise use.wrong(
                    f"Cannot use more than {MAX_HEADERS} http-proxy-option CUSTOM-HEADER : '{kind}'"
                )
            known = replace(known, headers=(*known.headers, (name, rest[0] if rest else None)))
        case _:
            raise use.wrong(f"Bad http-proxy-option or missing or extra parameter: '{kind}'")
    draft.profile = replace(draft.profile, http_proxy=known)


def _http_proxy_override(draft: Draft, use: Use) -> None:
    no_cleartext = use.text(2) == "nct"
    draft.proxy_override = HttpProxyDraft(
        origin=use.origin,
        host=_host(use, 0),
        port=use.text(1),
        login=ProxyLogin.AUTO_NO_CLEARTEXT if no_cleartext else ProxyLogin.AUTO,
        agent=OVERRIDE_AGENT,
    )


def _socks_proxy(draft: Draft, use: Use) -> None:
    word = use.text(2)
    draft.profile = replace(
        draft.profile,
        socks_proxy=SocksProxyDraft(
            origin=use.origin,
            host=_host(use, 0),
            port=use.text(1) or DEFAULT_SOCKS_PORT,
            with_login=word != "",
            authfile=_authfile(use, word) if word else None,
        ),
    )


def _http_draft(draft: Draft, use: Use) -> HttpProxyDraft:
    return draft.profile.http_proxy or HttpProxyDraft(origin=use.origin)


def _authfile(use: Use, word: str) -> FileRef | None:
    """None where somebody is to be asked."""
    if word == ASK_WORD:
        return None
    return FileRef(option=use.row.name, origin=use.origin, path=word)


def _host(use: Use, index: int) -> str:
    host = use.text(index)
    if not host or len(host) > _MAX_HOST or not host.isprintable() or " " in host:
        raise use.wrong(f"expected a host name or address of at most {_MAX_HOST} characters")
    return host


HANDLERS: dict[str, Handler] = {
    "http-proxy": _http_proxy,
    "http-proxy-user-pass": _http_proxy_user_pass,
    "http-proxy-option": _http_proxy_option,
    "http-proxy-override": _http_proxy_override,
    "socks-proxy": _socks_proxy,
}
