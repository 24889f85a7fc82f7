"""The last steps from a checked draft to options, the same for clients and servers.

Reads the files that were named, looks for the programs of scripts, settles what follows from all
of it together.
"""

from collections.abc import Iterable

from ginnel.dataclass import replace
from ginnel.options.draft import STATIC_KEY, Draft
from ginnel.options.files import FileLoader
from ginnel.options.model import ClientOptions, DeviceType
from ginnel.options.peers import put_static_key
from ginnel.options.profiles import login_source
from ginnel.options.values import Secret

_DIRECTORIES = frozenset({"tls.capath", "tls.crl_verify_dir", "tls.tls_export_cert"})


def device_type(draft: Draft) -> DeviceType:
    """``dev-type`` decides; without it the name of the device does."""
    tun = draft.options.tun
    if tun.dev == "null":
        return DeviceType.NULL
    if draft.places.has("dev-type"):
        return tun.dev_type
    return DeviceType.TAP if tun.dev.startswith("tap") else DeviceType.TUN


def finish_host(draft: Draft, cwd: str) -> ClientOptions:
    """Settles device, largest MTU and directory; the options but for the connections."""
    options = draft.options
    tun = replace(
        options.tun,
        dev_type=device_type(draft),
        tun_mtu_max=max(options.tun.tun_mtu_max, options.tun.tun_mtu),
    )
    process = replace(options.process, cd=cwd or None)
    return replace(options, tun=tun, process=process)


def load_files(draft: Draft, loader: FileLoader) -> None:
    """Puts every file's content, or a directory's path, in its place. Raises ConfigError."""
    for path, ref in draft.files.items():
        if path == STATIC_KEY:
            put_static_key(draft, loader.load(ref))
        elif path in _DIRECTORIES:
            draft.set_field(path, loader.directory(ref))
        elif path == "tls.askpass":
            first = loader.load(ref).content.reveal().split(b"\n", 1)[0]
            draft.set_field(path, Secret(first.rstrip(b"\r")))
        else:
            draft.set_field(path, loader.load(ref))
    if draft.login is not None:
        draft.set_field("login.source", login_source(draft.login, loader))


def check_scripts(
    draft: Draft,
    loader: FileLoader,
    more: Iterable[tuple[str, tuple[str, ...] | None]] = (),
) -> None:
    """Looks for the programs of hooks, unless a chroot makes their paths mean something else.

    ``more`` are further options with their commands. Raises ConfigError.
    """
    options = draft.options
    if options.process.chroot is not None:
        return
    scripts = options.scripts
    for name, argv in (
        ("up", scripts.up),
        ("down", scripts.down),
        ("route-up", scripts.route_up),
        ("route-pre-down", scripts.route_pre_down),
        ("ipchange", scripts.ipchange),
        ("dns-updown", scripts.dns_updown),
        ("tls-verify", options.tls.tls_verify),
        *more,
    ):
        if argv is not None:
            loader.check_command(name, argv[0], draft.places.of(name))
