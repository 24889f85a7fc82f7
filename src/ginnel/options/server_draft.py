"""What the options of a server have set so far; the draft of all options holds one, if any has.

Frozen values that the draft replaces piece by piece. Nothing here is checked against anything else
yet: ``server_helpers`` expands the short forms, ``server_checks`` looks at the whole.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Interface

from ginnel.dataclass import dataclass
from ginnel.options.files import FileRef
from ginnel.options.model import AddressFamily, LinkProtocol
from ginnel.options.server_model import (
    AccessOptions,
    LimitOptions,
    PoolOptions,
    PortShare,
    PushConstraint,
    VlanOptions,
)
from ginnel.options.values import FileContent, Origin

MAX_LISTENERS = 64
"""Sockets of one server; OpenVPN's limit."""


@dataclass(frozen=True, kw_only=True)
class LocalDraft:
    """One ``local`` line; what it leaves out comes from ``port`` and ``proto``."""

    host: str | None
    """None is every address (``*``)."""
    port: str | None = None
    protocol: tuple[LinkProtocol, AddressFamily] | None = None
    is_client_word: bool = False
    """The protocol was written ``tcp-client``."""
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class BridgeDraft:
    """``server-bridge``; without a gateway the addresses come from somewhere else."""

    gateway: IPv4Address | None = None
    netmask: IPv4Address | None = None
    first: IPv4Address | None = None
    last: IPv4Address | None = None
    pushes_dhcp: bool = False
    """No words at all: clients ask a DHCP server of the bridge for their gateway, too."""


@dataclass(frozen=True, kw_only=True)
class ServerDraft:
    """Everything that only servers have."""

    mode: bool = False
    """``mode server``, written out or by a short form."""
    network: IPv4Network | None = None
    has_pool: bool = True
    """False with ``server ... nopool``."""
    network_ipv6: IPv6Interface | None = None
    """``server-ipv6``, as written: its host part need not be zero."""
    bridge: BridgeDraft | None = None
    locals: tuple[LocalDraft, ...] = ()
    keepalive: tuple[int, int] | None = None
    pool: PoolOptions = PoolOptions()
    access: AccessOptions = AccessOptions()
    limits: LimitOptions = LimitOptions()
    token_secret: FileContent | None = None
    vlan: VlanOptions = VlanOptions()
    vlan_tagging: bool = False
    push: tuple[str, ...] = ()
    push_constraint: PushConstraint | None = None
    port_share: PortShare | None = None
    client_to_client: bool = False
    tcp_nodelay: bool = False
    multihome: bool = False
    compress_migrate: bool = False
    opt_verify: bool = False
    force_key_material_export: bool = False
    dh: FileRef | None = None
    crypt_v2_force_cookie: bool = False
    crypt_v2_verify: tuple[str, ...] | None = None
    crypt_v2_max_age: int = 0

    @property
    def is_wanted(self) -> bool:
        """Whether the configuration asks for a server, by ``mode`` or a short form."""
        short = self.network is not None or self.bridge is not None
        return self.mode or short or self.network_ipv6 is not None
