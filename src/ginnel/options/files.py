"""Reads the files that options name, through a reader that is passed in, and looks at their shape.

The checks are cheap ones that need no cryptography: does a PEM file hold PEM, a static key file a
static key. Whether a certificate is any good is found out later, by the TLS code.
"""

import binascii

from ginnel.dataclass import dataclass
from ginnel.hints import Protocol
from ginnel.options.errors import ConfigError, printable
from ginnel.options.values import FileContent, Origin, Secret

INLINE_WORD = "[inline]"
MAX_FILE_BYTES = 16 * 1024 * 1024
_STATIC_KEY = "OpenVPN Static key V1"
_STATIC_KEY_BYTES = 256
_CERTIFICATE_LABELS = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_KEY_LABELS = ("PRIVATE KEY",)
_CLIENT_KEY_LABELS = ("OpenVPN tls-crypt-v2 client key",)
_TOKEN_LABELS = ("OpenVPN auth-token server key",)
_SERVER_KEY_LABELS = ("OpenVPN tls-crypt-v2 server key",)


class FileReader(Protocol):
    """What the options layer needs of the file system."""

    def read(self, path: str) -> bytes:
        """Returns a file's content. Raises OSError (IsADirectoryError for a directory)."""
        ...


@dataclass(frozen=True, kw_only=True)
class FileRef:
    """A file option before its file was read: a path, or the content of an inline block."""

    option: str
    origin: Origin
    path: str | None
    inline: Secret | None = None
    of_server: bool = False
    """The server's kind of file, where both ends have one under the same name."""


def join_path(directory: str, path: str) -> str:
    """Returns the path as seen from ``directory``, the effect of ``--cd``."""
    if not directory or path.startswith("/"):
        return path
    return f"{directory.rstrip('/')}/{path}" if directory != "/" else f"/{path}"


def read_path(path: str, option: str, origin: Origin, reader: FileReader, cwd: str = "") -> bytes:
    """Reads a file that an option names. Raises ConfigError in OpenVPN's words."""
    if "\0" in path:
        raise ConfigError(f"--{option}: the path holds a NUL byte", origin=origin, option=option)
    try:
        content = reader.read(join_path(cwd, path))
    except OSError as error:
        raise ConfigError(
            f"--{option} fails with '{printable(path)}': {error.strerror or error} "
            f"(errno={error.errno}) ({origin})",
            origin=origin,
            option=option,
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(
            f"--{option}: '{printable(path)}' is larger than {MAX_FILE_BYTES} bytes",
            origin=origin,
            option=option,
        )
    return content


def load_file(ref: FileRef, reader: FileReader, cwd: str) -> FileContent:
    """Turns a reference into content whose shape has been checked. Raises ConfigError."""
    content = _content_of(ref, reader, cwd)
    problem = _problem_with(_kind(ref), content, inline=ref.inline is not None)
    if problem:
        named = "the inline block" if ref.path is None else f"'{printable(ref.path)}'"
        raise ConfigError(
            f"--{ref.option}: {named} {problem}", origin=ref.origin, option=ref.option
        )
    return FileContent(option=ref.option, origin=ref.origin, path=ref.path, content=Secret(content))


class FileLoader:
    """Loads referred files from where ``cd`` led, each of them once."""

    def __init__(self, reader: FileReader, cwd: str) -> None:
        self._reader = reader
        self._cwd = cwd
        self._loaded: dict[tuple[str, Origin], FileContent] = {}

    def load(self, ref: FileRef) -> FileContent:
        """Returns the content behind a reference. Raises ConfigError."""
        key = (ref.option, ref.origin)
        known = self._loaded.get(key)
        if known is not None and known.path == ref.path and ref.inline is None:
            return known
        content = self._loaded[key] = load_file(ref, self._reader, self._cwd)
        return content

    def check_command(self, option: str, program: str, origin: Origin | None) -> None:
        """Makes sure that a script is there. Raises ConfigError in OpenVPN's words.

        A program that may be run but not read is left for the run to try.
        """
        try:
            self._reader.read(join_path(self._cwd, program))
        except PermissionError:
            return
        except OSError as error:
            raise ConfigError(
                f"--{option} script fails with '{printable(program)}': {error.strerror or error} "
                f"(errno={error.errno}) ({origin})",
                origin=origin,
                option=option,
            ) from error

    def directory(self, ref: FileRef) -> str:
        """Returns the path of an existing directory. Raises ConfigError."""
        return check_directory(ref, self._reader, self._cwd)


def check_directory(ref: FileRef, reader: FileReader, cwd: str) -> str:
    """Returns the path of an existing directory. Raises ConfigError."""
    path = ref.path or ""
    try:
        reader.read(join_path(cwd, path))
    except IsADirectoryError:
        return path
    except OSError as error:
        raise ConfigError(
            f"--{ref.option} fails with '{printable(path)}': {error.strerror or error} "
            f"(errno={error.errno}) ({ref.origin})",
            origin=ref.origin,
            option=ref.option,
        ) from error
    raise ConfigError(
        f"--{ref.option} fails with '{printable(path)}': Not a directory (errno=20) ({ref.origin})",
        origin=ref.origin,
        option=ref.option,
    )


def _content_of(ref: FileRef, reader: FileReader, cwd: str) -> bytes:
    if ref.inline is not None:
        return ref.inline.reveal()
    path = ref.path or ""
    if path == INLINE_WORD:
        raise ConfigError(
            f"--{ref.option} {INLINE_WORD} needs a block <{ref.option}> ... </{ref.option}>",
            origin=ref.origin,
            option=ref.option,
        )
    return read_path(path, ref.option, ref.origin, reader, cwd)


def _kind(ref: FileRef) -> str:
    return f"{ref.option} of a server" if ref.of_server else ref.option


def _problem_with(option: str, content: bytes, *, inline: bool) -> str:
    match option:
        case "ca" | "cert" | "extra-certs":
            return _pem_problem(content, _CERTIFICATE_LABELS, "a certificate in PEM form")
        case "crl-verify":
            return _pem_problem(content, ("X509 CRL",), "a revocation list in PEM form")
        case "key":
            return _pem_problem(content, _KEY_LABELS, "a private key in PEM form")
        case "pkcs12":
            return _pkcs12_problem(content, inline=inline)
        case "tls-auth" | "tls-crypt" | "secret":
            return _static_key_problem(content)
        case "tls-crypt-v2":
            return _pem_problem(content, _CLIENT_KEY_LABELS, "a tls-crypt-v2 client key", der=False)
        case "genkey" | "tls-crypt-v2 of a server":
            return _pem_problem(content, _SERVER_KEY_LABELS, "a tls-crypt-v2 server key", der=False)
        case "dh":
            return _pem_problem(content, ("DH PARAMETERS",), "Diffie-Hellman parameters")
        case "auth-gen-token-secret":
            return _pem_problem(content, _TOKEN_LABELS, "a key for tokens", der=False)
        case "auth-user-pass":
            first = content.split(b"\n", 1)[0].strip()
            return "" if first else "must hold a user name on its first line"
        case "http-proxy" | "http-proxy-user-pass" | "socks-proxy":
            lines = content.splitlines()
            whole = len(lines) > 1 and lines[0].strip() and lines[1]
            return "" if whole else "must hold user name and password on two lines"
        case _:
            return ""


def _pem_problem(content: bytes, labels: tuple[str, ...], wanted: str, *, der: bool = True) -> str:
    """Returns why the content is not PEM with such a label, as the end of a sentence, or ``""``."""
    found = _pem_blocks(content)
    if not found:
        return f"is not {wanted}: no -----BEGIN ...----- with its -----END ...----- was found"
    fitting = [body for label, body in found if label.endswith(labels)]
    if not fitting:
        return f"is not {wanted}: it holds '{printable(found[0][0])}'"
    for body in fitting:
        try:
            decoded = binascii.a2b_base64(body, strict_mode=True)
        except binascii.Error:
            return f"is not {wanted}: its base64 is damaged"
        if not decoded or (der and decoded[0] != 0x30):
            return f"is not {wanted}: what it encodes is not the right structure"
    return ""


def _pem_blocks(content: bytes) -> list[tuple[str, bytes]]:
    """Finds labelled blocks; each body is base64 without white space and header lines."""
    blocks: list[tuple[str, bytes]] = []
    label: bytes | None = None
    body: list[bytes] = []
    for raw in content.splitlines():
        line = raw.strip()
        if line.startswith(b"-----BEGIN ") and line.endswith(b"-----"):
            label, body = line[11:-5], []
        elif label is not None and line == b"-----END " + label + b"-----":
            blocks.append((label.decode("ascii", "replace"), b"".join(body)))
            label = None
        elif label is not None and b":" not in line:
            body.append(line)
    return blocks


def _pkcs12_problem(content: bytes, *, inline: bool) -> str:
    """Inline bundles are base64, files are the bytes themselves."""
    if inline:
        try:
            content = binascii.a2b_base64(b"".join(content.split()), strict_mode=True)
        except binascii.Error:
            return "is not a PKCS#12 bundle in base64"
    return "" if content[:1] == b"\x30" else "is not a PKCS#12 bundle"


def _static_key_problem(content: bytes) -> str:
    """Counts the hex digits between the markers (protocol-facts 23)."""
    begin = f"-----BEGIN {_STATIC_KEY}-----".encode()
    end = f"-----END {_STATIC_KEY}-----".encode()
    _, found, rest = content.partition(begin)
    body, closed, _ = rest.partition(end)
    if not found or not closed:
        return f"is not a static key: no -----BEGIN {_STATIC_KEY}----- with its end was found"
    try:
        size = len(binascii.unhexlify(b"".join(body.split())))
    except binascii.Error:
        return "is not a static key: something between its markers is not hexadecimal"
    if size != _STATIC_KEY_BYTES:
        return f"is not a static key: it has {size} bytes, {_STATIC_KEY_BYTES} were expected"
    return ""
