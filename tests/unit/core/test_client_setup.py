"""The steps from an agreement to a running tunnel; with keys and data: ``sim.test_handshake``."""

from dataclasses import replace

from ginnel.core.actions import Failed, OpenTunnel
from ginnel.core.client_mtu_test import MtuTest
from ginnel.core.client_setup import EXIT_NOTIFY_REFUSED, ClientSetup
from ginnel.core.client_state import Opening, Over
from ginnel.core.notices import DataChannelReady, Ended, ManagementState, StateEntered, Warned
from ginnel.core.types import Instant, Transport
from tests.unit.core.test_client_course import course
from tests.unit.core.test_client_tunnel import AGREEMENT, tunnel_with

NOW = Instant(10.0)


def test_tunnel_is_asked_for_under_the_agreed_terms() -> None:
    made = course()
    ClientSetup(made, MtuTest(made)).open(made.options, AGREEMENT, ("item",), NOW)
    asked = made.outbox.actions.popleft()
    assert isinstance(asked, OpenTunnel)
    assert made.state == Opening(asked.id, asked.config, AGREEMENT)
    assert asked.config.device_items == ("item",)
    ready, state = made.outbox.notices
    assert isinstance(ready, DataChannelReady)
    assert ready.peer_id == 0
    assert state == StateEntered(state=ManagementState.ASSIGN_IP)


def test_pushed_goodbyes_are_refused_on_tcp() -> None:
    made = course()
    options = replace(made.options, link=replace(made.options.link, explicit_exit_notify=2))
    ClientSetup(made, MtuTest(made)).open(options, AGREEMENT, (), NOW)
    assert not any(isinstance(notice, Warned) for notice in made.outbox.notices)
    made.link.transport = Transport.TCP
    ClientSetup(made, MtuTest(made)).open(options, AGREEMENT, (), NOW)
    assert Warned(text=EXIT_NOTIFY_REFUSED) in made.outbox.notices


def test_tunnel_that_cannot_be_opened_ends_the_program() -> None:
    made = course()
    setup = ClientSetup(made, MtuTest(made))
    setup.open(made.options, AGREEMENT, (), NOW)
    assert isinstance(made.state, Opening)
    setup.opened(made.state, Failed(reason="no /dev/net/tun"), NOW)
    ended = made.outbox.notices.pop()
    assert isinstance(ended, Ended)
    assert (ended.signal_text, ended.explanation) == ("tun-abort", "no /dev/net/tun")
    assert ended.hard_error


def test_new_session_with_other_options_does_not_keep_the_tunnel() -> None:
    made = course()
    made.tunnel = tunnel_with()
    ClientSetup(made, MtuTest(made)).open(
        made.options, replace(AGREEMENT, cc_exit=False), ("one",), NOW
    )
    assert made.state == Over()
    ended = made.outbox.notices.pop()
    assert isinstance(ended, Ended)
    assert "options changed" in ended.explanation
