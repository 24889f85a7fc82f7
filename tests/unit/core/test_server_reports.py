"""What follows from reports of the data plane."""

import errno
from ipaddress import ip_address

import pytest

from ginnel.core import events, occ
from ginnel.core.actions import SendInner
from ginnel.core.notices import KeyRenegotiating, Outcome
from ginnel.core.server_notices import ClientMoved
from ginnel.core.types import Endpoint, KeyId, Transport
from ginnel.options.model import LinkOptions, TlsOptions
from ginnel.options.server_model import ServerOptions
from tests.sim.client import SimClient
from tests.sim.duo import Duo, server_options

ELSEWHERE = Endpoint(ip_address("203.0.113.9"), 5000)
OCC_EXIT = events.OccReceived(payload=occ.exit_payload())


def connected(
    options: ServerOptions | None = None, transport: Transport = Transport.UDP
) -> SimClient:
    client = SimClient(options, transport=transport)
    client.connect()
    return client


def report(client: SimClient, event: events.DataPlaneEvent) -> None:
    client.act(lambda machine, now: machine.handle_data_plane(event, now))


@pytest.mark.parametrize(
    ("event", "signal", "outcome"),
    [
        (events.Inactive(), "inactive", Outcome.TERMINATE),
        (events.TunLost(errno=5), "tun-stop", Outcome.RESTART),
        (events.DecryptFailed(), "decryption-error", Outcome.RESTART),
        (OCC_EXIT, "remote-exit", Outcome.RESTART),
    ],
)
def test_some_reports_end_the_client(
    event: events.DataPlaneEvent, signal: str, outcome: Outcome
) -> None:
    client = connected()
    report(client, event)
    assert client.ended is not None
    assert (client.ended.signal_text, client.ended.outcome) == (signal, outcome)


@pytest.mark.parametrize(
    ("link", "signal"),
    [
        (LinkOptions(ping_restart=60), "ping-restart"),
        (LinkOptions(ping_exit=60), "ping-exit"),
        (LinkOptions(ping_restart=60, ping_exit=60), "ping-restart"),
    ],
)
def test_silence_ends_as_the_options_say(link: LinkOptions, signal: str) -> None:
    client = connected(server_options(link=link))
    report(client, events.PeerSilent())
    assert client.ended is not None
    assert client.ended.signal_text == signal


def test_a_lost_stream_ends_the_client_a_udp_error_does_not() -> None:
    client = connected(transport=Transport.TCP)
    report(client, events.LinkLost(errno=0))
    assert client.ended is not None
    assert client.ended.explanation == "Connection reset, restarting [0]"
    client = connected()
    report(client, events.LinkLost(errno=errno.ECONNREFUSED))
    assert client.ended is None
    assert client.server.drops["link-error"] == 1


def test_a_client_that_moves_is_answered_there() -> None:
    duo = Duo()
    duo.connect()
    duo.client_address = ELSEWHERE
    duo.report(events.Floated(remote=ELSEWHERE))
    duo.report(events.Floated(remote=ELSEWHERE))
    assert duo.told(ClientMoved) == [ClientMoved(remote=ELSEWHERE)]
    assert duo.machine.facts.remote == ELSEWHERE
    assert duo.machine.agreed is not None
    assert duo.machine.agreed.client.remote == ELSEWHERE
    duo.advance(4000.0)  # a renegotiation from there
    assert duo.keys_match
    assert len(duo.told(KeyRenegotiating)) >= 1


def test_a_key_that_is_used_up_is_replaced() -> None:
    duo = Duo()
    duo.connect()
    duo.report(events.KeyExhausted(key_id=KeyId(3)))
    assert duo.told(KeyRenegotiating) == []
    duo.report(events.KeyExhausted(key_id=KeyId(0)))
    duo.report(events.KeyExhausted(key_id=KeyId(0)))
    duo.advance(100.0)
    assert len(duo.told(KeyRenegotiating)) == 1
    assert duo.keys_match


def test_traffic_asks_for_a_new_key() -> None:
    duo = Duo(server=server_options(tls=TlsOptions(reneg_bytes=1000, reneg_pkts=10)))
    duo.connect()
    duo.act(lambda machine, now: machine.report_traffic(999, 9, now))
    assert duo.told(KeyRenegotiating) == []
    duo.act(lambda machine, now: machine.report_traffic(1000, 9, now))
    assert len(duo.told(KeyRenegotiating)) == 1


def test_a_client_that_asks_gets_the_options_string() -> None:
    client = connected()
    report(client, events.OccReceived(payload=occ.request_payload()))
    (action,) = client.asked(SendInner)
    assert isinstance(action, SendInner)
    assert b"tls-server" in action.payload
    report(client, events.OccReceived(payload=occ.OCC_MAGIC + b"\x63"))
    assert client.server.drops["occ"] == 1


def test_wrong_framing_is_told() -> None:
    client = connected()
    report(client, events.PeerHeard())
    report(client, events.FramingMismatch(first=0xFA))
    assert any("comp-lzo" in str(notice) for notice in client.notices)


def test_a_client_that_measures_the_mtu_is_answered() -> None:
    client = connected()
    report(client, events.OccReceived(payload=occ.mtu_load_request_payload(1000)))
    report(client, events.OccReceived(payload=occ.mtu_load_payload(800)))
    report(client, events.OccReceived(payload=occ.mtu_request_payload()))
    load, told = client.asked(SendInner)
    assert isinstance(load, SendInner)
    assert isinstance(told, SendInner)
    assert len(load.payload) == 1000 - 24
    assert told.payload == occ.mtu_reply_payload(824, 1000)
