"""From a draft to the options of a server: listeners, keys, everything frozen."""

from ginnel.dataclass import replace
from ginnel.options.actions import RunServer
from ginnel.options.compat_mode import settle_compatibility
from ginnel.options.draft import Draft, ProfileDraft
from ginnel.options.files import FileLoader, FileRef
from ginnel.options.freeze import check_scripts, finish_host, load_files
from ginnel.options.model import LinkProtocol, TlsOptions
from ginnel.options.profiles import build_profile, shared_wrapping
from ginnel.options.server_checks import check_listeners, check_server, note_server, scripts_of
from ginnel.options.server_draft import LocalDraft
from ginnel.options.server_helpers import expand_server
from ginnel.options.server_model import Listener, ServerOptions, TlsCryptV2Server
from ginnel.options.values import COMMAND_LINE, Origin

_RENEG_SHARE = 0.9
"""Without a least time of its own a key lasts at least this part of ``reneg-sec``."""


def run_server(draft: Draft, loader: FileLoader, cwd: str) -> RunServer:
    """Checks and freezes the options of a server. Raises ConfigError."""
    expand_server(draft)
    settle_compatibility(draft)
    check_server(draft)
    listeners = _listeners(draft)
    check_listeners(draft, listeners)
    load_files(draft, loader)
    _check_paths(draft, loader)
    note_server(draft)
    return RunServer(options=_freeze(draft, loader, cwd, listeners), notes=tuple(draft.notes))


def _freeze(
    draft: Draft, loader: FileLoader, cwd: str, listeners: tuple[Listener, ...]
) -> ServerOptions:
    options, server = finish_host(draft, cwd), draft.server
    entry = _shared_profile(draft, listeners)
    token = server.access.token
    if token is not None:
        token = replace(token, secret=server.token_secret)
    return ServerOptions(
        listeners=listeners,
        profile=build_profile(draft, entry, loader),
        wrapping=shared_wrapping(entry, options.data.auth, loader),
        crypt_v2=_crypt_v2(draft, loader),
        link=options.link,
        tls=_with_dh(draft, options.tls, loader),
        data=options.data,
        tun=options.tun,
        routes=options.routes,
        dns=options.dns,
        scripts=options.scripts,
        process=options.process,
        management=options.management,
        push=server.push,
        pool=server.pool,
        access=replace(server.access, token=token),
        limits=replace(server.limits, reneg_sec_range=_reneg_range(draft)),
        push_constraint=server.push_constraint,
        client_to_client=server.client_to_client,
        vlan=server.vlan if server.vlan_tagging else None,
        port_share=server.port_share,
        tcp_nodelay=server.tcp_nodelay,
        multihome=server.multihome,
        compress_migrate=server.compress_migrate,
        echo=options.echo,
        opt_verify=server.opt_verify,
        force_key_material_export=server.force_key_material_export,
    )


def _listeners(draft: Draft) -> tuple[Listener, ...]:
    """One for each ``local``; without any, one for all addresses of the host."""
    profile = draft.profile
    origin = profile.protocol_origin or Origin(COMMAND_LINE, 1)
    found = []
    for local in draft.server.locals or (LocalDraft(host=None, origin=origin),):
        protocol, family = local.protocol or (profile.protocol, profile.family)
        if protocol is LinkProtocol.TCP_CLIENT:
            protocol = LinkProtocol.TCP_SERVER  # a bare "tcp"
        found.append(
            Listener(
                protocol=protocol,
                family=family,
                local=local.host,
                port=local.port or profile.lport,
                bind_ipv6only=profile.bind_ipv6only,
                origin=local.origin,
            )
        )
    return tuple(found)


def _shared_profile(draft: Draft, listeners: tuple[Listener, ...]) -> ProfileDraft:
    """What is the same for all links. Its transport is UDP where that is among them.

    Each client's own counts for what follows from it.
    """
    shown = min(listeners, key=lambda listener: listener.protocol is not LinkProtocol.UDP)
    return replace(
        draft.profile,
        host="",
        protocol=shown.protocol,
        family=shown.family,
        local=shown.local,
        tls_crypt_v2=None,
    )


def _crypt_v2(draft: Draft, loader: FileLoader) -> TlsCryptV2Server | None:
    ref = draft.profile.tls_crypt_v2
    if ref is None:
        return None
    return TlsCryptV2Server(
        key=loader.load(replace(ref, of_server=True)),
        force_cookie=draft.server.crypt_v2_force_cookie,
        verify=draft.server.crypt_v2_verify,
        max_age=draft.server.crypt_v2_max_age,
    )


def _with_dh(draft: Draft, tls: TlsOptions, loader: FileLoader) -> TlsOptions:
    ref = draft.server.dh
    return tls if ref is None else replace(tls, dh=loader.load(ref))


def _reneg_range(draft: Draft) -> tuple[int, int] | None:
    given = draft.server.limits.reneg_sec_range
    if given is not None:
        return given
    longest = draft.options.tls.reneg_sec
    return (int(longest * _RENEG_SHARE), longest) if longest else None


def _check_paths(draft: Draft, loader: FileLoader) -> None:
    """Looks for scripts and other files that are not kept. Raises ConfigError."""
    access = draft.server.access
    check_scripts(draft, loader, scripts_of(draft))
    directories = {
        "client-config-dir": access.client_config_dir,
        "tmp-dir": draft.options.scripts.tmp_dir,
    }
    for name, path in directories.items():
        origin = draft.places.of(name)
        if path is not None and origin is not None and draft.options.process.chroot is None:
            loader.directory(FileRef(option=name, origin=origin, path=path))
