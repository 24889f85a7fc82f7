"""The frozen results of option resolution.

``resolve()`` is the only producer; a value of these types cannot be inconsistent, so nothing later
re-checks it. A field bears its option's name with ``-`` as ``_`` wherever one option is one field.
Durations are seconds.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from ginnel.dataclass import dataclass, field
from ginnel.enumeration import Enum
from ginnel.options.values import FileContent, Origin, Secret


class LinkProtocol(Enum):
    """Transport of a connection profile, by OpenVPN's word for it without the family."""

    UDP = "udp"
    TCP_CLIENT = "tcp-client"
    TCP_SERVER = "tcp-server"


class AddressFamily(Enum):
    """Address family a profile is limited to."""

    ANY = "any"
    IPV4 = "4"
    IPV6 = "6"


class Topology(Enum):
    """How addresses on a tun device are understood."""

    NET30 = "net30"
    P2P = "p2p"
    SUBNET = "subnet"


class DeviceType(Enum):
    TUN = "tun"
    TAP = "tap"
    NULL = "null"


class CompressionKind(Enum):
    """Framing of payloads that two ends agree on."""

    STUB = "stub"
    LZO_STUB = "lzo-stub"
    """``comp-lzo no``."""
    STUB_V2 = "stubv2"
    LZO = "lzo"
    LZ4 = "lz4"
    LZ4_V2 = "lz4v2"

    @property
    def log_name(self) -> str:
        """OpenVPN's word in its log, which is the same for both kinds of stub."""
        return "stub" if self is CompressionKind.LZO_STUB else self.value

    @property
    def may_compress(self) -> bool:
        """Whether the peer may send compressed payloads; we never do."""
        return self in {CompressionKind.LZO, CompressionKind.LZ4, CompressionKind.LZ4_V2}

    @property
    def has_byte(self) -> bool:
        """Whether every payload gets a byte more."""
        return self not in {CompressionKind.STUB_V2, CompressionKind.LZ4_V2}


class KeyDirection(Enum):
    """Which half of a static key sends: none uses key 0 both ways."""

    NONE = "none"
    NORMAL = "0"
    INVERSE = "1"


class AuthRetry(Enum):
    NONE = "none"
    NOINTERACT = "nointeract"
    INTERACT = "interact"


# --- control-channel wrapping ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PlainWrapping:
    """No wrapping of control packets."""


@dataclass(frozen=True, kw_only=True)
class TlsAuth:
    """``tls-auth``: HMAC over control packets with the digest of ``auth``."""

    key: FileContent
    direction: KeyDirection
    digest: str


@dataclass(frozen=True, kw_only=True)
class TlsCrypt:
    key: FileContent


@dataclass(frozen=True, kw_only=True)
class TlsCryptV2:
    """``tls-crypt-v2`` of a client: client key and wrapped client key in one PEM block."""

    key: FileContent


ControlWrapping = PlainWrapping | TlsAuth | TlsCrypt | TlsCryptV2


# --- where to connect --------------------------------------------------------------------------


class ProxyLogin(Enum):
    """How user name and password are shown to an HTTP proxy."""

    NONE = "none"
    BASIC = "basic"
    """At once, in the clear."""
    AUTO = "auto"
    """As the proxy asks for."""
    AUTO_NO_CLEARTEXT = "auto-nct"


@dataclass(frozen=True, kw_only=True)
class HttpProxy:
    """``http-proxy`` with its options."""

    host: str
    port: str
    login: ProxyLogin = ProxyLogin.NONE
    credentials: FileContent | None = None
    """User name and password on two lines; None asks for them when they are needed."""
    version: str = "1.0"
    agent: str | None = None
    headers: tuple[tuple[str, str | None], ...] = ()
    """Name and value, or a whole header and None."""


@dataclass(frozen=True, kw_only=True)
class SocksProxy:
    """``socks-proxy``."""

    host: str
    port: str
    with_login: bool = False
    credentials: FileContent | None = None
    """User name and password on two lines; None asks for them when a login is configured."""


Proxy = HttpProxy | SocksProxy


@dataclass(frozen=True, kw_only=True)
class ConnectionProfile:
    """One ``remote`` with everything that a ``<connection>`` block may set for it."""

    host: str
    port: str
    """A number or a service name, as written."""
    protocol: LinkProtocol
    family: AddressFamily
    origin: Origin
    local: str | None = None
    lport: str | None = None
    bind: bool = False
    bind_ipv6only: bool = False
    float: bool = False
    connect_retry: int = 1
    connect_retry_max_delay: int = 300
    connect_timeout: int = 120
    explicit_exit_notify: int | None = None
    tun_mtu: int = 1500
    mtu_disc: str | None = None
    """``no``, ``maybe``, ``yes`` or None for the system's default."""
    mssfix: int | None = None
    """Value as given; None means the default rule, 0 switches it off (protocol-facts 14)."""
    mssfix_mode: str = ""
    """``""`` (payload), ``mtu`` or ``fixed``."""
    fragment: int = 0
    """Largest datagram, larger payloads are cut; 0 for no ``fragment``."""
    fragment_mtu: bool = False
    """``fragment`` counts the headers of IP and UDP, too."""
    link_mtu: int | None = None
    """``link-mtu``: the tunnel's MTU follows from it; ``tun_mtu`` is that one then."""
    wrapping: ControlWrapping = PlainWrapping()
    proxy: Proxy | None = None
    login: "LoginSource | None" = None
    """Where this connection's login comes from, in place of the one for all."""
    max_packet_size: int | None = None
    """In place of the value for the whole file; only a block gives one of its own."""
    enabled: bool = True
    """False for a remote that ``proto-force`` or ``http-proxy-override`` rules out."""


@dataclass(frozen=True, kw_only=True)
class LinkOptions:
    remote_random: bool = False
    remote_random_hostname: bool = False
    """Six random bytes in hex come before each name that is resolved."""
    preresolve: bool = False
    """Names are resolved once, at the start."""
    connect_retry_max: int = 0
    """Attempts for each remote before giving up; 0 is without limit."""
    resolv_retry: float = float("inf")
    sndbuf: int | None = None
    rcvbuf: int | None = None
    mark: int | None = None
    bind_dev: str | None = None
    mtu_disc: str | None = None
    """``no``, ``maybe``, ``yes`` or None for the system's default."""
    passtos: bool = False
    shaper: int = 0
    """Bytes a second that may be sent; 0 for no limit."""
    mtu_test: bool = False
    explicit_exit_notify: int | None = None
    """Set by a push only; it then overrides the profile's."""
    ping: int = 0
    ping_exit: int = 0
    ping_restart: int = 0
    ping_timer_rem: bool = False
    inactive: int = 0
    inactive_bytes: int = 0
    session_timeout: int = 0
    remap_usr1: str | None = None
    persist_local_ip: bool = False
    persist_remote_ip: bool = False


# --- TLS ---------------------------------------------------------------------------------------


class NameMatch(Enum):
    SUBJECT = "subject"
    NAME = "name"
    NAME_PREFIX = "name-prefix"


@dataclass(frozen=True, kw_only=True)
class VerifyName:
    """``verify-x509-name``."""

    name: str
    match: NameMatch


@dataclass(frozen=True, kw_only=True)
class TrackedAttribute:
    """One ``x509-track``."""

    name: str
    """As written: it becomes part of the variable's name."""
    oid: str
    """Dotted number of a subject attribute or extension, or ``sha1`` or ``sha256``."""
    whole_chain: bool


@dataclass(frozen=True, kw_only=True)
class ExternalKey:
    """``management-external-key``: what the management client can do with the private key."""

    nopadding: bool = False
    """RSA on a block that is padded already."""
    pkcs1: bool = False
    pss: bool = False
    digest: bool = False
    """It hashes the message itself."""


@dataclass(frozen=True, kw_only=True)
class TlsOptions:
    tls_server: bool = False
    """We take the server's part in the handshake, between two peers without pull."""
    ca: FileContent | None = None
    capath: str | None = None
    cert: FileContent | None = None
    key: FileContent | None = None
    extra_certs: FileContent | None = None
    dh: FileContent | None = None
    """Parameters for clients that exchange keys over no curve; of a server."""
    pkcs12: FileContent | None = None
    external_key: ExternalKey | None = None
    external_cert: str | None = None
    """The hint that the management client is asked for the certificate with."""
    askpass: Secret | None = None
    """Passphrase of the private key when it was read from a file; None asks when one is needed."""
    askpass_requested: bool = False
    remote_cert_ku: tuple[int, ...] | None = None
    """Key-usage masks, one of which must match; empty means the extension must be present."""
    remote_cert_eku: str | None = None
    ns_cert_type: str | None = None
    verify_x509_name: VerifyName | None = None
    verify_hash: tuple[bytes, ...] = ()
    verify_hash_algorithm: str = "SHA256"
    peer_fingerprint: tuple[bytes, ...] = ()
    """SHA-256 digests of acceptable leaf certificates."""
    crl_verify: FileContent | None = None
    crl_verify_dir: str | None = None
    tls_version_min: str = "1.2"
    tls_version_min_or_highest: bool = False
    tls_version_max: str | None = None
    tls_cipher: str | None = None
    tls_ciphersuites: str | None = None
    tls_groups: str | None = None
    tls_cert_profile: str | None = None
    tls_timeout: int = 2
    hand_window: int = 60
    tran_window: int = 3600
    reneg_sec: int = 3600
    reneg_bytes: int | None = None
    """0 sets no limit; None sets one for ciphers with blocks of 64 bits only."""
    reneg_pkts: int = 0
    single_session: bool = False
    tls_exit: bool = False
    tls_verify: tuple[str, ...] | None = None
    tls_export_cert: str | None = None
    x509_username_field: tuple[str, ...] = ("CN",)
    x509_track: tuple[TrackedAttribute, ...] = ()
    max_packet_size: int = 1250
    push_peer_info: bool = False


@dataclass(frozen=True, kw_only=True)
class LoginSource:
    """Where user name and password come from; what is missing there is asked for."""

    credentials: FileContent | None = None
    """Content of the file or inline block; None asks the user."""
    username_only: bool = False
    """Only a name is asked for: whoever logs in proves himself in some other way."""


@dataclass(frozen=True, kw_only=True)
class StaticChallenge:
    """A question that the user is asked along with the password (``static-challenge``)."""

    text: str
    echo: bool
    concatenate: bool = False
    """The answer is sent right behind the password, else both in the form ``SCRV1``."""


@dataclass(frozen=True, kw_only=True)
class Pkcs11Options:
    """Certificate and private key on a token; tuples have one value for each library, in order."""

    providers: tuple[str, ...] = ()
    id: str | None = None
    """Serialized id of the certificate, as ``--show-pkcs11-ids`` prints it."""
    id_management: bool = False
    """The management client chooses the certificate."""
    pin_cache: int = -1
    """Seconds that a login lasts; -1 is without end."""
    protected_authentication: tuple[bool, ...] = ()
    """The PIN is typed on the device itself."""
    private_mode: tuple[int, ...] = ()
    """Mask of what the private key is used for; 0 finds out."""
    cert_private: tuple[bool, ...] = ()
    """Certificates are seen only after the login."""

    @property
    def wanted(self) -> bool:
        """Whether the identity comes from a token."""
        return self.id is not None or self.id_management


@dataclass(frozen=True, kw_only=True)
class LoginOptions:
    """User name and password login."""

    auth_user_pass: bool = False
    source: LoginSource = LoginSource()
    static_challenge: StaticChallenge | None = None
    auth_retry: AuthRetry = AuthRetry.NONE
    auth_nocache: bool = False
    auth_token: Secret | None = None
    """Pushed, seldom from a file: takes the password's place at the next login."""
    auth_token_user: str | None = None
    """As the token (decoded from base64): takes the user name's place along with it."""


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    data_ciphers: tuple[str, ...] = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")
    data_ciphers_fallback: str | None = None
    configured_cipher: str | None = None
    """``cipher`` of file or command line: told to the peer; two peers without NCP use it."""
    negotiates: bool = True
    """False with ``ncp-disable``: only ``cipher`` is used."""
    compat_mode: int = 0
    """Version that ``compat-mode`` names, as 20400 for 2.4.0; 0 is today's."""
    keysize: int | None = None
    """Bits of the cipher key, for ciphers that leave a choice."""
    auth: str = "SHA1"
    static_key: FileContent | None = None
    """``secret``: the tunnel between two peers has this key for ever, and no TLS."""
    static_key_direction: KeyDirection = KeyDirection.NONE
    replay_window: int = 64
    replay_time: int = 15
    mute_replay_warnings: bool = False
    compression: CompressionKind | None = None
    """Framing by ``comp-lzo`` or ``compress``; None for none."""
    allow_compression: bool = False
    """Take what the peer compressed, and tell it that we do."""
    # Set by what the server pushed, never by a file:
    cipher: str | None = None
    peer_id: int | None = None
    tls_ekm: bool = False
    cc_exit: bool = False
    dyn_tls_crypt: bool = False
    aead_epoch: bool = False


# --- host --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HostName:
    """A name in place of an address; the shell resolves it when the tunnel opens."""

    name: str
    bits: int = 32
    """Prefix length of a network that begins at that address."""


@dataclass(frozen=True, kw_only=True)
class TunOptions:
    dev: str = "tun"
    dev_type: DeviceType = DeviceType.TUN
    dev_node: str = "/dev/net/tun"
    topology: Topology = Topology.NET30
    ifconfig: tuple[IPv4Address, IPv4Address] | None = None
    """Local address and the second word: a netmask for subnet, else the peer's address."""
    ifconfig_names: tuple[HostName, HostName] | None = None
    """Given in place of ``ifconfig`` when at least one word is no address."""
    ifconfig_ipv6: IPv6Interface | None = None
    ifconfig_ipv6_remote: IPv6Address | None = None
    ifconfig_noexec: bool = False
    lladdr: str | None = None
    """Link-layer address of a tap device, as six pairs of hexadecimal digits."""
    tun_mtu: int = 1500
    """From file or push; a push of it overrides the profile's."""
    tun_mtu_defined: bool = False
    """True when a file or the command line set it outside of ``<connection>`` blocks."""
    tun_mtu_pushed: bool = False
    tun_mtu_max: int = 1600
    txqueuelen: int | None = None
    persist_tun: bool = False


class RouteKeyword(Enum):
    """Gateways and networks that only the host can resolve."""

    VPN_GATEWAY = "vpn_gateway"
    NET_GATEWAY = "net_gateway"
    REMOTE_HOST = "remote_host"


@dataclass(frozen=True, kw_only=True)
class Route4:
    """``route``. None means the default of that word."""

    network: IPv4Network | RouteKeyword | HostName
    gateway: IPv4Address | RouteKeyword | HostName | None
    metric: int | None
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Route6:
    """``route-ipv6``."""

    network: IPv6Network
    gateway: IPv6Address | None
    metric: int | None
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class NatRule:
    """``client-nat``: ``network`` is our name for the range that the server calls ``alias``."""

    is_source: bool
    """``snat``, a range of ours; otherwise ``dnat``, one of theirs."""
    network: IPv4Address
    netmask: IPv4Address
    alias: IPv4Address


class RedirectFlag(Enum):
    LOCAL = "local"
    AUTOLOCAL = "autolocal"
    DEF1 = "def1"
    BYPASS_DHCP = "bypass-dhcp"
    BYPASS_DNS = "bypass-dns"
    BLOCK_LOCAL = "block-local"
    IPV6 = "ipv6"
    NO_IPV4 = "!ipv4"


@dataclass(frozen=True, kw_only=True)
class RouteOptions:
    routes: tuple[Route4, ...] = ()
    routes_ipv6: tuple[Route6, ...] = ()
    route_gateway: IPv4Address | None = None
    route_gateway_name: HostName | None = None
    """Given in place of ``route_gateway``."""
    route_ipv6_gateway: IPv6Address | None = None
    route_metric: int | None = None
    route_table: int | None = None
    """Number of the routing table for ``route`` and ``route-ipv6``; None is the main one."""
    redirect_gateway: frozenset[RedirectFlag] | None = None
    """Flags of ``redirect-gateway`` (route everything); None when it is not in force."""
    redirect_private: frozenset[RedirectFlag] | None = None
    route_delay: int | None = None
    route_delay_window: int = 30
    route_noexec: bool = False
    route_nopull: bool = False
    allow_pull_fqdn: bool = False
    allow_recursive_routing: bool = False
    block_ipv6: bool = False
    client_nat: tuple[NatRule, ...] = ()
    route_gateway_dhcp: bool = False
    """``route-gateway dhcp``: whoever asks for an address on the tap device sets routes, too."""


@dataclass(frozen=True, kw_only=True)
class DnsServer:
    """One ``dns server N`` after merging its lines."""

    number: int
    addresses: tuple[tuple[IPv4Address | IPv6Address, int | None], ...] = ()
    resolve_domains: tuple[str, ...] = ()
    dnssec: str | None = None
    transport: str | None = None
    sni: str | None = None


@dataclass(frozen=True, kw_only=True)
class DnsOptions:
    dhcp_options: tuple[tuple[str, ...], ...] = ()
    """Words of each ``dhcp-option`` line in order; what ``foreign_option_N`` shows."""
    servers: tuple[DnsServer, ...] = ()
    search_domains: tuple[str, ...] = ()


# --- scripts and process -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ScriptOptions:
    """Commands as argv, split by OpenVPN's quoting rules."""

    script_security: int = 1
    up: tuple[str, ...] | None = None
    down: tuple[str, ...] | None = None
    route_up: tuple[str, ...] | None = None
    route_pre_down: tuple[str, ...] | None = None
    ipchange: tuple[str, ...] | None = None
    dns_updown: tuple[str, ...] | None = None
    up_restart: bool = False
    up_delay: bool = False
    down_pre: bool = False
    setenv: Mapping[str, str] = field(default_factory=dict)
    tmp_dir: str = "/tmp"  # noqa: S108 -- OpenVPN's default, used only when TMPDIR is not set


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    config: str | None = None
    """Path of the configuration file, for the scripts' environment."""
    cd: str | None = None
    daemon: str | None = None
    """Program name for syslog, or None when not daemonized."""
    syslog: str | None = None
    log_file: str | None = None
    log_append: bool = False
    verb: int = 1
    mute: int = 0
    suppress_timestamps: bool = False
    machine_readable_output: bool = False
    errors_to_stderr: bool = False
    status: str | None = None
    status_interval: int = 60
    status_version: int = 1
    writepid: str | None = None
    nice: int = 0
    mlock: bool = False
    user: str | None = None
    group: str | None = None
    chroot: str | None = None


@dataclass(frozen=True, kw_only=True)
class ManagementOptions:
    """Where the management interface is and what it may do."""

    address: str | None = None
    """Address or path to listen on, or to connect to; None when there is no interface."""
    port: str = ""
    """A number, or ``unix`` when ``address`` is a path."""
    password: FileContent | None = None
    connects: bool = False
    """``management-client``: we connect to the other program."""
    client_user: str | None = None
    client_group: str | None = None
    hold: bool = False
    query_passwords: bool = False
    query_remote: bool = False
    query_proxy: bool = False
    signal: bool = False
    forget_disconnect: bool = False
    up_down: bool = False
    log_cache: int = 250
    """Lines."""


class PullVerdict(Enum):
    ACCEPT = "accept"
    IGNORE = "ignore"
    REJECT = "reject"


@dataclass(frozen=True, kw_only=True)
class PullFilter:
    verdict: PullVerdict
    prefix: str


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """Everything that ``ginnel openvpn`` as a client needs to know."""

    profiles: tuple[ConnectionProfile, ...]
    pull: bool = True
    pull_filters: tuple[PullFilter, ...] = ()
    link: LinkOptions = LinkOptions()
    tls: TlsOptions = TlsOptions()
    login: LoginOptions = LoginOptions()
    data: DataOptions = DataOptions()
    tun: TunOptions = TunOptions()
    routes: RouteOptions = RouteOptions()
    dns: DnsOptions = DnsOptions()
    scripts: ScriptOptions = ScriptOptions()
    process: ProcessOptions = ProcessOptions()
    pkcs11: Pkcs11Options = Pkcs11Options()
    management: ManagementOptions = ManagementOptions()
    echo: tuple[str, ...] = ()
