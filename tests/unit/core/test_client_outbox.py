"""The queues between a machine and its shell."""

from ginnel.core.actions import AskCredentials, SwapKeys
from ginnel.core.client_outbox import Outbox
from ginnel.core.key_ring import KeyRing
from ginnel.core.notices import ControlMessage, ManagementState, StateEntered, Warned
from ginnel.core.types import PeerId
from tests.unit.core.test_key_ring import key


def test_ids_are_unique_and_match_their_action() -> None:
    outbox = Outbox()
    first = outbox.ask(lambda action_id: AskCredentials(id=action_id))
    second = outbox.ask(lambda action_id: AskCredentials(id=action_id))
    assert first != second
    assert [action.id for action in outbox.actions] == [first, second]


def test_notices_keep_their_order() -> None:
    outbox = Outbox()
    outbox.enter(ManagementState.WAIT)
    outbox.message("INFO", "hello")
    outbox.warn("careful")
    assert list(outbox.notices) == [
        StateEntered(state=ManagementState.WAIT),
        ControlMessage(keyword="INFO", text="hello"),
        Warned(text="careful"),
    ]


def test_key_actions_are_taken_over_in_order() -> None:
    outbox = Outbox()
    ring = KeyRing(PeerId(1), outbox.next_action_id)
    action_id = ring.install(key(0), 0.0)
    outbox.drain_ring(ring)
    assert [action.id for action in outbox.actions] == [action_id]
    assert ring.poll_action() is None


def test_questions_are_answered_once() -> None:
    outbox = Outbox()
    asked = outbox.ask(lambda action_id: AskCredentials(id=action_id))
    told = outbox.ask(lambda action_id: SwapKeys(id=action_id, peer_id=PeerId(0)))
    assert [outbox.take_question(asked) for _ in range(2)] == [True, False]
    assert not outbox.take_question(told)
