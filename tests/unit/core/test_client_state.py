"""What is kept while a tunnel is up: when sending switches, when traffic asks for a new key."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.client_state import OpenTunnelState
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.key_ring import KeyRing
from ginnel.core.negotiate import Agreement
from ginnel.core.tunnel_config import tunnel_config
from ginnel.core.types import ActionId, Endpoint, Instant, PeerId, Transport
from ginnel.options.model import TlsOptions
from tests.sim.pair import client_options, profile

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


def state() -> OpenTunnelState:
    return OpenTunnelState(
        config=CONFIG,
        agreement=AGREEMENT,
        ring=KeyRing(PeerId(0), lambda: ActionId(1)),
        key_since=Instant(0.0),
    )


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
def test_switch_delay(
    reneg_sec: int, hand_window: int, observed: float | None, delay: float
) -> None:
    tunnel = state()
    tunnel.peer_interval = observed
    options = TlsOptions(reneg_sec=reneg_sec, hand_window=hand_window)
    assert tunnel.switch_delay(options) == delay


def test_limits_count_from_the_newest_key() -> None:
    tunnel = state()
    options = TlsOptions(reneg_bytes=100, reneg_pkts=10)
    tunnel.bytes_now, tunnel.packets_now = 99, 9
    assert tunnel.is_used_up(options) is None
    tunnel.packets_now = 10
    assert tunnel.is_used_up(options) == "bytes=99 pkts=10"
    tunnel.count_key(Instant(5.0))
    assert tunnel.is_used_up(options) is None
    tunnel.bytes_now = 199
    assert tunnel.is_used_up(options) is not None
    assert tunnel.is_used_up(TlsOptions()) is None


def test_new_session_fits_only_under_the_same_terms() -> None:
    tunnel = state()
    assert tunnel.fits(CONFIG, AGREEMENT)
    assert not tunnel.fits(replace(CONFIG, pulled_digest="two"), AGREEMENT)
    assert not tunnel.fits(replace(CONFIG, send_peer_id=PeerId(1)), AGREEMENT)
    assert not tunnel.fits(CONFIG, replace(AGREEMENT, cc_exit=False))
