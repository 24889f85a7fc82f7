"""The measurement of ``mtu-test``: its steps, its result, and answers to a server's own."""

from dataclasses import replace

from ginnel.core.actions import SendInner
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_mtu_test import DELTAS, REPLY_TRIES, STEP_INTERVAL, MtuTest
from ginnel.core.client_state import Deadline
from ginnel.core.notices import Warned
from ginnel.core.occ import (
    OCC_MAGIC,
    OccOperation,
    mtu_load_payload,
    mtu_load_request_payload,
    mtu_reply_payload,
    mtu_request_payload,
    read_occ,
    read_sizes,
)
from ginnel.core.types import Instant
from tests.unit.core.test_client_course import course
from tests.unit.core.test_client_tunnel import tunnel_with

NOW = Instant(10.0)
FULL = 1528


def measuring(*, wanted: bool = True) -> tuple[MtuTest, ClientCourse]:
    made = course()
    made.options = replace(made.options, link=replace(made.options.link, mtu_test=wanted))
    made.tunnel = tunnel_with()
    config = replace(made.tunnel.config, tun_mtu=1500, overhead=28)
    made.tunnel.config = config
    return MtuTest(made), made


def sent(made: ClientCourse) -> list[bytes]:
    found = [action.payload for action in made.outbox.actions if isinstance(action, SendInner)]
    made.outbox.actions.clear()
    return found


def warnings(made: ClientCourse) -> list[str]:
    return [notice.text for notice in made.outbox.notices if isinstance(notice, Warned)]


def run_steps(test: MtuTest, made: ClientCourse) -> list[bytes]:
    for number in range(len(DELTAS) * 4 + 1):
        test.step(Instant(NOW + number * STEP_INTERVAL))
    return sent(made)


def test_each_size_is_tried_both_ways() -> None:
    test, made = measuring()
    test.begin(NOW)
    *loads, question = run_steps(test, made)
    assert question == mtu_request_payload()
    asked = [read_sizes(load, 1) for load in loads if load[16] == 2]
    assert asked == [(FULL + delta,) for delta in DELTAS for _ in range(2)]
    given = [len(load) + 28 for load in loads if load[16] == 3]
    assert given == [FULL + delta for delta in DELTAS for _ in range(2)]
    assert made.timers.deadline(Deadline.MTU_TEST) is not None


def test_the_result_names_all_four_numbers() -> None:
    test, made = measuring()
    test.begin(NOW)
    run_steps(test, made)
    test.receive(OccOperation.MTU_LOAD, bytes(1400))
    test.receive(OccOperation.MTU_REPLY, mtu_reply_payload(FULL, 1428))
    assert warnings(made)[-1].endswith("local->remote=[1528,1528] remote->local=[1428,1428]")
    assert made.timers.deadline(Deadline.MTU_TEST) is None
    before = len(warnings(made))
    test.receive(OccOperation.MTU_REPLY, mtu_reply_payload(1, 1))
    assert len(warnings(made)) == before


def test_a_path_too_narrow_is_said_with_a_remedy() -> None:
    test, made = measuring()
    test.begin(NOW)
    run_steps(test, made)
    test.receive(OccOperation.MTU_REPLY, mtu_reply_payload(1000, 0))
    assert "unable to accommodate a UDP packet size of 1528" in warnings(made)[-1]


def test_a_silent_server_ends_it() -> None:
    test, made = measuring()
    test.begin(NOW)
    run_steps(test, made)
    for _ in range(REPLY_TRIES):
        test.step(NOW)
    assert "did not answer" in warnings(made)[-1]


def test_nothing_is_measured_unasked() -> None:
    test, made = measuring(wanted=False)
    test.begin(NOW)
    test.receive(OccOperation.MTU_REPLY, mtu_reply_payload(1, 1))
    assert made.timers.deadline(Deadline.MTU_TEST) is None
    assert warnings(made) == []


def test_a_server_that_measures_is_answered_within_bounds() -> None:
    test, made = measuring(wanted=False)
    test.receive(OccOperation.MTU_LOAD_REQUEST, mtu_load_request_payload(800))
    test.receive(OccOperation.MTU_LOAD_REQUEST, mtu_load_request_payload(65535))
    test.receive(OccOperation.MTU_LOAD, mtu_load_payload(900))
    test.receive(OccOperation.MTU_REQUEST, mtu_request_payload())
    first, second, reply = sent(made)
    assert [len(first), len(second)] == [772, 1500]
    assert read_sizes(reply, 2) == (928, FULL)


def test_cut_messages_are_left_out() -> None:
    test, made = measuring()
    for operation in (OccOperation.MTU_LOAD_REQUEST, OccOperation.MTU_REPLY):
        test.receive(operation, OCC_MAGIC + bytes((operation.value, 1)))
    assert sent(made) == []
    assert read_occ(mtu_request_payload()) is OccOperation.MTU_REQUEST
