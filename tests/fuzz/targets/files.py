"""Key files, and certificates and revocation lists as profiles carry them."""

from collections.abc import Callable, Mapping
from contextlib import suppress

from ginnel.core.errors import ConfigError
from ginnel.core.key_files import (
    parse_auth_token_key,
    parse_static_key,
    parse_v2_client_key,
    parse_v2_server_key,
)
from ginnel.core.tls_context import build_tls_context
from ginnel.core.types import Side
from ginnel.options.model import TlsOptions
from ginnel.options.values import FileContent, Origin, Secret

ORIGIN = Origin("fuzz", 1)


def _file(option: str, data: bytes) -> FileContent:
    return FileContent(path="fuzz", content=Secret(data), origin=ORIGIN, option=option)


def key_file(data: bytes) -> None:
    for parse in (
        parse_static_key,
        parse_v2_client_key,
        parse_v2_server_key,
        parse_auth_token_key,
    ):
        with suppress(ConfigError):
            parse(_file("key", data))


def certificate_file(data: bytes) -> None:
    """The first byte chooses the option that the rest is the content of."""
    names = ("ca", "cert", "extra_certs", "pkcs12", "crl_verify", "key")
    name = names[data[0] % len(names)] if data else "ca"
    content = _file(name.replace("_", "-"), data[1:])
    with suppress(ConfigError):
        build_tls_context(TlsOptions(**{name: content}), side=Side.CLIENT, unix_time=1)  # type: ignore[arg-type]  # one of the names above


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "key-file": key_file,
    "certificate-file": certificate_file,
}
