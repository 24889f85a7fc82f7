"""What a server says of itself inside TLS: its key method 2 message with the options string.

Responsible for the words and for comparing them with the client's (protocol-facts 7 and 13). When
they are sent is ``server_negotiation``'s business.
"""

from collections.abc import Callable, Mapping

from ginnel.core.key_method import (
    KeyMethodMessage,
    KeySource,
    encode_key_method,
    key_source_length,
)
from ginnel.core.options_string import (
    Mismatch,
    OccTerms,
    compare,
    configured_tun_mtu,
    expected_from_peer,
    options_string,
)
from ginnel.core.types import Side, Transport
from ginnel.options.model import CompressionKind, KeyDirection, TlsAuth
from ginnel.options.server_model import ServerOptions


def server_terms(
    options: ServerOptions, transport: Transport, client_items: Mapping[str, str]
) -> OccTerms:
    """What our options string tells. ``client_items`` is the client's, parsed.

    With ``compress migrate`` a client that has compression is told that we have it as well.
    """
    data, wrapping = options.data, options.wrapping
    is_auth = isinstance(wrapping, TlsAuth)
    compression = data.compression
    if compression is None and migrates(options, client_items):
        compression = CompressionKind.LZO_STUB
    return OccTerms(
        side=Side.SERVER,
        dev_type=options.tun.dev_type.value,
        tun_mtu=configured_tun_mtu(data, options.profile),
        tcp=transport is Transport.TCP,
        cipher=data.data_ciphers_fallback or data.configured_cipher,
        data_ciphers=data.data_ciphers,
        auth=data.auth,
        keysize=data.keysize,
        tls_auth=is_auth,
        key_direction=wrapping.direction if isinstance(wrapping, TlsAuth) else KeyDirection.NONE,
        compression=compression,
        fragment=bool(options.profile.fragment),
    )


def migrates(options: ServerOptions, client_items: Mapping[str, str]) -> bool:
    """Whether a client is to be moved off its compression."""
    return options.compress_migrate and "comp-lzo" in client_items


def mismatches(terms: OccTerms, client_items: Mapping[str, str]) -> tuple[Mismatch, ...]:
    """What in the client's options string is not as ours wants it."""
    return compare(expected_from_peer(terms), client_items)


def answer(terms: OccTerms, entropy: Callable[[int], bytes]) -> tuple[KeySource, bytearray]:
    """Composes our key method message with fresh random halves."""
    source = KeySource.from_entropy(Side.SERVER, entropy(key_source_length(Side.SERVER)))
    message = KeyMethodMessage(source=source, options_string=options_string(terms))
    return source, encode_key_method(message)
