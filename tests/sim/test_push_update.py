"""PUSH_UPDATE: the tunnel changes while it runs, and a session that cannot go on begins anew."""

from ginnel.core import actions
from ginnel.core.notices import (
    Connected,
    ManagementState,
    OptionsImported,
    PushOptionRefused,
    PushReceived,
    StateEntered,
)
from ginnel.core.peer_info import ProtocolFlag, parse_peer_info, protocol_flags
from tests.sim.pair import SimPair
from tests.sim.server import ServerScript


def updates(pair: SimPair) -> list[actions.UpdateTunnel]:
    return [a for a in pair.actions if isinstance(a, actions.UpdateTunnel)]


def connected(**given: object) -> SimPair:
    pair = SimPair(**given)  # type: ignore[arg-type]  # the names are SimPair's
    pair.connect()
    pair.advance(1.0)
    return pair


def networks(update: actions.UpdateTunnel) -> list[str]:
    return [str(route.network) for route in update.config.options.routes.routes]


def test_the_client_says_that_it_can() -> None:
    pair = connected()
    flags = protocol_flags(parse_peer_info(pair.server.peer_info[0]))
    assert ProtocolFlag.PUSH_UPDATE in flags


def test_an_update_changes_the_tunnel_and_keeps_the_session() -> None:
    pair = connected()
    pair.server_says(
        "PUSH_UPDATE,route 10.20.0.0 255.255.0.0,tun-mtu 1400,dhcp-option DNS 10.8.0.1"
    )
    pair.advance(1.0)
    (update,) = updates(pair)
    assert networks(update) == ["10.20.0.0/16"]
    assert update.config.tun_mtu == 1400
    assert update.config.options.tun.ifconfig is not None, "what was pushed before still holds"
    assert pair.ended is None
    assert pair.server.handshakes == 1
    received = [n.text for n in pair.notices if isinstance(n, PushReceived)]
    assert received[-1].startswith("PUSH_UPDATE,route")
    imported = pair.told(OptionsImported)[-1]
    assert isinstance(imported, OptionsImported)
    assert imported.is_update
    assert "route options" in imported.groups
    entered = [n.state for n in pair.notices if isinstance(n, StateEntered)]
    assert entered[-3:] == [
        ManagementState.CONNECTED,
        ManagementState.ASSIGN_IP,
        ManagementState.ADD_ROUTES,
    ], "the shell tells that it is connected again when all is done"
    assert len(pair.told(Connected)) == 1


def test_updates_build_on_each_other_and_come_in_parts() -> None:
    pair = connected()
    pair.server_says("PUSH_UPDATE,route 10.20.0.0 255.255.0.0,push-continuation 2")
    pair.advance(1.0)
    assert updates(pair) == []
    pair.server_says("PUSH_UPDATE,route 10.21.0.0 255.255.0.0,push-continuation 1")
    pair.advance(1.0)
    pair.server_says("PUSH_UPDATE,-tun-mtu,block-outside-dns")
    pair.server_says("PUSH_UPDATE,-route")
    pair.advance(1.0)
    assert [networks(update) for update in updates(pair)] == [
        ["10.20.0.0/16", "10.21.0.0/16"],
        ["10.20.0.0/16", "10.21.0.0/16"],
        [],
    ]


def test_an_option_that_the_server_insists_on_restarts_the_client() -> None:
    pair = connected()
    pair.server_says("PUSH_UPDATE,cipher AES-128-GCM")
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "process-push-msg-failed"
    assert "Offending option received from server" in pair.ended.explanation


def test_an_optional_one_is_told_and_left_out() -> None:
    pair = connected()
    pair.server_says("PUSH_UPDATE,?no-such-option 1,route 10.20.0.0 255.255.0.0")
    pair.advance(1.0)
    refused = [n.option for n in pair.notices if isinstance(n, PushOptionRefused)]
    assert refused == ["?no-such-option 1"]
    assert len(updates(pair)) == 1
    assert pair.ended is None


def test_a_host_that_refuses_restarts_the_client() -> None:
    def answer(action: actions.Action) -> actions.ActionResult:
        if isinstance(action, actions.UpdateTunnel):
            return actions.Failed(reason="no such address")
        return actions.Done()

    pair = connected(answer=answer)
    pair.server_says("PUSH_UPDATE,ifconfig 10.8.0.9 255.255.255.0")
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "process-push-msg-failed"
    assert pair.ended.explanation == "no such address"


def test_an_update_before_the_tunnel_is_up_waits_for_it() -> None:
    held: list[actions.Action] = []

    def answer(action: actions.Action) -> actions.ActionResult | None:
        if isinstance(action, actions.OpenTunnel):
            held.append(action)
            return None
        return actions.Done()

    pair = SimPair(answer=answer)
    pair.start()
    pair.until(lambda: bool(held), within=10.0)
    pair.server_says("PUSH_UPDATE,route 10.20.0.0 255.255.0.0")
    pair.server_says("PUSH_UPDATE,route-metric 7")
    pair.advance(1.0)
    assert updates(pair) == []
    pair.complete(held[0], actions.Done())
    pair.until(lambda: pair.is_connected, within=5.0)
    (update,) = updates(pair)
    assert networks(update) == ["10.20.0.0/16"]
    assert update.config.options.routes.route_metric == 7


def test_an_update_before_any_reply_means_nothing() -> None:
    script = ServerScript(after_exchange=["PUSH_UPDATE,route 10.20.0.0 255.255.0.0"])
    pair = connected(script=script)
    assert pair.client.drops["message"] == 1
    assert updates(pair) == []


def test_a_session_that_begins_anew_finds_the_tunnel_that_was_agreed_on() -> None:
    """The server's reply is as before: what it had changed meanwhile does not end the tunnel."""
    pair = connected()
    pair.server_says("PUSH_UPDATE,route 10.20.0.0 255.255.0.0")
    pair.advance(1.0)
    (update,) = updates(pair)
    opened = next(a for a in pair.actions if isinstance(a, actions.OpenTunnel))
    assert update.config.device_items == opened.config.device_items
