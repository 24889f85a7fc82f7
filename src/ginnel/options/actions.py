"""What a command line can ask for: run as a client or server, or do one thing and exit.

Values only; the frontend carries them out.
"""

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.hints import TYPE_CHECKING
from ginnel.options.model import ClientOptions, DeviceType, Pkcs11Options, TlsOptions
from ginnel.options.notes import Note
from ginnel.options.values import FileContent

if TYPE_CHECKING:
    from ginnel.options.server_model import ServerOptions


@dataclass(frozen=True, kw_only=True)
class RunClient:
    """Connect. ``notes`` are remarks for the log, in the order they arose."""

    options: ClientOptions
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunServer:
    """Serve clients. ``notes`` are remarks for the log, in the order they arose."""

    options: "ServerOptions"
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShowVersion:
    """``--version``: print it, exit 0."""


@dataclass(frozen=True, kw_only=True)
class ShowHelp:
    """``--help``, or no argument at all: print the usage, exit 1 as OpenVPN does."""


@dataclass(frozen=True, kw_only=True)
class ShowCiphers:
    """``--show-ciphers``."""


@dataclass(frozen=True, kw_only=True)
class ShowDigests:
    """``--show-digests``."""


@dataclass(frozen=True, kw_only=True)
class ShowTls:
    """``--show-tls``; the list honours tls-cipher, tls-ciphersuites and tls-cert-profile."""

    options: TlsOptions


@dataclass(frozen=True, kw_only=True)
class ShowCurves:
    """``--show-curves`` and its alias ``--show-groups``."""


@dataclass(frozen=True, kw_only=True)
class ShowEngines:
    """``--show-engines``."""


@dataclass(frozen=True, kw_only=True)
class ShowPkcs11Ids:
    """``--show-pkcs11-ids``."""

    options: Pkcs11Options


@dataclass(frozen=True, kw_only=True)
class ShowGateway:
    """``--show-gateway``, for a destination when one was given."""

    destination: str | None


class GenKeyKind(Enum):
    """What ``--genkey`` makes."""

    SECRET = "secret"  # noqa: S105 -- a word of the command line
    TLS_AUTH = "tls-auth"
    TLS_CRYPT = "tls-crypt"
    TLS_CRYPT_V2_SERVER = "tls-crypt-v2-server"
    TLS_CRYPT_V2_CLIENT = "tls-crypt-v2-client"
    AUTH_TOKEN = "auth-token"  # noqa: S105 -- a word of the command line


@dataclass(frozen=True, kw_only=True)
class GenKey:
    """``--genkey``. ``path`` None writes to standard output.

    ``server_key`` is the ``tls-crypt-v2`` file that seals a client key; ``metadata`` is still the
    base64 text as given, already checked to be base64.
    """

    kind: GenKeyKind
    path: str | None
    metadata: str | None = None
    server_key: FileContent | None = None


@dataclass(frozen=True, kw_only=True)
class TestCrypto:
    """``--test-crypto``: encrypt and decrypt packets of all sizes with the given static key."""

    __test__ = False  # a value, not a test class, whatever pytest makes of its name

    key: FileContent | None
    cipher: str | None
    auth: str


@dataclass(frozen=True, kw_only=True)
class MkTun:
    """``--mktun``: create a device that outlives the process."""

    dev: str
    dev_type: DeviceType
    user: str | None
    group: str | None


@dataclass(frozen=True, kw_only=True)
class RmTun:
    """``--rmtun``: remove such a device."""

    dev: str
    dev_type: DeviceType


Action = (
    ShowVersion
    | ShowHelp
    | ShowCiphers
    | ShowDigests
    | ShowTls
    | ShowCurves
    | ShowEngines
    | ShowGateway
    | ShowPkcs11Ids
    | GenKey
    | TestCrypto
    | MkTun
    | RmTun
)

Resolved = RunClient | RunServer | Action
