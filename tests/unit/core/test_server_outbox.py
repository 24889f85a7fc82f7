"""What a server's machine asks."""

from ginnel.core.actions import SignData, SwapKeys, VerifyCertificates
from ginnel.core.server_outbox import ServerOutbox
from ginnel.core.types import PeerId
from tests.sim.fake_tls import REQUEST


def test_what_asks_somebody_is_a_question() -> None:
    outbox = ServerOutbox()
    questions = [
        outbox.ask(lambda action_id: SignData(id=action_id, request=REQUEST)),
        outbox.ask(lambda action_id: VerifyCertificates(id=action_id, chain=())),
    ]
    order = outbox.ask(lambda action_id: SwapKeys(id=action_id, peer_id=PeerId(0)))
    assert [outbox.take_question(one) for one in (*questions, *questions, order)] == [
        True,
        True,
        False,
        False,
        False,
    ]
