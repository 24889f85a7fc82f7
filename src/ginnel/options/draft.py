"""Options under construction: what directives have set so far.

A draft is filled directive by directive (``apply``), then checked and frozen (``resolve``), or
begun from frozen options to apply what a server pushed (``pushed``).
"""

from collections.abc import Callable

from ginnel.dataclass import dataclass, field, replace
from ginnel.hints import TYPE_CHECKING, TypeVar
from ginnel.options.arguments import Value
from ginnel.options.errors import ConfigError, printable
from ginnel.options.files import INLINE_WORD, FileRef
from ginnel.options.model import AddressFamily, ClientOptions, LinkProtocol, ProxyLogin
from ginnel.options.notes import Note, NoteKind
from ginnel.options.table import OptionRow
from ginnel.options.values import Origin, Secret

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ginnel.options.server_draft import ServerDraft
    from ginnel.options.server_model import ClientConfig

    _Group = TypeVar("_Group", bound=DataclassInstance)

STATIC_KEY = "secret"
"""Where the reference to the file of ``secret`` is kept: a run and two actions use it."""

SERVER_GROUPS = frozenset({"access", "limits", "pool", "vlan"})
"""First parts of field paths that mean a group of the server's draft."""

MAX_REMOTES = 64
"""Remotes, and <connection> blocks, of a profile; OpenVPN's limit."""


@dataclass(frozen=True, kw_only=True)
class HttpProxyDraft:
    """What the ``http-proxy`` options of one level said; without a host only details were given."""

    origin: Origin
    host: str | None = None
    port: str = ""
    login: ProxyLogin = ProxyLogin.NONE
    authfile: FileRef | None = None
    user_pass: FileRef | None = None
    version: str = "1.0"
    agent: str | None = None
    headers: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, kw_only=True)
class SocksProxyDraft:
    """``socks-proxy``."""

    origin: Origin
    host: str
    port: str
    with_login: bool
    authfile: FileRef | None


@dataclass(frozen=True, kw_only=True)
class ProfileDraft:
    """Settings of one connection; None is "not given" wherever that differs from a default."""

    host: str | None = None
    origin: Origin | None = None
    protocol: LinkProtocol = LinkProtocol.UDP
    family: AddressFamily = AddressFamily.ANY
    protocol_origin: Origin | None = None
    rport: str = "1194"
    lport: str = "1194"
    lport_defined: bool = False
    local: str | None = None
    bind_defined: bool = False
    nobind: bool = False
    bind_ipv6only: bool = False
    float: bool = False
    connect_retry: int = 1
    connect_retry_max_delay: int = 300
    connect_timeout: int = 120
    explicit_exit_notify: int | None = None
    tun_mtu: int | None = None
    mtu_disc: str | None = None
    max_packet_size: int | None = None
    mssfix: int | None = None
    mssfix_mode: str = ""
    fragment: int = 0
    fragment_mtu: bool = False
    link_mtu: int | None = None
    tls_auth: FileRef | None = None
    key_direction: str | None = None
    tls_crypt: FileRef | None = None
    tls_crypt_v2: FileRef | None = None
    enabled: bool = True
    http_proxy: HttpProxyDraft | None = None
    socks_proxy: SocksProxyDraft | None = None
    login: "LoginDraft | None" = None


@dataclass(frozen=True, kw_only=True)
class LoginDraft:
    """An ``auth-user-pass`` line; without a file everything is asked for."""

    file: FileRef | None = None
    username_only: bool = False


@dataclass(frozen=True, kw_only=True)
class RemoteDraft:
    """One ``remote`` line outside of blocks; what it leaves out comes from the base settings."""

    host: str
    port: str | None
    protocol: tuple[LinkProtocol, AddressFamily] | None
    origin: Origin


@dataclass(slots=True)
class Places:
    """Where settings were given that a later check may have to complain about, by option name."""

    origins: dict[str, Origin] = field(default_factory=dict)

    def note(self, name: str, origin: Origin) -> None:
        self.origins[name] = origin

    def of(self, name: str) -> Origin | None:
        return self.origins.get(name)

    def has(self, name: str) -> bool:
        return name in self.origins


@dataclass(slots=True)
class Draft:
    """Everything that directives have set so far. Mutable, lives only within one resolution."""

    options: ClientOptions = field(default_factory=lambda: ClientOptions(profiles=(), pull=False))
    profile: ProfileDraft = field(default_factory=ProfileDraft)
    blocks: list[ProfileDraft] = field(default_factory=list)
    in_block: bool = False
    """True while the lines of a ``<connection>`` block are applied."""
    login: LoginDraft | None = None
    """``auth-user-pass`` outside of blocks."""
    remotes: list[RemoteDraft] = field(default_factory=list)
    proxy_override: HttpProxyDraft | None = None
    """``http-proxy-override``."""
    files: dict[str, FileRef] = field(default_factory=dict)
    """By ``group.field`` of the model."""
    places: Places = field(default_factory=Places)
    actions: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    refusals: list[ConfigError] = field(default_factory=list)
    """Options that parse but cannot be carried out: they stop a run, not an action."""
    notes: list[Note] = field(default_factory=list)
    of_server: "ServerDraft | None" = None
    """What the options that only servers have set; None as long as there was none."""
    of_instance: "ClientConfig | None" = None

    @property
    def server(self) -> "ServerDraft":
        """What the options that only servers have set. Made when needed: few clients have any."""
        if self.of_server is None:
            from ginnel.options.server_draft import ServerDraft

            self.of_server = ServerDraft()
        return self.of_server

    @server.setter
    def server(self, changed: "ServerDraft") -> None:
        self.of_server = changed

    @property
    def instance(self) -> "ClientConfig":
        """What the lines about one client of a server set."""
        if self.of_instance is None:
            from ginnel.options.server_model import ClientConfig

            self.of_instance = ClientConfig()
        return self.of_instance

    def set_field(self, path: str, value: object) -> None:
        """Sets ``group.field`` of the options, the connection profile or the server's draft."""
        group, _, name = path.partition(".")
        if group == "profile":
            self.profile = _changed(self.profile, name, value)
        elif group == "instance":
            self.of_instance = _changed(self.instance, name, value)
        elif group == "server":
            self.server = _changed(self.server, name, value)
        elif group in SERVER_GROUPS:
            inner = _changed(getattr(self.server, group), name, value)
            self.server = _changed(self.server, group, inner)
        else:
            inner = _changed(getattr(self.options, group), name, value)
            self.options = _changed(self.options, group, inner)

    def refer(self, path: str, use: "Use", file_name: str | None) -> FileRef:
        """Remembers a file option for reading at the end, when every ``cd`` has been seen.

        The word ``[inline]`` keeps a block that was already given.
        """
        ref = FileRef(option=use.row.name, origin=use.origin, path=file_name, inline=use.inline)
        earlier = self.files.get(path)
        if file_name == INLINE_WORD and earlier is not None and earlier.inline is not None:
            return earlier
        if path:
            self.files[path] = ref
        return ref

    def warn(self, text: str, use: "Use") -> None:
        """Leaves a warning about a directive."""
        note = Note(text=text, kind=NoteKind.WARNING, origin=use.origin, option=use.row.name)
        self.notes.append(note)


@dataclass(frozen=True, kw_only=True)
class Use:
    """One directive matched with its row: grammar checked, values converted."""

    row: OptionRow
    origin: Origin
    words: tuple[str, ...]
    values: tuple[Value, ...]
    inline: Secret | None = None
    pushed: bool = False
    for_client: bool = False
    """The line is about one client of a server, not in the server's own configuration."""

    def text(self, index: int, default: str = "") -> str:
        """Returns an argument as written, or the default when it is missing."""
        return self.words[index] if index < len(self.words) else default

    def number(self, index: int, default: int = 0) -> int:
        """Returns a numeric argument, or the default when it is missing."""
        value = self.values[index] if index < len(self.values) else default
        return value if isinstance(value, int) else default

    def wrong(self, expected: str) -> ConfigError:
        """Builds the error for a value that does not fit: option, place and what was expected."""
        hidden = self.row.name.startswith("auth-token")
        shown = "..." if hidden else printable(" ".join(self.words), 80)
        return ConfigError(
            f"In {self.origin}: {self.row.name}: {shown!r}: {expected}",
            origin=self.origin,
            option=self.row.name,
        )

    def later(self, what: str) -> ConfigError:
        """Builds the error for something real that this release cannot do yet."""
        return not_supported(what, self.row.name, self.origin)


Handler = Callable[[Draft, Use], None]


def not_supported(what: str, option: str, origin: Origin) -> ConfigError:
    """Builds the one line that refuses to start because of an option not built yet."""
    return ConfigError(
        f"In {origin}: {what} is not supported by this release of ginnel yet",
        origin=origin,
        option=option,
    )


def no_effect(use: Use) -> Note:
    """The line about an option that is taken and does nothing."""
    text = f"--{use.row.name} has no effect here: {use.row.why}"
    return Note(text=text, origin=use.origin, option=use.row.name)


def _changed(group: "_Group", name: str, value: object) -> "_Group":
    return replace(group, **{name: value})
