"""The queues between a machine and its shell, whichever side it is of."""

from ginnel.core.actions import Action, AskCredentials, SwapKeys
from ginnel.core.key_ring import KeyRing
from ginnel.core.notices import ControlMessage, Notice, Warned
from ginnel.core.outbox import MachineOutbox
from ginnel.core.types import Instant, PeerId
from tests.unit.core.test_key_ring import key


def made() -> MachineOutbox[Action, Notice]:
    return MachineOutbox((AskCredentials,))


def test_ids_are_unique_and_match_their_action() -> None:
    outbox = made()
    first = outbox.ask(lambda action_id: AskCredentials(id=action_id))
    second = outbox.ask(lambda action_id: AskCredentials(id=action_id))
    assert first != second
    assert [action.id for action in outbox.actions] == [first, second]


def test_notices_keep_their_order() -> None:
    outbox = made()
    outbox.message("INFO", "hello")
    outbox.warn("careful")
    assert list(outbox.notices) == [
        ControlMessage(keyword="INFO", text="hello"),
        Warned(text="careful"),
    ]


def test_key_actions_are_taken_over_in_order() -> None:
    outbox = made()
    ring = KeyRing(PeerId(1), outbox.next_action_id)
    action_id = ring.install(key(0), Instant(0.0))
    outbox.drain_ring(ring)
    assert [action.id for action in outbox.actions] == [action_id]
    assert ring.poll_action() is None


def test_questions_are_answered_once() -> None:
    outbox = made()
    asked = outbox.ask(lambda action_id: AskCredentials(id=action_id))
    told = outbox.ask(lambda action_id: SwapKeys(id=action_id, peer_id=PeerId(0)))
    assert [outbox.take_question(asked) for _ in range(2)] == [True, False]
    assert not outbox.take_question(told)
