"""What is kept while a tunnel is up: when sending switches, when traffic asks for a new key."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.client_exchange import Negotiation
from ginnel.core.client_outbox import Outbox
from ginnel.core.client_tunnel import ClientTunnel
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.key_derivation import SessionPair
from ginnel.core.key_session import KeySession
from ginnel.core.negotiate import Agreement
from ginnel.core.tunnel_config import tunnel_config
from ginnel.core.types import Endpoint, Instant, KeyId, PeerId, SessionId, Side, Transport
from ginnel.core.wire import Opcode
from ginnel.options.model import TlsOptions
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import client_options, profile

PAIR = SessionPair(client=SessionId(b"client id"[:8]), server=SessionId(b"server id"[:8]))
AGREEMENT = Agreement(
    cipher=DataCipher.AES_256_GCM,
    format=DataFormat.V2,
    send_peer_id=PeerId(0),
    tls_ekm=True,
    dyn_tls_crypt=True,
    cc_exit=True,
)
CONFIG = tunnel_config(
    client_options(profile()),
    profile=profile(),
    remote=Endpoint(ip_address("192.0.2.1"), 1194),
    transport=Transport.UDP,
    agreement=AGREEMENT,
    pulled_digest="one",
)


DEFAULTS = TlsOptions()


def tunnel_with(tls: TlsOptions = DEFAULTS, outbox: Outbox | None = None) -> ClientTunnel:
    return ClientTunnel(
        config=CONFIG,
        agreement=AGREEMENT,
        tls=tls,
        outbox=Outbox() if outbox is None else outbox,
        now=Instant(0.0),
    )


def negotiation(key_id: int, started: float) -> Negotiation:
    """A negotiation whose TLS is established."""
    client, server = FakeTls(Side.CLIENT, key_id), FakeTls(Side.SERVER, key_id)
    client.start()
    server.receive(client.take(9999))
    client.receive(server.take(9999))
    key = KeySession(
        key_id=KeyId(key_id),
        tls=client,
        side=Side.CLIENT,
        started=Instant(started),
        reset=Opcode.CONTROL_SOFT_RESET_V1,
        timeout=2.0,
    )
    return Negotiation(key=key)


@pytest.mark.parametrize(
    ("reneg_sec", "hand_window", "observed", "delay"),
    [
        (3600, 60, None, 60.0),
        (100, 60, None, 50.0),
        (0, 60, None, 60.0),
        (0, 60, 3.0, 1.5),
        (10, 60, 3600.0, 5.0),
    ],
)
def test_sending_moves_to_a_new_key_after_a_while(
    reneg_sec: int, hand_window: int, observed: float | None, delay: float
) -> None:
    tunnel = tunnel_with(TlsOptions(reneg_sec=reneg_sec, hand_window=hand_window))
    tunnel.settle(negotiation(0, 0.0), PAIR, Instant(0.0))
    assert tunnel.next_timeout() is None
    if observed is not None:
        tunnel.note_peer_reset(Instant(observed))
    tunnel.expire_key(Instant(5000.0))
    tunnel.settle(negotiation(1, 5000.0), PAIR, Instant(5001.0))
    assert tunnel.next_timeout() == 5000.0 + delay
    assert tunnel.seals_with(KeyId(0))
    assert tunnel.handle_timeout(Instant(5000.0 + delay))
    assert tunnel.seals_with(KeyId(1))


def test_key_is_listened_for_before_it_is_settled() -> None:
    outbox = Outbox()
    tunnel = tunnel_with(outbox=outbox)
    assert tunnel.settle(negotiation(0, 0.0), PAIR, Instant(0.0)) is not None
    following = negotiation(1, 10.0)
    tunnel.listen_ahead(following)
    assert len(outbox.actions) == 2
    assert tunnel.settle(following, PAIR, Instant(11.0)) is None
    assert len(outbox.actions) == 2


def test_without_a_successor_the_key_dies() -> None:
    tunnel = tunnel_with(TlsOptions(tran_window=100))
    tunnel.settle(negotiation(0, 0.0), PAIR, Instant(0.0))
    tunnel.expire_key(Instant(10.0))
    tunnel.expire_key(Instant(60.0))  # a second failure gives it no more time
    assert tunnel.handle_timeout(Instant(109.0))
    assert tunnel.is_usable
    assert not tunnel.handle_timeout(Instant(110.0))
    assert not tunnel.is_usable


def test_limits_count_from_the_newest_key() -> None:
    tunnel = tunnel_with(TlsOptions(reneg_bytes=100, reneg_pkts=10))
    assert tunnel.count_traffic(99, 9) is None
    assert tunnel.count_traffic(99, 10) == "bytes=99 pkts=10"
    tunnel.settle(negotiation(0, 0.0), PAIR, Instant(5.0))
    assert tunnel.count_traffic(99, 10) is None
    assert tunnel.count_traffic(199, 10) is not None
    assert tunnel_with().count_traffic(10**12, 10**9) is None


def test_new_session_fits_only_under_the_same_terms() -> None:
    tunnel = tunnel_with()
    assert tunnel.fits(CONFIG, AGREEMENT)
    assert not tunnel.fits(replace(CONFIG, pulled_digest="two"), AGREEMENT)
    assert not tunnel.fits(replace(CONFIG, send_peer_id=PeerId(1)), AGREEMENT)
    assert not tunnel.fits(CONFIG, replace(AGREEMENT, cc_exit=False))
