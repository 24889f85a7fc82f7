"""When sending switches to a new key, when a key dies, when traffic asks for a new one."""

import pytest

from ginnel.core.client_outbox import Outbox
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.key_derivation import SessionPair
from ginnel.core.key_session import KeySession
from ginnel.core.negotiate import Agreement
from ginnel.core.negotiation import Negotiation
from ginnel.core.tunnel_keys import TunnelKeys
from ginnel.core.types import Instant, KeyId, PeerId, SessionId, Side
from ginnel.core.wire import Opcode
from ginnel.options.model import TlsOptions
from tests.sim.fake_tls import FakeTls

PAIR = SessionPair(client=SessionId(b"client id"[:8]), server=SessionId(b"server id"[:8]))
AGREEMENT = Agreement(
    cipher=DataCipher.AES_256_GCM,
    format=DataFormat.V2,
    send_peer_id=PeerId(0),
    tls_ekm=True,
    dyn_tls_crypt=True,
    cc_exit=True,
)


DEFAULTS = TlsOptions()


def keys_with(tls: TlsOptions = DEFAULTS, outbox: Outbox | None = None) -> TunnelKeys:
    return TunnelKeys(
        peer_id=PeerId(0),
        agreement=AGREEMENT,
        tls=tls,
        reneg_sec=tls.reneg_sec,
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
    keys = keys_with(TlsOptions(reneg_sec=reneg_sec, hand_window=hand_window))
    keys.settle(negotiation(0, 0.0), PAIR, Instant(0.0))
    assert keys.next_timeout() is None
    if observed is not None:
        keys.note_peer_reset(Instant(observed))
    keys.expire_key(Instant(5000.0))
    keys.settle(negotiation(1, 5000.0), PAIR, Instant(5001.0))
    assert keys.next_timeout() == 5000.0 + delay
    assert keys.seals_with(KeyId(0))
    assert keys.handle_timeout(Instant(5000.0 + delay))
    assert keys.seals_with(KeyId(1))


def test_key_is_listened_for_before_it_is_settled() -> None:
    outbox = Outbox()
    keys = keys_with(outbox=outbox)
    assert keys.settle(negotiation(0, 0.0), PAIR, Instant(0.0)) is not None
    following = negotiation(1, 10.0)
    keys.listen_ahead(following)
    assert len(outbox.actions) == 2
    assert keys.settle(following, PAIR, Instant(11.0)) is None
    assert len(outbox.actions) == 2


def test_without_a_successor_the_key_dies() -> None:
    keys = keys_with(TlsOptions(tran_window=100))
    keys.settle(negotiation(0, 0.0), PAIR, Instant(0.0))
    keys.expire_key(Instant(10.0))
    keys.expire_key(Instant(60.0))  # a second failure gives it no more time
    assert keys.handle_timeout(Instant(109.0))
    assert keys.is_usable
    assert not keys.handle_timeout(Instant(110.0))
    assert not keys.is_usable


def test_limits_count_from_the_newest_key() -> None:
    keys = keys_with(TlsOptions(reneg_bytes=100, reneg_pkts=10))
    assert keys.count_traffic(99, 9) is None
    assert keys.count_traffic(99, 10) == "bytes=99 pkts=10"
    keys.settle(negotiation(0, 0.0), PAIR, Instant(5.0))
    assert keys.count_traffic(99, 10) is None
    assert keys.count_traffic(199, 10) is not None
    assert keys_with().count_traffic(10**12, 10**9) is None


def test_the_use_of_a_key_is_told_in_openvpns_words() -> None:
    keys = keys_with(TlsOptions(reneg_sec=100, reneg_pkts=7))
    keys.count_traffic(1000, 10)
    keys.settle(negotiation(0, 0.0), PAIR, Instant(5.0))
    keys.count_traffic(1208, 13)
    assert keys.describe_use(Instant(11.5)) == "sec=6/100 bytes=208/-1 pkts=3/7"


def test_a_key_may_be_used_at_once() -> None:
    keys = keys_with()
    keys.settle(negotiation(0, 0.0), PAIR, Instant(0.0))
    keys.settle(negotiation(3, 10.0), PAIR, Instant(11.0), at_once=True)
    assert keys.seals_with(KeyId(3))
