"""What reports of the data plane and the link lead to; the ends: ``sim.test_messages``."""

import errno
from dataclasses import replace

import pytest

from ginnel.core.actions import SendInner
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_mtu_test import MtuTest
from ginnel.core.client_push import PushImport
from ginnel.core.client_reports import ClientReports
from ginnel.core.client_sessions import ClientSessions
from ginnel.core.events import Floated, LinkLost, OccReceived
from ginnel.core.notices import Ended, Warned
from ginnel.core.occ import OCC_MAGIC
from ginnel.core.types import Instant, Transport
from tests.sim.pair import CAPABILITIES, SERVER
from tests.unit.core.test_client_course import course
from tests.unit.core.test_client_tunnel import tunnel_with

NOW = Instant(10.0)


def reports() -> tuple[ClientReports, ClientCourse, ClientSessions]:
    made = course()
    sessions = ClientSessions(made, PushImport(made.options, CAPABILITIES, made.outbox))
    return ClientReports(made, sessions, MtuTest(made)), made, sessions


def test_server_that_moved_is_followed() -> None:
    handler, made, _ = reports()
    moved = replace(SERVER, port=4000)
    handler.handle(Floated(remote=moved), NOW)
    assert made.link.remote == moved


@pytest.mark.parametrize(("heard", "ends"), [(False, True), (True, False)])
def test_unreachable_remote_is_left_only_before_it_was_heard(heard: bool, ends: bool) -> None:
    handler, made, sessions = reports()
    sessions.heard = heard
    handler.handle(LinkLost(errno=errno.ENETUNREACH), NOW)
    assert made.is_over is ends
    assert isinstance(made.outbox.notices.pop(), Ended if ends else Warned)


@pytest.mark.parametrize(
    ("number", "heard", "status", "cause"),
    [
        (0, True, 0, "closed the connection"),
        (0, False, 0, "another service than OpenVPN over TCP may listen there"),
        (errno.EBADMSG, False, 0, "is no packet of OpenVPN over TCP"),
        (errno.ECONNRESET, True, -1, "read TCPv4_CLIENT [ECONNRESET]: Connection reset by peer"),
        (errno.EPROTO, True, -1, "(code=71)"),
    ],
)
def test_lost_stream_ends_the_connection_with_the_cause(
    number: int, heard: bool, status: int, cause: str
) -> None:
    handler, made, sessions = reports()
    sessions.heard = heard
    made.link.transport = Transport.TCP
    handler.handle(LinkLost(errno=number), NOW)
    warned, ended = list(made.outbox.notices)[-2:]
    assert isinstance(warned, Warned)
    assert cause in warned.text
    assert isinstance(ended, Ended)
    assert ended.signal_text == "connection-reset"
    assert ended.explanation == f"Connection reset, restarting [{status}]"


def test_impossible_length_is_said_where_it_is_known() -> None:
    handler, made, _ = reports()
    made.link.transport = Transport.TCP
    handler.handle(LinkLost(errno=errno.EBADMSG, bad_length=(18516, 4096)), NOW)
    line, cause, ended = list(made.outbox.notices)[-3:]
    assert isinstance(line, Warned)
    assert "length from peer (18516), which must be > 0 and <= 4096 -- please" in line.text
    assert isinstance(cause, Warned)
    assert isinstance(ended, Ended)


def test_requests_inside_the_tunnel_are_answered_once_there_is_one() -> None:
    handler, made, _ = reports()
    handler.handle(OccReceived(payload=OCC_MAGIC + b"\0"), NOW)
    assert not made.outbox.actions
    made.tunnel = tunnel_with()
    handler.handle(OccReceived(payload=OCC_MAGIC + b"\0"), NOW)
    (answer,) = made.outbox.actions
    assert isinstance(answer, SendInner)
    handler.handle(OccReceived(payload=OCC_MAGIC + b"\xff"), NOW)
    assert made.link.drops == {"occ": 1}


def test_traffic_without_a_tunnel_asks_for_nothing() -> None:
    handler, made, _ = reports()
    handler.count_traffic(10**12, 10**9, NOW)
    assert not made.outbox.notices
