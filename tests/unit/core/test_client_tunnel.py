"""What is kept while a tunnel is up; its keys are in ``test_tunnel_keys``."""

from dataclasses import replace
from ipaddress import ip_address

from ginnel.core.client_outbox import Outbox
from ginnel.core.client_tunnel import ClientTunnel
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.key_derivation import SessionPair
from ginnel.core.negotiate import Agreement
from ginnel.core.tunnel_config import tunnel_config
from ginnel.core.types import Endpoint, Instant, PeerId, SessionId, Transport
from ginnel.options.model import TlsOptions
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
    device_items=("one",),
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


def test_new_session_fits_only_under_the_same_terms() -> None:
    tunnel = tunnel_with()
    assert tunnel.fits(CONFIG, AGREEMENT)
    assert not tunnel.fits(replace(CONFIG, device_items=("two",)), AGREEMENT)
    assert not tunnel.fits(replace(CONFIG, send_peer_id=PeerId(1)), AGREEMENT)
    assert not tunnel.fits(CONFIG, replace(AGREEMENT, cc_exit=False))
