"""Numbers and timers of one client."""

from dataclasses import replace
from ipaddress import ip_address

from ginnel.core.payload import FRAMING_OF, Framing
from ginnel.core.server_actions import AgreedClient, ClientFacts, ClientId
from ginnel.core.server_terms import agreed_client, client_compression, own_data
from ginnel.core.types import UNDEFINED_PEER_ID, Endpoint, PeerId, Transport
from ginnel.options.model import CompressionKind, DataOptions, LinkOptions
from ginnel.options.server_model import ClientConfig, ServerOptions
from tests.sim.duo import server_options
from tests.unit.core.test_server_push import AGREEMENT, TERMS

FACTS = ClientFacts(
    client_id=ClientId(0),
    key_number=1,
    peer_id=PeerId(7),
    remote=Endpoint(ip_address("192.0.2.10"), 40000),
    transport=Transport.UDP,
)
TIMERS = server_options(
    link=LinkOptions(ping=10, ping_restart=120, inactive=600, inactive_bytes=1000)
)


def agreed(
    options: ServerOptions = TIMERS,
    config: ClientConfig | None = None,
    kind: CompressionKind | None = None,
) -> AgreedClient:
    terms = replace(TERMS, config=ClientConfig() if config is None else config)
    return agreed_client(options, FACTS, terms, AGREEMENT, kind)


def test_timers_come_from_the_options() -> None:
    client = agreed()
    assert (client.ping_interval, client.ping_timeout) == (10, 120)
    assert (client.inactive, client.inactive_bytes) == (600, 1000)


def test_a_clients_own_settings_win() -> None:
    own = ClientConfig(ping=1, ping_restart=0, ping_exit=5, inactive=0)
    client = agreed(config=own)
    assert (client.ping_interval, client.ping_timeout, client.inactive) == (1, 5, 0)


def test_a_clients_own_framing_wins_but_for_what_it_is_moved_to() -> None:
    own = ClientConfig(compression=CompressionKind.LZO_STUB)
    assert agreed(config=own).payload.framing is FRAMING_OF[CompressionKind.LZO_STUB]
    moved = agreed(config=own, kind=CompressionKind.STUB_V2)
    assert moved.payload.framing is FRAMING_OF[CompressionKind.STUB_V2]
    assert agreed().payload.framing is None


def test_a_clients_own_ciphers_win() -> None:
    common = DataOptions(data_ciphers=("AES-256-GCM",), data_ciphers_fallback="AES-256-CBC")
    assert own_data(common, ClientConfig()) == common
    own = own_data(common, ClientConfig(data_ciphers=("AES-128-GCM",)))
    assert (own.data_ciphers, own.data_ciphers_fallback) == (("AES-128-GCM",), "AES-256-CBC")
    fallback = own_data(common, ClientConfig(data_ciphers_fallback="BF-CBC"))
    assert fallback.data_ciphers_fallback == "BF-CBC"


def test_the_mss_follows_the_default_rule() -> None:
    client = agreed()
    assert (client.mss_ipv4, client.mss_ipv6) == (1492 - 28 - 24 - 40, 1492 - 28 - 24 - 60)


def test_only_a_client_with_a_peer_id_may_move() -> None:
    assert agreed().allow_float
    fixed = replace(AGREEMENT, send_peer_id=UNDEFINED_PEER_ID)
    assert not agreed_client(TIMERS, FACTS, TERMS, fixed, None).allow_float
    stream = replace(FACTS, transport=Transport.TCP)
    assert not agreed_client(TIMERS, stream, TERMS, AGREEMENT, None).allow_float


def test_compression_is_migrated_to_framing_alone() -> None:
    migrating = server_options(compress_migrate=True)
    items = {"comp-lzo": ""}
    new, old = {"IV_COMP_STUBv2": "1"}, {"IV_LZO": "1"}
    assert client_compression(migrating, new, items) is CompressionKind.STUB_V2
    assert client_compression(migrating, old, items) is CompressionKind.LZO_STUB
    assert client_compression(migrating, new, {}) is None
    assert client_compression(server_options(), new, items) is None
    assert agreed(kind=CompressionKind.LZO_STUB).payload.framing is Framing.PREFIX
    assert agreed().payload.framing is None
