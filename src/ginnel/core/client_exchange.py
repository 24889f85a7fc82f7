"""What a client says of itself inside TLS before the tunnel: key method 2, login, peer info.

Responsible for our key method message. Sending it, and the order of things over several
negotiations, are ``client``'s business.
"""

from collections.abc import Callable

from ginnel.core.actions import Credentials
from ginnel.core.key_method import (
    KeyMethodMessage,
    KeySource,
    encode_key_method,
    key_source_length,
)
from ginnel.core.negotiate import DataCapabilities, offered_ciphers, offered_flags
from ginnel.core.options_string import client_options_string
from ginnel.core.peer_info import (
    COMPRESSION_ALL,
    COMPRESSION_STUBS,
    Detail,
    LocalFacts,
    LocalPeer,
    build_peer_info,
    parse_peer_info,
)
from ginnel.core.types import Side
from ginnel.dataclass import dataclass
from ginnel.options.model import ClientOptions, ConnectionProfile, DataOptions
from ginnel.options.values import Secret

_NO_LOGIN = Credentials(username="", password=Secret(b""))


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """What this client tells every server: built once a connection."""

    options_string: str
    peer_info: str
    side: Side = Side.CLIENT

    def message(
        self, entropy: Callable[[int], bytes], login: Credentials | None
    ) -> tuple[KeySource, bytearray]:
        """Builds a key method message with fresh random halves.

        It holds the password: overwrite it once it was sent. Raises ``ValueError`` when user name
        or password cannot be sent.
        """
        source = KeySource.from_entropy(self.side, entropy(key_source_length(self.side)))
        given = _NO_LOGIN if login is None else login
        message = KeyMethodMessage(
            source=source,
            options_string=self.options_string,
            username=given.username,
            password=given.password,
            peer_info=self.peer_info,
        )
        return source, encode_key_method(message)


def introduce(
    options: ClientOptions,
    profile: ConnectionProfile,
    capabilities: DataCapabilities,
    facts: LocalFacts,
) -> Introduction:
    """Composes options string and peer info (protocol-facts 13 and 18)."""
    detail = Detail.P2P
    if options.pull:
        detail = Detail.FULL if options.tls.push_peer_info else Detail.PULL
    local = LocalPeer(
        facts=facts,
        flags=offered_flags(capabilities, pull=options.pull),
        ciphers=offered_ciphers(options.data, capabilities),
        tun_mtu_max=options.tun.tun_mtu_max,
        environment=options.scripts.setenv,
        compression=_compression_names(options.data),
    )
    return Introduction(
        options_string=client_options_string(options, profile),
        peer_info=build_peer_info(local, detail),
        side=role(options),
    )


def role(options: ClientOptions) -> Side:
    """Our part in the TLS handshake: a peer without pull may take the server's."""
    return Side.SERVER if options.tls.tls_server else Side.CLIENT


def _compression_names(data: DataOptions) -> tuple[str, ...]:
    """Asking for framing alone also tells the server that nothing else is wanted (as 2.6)."""
    kind = data.compression
    only_framing = kind is not None and not kind.may_compress
    return COMPRESSION_ALL if data.allow_compression and not only_framing else COMPRESSION_STUBS


def peer_variables(message: KeyMethodMessage) -> dict[str, str]:
    """The peer's ``IV_`` lines; servers send none, peers without pull do."""
    return parse_peer_info(message.peer_info)
