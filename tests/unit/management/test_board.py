"""The state that commands and notices share."""

from ginnel.management.board import Board, Idle
from ginnel.management.state import Histories
from tests.unit.management.fakes import FakeDaemon


def test_boards_share_nothing() -> None:
    def make() -> Board:
        return Board(daemon=FakeDaemon(), log=lambda line: None, histories=Histories(1), hold=False)

    one, other = make(), make()
    one.say("SUCCESS: a", "END")
    assert one.outbox.peek(100) == b"SUCCESS: a\r\nEND\r\n"
    assert len(other.outbox) == 0
    assert one.intents is not other.intents
    assert isinstance(other.client, Idle)
