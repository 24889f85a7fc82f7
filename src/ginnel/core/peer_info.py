"""Peer info: the ``IV_`` and ``UV_`` lines of the key exchange, both directions.

Responsible for: building our lines by level of detail, parsing and filtering the peer's
(protocol-facts 18). Not responsible for: what follows from them (``core.negotiate``).
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from ginnel.dataclass import dataclass, field
from ginnel.enumeration import IntEnum
from ginnel.flags import IntFlag


class ProtocolFlag(IntFlag):
    """Bits of ``IV_PROTO``."""

    DATA_V2 = 1 << 1
    REQUEST_PUSH = 1 << 2
    """The client waits for a push without asking for it first."""
    TLS_KEY_EXPORT = 1 << 3
    AUTH_PENDING_KEYWORDS = 1 << 4
    NCP_P2P = 1 << 5
    DNS_OPTION = 1 << 6
    """Old draft of the ``dns`` option."""
    CC_EXIT = 1 << 7
    AUTH_FAIL_TEMP = 1 << 8
    DYN_TLS_CRYPT = 1 << 9
    DATA_EPOCH = 1 << 10
    DNS_OPTION_V2 = 1 << 11
    PUSH_UPDATE = 1 << 12


_KNOWN_FLAGS = sum(flag for flag in vars(ProtocolFlag).values() if isinstance(flag, ProtocolFlag))


class Detail(IntEnum):
    """How much we tell."""

    NOTHING = 0
    """What a server tells its clients."""
    P2P = 1
    PULL = 2
    FULL = 3
    """``push-peer-info``."""


@dataclass(frozen=True, kw_only=True)
class LocalFacts:
    """What this program and machine are; None is not known, and not told."""

    version: str
    platform: str = "linux"
    hardware_address: str | None = None
    """Of the interface that leads to the default gateway: ``00:00:5e:00:53:01``."""
    ssl_library: str | None = None
    platform_version: str | None = None
    login_methods: str | None = None
    """``IV_SSO``: ways to log in that somebody here can follow, unless ``setenv`` names them."""


@dataclass(frozen=True, kw_only=True)
class LocalPeer:
    """What there is to tell about ourselves; lines above the level of detail are left out.

    ``environment`` holds everything that ``setenv`` set: ``UV_*`` and a few ``IV_*`` are told.
    """

    facts: LocalFacts
    flags: ProtocolFlag
    ciphers: tuple[str, ...] = ()
    tun_mtu_max: int | None = None
    compression: tuple[str, ...] = ()
    """Names of ``IV_`` lines about compression framing."""
    environment: Mapping[str, str] = field(default_factory=dict)


COMPRESSION_STUBS = ("IV_LZO_STUB", "IV_COMP_STUB", "IV_COMP_STUBv2")
"""Framing alone."""
COMPRESSION_ALL = ("IV_LZ4", "IV_LZ4v2", "IV_LZO", "IV_COMP_STUB", "IV_COMP_STUBv2")
"""The server may compress what it sends."""

MAX_LINES = 256
MAX_VALUE = 512
_HARMFUL = " $(`"
_TWO_GCM = {"AES-256-GCM", "AES-128-GCM"}


def build_peer_info(peer: LocalPeer, detail: Detail) -> str:
    """Returns ``KEY=value`` lines, each ended by a newline; empty for ``Detail.NOTHING``.

    A value with a line break or another control character is left out.
    """
    if detail is Detail.NOTHING:
        return ""
    lines: list[tuple[str, str | None]] = [
        ("IV_VER", peer.facts.version),
        ("IV_PLAT", peer.facts.platform),
    ]
    if detail >= Detail.PULL:
        lines.append(("IV_TCPNL", "1"))
        lines.append(("IV_MTU", None if peer.tun_mtu_max is None else str(peer.tun_mtu_max)))
    if _TWO_GCM.issubset(peer.ciphers):
        lines.append(("IV_NCP", "2"))
    lines.append(("IV_CIPHERS", ":".join(peer.ciphers) or None))
    lines.append(("IV_PROTO", str(int(peer.flags))))
    lines += ((name, "1") for name in peer.compression)
    if detail >= Detail.FULL:
        library = peer.facts.ssl_library
        lines.append(("IV_HWADDR", peer.facts.hardware_address))
        lines.append(("IV_SSL", None if library is None else library.replace(" ", "_")))
        lines.append(("IV_PLAT_VER", peer.facts.platform_version))
    lines += [pair for pair in peer.environment.items() if _is_told(pair[0], detail)]
    if detail >= Detail.PULL and "IV_SSO" not in peer.environment:
        lines.append(("IV_SSO", peer.facts.login_methods))
    return _render(lines)


def _is_told(name: str, detail: Detail) -> bool:
    """Which variables of ``setenv`` the server hears of."""
    if name in {"IV_GUI_VER", "IV_SSO"}:
        return detail >= Detail.PULL
    return detail >= Detail.FULL and (name == "IV_PLAT_VER" or name.startswith("UV_"))


def _render(lines: Iterable[tuple[str, str | None]]) -> str:
    return "".join(
        f"{name}={value}\n" for name, value in lines if value is not None and value.isprintable()
    )


def parse_peer_info(text: str) -> dict[str, str]:
    """Reads a peer's lines: names ``IV_*`` and ``UV_*``; everything else goes.

    In values, blanks, what is not ASCII and what means something to a shell become ``_``, as in
    OpenVPN: scripts see them. At most ``MAX_LINES`` lines and ``MAX_VALUE`` characters a value are
    looked at. A name that comes twice keeps its last value.
    """
    found: dict[str, str] = {}
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        name, equals, value = line.partition("=")
        if equals and len(value) <= MAX_VALUE and _is_peer_name(name):
            found[name] = value if _is_harmless(value) else _harmless(value)
    return found


def _is_harmless(value: str) -> bool:
    return value.isascii() and value.isprintable() and not any(char in value for char in _HARMFUL)


def _harmless(value: str) -> str:
    return "".join(char if _is_harmless(char) else "_" for char in value)


def _is_peer_name(name: str) -> bool:
    if not name.startswith(("IV_", "UV_")) or len(name) > 64 or not name.isascii():
        return False
    return name.replace("_", "").isalnum()


def protocol_flags(peer_info: Mapping[str, str]) -> ProtocolFlag:
    """Returns the bits of a parsed ``IV_PROTO``; unknown bits are dropped, nonsense gives none."""
    return _flags(peer_info.get("IV_PROTO", ""))


@lru_cache(maxsize=32)  # clients differ little in this, and each is asked about often
def _flags(text: str) -> ProtocolFlag:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return ProtocolFlag(0)
    return ProtocolFlag(int(text) & _KNOWN_FLAGS)
