"""The table from errors to what the program does."""

import pytest

from ginnel.core.disposition import Reaction, disposition, of_end
from ginnel.core.errors import (
    AuthFailed,
    ConfigError,
    DataPlaneError,
    GinnelError,
    HostError,
    LinkError,
    LocalMisuse,
    PeerIncompatible,
    PeerMisbehaved,
)
from ginnel.core.notices import Advance, Ended, Outcome


@pytest.mark.parametrize(
    ("error", "reaction", "state"),
    [
        (ConfigError("x"), Reaction.STOP, "EXITING"),
        (PeerMisbehaved("x"), Reaction.NEXT_REMOTE, "RECONNECTING"),
        (PeerIncompatible("x"), Reaction.NEXT_REMOTE, "RECONNECTING"),
        (AuthFailed("x"), Reaction.ASK_CREDENTIALS, "RECONNECTING"),
        (AuthFailed("x", temporary=True), Reaction.RETRY, "RECONNECTING"),
        (LinkError("r", "c"), Reaction.NEXT_REMOTE, "RECONNECTING"),
        (HostError("s", 1), Reaction.STOP, "EXITING"),
        (DataPlaneError("o", 1, 2), Reaction.RETRY, "RECONNECTING"),
        (LocalMisuse("x"), Reaction.STOP, "EXITING"),
        (GinnelError("x"), Reaction.STOP, "EXITING"),
    ],
)
def test_every_error_has_its_place(error: GinnelError, reaction: Reaction, state: str) -> None:
    found = disposition(error)
    assert (found.reaction, found.management_state, found.exit_code) == (reaction, state, 1)


def test_ends_of_a_machine() -> None:
    def end(outcome: Outcome, *, advance: Advance = Advance.SAME, hard: bool = False) -> Ended:
        return Ended(
            outcome=outcome, signal_text="", advance=advance, explanation="", hard_error=hard
        )

    stop = of_end(end(Outcome.TERMINATE))
    assert (stop.reaction, stop.exit_code) == (Reaction.STOP, 0)
    assert of_end(end(Outcome.TERMINATE, hard=True)).exit_code == 1
    assert of_end(end(Outcome.RESTART)).reaction is Reaction.RETRY
    elsewhere = of_end(end(Outcome.RESTART, advance=Advance.NEXT_REMOTE))
    assert elsewhere.reaction is Reaction.NEXT_REMOTE
    forgetful = Ended(
        outcome=Outcome.RESTART,
        signal_text="",
        advance=Advance.SAME,
        explanation="",
        forget_credentials=True,
    )
    assert of_end(forgetful).reaction is Reaction.ASK_CREDENTIALS
