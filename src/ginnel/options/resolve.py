"""From directives to the final, consistent options, or to the action that was asked for.

Applies directives in order, checks what only the whole can tell, reads the files, fills in what was
left out. Nothing later re-checks any of it.
"""

import binascii
from collections.abc import Iterable, Sequence

from ginnel.dataclass import replace
from ginnel.options.actions import (
    GenKey,
    GenKeyKind,
    MkTun,
    Resolved,
    RmTun,
    RunClient,
    ShowCiphers,
    ShowCurves,
    ShowDigests,
    ShowEngines,
    ShowGateway,
    ShowHelp,
    ShowPkcs11Ids,
    ShowTls,
    ShowVersion,
    TestCrypto,
)
from ginnel.options.apply import apply_use
from ginnel.options.apply_tls import warn_unverified_server
from ginnel.options.checks import check_client, note_client
from ginnel.options.compat_mode import settle_compatibility
from ginnel.options.draft import STATIC_KEY, Draft
from ginnel.options.errors import ConfigError
from ginnel.options.files import FileLoader, FileReader
from ginnel.options.freeze import check_scripts, device_type, finish_host, load_files
from ginnel.options.lexer import Directive
from ginnel.options.peers import has_static_key
from ginnel.options.profiles import apply_block, build_profiles
from ginnel.options.source import Reading, lex_argv
from ginnel.options.values import FileContent


def resolve_argv(argv: Sequence[str], reader: FileReader) -> Resolved:
    """Resolves a command line, without the program's name. Raises ConfigError."""
    return resolve(lex_argv(argv), reader) if argv else ShowHelp()


def resolve(directives: Iterable[Directive], reader: FileReader) -> Resolved:
    """Resolves directives, with the files they include and name. Raises ConfigError.

    The reader is asked for paths as written, joined to the directory that ``cd`` led to.
    """
    reading = Reading(reader)
    draft = Draft(notes=reading.notes)
    for use in reading.expand(directives):
        if use.row.name == "version":
            return ShowVersion()
        if use.row.name == "help":
            return ShowHelp()
        if use.row.name == "connection":
            apply_block(draft, use)
        else:
            apply_use(draft, use)
    loader = FileLoader(reader, reading.cwd)
    action = _action(draft, loader)
    if action is not None:
        return action
    if draft.of_server is not None and draft.of_server.is_wanted:
        # Imported here: a client connects sooner without it.
        from ginnel.options.resolve_server import run_server

        return run_server(draft, loader, reading.cwd)
    return _run_client(draft, loader, reading.cwd)


def _run_client(draft: Draft, loader: FileLoader, cwd: str) -> RunClient:
    settle_compatibility(draft)
    check_client(draft)
    profiles = build_profiles(draft, loader)
    load_files(draft, loader)
    check_scripts(draft, loader)
    if not has_static_key(draft) and not draft.options.tls.tls_server:
        warn_unverified_server(draft)
    note_client(draft)
    options = replace(finish_host(draft, cwd), profiles=profiles)
    return RunClient(options=options, notes=tuple(draft.notes))


def _action(draft: Draft, loader: FileLoader) -> Resolved | None:
    """Returns the action asked for, if any; with several, the first of OpenVPN's order."""
    asked = draft.actions
    if "show-ciphers" in asked:
        return ShowCiphers()
    if "show-digests" in asked:
        return ShowDigests()
    if "show-engines" in asked:
        return ShowEngines()
    if "show-tls" in asked:
        return ShowTls(options=draft.options.tls)
    if "show-curves" in asked or "show-groups" in asked:
        return ShowCurves()
    if "show-gateway" in asked:
        values = asked["show-gateway"]
        return ShowGateway(destination=str(values[0]) if values else None)
    if "show-pkcs11-ids" in asked:
        return ShowPkcs11Ids(options=draft.options.pkcs11)
    if "genkey" in asked:
        return _genkey(draft, loader)
    if "mktun" in asked or "rmtun" in asked:
        return _device_action(draft)
    if "test-crypto" in asked:
        return _test_crypto(draft, loader)
    return None


def _genkey(draft: Draft, loader: FileLoader) -> GenKey:
    """Understands both ``--genkey TYPE FILE`` and the older ``--genkey --secret FILE``."""
    words = [str(value) for value in draft.actions["genkey"]]
    origin = draft.places.of("genkey")
    kind = GenKeyKind(words[0]) if words else GenKeyKind.SECRET
    path = words[1] if len(words) > 1 else None
    secret = draft.files.get(STATIC_KEY)
    if kind is GenKeyKind.SECRET and path is None and secret is not None:
        path = secret.path
    metadata = words[2] if len(words) > 2 else None
    if metadata is not None:
        try:
            binascii.a2b_base64(metadata, strict_mode=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError(
                "--genkey: the metadata is not base64", origin=origin, option="genkey"
            ) from error
    server_key: FileContent | None = None
    if kind is GenKeyKind.TLS_CRYPT_V2_CLIENT:
        ref = draft.profile.tls_crypt_v2
        if ref is None:
            raise ConfigError(
                "--genkey tls-crypt-v2-client requires a server key: add --tls-crypt-v2 FILE",
                origin=origin,
                option="genkey",
            )
        server_key = loader.load(replace(ref, option="genkey"))
    return GenKey(kind=kind, path=path, metadata=metadata, server_key=server_key)


def _device_action(draft: Draft) -> MkTun | RmTun:
    tun = draft.options.tun
    dev_type = device_type(draft)
    if not draft.places.has("dev") or tun.dev == "null":
        raise ConfigError("--mktun and --rmtun need a device: --dev tunN")
    if "rmtun" in draft.actions and tun.dev in {"tun", "tap"}:
        raise ConfigError("--rmtun needs the device by its full name: --dev tunN")
    if "rmtun" in draft.actions:
        return RmTun(dev=tun.dev, dev_type=dev_type)
    process = draft.options.process
    return MkTun(dev=tun.dev, dev_type=dev_type, user=process.user, group=process.group)


def _test_crypto(draft: Draft, loader: FileLoader) -> TestCrypto:
    ref = draft.files.get(STATIC_KEY)
    if ref is None:
        raise ConfigError("--test-crypto requires --secret FILE", option="test-crypto")
    cipher = draft.actions.get("cipher")
    return TestCrypto(
        key=loader.load(ref),
        cipher=str(cipher[0]) if cipher else None,
        auth=draft.options.data.auth,
    )
