"""The frozen results of option resolution for a server, and for what one client of it gets.

``resolve()`` produces ``ServerOptions``, ``client_config`` produces ``ClientConfig``. As in
``model``, nothing later re-checks them; groups that clients have as well are the same types.
Durations are seconds.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.options.model import (
    AddressFamily,
    CompressionKind,
    ConnectionProfile,
    DataOptions,
    DnsOptions,
    LinkOptions,
    LinkProtocol,
    ManagementOptions,
    PlainWrapping,
    ProcessOptions,
    RouteOptions,
    ScriptOptions,
    TlsAuth,
    TlsCrypt,
    TlsOptions,
    TunOptions,
)
from ginnel.options.values import FileContent, Origin


@dataclass(frozen=True, kw_only=True)
class Listener:
    """One socket that clients come to."""

    protocol: LinkProtocol
    """UDP or TCP_SERVER."""
    family: AddressFamily
    """ANY is IPv4, as OpenVPN decides for a socket that no name or address gives a family."""
    local: str | None
    """Address or name as written; None is every address of the host."""
    port: str
    """A number or a service name, as written."""
    bind_ipv6only: bool = False
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class TlsCryptV2Server:
    """``tls-crypt-v2`` of a server, with what belongs to it."""

    key: FileContent
    force_cookie: bool = False
    """Clients that cannot resend their wrapped key are ignored."""
    verify: tuple[str, ...] | None = None
    """Command of ``tls-crypt-v2-verify``: judges the metadata of a client key."""
    max_age: int = 0
    """Days that a client key lasts by its timestamp; 0 is for ever."""


@dataclass(frozen=True, kw_only=True)
class Pool4:
    """``ifconfig-pool``: addresses from ``first`` to ``last``, both included."""

    first: IPv4Address
    last: IPv4Address
    netmask: IPv4Address | None = None


@dataclass(frozen=True, kw_only=True)
class Pool6:
    """``ifconfig-ipv6-pool``: addresses of ``network`` from ``first`` on."""

    network: IPv6Network
    first: IPv6Address


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """Where clients' addresses come from."""

    ipv4: Pool4 | None = None
    ipv6: Pool6 | None = None
    persist_path: str | None = None
    """The ``ifconfig-pool-persist`` file; it need not exist yet."""
    persist_interval: int = 600
    """0 never writes the file."""


class VerifyClientCert(Enum):
    """Whether a client must show a certificate."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRE = "require"


class ScriptMethod(Enum):
    """How ``auth-user-pass-verify`` hands over name and password."""

    VIA_ENV = "via-env"
    VIA_FILE = "via-file"


@dataclass(frozen=True, kw_only=True)
class TokenOptions:
    """``auth-gen-token``."""

    lifetime: int = 0
    """0 is without end."""
    renewal: int | None = None
    """Seconds after which a connected client gets a new token; None is ``reneg-sec``. A token lasts
    for two of these."""
    external: bool = False
    """``external-auth``: the authenticator decides about tokens as well."""
    secret: FileContent | None = None
    """None draws a key for the life of the process."""


@dataclass(frozen=True, kw_only=True)
class AccessOptions:
    """Who may in, and who is told."""

    verify_client_cert: VerifyClientCert = VerifyClientCert.REQUIRE
    auth_user_pass_verify: tuple[str, ...] | None = None
    auth_user_pass_method: ScriptMethod = ScriptMethod.VIA_FILE
    auth_user_pass_optional: bool = False
    username_as_common_name: bool = False
    token: TokenOptions | None = None
    client_connect: tuple[str, ...] | None = None
    client_disconnect: tuple[str, ...] | None = None
    client_crresponse: tuple[str, ...] | None = None
    learn_address: tuple[str, ...] | None = None
    management_client_auth: bool = False
    client_config_dir: str | None = None
    """Absolute, or relative to where the process ends up."""
    ccd_exclusive: bool = False
    duplicate_cn: bool = False
    authenticators: tuple[tuple[str, ...], ...] = ()
    """``ginnel-authenticator NAME [word ...]``: authenticators of Python, in order."""

    @property
    def passes_in_environment(self) -> bool:
        """Whether a script is given passwords in its environment, which others may see."""
        return (
            self.auth_user_pass_verify is not None
            and self.auth_user_pass_method is ScriptMethod.VIA_ENV
        )

    @property
    def asks_password(self) -> bool:
        """Whether something judges user names and passwords."""
        return bool(
            self.auth_user_pass_verify or self.management_client_auth or self.authenticators
        )


class VlanAccept(Enum):
    """Which frames ``vlan-accept`` lets in from the tap device."""

    ALL = "all"
    TAGGED = "tagged"
    UNTAGGED = "untagged"


@dataclass(frozen=True, kw_only=True)
class VlanOptions:
    accept: VlanAccept = VlanAccept.ALL
    pvid: int = 1


@dataclass(frozen=True, kw_only=True)
class PushConstraint:
    """``ifconfig-push-constraint``: what ``ifconfig-push`` may give lies in this network."""

    network: IPv4Network


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """What one client, or all together, may use."""

    max_clients: int = 1024
    max_routes_per_client: int = 256
    connect_freq: tuple[int, int] | None = None
    """Clients, seconds: more than that are not let in, by any transport."""
    connect_freq_initial: tuple[int, int] = (100, 10)
    """First packets, seconds: what is answered without proof of an address."""
    tcp_queue_limit: int = 64
    """Packets that wait for a slow TCP client."""
    stale_routes: tuple[int, int] | None = None
    """``stale-routes-check``: age after which a learnt address is forgotten, check interval."""
    reneg_sec_range: tuple[int, int] | None = None
    """Least and greatest ``reneg-sec``; each new key lasts some time in between. Set on servers."""


@dataclass(frozen=True, kw_only=True)
class PortShare:
    """``port-share``: where TCP streams go that do not speak OpenVPN."""

    host: str
    port: str
    journal_dir: str | None = None


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Everything that ``ginnel openvpn --mode server`` needs to know."""

    listeners: tuple[Listener, ...]
    profile: ConnectionProfile
    """What is the same for all links: MTU, MSS, fragment, ``explicit-exit-notify`` …"""
    wrapping: PlainWrapping | TlsAuth | TlsCrypt = PlainWrapping()
    crypt_v2: TlsCryptV2Server | None = None
    """Beside ``wrapping``, if that is not plain."""
    link: LinkOptions = LinkOptions()
    tls: TlsOptions = TlsOptions()
    data: DataOptions = DataOptions()
    tun: TunOptions = TunOptions()
    routes: RouteOptions = RouteOptions()
    dns: DnsOptions = DnsOptions()
    scripts: ScriptOptions = ScriptOptions()
    process: ProcessOptions = ProcessOptions()
    management: ManagementOptions = ManagementOptions()
    push: tuple[str, ...] = ()
    """Options for every client, in order, each as one text."""
    pool: PoolOptions = PoolOptions()
    access: AccessOptions = AccessOptions()
    limits: LimitOptions = LimitOptions()
    push_constraint: PushConstraint | None = None
    client_to_client: bool = False
    vlan: VlanOptions | None = None
    """``vlan-tagging``; None when it is not in force."""
    port_share: PortShare | None = None
    tcp_nodelay: bool = False
    multihome: bool = False
    compress_migrate: bool = False
    echo: tuple[str, ...] = ()
    """Texts for a management client."""
    opt_verify: bool = False
    force_key_material_export: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """What one client gets: from its file, the ``client-connect`` script, the management client.

    Later sources add to earlier ones (``client_config.merge``).
    """

    disable: bool = False
    ifconfig_push: tuple[IPv4Address, IPv4Address] | None = None
    """Address and netmask, or the two ends."""
    ifconfig_push_alias: IPv4Address | None = None
    """What our side calls the client, if not its address."""
    ifconfig_ipv6_push: tuple[IPv6Interface, IPv6Address | None] | None = None
    push_reset: bool = False
    """No option for every client is pushed, ``topology`` and ``route-gateway`` neither."""
    push_remove: tuple[str, ...] = ()
    push: tuple[str, ...] = ()
    iroutes: tuple[IPv4Network, ...] = ()
    iroutes_ipv6: tuple[IPv6Network, ...] = ()
    max_routes_per_client: int | None = None
    inactive: int | None = None
    inactive_bytes: int | None = None
    session_timeout: int | None = None
    ping: int | None = None
    ping_restart: int | None = None
    ping_exit: int | None = None
    vlan_pvid: int | None = None
    override_username: str | None = None
    """The name that tokens are made for from now on."""
    compression: CompressionKind | None = None
    """Framing for this client alone; None leaves the server's."""
    data_ciphers: tuple[str, ...] | None = None
    """In place of the server's list, for this client."""
    data_ciphers_fallback: str | None = None
