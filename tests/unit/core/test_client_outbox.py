"""What a client's machine asks and tells beside what either side does."""

from ginnel.core.actions import AskCredentials, SignData, SwapKeys, VerifyCertificates
from ginnel.core.client_outbox import Outbox
from ginnel.core.notices import ManagementState, StateEntered, Warned
from ginnel.core.types import PeerId
from tests.sim.fake_tls import REQUEST


def test_states_are_told_in_order() -> None:
    outbox = Outbox()
    outbox.enter(ManagementState.WAIT)
    outbox.warn("careful")
    assert list(outbox.notices) == [
        StateEntered(state=ManagementState.WAIT),
        Warned(text="careful"),
    ]


def test_what_asks_somebody_is_a_question() -> None:
    outbox = Outbox()
    questions = [
        outbox.ask(lambda action_id: AskCredentials(id=action_id)),
        outbox.ask(lambda action_id: SignData(id=action_id, request=REQUEST)),
        outbox.ask(lambda action_id: VerifyCertificates(id=action_id, chain=())),
    ]
    order = outbox.ask(lambda action_id: SwapKeys(id=action_id, peer_id=PeerId(0)))
    assert all(outbox.take_question(one) for one in questions)
    assert not outbox.take_question(order)
