"""Every notice of a core machine in the words of OpenVPN's log, once, in one place.

Scripts and management programs match these words (protocol-facts 26); verbs and mute categories
are those that an OpenVPN 2.6.14 client reports with ``machine-readable-output``. Lines that belong
to the process and its host rather than to the machine are in ``compat.shell_lines``; where lines
go is ``shell.logging_setup``.
"""

from collections.abc import Iterator

from ginnel.core.actions import CertificateInfo
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.digests import Digest
from ginnel.core.notices import (
    CertificateAccepted,
    CertificateRejected,
    Connected,
    ControlChannelReady,
    ControlMessage,
    DataChannelReady,
    Ended,
    InitialPacket,
    KeyRenegotiating,
    LoginPending,
    LoginSent,
    Notice,
    OptionsImported,
    PathNarrowed,
    PeerConnected,
    PushOptionFiltered,
    PushOptionRefused,
    PushReceived,
    PushRequested,
    StateEntered,
    Warned,
)
from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum, IntEnum
from ginnel.hints import assert_never

MAX_LINE = 8192
"""Characters of one line; what a peer sent beyond that is cut, so that it cannot flood a log."""


class Severity(Enum):
    """How bad a line is; ``value`` is its bit in the flags of ``machine-readable-output``."""

    INFO = 0x00
    FATAL = 0x10
    ERROR = 0x20
    WARNING = 0x40


class Category(IntEnum):
    """Groups of lines that ``mute`` counts together; numbers as OpenVPN prints them."""

    NONE = 0
    LINK_ERROR = 0x01
    TLS_ERROR = 0x03
    PUSH_ERROR = 0x0B
    HANDSHAKE = 0x14
    CLOSE = 0x16
    PROXY = 0x18
    RESTART = 0x21
    PUSH = 0x22
    SOCKET_BUFFERS = 0x2B
    DETAIL = 0x34
    MTU = 0x3D
    CRYPTO = 0x41


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line: shown when the program's ``verb`` is at least ``verb``.

    Bare warnings and fatal errors have verb 0: OpenVPN shows them whatever ``verb`` says.
    """

    text: str
    verb: int = 1
    severity: Severity = Severity.INFO
    category: Category = Category.NONE
    timestamp: bool = True
    """False for lines OpenVPN prints bare, such as ``Options error: …``."""


def printable(text: str, limit: int = MAX_LINE) -> str:
    """Makes text of a peer fit for a log: one line, no control characters, bounded."""
    cut = len(text) - limit
    shown = text if cut <= 0 else text[:limit]
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else "?" for character in shown)
    return shown if cut <= 0 else f"{shown}... [{cut} more]"


def render(notice: Notice, *, common_name: str = "") -> tuple[LogLine, ...]:  # noqa: PLR0912 -- one case a notice
    """Renders a notice. ``common_name`` is the peer's, once known, for lines that begin with it.

    The signal line that follows ``Ended`` is not included: the shell may remap the signal.
    """
    match notice:
        case StateEntered() | Connected() | LoginSent():
            return ()
        case LoginPending(window=window, timeout=timeout):
            text = "AUTH_PENDING received, extending handshake timeout from"
            return (_push(f"{text} {window}s to {timeout}s"),)
        case InitialPacket(source=source, session_id=session_id):
            halves = f"{session_id[:4].hex()} {session_id[4:].hex()}"
            return (_handshake(f"TLS: Initial packet from {source}, sid={halves}", verb=3),)
        case CertificateAccepted():
            return _certificate_accepted(notice)
        case CertificateRejected():
            return _certificate_rejected(notice)
        case ControlChannelReady():
            return (_handshake(_control_channel(notice)),)
        case PeerConnected(common_name=name, remote=remote):
            head = f"[{printable(name)}] " if name else ""  # a static key names nobody
            return (LogLine(text=f"{head}Peer Connection Initiated with {remote}"),)
        case PushRequested(common_name=name):
            return (_push(f"SENT CONTROL [{printable(name)}]: 'PUSH_REQUEST' (status=1)"),)
        case PushReceived(text=text):
            return (_push(f"PUSH: Received control message: '{printable(text)}'"),)
        case OptionsImported():
            return tuple(_push(f"OPTIONS IMPORT: {text}") for text in _imports(notice))
        case PushOptionRefused(option=option, reason=reason):
            return (_push_refused(option, reason),)
        case PushOptionFiltered(option=option):
            return (_push(f"Pushed option removed by filter: '{printable(option)}'"),)
        case DataChannelReady():
            return _data_channel(notice)
        case KeyRenegotiating(reason=reason):
            return (_handshake(f"TLS: soft reset {printable(reason)}", verb=3),)
        case ControlMessage(keyword=keyword, text=text):
            return (_control_message(printable(keyword, 64), printable(text)),)
        case PathNarrowed(option=option, before=before, mtu=mtu):
            change = f"'{option} {before}' to '{option} {mtu} mtu'"
            text = f"Note adjusting {change} according to path MTU discovery"
            return (LogLine(text=text, verb=4, category=Category.MTU),)
        case Warned(text=text):
            return (_warning(printable(text)),)
        case Ended():
            return _ended(notice, printable(common_name))
        case _:
            assert_never(notice)


def _handshake(text: str, *, verb: int = 2) -> LogLine:
    return LogLine(text=text, verb=verb, category=Category.HANDSHAKE)


def _push(text: str) -> LogLine:
    return LogLine(text=text, verb=3, category=Category.PUSH)


def _error(text: str, *, category: Category = Category.TLS_ERROR) -> LogLine:
    return LogLine(text=text, severity=Severity.ERROR, category=category)


def _warning(text: str) -> LogLine:
    """The machine says failures of TLS and link in OpenVPN's words already; they are errors."""
    if text.startswith(("TLS Error", "TLS_ERROR")):
        return _error(text)
    if text.startswith("OPTIONS IMPORT"):
        return _push(text)
    if text.startswith(("read UDP", "read TCP", "Fatal TLS error")):
        return _error(text, category=Category.LINK_ERROR)
    known = text.startswith(("WARNING", "NOTE", "Note"))
    shown = text if known else f"WARNING: {text}"
    return LogLine(text=shown, verb=0, severity=Severity.WARNING)


def _certificate_accepted(notice: CertificateAccepted) -> tuple[LogLine, ...]:
    """The checks come before the verdict they lead to, as in OpenVPN's log."""
    certificate = notice.certificate
    verdict = f"VERIFY OK: depth={certificate.depth}, {printable(certificate.subject)}"
    return (*(_handshake(printable(check)) for check in notice.checks), _handshake(verdict))


def _certificate_rejected(notice: CertificateRejected) -> tuple[LogLine, ...]:
    error = printable(notice.error)
    certificate = notice.certificate
    if error.startswith("VERIFY "):
        text = error
    elif certificate is None:
        text = f"VERIFY ERROR: {error}"
    else:
        text = (
            f"VERIFY ERROR: depth={certificate.depth}, error={error}: "
            f"{printable(certificate.subject)}{_serial(certificate)}"
        )
    hint = printable(notice.hint)
    return (_error(text), *((_error(f"NOTE: {hint}"),) if hint else ()))


def _serial(certificate: CertificateInfo) -> str:
    """``, serial=N`` in decimal, or nothing for a certificate that cannot be parsed."""
    from ginnel.core.certificate import Certificate

    try:
        return f", serial={Certificate(certificate.der).serial_number}"
    except ValueError:
        return ""


def _control_channel(notice: ControlChannelReady) -> str:
    """OpenVPN names the version twice: of the session, and of the cipher."""
    version, cipher = printable(notice.tls_version), printable(notice.cipher)
    if not cipher.startswith("TLSv"):
        cipher = f"{version} {cipher}"
    text = f"Control Channel: {version}, cipher {cipher}"
    if notice.peer_certificate:
        text += f", peer certificate: {printable(notice.peer_certificate)}"
    return text


def _imports(notice: OptionsImported) -> list[str]:
    mtu = notice.options.tun.tun_mtu
    return [
        f"tun-mtu set to {mtu}"
        if group == "tun-mtu"
        else f"{group.removesuffix(' modified')} modified"
        for group in notice.groups
    ]


def _push_refused(option: str, reason: str) -> LogLine:
    return LogLine(
        text=f"Options error: pushed option '{printable(option)}' ignored: {printable(reason)}",
        severity=Severity.ERROR,
        category=Category.PUSH_ERROR,
    )


def _data_channel(notice: DataChannelReady) -> tuple[LogLine, ...]:
    lines = list(data_cipher_lines(notice))
    peer = "" if notice.peer_id is None else f", peer-id: {notice.peer_id}"
    digest = "" if notice.cipher.is_aead else f", auth '{_digest_name(notice.digest)}'"
    kind = notice.compression
    framing = "" if kind is None else f", compression: '{kind.log_name}'"
    name = _cipher_name(notice.cipher)
    lines.append(_handshake(f"Data Channel: cipher '{name}'{digest}{peer}{framing}"))
    timers = [
        ("ping", notice.ping),
        (
            "ping-restart" if notice.ping_restart else "ping-exit",
            notice.ping_restart or notice.ping_exit,
        ),
        ("inactive", notice.inactive),
        ("session-timeout", notice.session_timeout),
    ]
    running = ", ".join(f"{name} {seconds}" for name, seconds in timers if seconds)
    if running:
        lines.append(_handshake(f"Timers: {running}"))
    if notice.protocol_flags:
        flags = printable(" ".join(notice.protocol_flags))
        lines.append(_handshake(f"Protocol options: protocol-flags {flags}"))
    return tuple(lines)


def _cipher_name(cipher: DataCipher) -> str:
    return "[null-cipher]" if cipher is DataCipher.NONE else cipher.value


def _digest_name(digest: Digest | None) -> str:
    return "[null-digest]" if digest is None else digest.name


def data_cipher_lines(notice: DataChannelReady) -> Iterator[LogLine]:
    """What protects the packets each way, and loud words where it is little or nothing.

    In the order of openvpn 2.6, which warns of short blocks twice on the way out.
    """
    cipher, digest = notice.cipher, notice.digest
    if cipher is DataCipher.NONE:
        yield _loud(
            "******* WARNING *******: '--cipher none' was specified. This means NO encryption will "
            "be performed and tunnelled data WILL be transmitted in clear text over the network! "
            "PLEASE DO RECONSIDER THIS SETTING!"
        )
    if digest is None and not cipher.is_aead:
        yield _loud(
            "******* WARNING *******: '--auth none' was specified. This means no "
            "authentication will be performed on received packets, meaning you CANNOT trust that "
            "the data received by the remote side have NOT been manipulated. PLEASE DO "
            "RECONSIDER THIS SETTING!"
        )
    if cipher.kind.has_short_blocks:
        yield _short_blocks(cipher)
    yield from _one_way("Outgoing", notice)
    yield from _one_way("Incoming", notice)
    if notice.limits_bytes:
        yield _loud(
            "WARNING: cipher with small block size in use, reducing reneg-bytes to 64MB to "
            "mitigate SWEET32 attacks."
        )


def _one_way(way: str, notice: DataChannelReady) -> Iterator[LogLine]:
    cipher, digest = notice.cipher, notice.digest
    kind = {DataFormat.EPOCH: "Epoch Data Channel", DataFormat.STATIC: "Static Key Encryption"}
    channel = f"{way} {kind.get(notice.format, 'Data Channel')}"
    if cipher is not DataCipher.NONE:
        bits = notice.key_bits or cipher.key_length * 8
        yield _crypto(f"{channel}: Cipher '{cipher.value}' initialized with {bits} bit key")
    if cipher.kind.has_short_blocks:
        yield _short_blocks(cipher)
    if digest is not None:
        bits = digest.size * 8
        yield _crypto(
            f"{channel}: Using {bits} bit message hash '{digest.name}' for HMAC authentication"
        )


def _short_blocks(cipher: DataCipher) -> LogLine:
    return _loud(
        f"WARNING: INSECURE cipher ({cipher.value}) with block size less than 128 bit (64 bit).  "
        "This allows attacks like SWEET32.  Mitigate by using a --cipher with a larger block size "
        "(e.g. AES-256-CBC). Support for these insecure ciphers will be removed in OpenVPN 2.7."
    )


def _loud(text: str) -> LogLine:
    return LogLine(text=text, severity=Severity.WARNING, verb=0)


def _crypto(text: str) -> LogLine:
    return LogLine(text=text, verb=4, category=Category.CRYPTO)


def _control_message(keyword: str, text: str) -> LogLine:
    whole = text if text.startswith(keyword) else f"{keyword},{text}" if text else keyword
    match keyword:
        case "AUTH_FAILED":
            return LogLine(text=f"AUTH: Received control message: {whole}")
        case "INFO" | "INFO_PRE":
            return _push(f"Info command was pushed by server ('{text}')")
        case "RESTART":
            return LogLine(text=f"Connection reset command was pushed by server ('{text}')")
        case "HALT":
            return LogLine(text=f"Halt command was pushed by server ('{text}')")
        case "EXIT":
            return LogLine(text="CC-EEN exit message received by peer", category=Category.PUSH)
        case _:
            return LogLine(
                text=f"WARNING: Received unknown control message: {whole}",
                severity=Severity.WARNING,
                category=Category.PUSH_ERROR,
            )


_END_LINES = {
    "ping-restart": "Inactivity timeout (--ping-restart), restarting",
    "ping-exit": "Inactivity timeout (--ping-exit), exiting",
    "inactive": "Inactivity timeout (--inactive), exiting",
    "session-timeout": "Session timeout, exiting",
    "server_poll": "Server poll timeout, restarting",
    "decryption-error": "Fatal decryption error (process_incoming_link), restarting",
    "network-unreachable": "Network unreachable, restarting",
}
_NAMED_ENDS = frozenset({"ping-restart", "ping-exit"})
"""Ends whose line OpenVPN begins with the peer's common name, ``[UNDEF]`` before it is known."""


def _ended(notice: Ended, common_name: str) -> tuple[LogLine, ...]:
    """The cause in plain words, then OpenVPN's line where it has one of its own.

    What the server said with AUTH_FAILED has been shown when it came.
    """
    lines: list[LogLine] = []
    name = notice.signal_text
    if notice.explanation:
        text = printable(notice.explanation)
        if name == "tls-error":
            lines.append(_error(text if text.startswith("TLS") else f"TLS Error: {text}"))
        else:
            severity = Severity.ERROR if notice.hard_error else Severity.INFO
            lines.append(LogLine(text=text, severity=severity))
    fixed = _END_LINES.get(name)
    if fixed is not None:
        prefix = f"[{common_name or 'UNDEF'}] " if name in _NAMED_ENDS else ""
        lines.append(LogLine(text=prefix + fixed))
    return tuple(lines)
