"""``--genkey``: makes key files that OpenVPN and ginnel both read.

The file formats are ``core.key_files`` and ``core.wrap.crypt_v2``; here are randomness, the clock
and the file, which only its owner can read.
"""

import base64
import os
import secrets
import stat
import time

from ginnel.cli.report import fail
from ginnel.core.key_files import (
    SERVER_KEY_LENGTH,
    STATIC_KEY_LENGTH,
    StaticKey,
    V2ServerKey,
    parse_v2_server_key,
    render_auth_token_key,
    render_static_key,
    render_v2_client_key,
    render_v2_server_key,
)
from ginnel.core.wrap.crypt_v2 import (
    MAX_METADATA,
    METADATA_TIMESTAMP,
    METADATA_USER,
    wrap_client_key,
)
from ginnel.options.actions import GenKey, GenKeyKind
from ginnel.options.errors import ConfigError
from ginnel.options.model import ProcessOptions
from ginnel.options.values import FileContent, Secret


def run(action: GenKey, process: ProcessOptions) -> int:
    """Makes the key and writes it to its file or to standard output; returns the exit status."""
    text = make_key(action, unix_time=int(time.time()))
    if action.path is None:
        print(text, end="", flush=True)
        return 0
    try:
        write_private(action.path, text)
    except OSError as failed:
        return fail(
            process,
            f"Cannot open file '{action.path}' for write: {failed.strerror} (errno={failed.errno})",
            "Failed to write key file",
        )
    return 0


def make_key(action: GenKey, *, unix_time: int) -> str:
    """Makes the text of a new key. Raises ConfigError for a bad server key or metadata."""
    match action.kind:
        case GenKeyKind.SECRET | GenKeyKind.TLS_AUTH | GenKeyKind.TLS_CRYPT:
            return render_static_key(_new_static_key())
        case GenKeyKind.TLS_CRYPT_V2_SERVER:
            return render_v2_server_key(V2ServerKey(_random(SERVER_KEY_LENGTH)))
        case GenKeyKind.AUTH_TOKEN:
            return render_auth_token_key(_random(SERVER_KEY_LENGTH))
        case GenKeyKind.TLS_CRYPT_V2_CLIENT:
            if action.server_key is None:
                raise ConfigError(
                    "--genkey tls-crypt-v2-client requires a server key to be set via "
                    "--tls-crypt-v2 to create a client key",
                    option="genkey",
                )
            return _client_key(action.server_key, action.metadata, unix_time)


def write_private(path: str, text: str) -> None:
    """Writes a file that only its owner can read, also where one with a wider mode stood.

    An existing file is overwritten, as OpenVPN does. Devices such as /dev/stdout are just written
    to. Raises OSError.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fchmod(file.fileno(), 0o600)
        file.write(text)


def _client_key(server_key: FileContent, metadata: str | None, unix_time: int) -> str:
    """Without metadata the key carries its time of making, for ``tls-crypt-v2-max-age``."""
    kind, content = METADATA_TIMESTAMP, unix_time.to_bytes(8, "big")
    if metadata is not None:
        kind, content = METADATA_USER, _decode_metadata(metadata)
    sealed = wrap_client_key(
        parse_v2_server_key(server_key), _new_static_key(), metadata_type=kind, metadata=content
    )
    return render_v2_client_key(sealed)


def _decode_metadata(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as bad:
        raise ConfigError(
            f"--genkey tls-crypt-v2-client: metadata '{text[:40]}' is not base64", option="genkey"
        ) from bad
    longest = MAX_METADATA - 1
    if len(content) > longest:
        raise ConfigError(
            f"--genkey tls-crypt-v2-client: metadata has {len(content)} bytes, at most {longest} "
            "are possible",
            option="genkey",
        )
    return content


def _new_static_key() -> StaticKey:
    return StaticKey(_random(STATIC_KEY_LENGTH))


def _random(length: int) -> Secret:
    return Secret(secrets.token_bytes(length))
