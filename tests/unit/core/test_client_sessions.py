"""When sessions begin and how they fail; over time and on the wire: ``sim.test_renegotiation``."""

from dataclasses import replace

import pytest

from ginnel.core.client_course import ClientCourse
from ginnel.core.client_push import PushImport
from ginnel.core.client_sessions import ClientSessions
from ginnel.core.client_state import Deadline, Negotiating, Over
from ginnel.core.notices import Ended, ManagementState, StateEntered, Warned
from ginnel.core.tls import TlsFailure
from ginnel.core.types import Instant, Transport
from tests.sim.pair import CAPABILITIES
from tests.unit.core.test_client_course import course

NOW = Instant(10.0)


def sessions() -> tuple[ClientSessions, ClientCourse]:
    made = course()
    return ClientSessions(made, PushImport(made.options, CAPABILITIES, made.outbox)), made


def test_first_session_waits_for_the_server() -> None:
    begun, made = sessions()
    begun.begin(NOW)
    assert made.state == Negotiating()
    assert not begun.heard
    assert list(made.outbox.notices) == [StateEntered(state=ManagementState.WAIT)]
    timers = made.timers
    assert timers.deadline(Deadline.HANDSHAKE) == NOW + made.options.tls.hand_window
    assert timers.deadline(Deadline.CONNECT) == NOW + made.profile.connect_timeout
    assert timers.deadline(Deadline.SILENCE) == NOW + 120


def test_nothing_renegotiates_before_the_tunnel_runs() -> None:
    begun, made = sessions()
    begun.begin(NOW)
    begun.renegotiate("why", NOW)
    assert len(made.link.negotiations) == 1


def test_failure_before_the_tunnel_ends_the_connection_with_the_cause() -> None:
    begun, made = sessions()
    begun.begin(NOW)
    begun.negotiation_failed(TlsFailure("alert", "a hint"), NOW)
    assert made.state == Over()
    *_, first, second, ended = made.outbox.notices
    assert first == Warned(text="TLS_ERROR: alert")
    assert second == Warned(text="TLS Error: TLS handshake failed")
    assert isinstance(ended, Ended)
    assert ended.explanation.endswith("failed: alert: a hint")


def test_failure_on_tcp_is_fatal_to_the_connection() -> None:
    begun, made = sessions()
    made.link.transport = Transport.TCP
    begun.begin(NOW)
    assert made.timers.deadline(Deadline.SILENCE) is None, "a stream tells when its peer is gone"
    begun.negotiation_failed(TlsFailure("alert"), NOW)
    assert Warned(text="Fatal TLS error (check_tls_errors_co), restarting") in made.outbox.notices


@pytest.mark.parametrize(("restart", "signal"), [(30, "ping-restart"), (0, "ping-exit")])
def test_silence_ends_as_configured(restart: int, signal: str) -> None:
    begun, made = sessions()
    link = replace(made.options.link, ping_restart=restart, ping_exit=20)
    made.options = replace(made.options, link=link)
    assert begun.silent().signal_text == signal
