"""Works out what the data plane needs to know of a client, from options and what was agreed.

Pure. The numbers of MTU and MSS are ``tunnel_config``'s, as for a client.
"""

from collections.abc import Mapping

from ginnel.core.negotiate import Agreement
from ginnel.core.notices import DataChannelReady
from ginnel.core.options_string import configured_tun_mtu
from ginnel.core.payload import FRAMING_OF, payload_terms
from ginnel.core.server_actions import AgreedClient, ClientFacts, ClientTerms
from ginnel.core.server_exchange import migrates
from ginnel.core.tunnel_config import (
    Overhead,
    fragment_size,
    mss_limits,
    overhead_of,
    with_bytes_limit,
)
from ginnel.core.types import UNDEFINED_PEER_ID, Transport
from ginnel.dataclass import replace
from ginnel.options.model import CompressionKind, DataOptions
from ginnel.options.server_model import ClientConfig, ServerOptions


def client_compression(
    options: ServerOptions, peer_info: Mapping[str, str], client_items: Mapping[str, str]
) -> CompressionKind | None:
    """The framing that ``compress migrate`` moves a client to; None when it moves it nowhere."""
    if not migrates(options, client_items):
        return None
    knows_stub = peer_info.get("IV_COMP_STUBv2") == "1"
    return CompressionKind.STUB_V2 if knows_stub else CompressionKind.LZO_STUB


def own_data(common: DataOptions, config: ClientConfig) -> DataOptions:
    """The settings of a client's data channel: its own win over those for all."""
    own = (config.data_ciphers, config.data_ciphers_fallback, config.compression)
    if own == (None, None, None):
        return common
    return replace(
        common,
        data_ciphers=common.data_ciphers if config.data_ciphers is None else config.data_ciphers,
        data_ciphers_fallback=config.data_ciphers_fallback or common.data_ciphers_fallback,
        compression=config.compression or common.compression,
    )


def agreed_client(
    options: ServerOptions,
    facts: ClientFacts,
    terms: ClientTerms,
    agreement: Agreement,
    compression: CompressionKind | None,
) -> AgreedClient:
    """Composes it; the client's own settings win over those for all.

    ``compression`` is the framing that this client is moved to, if it is.
    """
    kind = compression or own_data(options.data, terms.config).compression
    overhead = client_overhead(options, facts, agreement, kind)
    mss_ipv4, mss_ipv6 = mss_limits(
        options.profile, tun_mtu=server_tun_mtu(options), overhead=overhead
    )
    payload = payload_terms(options, fragment=fragment_size(options.profile, overhead))
    own, link = terms.config, options.link
    return AgreedClient(
        client=facts,
        terms=terms,
        agreement=agreement,
        send_peer_id=agreement.send_peer_id,
        ping_interval=_first(own.ping, link.ping),
        ping_timeout=_first(own.ping_restart, link.ping_restart)
        or _first(own.ping_exit, link.ping_exit),
        inactive=_first(own.inactive, link.inactive),
        inactive_bytes=_first(own.inactive_bytes, link.inactive_bytes),
        mss_ipv4=mss_ipv4,
        mss_ipv6=mss_ipv6,
        payload=replace(payload, framing=None if kind is None else FRAMING_OF[kind]),
        allow_float=facts.transport is Transport.UDP
        and agreement.send_peer_id != UNDEFINED_PEER_ID,
    )


def data_channel(
    options: ServerOptions, agreed: AgreedClient, compression: CompressionKind | None
) -> DataChannelReady:
    """What is told of the client's data channel once it has its options."""
    agreement, own, link = agreed.agreement, agreed.terms.config, options.link
    peer_id = agreement.send_peer_id
    return DataChannelReady(
        cipher=agreement.cipher,
        digest=agreement.digest,
        key_bits=agreement.key_bits,
        limits_bytes=with_bytes_limit(options.tls, agreement.cipher) is not options.tls,
        format=agreement.format,
        peer_id=None if peer_id == UNDEFINED_PEER_ID else int(peer_id),
        ping=agreed.ping_interval,
        ping_restart=_first(own.ping_restart, link.ping_restart),
        ping_exit=_first(own.ping_exit, link.ping_exit),
        inactive=agreed.inactive,
        session_timeout=_first(own.session_timeout, link.session_timeout),
        protocol_flags=agreement.flags(),
        compression=compression or own_data(options.data, own).compression,
    )


def client_overhead(
    options: ServerOptions,
    facts: ClientFacts,
    agreement: Agreement,
    framing: CompressionKind | None,
) -> Overhead:
    """What a packet of the client's tunnel grows by on its way to the link."""
    return overhead_of(
        framing,
        options.tun.dev_type,
        profile=options.profile,
        remote=facts.remote,
        transport=facts.transport,
        packet=agreement.overhead,
    )


def server_tun_mtu(options: ServerOptions) -> int:
    """The MTU of the tunnel, which clients are told."""
    return configured_tun_mtu(options.data, options.profile)


def _first(own: int | None, common: int) -> int:
    return common if own is None else own
