"""The one table that says what each error leads to: reaction, exit status, management state.

Nothing else decides that (house-style 4). How a client machine ended is a value already
(``notices.Ended``); ``of_end`` reads the same things from it.
"""

from dataclasses import dataclass
from enum import Enum

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

EXIT_GOOD = 0
EXIT_ERROR = 1


class Reaction(Enum):
    """What the program does next."""

    RETRY = "retry"
    """Another attempt at the same remote."""
    NEXT_REMOTE = "next-remote"
    ASK_CREDENTIALS = "ask-credentials"
    """Another attempt, with a login asked for anew."""
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Disposition:
    """``exit_code`` counts when the reaction is STOP, or when no attempt is left."""

    reaction: Reaction
    exit_code: int
    management_state: str
    """RECONNECTING or EXITING."""


_STOP = Disposition(Reaction.STOP, EXIT_ERROR, "EXITING")
_NEXT = Disposition(Reaction.NEXT_REMOTE, EXIT_ERROR, "RECONNECTING")
_AGAIN = Disposition(Reaction.RETRY, EXIT_ERROR, "RECONNECTING")
_LOGIN = Disposition(Reaction.ASK_CREDENTIALS, EXIT_ERROR, "RECONNECTING")

_TABLE: tuple[tuple[type[GinnelError], Disposition], ...] = (
    (ConfigError, _STOP),
    (PeerMisbehaved, _NEXT),
    (PeerIncompatible, _NEXT),
    (AuthFailed, _LOGIN),
    (LinkError, _NEXT),
    (HostError, _STOP),
    (DataPlaneError, _AGAIN),
    (LocalMisuse, _STOP),
)


def disposition(error: GinnelError) -> Disposition:
    """What an error leads to. A class that is not in the table stops the program."""
    if isinstance(error, AuthFailed) and error.temporary:
        return _AGAIN
    return next((found for kind, found in _TABLE if isinstance(error, kind)), _STOP)


def of_end(ended: Ended) -> Disposition:
    """What the end of a client machine leads to."""
    if ended.outcome is Outcome.TERMINATE:
        code = EXIT_ERROR if ended.hard_error else EXIT_GOOD
        return Disposition(Reaction.STOP, code, "EXITING")
    if ended.forget_credentials:
        return _LOGIN
    return _AGAIN if ended.advance is Advance.SAME else _NEXT
