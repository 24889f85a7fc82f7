"""The queues between a server's machine and its shell."""

from ginnel.core.actions import SignData, SwapKeys
from ginnel.core.key_ring import KeyRing
from ginnel.core.notices import ControlMessage, Warned
from ginnel.core.server_outbox import ServerOutbox
from ginnel.core.types import Instant, PeerId
from tests.sim.fake_tls import REQUEST
from tests.unit.core.test_key_ring import key


def test_a_question_is_answered_once() -> None:
    outbox = ServerOutbox()
    question = outbox.ask(lambda action_id: SignData(id=action_id, request=REQUEST))
    order = outbox.ask(lambda action_id: SwapKeys(id=action_id, peer_id=PeerId(0)))
    assert [action.id for action in outbox.actions] == [question, order]
    assert [outbox.take_question(one) for one in (question, question, order)] == [
        True,
        False,
        False,
    ]


def test_key_actions_join_the_queue() -> None:
    outbox = ServerOutbox()
    ring = KeyRing(PeerId(0), outbox.next_action_id)
    action_id = ring.install(key(0), Instant(0.0))
    outbox.drain_ring(ring)
    assert [action.id for action in outbox.actions] == [action_id]


def test_words_become_notices() -> None:
    outbox = ServerOutbox()
    outbox.warn("look")
    outbox.message("EXIT", "")
    assert list(outbox.notices) == [Warned(text="look"), ControlMessage(keyword="EXIT", text="")]
