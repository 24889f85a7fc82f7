"""Which messages move a client, and which are only shown; each by name in ``sim.test_messages``."""

from ginnel.core import messages as said
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_exchange import introduce
from ginnel.core.client_messages import ClientMessages
from ginnel.core.client_mtu_test import MtuTest
from ginnel.core.client_push import PushImport
from ginnel.core.client_setup import ClientSetup
from ginnel.core.client_state import AwaitPush, Deadline, Negotiating, Opening
from ginnel.core.client_talk import ClientTalk
from ginnel.core.notices import ControlMessage, LoginPending, ManagementState, StateEntered
from ginnel.core.peer_info import LocalFacts
from ginnel.core.types import Instant
from tests.sim.pair import CAPABILITIES
from tests.unit.core.test_client_course import course

NOW = Instant(10.0)


def messages() -> tuple[ClientMessages, ClientCourse]:
    made = course()
    talk = ClientTalk(
        options=made.options,
        introduction=introduce(
            made.options, made.profile, CAPABILITIES, LocalFacts(version="2.6.14")
        ),
        entropy=bytes,
        login=None,
        outbox=made.outbox,
    )
    push = PushImport(made.options, CAPABILITIES, made.outbox)
    return ClientMessages(made, talk, push, ClientSetup(made, MtuTest(made))), made


def test_push_is_requested_after_a_second_and_then_every_five() -> None:
    heard, made = messages()
    heard.await_push(NOW)
    assert made.state == AwaitPush(since=NOW)
    assert made.timers.deadline(Deadline.PUSH_REQUEST) == NOW + 1
    state = StateEntered(state=ManagementState.GET_CONFIG)
    assert state not in made.outbox.notices, "the server may push unasked"
    heard.request_push(NOW)
    heard.request_push(NOW)
    assert made.outbox.notices.count(state) == 1
    assert made.timers.deadline(Deadline.PUSH_REQUEST) == NOW + 5


def test_push_leads_to_the_tunnel_only_when_it_is_waited_for() -> None:
    push = said.PushReply(items=("ifconfig 10.8.0.2 10.8.0.1", "peer-id 4", "cipher AES-128-GCM"))
    heard, made = messages()
    made.state = Negotiating()
    heard.handle(push, NOW)
    assert made.state == Negotiating()
    heard.await_push(NOW)
    heard.handle(push, NOW)
    assert isinstance(made.state, Opening)
    assert made.timers.deadline(Deadline.PUSH_GIVE_UP) is None


def test_pending_login_extends_the_wait_for_the_push_alone() -> None:
    heard, made = messages()
    made.state = Negotiating()
    heard.handle(said.AuthPending(timeout=500), NOW)
    assert made.timers.deadline(Deadline.PUSH_GIVE_UP) is None
    heard.await_push(NOW)
    heard.handle(said.AuthPending(timeout=500, text="timeout 500"), NOW)
    assert made.timers.deadline(Deadline.PUSH_GIVE_UP) == NOW + 500
    state = StateEntered(state=ManagementState.AUTH_PENDING, detail="timeout 500")
    assert list(made.outbox.notices)[-2:] == [state, LoginPending(window=60, timeout=500)]
    heard.handle(said.AuthPending(timeout=99999), NOW)
    assert made.outbox.notices[-1] == LoginPending(window=60, timeout=1800)
    heard.handle(said.AuthPending(), NOW)
    assert made.outbox.notices[-1] == LoginPending(window=60, timeout=60)


def test_what_only_clients_say_is_counted_and_unknown_words_are_shown() -> None:
    heard, made = messages()
    heard.handle(said.PushRequest(), NOW)
    heard.handle(said.CrResponse(response="eA=="), NOW)
    heard.handle(said.Unknown(keyword="NEWS", text="x"), NOW)
    assert made.link.drops == {"message": 2}
    assert list(made.outbox.notices) == [ControlMessage(keyword="NEWS", text="x")]
