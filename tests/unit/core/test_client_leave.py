"""Saying goodbye: to whom, how often, and when that is done. On the wire: ``sim.test_messages``."""

from dataclasses import replace

from ginnel.core.actions import SendInner
from ginnel.core.client_leave import Farewell
from ginnel.core.client_link import ClientLink
from ginnel.core.client_outbox import Outbox
from ginnel.core.client_state import Deadline
from ginnel.core.client_tunnel import ClientTunnel
from ginnel.core.timers import Timers
from ginnel.core.types import Instant, Side
from ginnel.options.model import ConnectionProfile, LinkProtocol, TlsOptions
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import SERVER, client_options, profile
from tests.unit.core.test_client_tunnel import AGREEMENT, CONFIG

NOW = Instant(10.0)


def farewell(connection: ConnectionProfile) -> tuple[Farewell, Outbox, Timers[Deadline]]:
    outbox, timers = Outbox(), Timers[Deadline]()
    link = ClientLink(
        options=client_options(connection),
        profile=connection,
        remote=SERVER,
        tls=lambda: FakeTls(Side.CLIENT, 1),
        entropy=bytes,
        outbox=outbox,
    )
    return Farewell(link, outbox, timers), outbox, timers


def tunnel(pushed: int | None = None) -> ClientTunnel:
    options = CONFIG.options
    options = replace(options, link=replace(options.link, explicit_exit_notify=pushed))
    return ClientTunnel(
        config=replace(CONFIG, options=options),
        agreement=AGREEMENT,
        tls=TlsOptions(),
        outbox=Outbox(),
        now=NOW,
    )


def test_nobody_is_told_without_tunnel_or_wish_or_on_tcp() -> None:
    wishing = replace(profile(), explicit_exit_notify=2)
    tcp = replace(wishing, protocol=LinkProtocol.TCP_CLIENT)
    assert farewell(wishing)[0].begin(None, wishing, NOW) is None
    assert farewell(profile())[0].begin(tunnel(), profile(), NOW) is None
    assert farewell(tcp)[0].begin(tunnel(), tcp, NOW) is None
    assert farewell(wishing)[0].begin(tunnel(pushed=0), wishing, NOW) is None


def test_occ_notices_go_out_once_a_second() -> None:
    made, outbox, timers = farewell(profile())
    open_tunnel = tunnel(pushed=2)
    state = made.begin(open_tunnel, profile(), NOW)
    steps = 0
    while state is not None:
        steps += 1
        assert timers.deadline(Deadline.LEAVE) == NOW + steps
        state = made.go_on(state, open_tunnel, Instant(NOW + steps))
    assert steps == 2
    assert [type(action) for action in outbox.actions] == [SendInner, SendInner]
