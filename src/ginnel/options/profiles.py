"""Connection profiles: ``remote`` lines and ``<connection>`` blocks, in the order of trying."""

from ginnel.dataclass import replace
from ginnel.options.apply import apply_use
from ginnel.options.apply_proxy import build_proxy, override_proxies
from ginnel.options.checks import check_profile
from ginnel.options.draft import (
    MAX_REMOTES,
    Draft,
    LoginDraft,
    ProfileDraft,
    RemoteDraft,
    Use,
)
from ginnel.options.errors import ConfigError
from ginnel.options.files import FileLoader
from ginnel.options.lexer import lex_config
from ginnel.options.model import (
    AddressFamily,
    ConnectionProfile,
    ControlWrapping,
    LinkProtocol,
    LoginSource,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
)
from ginnel.options.notes import Note
from ginnel.options.peers import DIRECTIONS
from ginnel.options.source import match_directive
from ginnel.options.values import COMMAND_LINE, Origin

_DEFAULT_MTU = 1500


def apply_block(draft: Draft, use: Use) -> None:
    """Applies a ``<connection>`` block on top of what was set before it, as OpenVPN does.

    Raises ConfigError for an option that may not stand there, with its own line.
    """
    if use.inline is None:
        raise use.wrong("expected a block <connection> ... </connection>")
    if len(draft.blocks) >= MAX_REMOTES:
        raise use.wrong(f"there are more than {MAX_REMOTES} <connection> blocks")
    base, outside, options = draft.profile, draft.remotes, draft.options
    # Keys are completed at the end from the base level, wherever that gives them.
    draft.profile = replace(
        base, tls_auth=None, tls_crypt=None, tls_crypt_v2=None, key_direction=None
    )
    draft.remotes = []
    draft.in_block = True
    first = use.origin.line + 1
    for directive in lex_config(use.inline.reveal(), use.origin.source, first_line=first):
        inner = match_directive(directive)
        if not inner.row.in_connection:
            raise ConfigError(
                f"In {inner.origin}: option '{inner.row.name}' cannot be used in this context "
                "([CONNECTION-OPTIONS])",
                origin=inner.origin,
                option=inner.row.name,
            )
        apply_use(draft, inner)
    block, remotes = draft.profile, draft.remotes
    draft.profile, draft.remotes, draft.in_block = base, outside, False
    # Of what a block says only the connection's own settings count, as in OpenVPN. The limit to
    # what may be pushed is one for all, the largest; that there is a login at all is one, too.
    inside = draft.options
    limit = max(options.tun.tun_mtu_max, inside.tun.tun_mtu_max)
    draft.options = replace(
        options,
        tun=replace(options.tun, tun_mtu_max=limit),
        login=replace(options.login, auth_user_pass=inside.login.auth_user_pass),
    )
    if len(remotes) != 1:
        raise ConfigError(
            f"In {use.origin}: a <connection> block needs exactly one remote, "
            f"this one has {len(remotes)}",
            origin=use.origin,
            option="connection",
        )
    draft.blocks.append(_with_remote(block, remotes[0]))


def build_profiles(draft: Draft, loader: FileLoader) -> tuple[ConnectionProfile, ...]:
    """Builds the profiles in the order they are tried. Raises ConfigError."""
    base = draft.profile
    if draft.blocks:
        candidates = [_with_base_keys(block, base) for block in draft.blocks]
    else:
        candidates = [_with_remote(base, remote) for remote in draft.remotes]
    candidates = override_proxies(draft, _forced(draft, candidates))
    candidates = [_without_dual_stack(draft, candidate) for candidate in candidates]
    if not candidates and not draft.options.pull:
        candidates = [_anybody(base)]
    if not candidates:
        raise ConfigError("You must define the server to connect to (--remote HOST [PORT] [PROTO])")
    for candidate in candidates:
        if candidate.enabled:
            check_profile(draft, candidate)
    if any(
        entry.protocol is not LinkProtocol.UDP and entry.explicit_exit_notify
        for entry in candidates
    ):
        text = "NOTICE: --explicit-exit-notify ignored for --proto tcp"
        draft.notes.append(Note(text=text, option="explicit-exit-notify"))
    return tuple(build_profile(draft, candidate, loader) for candidate in candidates)


def _anybody(base: ProfileDraft) -> ProfileDraft:
    """Two peers need one remote between them: the one without waits, wherever the other is."""
    return replace(base, host="", float=True)


def _forced(draft: Draft, candidates: list[ProfileDraft]) -> list[ProfileDraft]:
    """Keeps the remotes of the transport that ``proto-force`` names."""
    forced = draft.actions.get("proto-force")
    if forced is None or not candidates:
        return candidates
    is_udp = forced[0] == "udp"
    kept = [
        replace(entry, enabled=(entry.protocol is LinkProtocol.UDP) == is_udp)
        for entry in candidates
    ]
    if not any(entry.enabled for entry in kept):
        raise ConfigError(
            f"--proto-force {forced[0]} leaves no remote to connect to",
            origin=draft.places.of("proto-force"),
            option="proto-force",
        )
    return kept


def _without_dual_stack(draft: Draft, entry: ProfileDraft) -> ProfileDraft:
    """Limits datagrams through a SOCKS proxy to IPv4 where the family was left open.

    Few proxies relay datagrams to IPv6, and none says so: they would only vanish.
    """
    open_family = entry.protocol is LinkProtocol.UDP and entry.family is AddressFamily.ANY
    if entry.socks_proxy is None or not open_family:
        return entry
    text = "with --socks-proxy, --proto udp means IPv4; say udp6 for a proxy that relays to IPv6"
    draft.notes.append(Note(text=text, origin=entry.socks_proxy.origin, option="socks-proxy"))
    return replace(entry, family=AddressFamily.IPV4)


def _with_remote(profile: ProfileDraft, remote: RemoteDraft) -> ProfileDraft:
    protocol, family = remote.protocol or (profile.protocol, profile.family)
    return replace(
        profile,
        host=remote.host,
        origin=remote.origin,
        rport=remote.port or profile.rport,
        protocol=protocol,
        family=family,
        protocol_origin=remote.origin if remote.protocol else profile.protocol_origin,
    )


def _with_base_keys(block: ProfileDraft, base: ProfileDraft) -> ProfileDraft:
    """Completes a block that names no control-channel key with the one outside of it.

    The login for the HTTP proxy stands outside as well: it may not stand in a block.
    """
    proxy, outer = block.http_proxy, base.http_proxy
    if proxy is not None and outer is not None and proxy.user_pass is None:
        block = replace(block, http_proxy=replace(proxy, user_pass=outer.user_pass))
    direction = block.key_direction or base.key_direction
    if block.tls_auth or block.tls_crypt or block.tls_crypt_v2:
        return replace(block, key_direction=direction)
    return replace(
        block,
        tls_auth=base.tls_auth,
        tls_crypt=base.tls_crypt,
        tls_crypt_v2=base.tls_crypt_v2,
        key_direction=direction,
    )


def build_profile(draft: Draft, entry: ProfileDraft, loader: FileLoader) -> ConnectionProfile:
    """Freezes one connection, with the files it names. Raises ConfigError."""
    asked_to_bind = entry.bind_defined or entry.local is not None or entry.lport_defined
    # A client that pulls lets the system choose its port unless told otherwise (protocol-facts 24).
    bind = not entry.nobind and (asked_to_bind or not draft.options.pull)
    notices = entry.explicit_exit_notify if entry.protocol is LinkProtocol.UDP else None
    return ConnectionProfile(
        host=entry.host or "",
        port=entry.rport,
        protocol=entry.protocol,
        family=entry.family,
        origin=entry.origin or Origin(COMMAND_LINE, 1),
        local=entry.local,
        lport=entry.lport if bind else None,
        bind=bind,
        bind_ipv6only=entry.bind_ipv6only,
        float=entry.float,
        connect_retry=entry.connect_retry,
        connect_retry_max_delay=max(entry.connect_retry_max_delay, entry.connect_retry),
        connect_timeout=entry.connect_timeout,
        explicit_exit_notify=notices or None,
        tun_mtu=entry.tun_mtu or _DEFAULT_MTU,
        mtu_disc=entry.mtu_disc,
        mssfix=_mssfix(entry),
        mssfix_mode=entry.mssfix_mode,
        fragment=entry.fragment,
        fragment_mtu=entry.fragment_mtu,
        link_mtu=entry.link_mtu,
        wrapping=_wrapping(entry, draft.options.data.auth, loader),
        login=None if entry.login is None else login_source(entry.login, loader),
        proxy=build_proxy(entry, loader) if entry.enabled else None,
        max_packet_size=entry.max_packet_size,
        enabled=entry.enabled,
    )


def login_source(login: LoginDraft, loader: FileLoader) -> LoginSource:
    """Reads the file of an ``auth-user-pass`` line, if it names one. Raises ConfigError."""
    credentials = None if login.file is None else loader.load(login.file)
    return LoginSource(credentials=credentials, username_only=login.username_only)


def _mssfix(entry: ProfileDraft) -> int | None:
    """With ``link-mtu`` the default is off, as OpenVPN has it."""
    return 0 if entry.mssfix is None and entry.link_mtu is not None else entry.mssfix


def _wrapping(entry: ProfileDraft, digest: str, loader: FileLoader) -> ControlWrapping:
    if entry.tls_crypt_v2 is not None:
        return TlsCryptV2(key=loader.load(entry.tls_crypt_v2))
    return shared_wrapping(entry, digest, loader)


def shared_wrapping(
    entry: ProfileDraft, digest: str, loader: FileLoader
) -> PlainWrapping | TlsAuth | TlsCrypt:
    """The wrapping by a key that all ends have in common. Raises ConfigError."""
    if entry.tls_auth is not None:
        return TlsAuth(
            key=loader.load(entry.tls_auth),
            direction=DIRECTIONS[entry.key_direction],
            digest=digest,
        )
    if entry.tls_crypt is not None:
        return TlsCrypt(key=loader.load(entry.tls_crypt))
    return PlainWrapping()
