"""A session together with the negotiations in it: what either side talks through.

Responsible for keeping the negotiation before the newest one as long as it answers, and for sending
text on one that is open. Which packets belong to it, and what follows from them, is the machines'
business.
"""

from ginnel.core.key_session import KeySession
from ginnel.core.messages import encode_message
from ginnel.core.negotiation import Negotiation
from ginnel.core.session import Session
from ginnel.core.types import Instant, Side


class Dialogue:
    """One session from its first packet on."""

    __slots__ = ("_side", "negotiations", "session")

    def __init__(self, session: Session, side: Side) -> None:
        self.session = session
        self._side = side
        self.negotiations: tuple[Negotiation, ...] = (Negotiation(key=session.current, side=side),)
        """The negotiation before the newest, if it still answers, and the newest."""

    @property
    def current(self) -> Negotiation:
        """The newest negotiation."""
        return self.negotiations[-1]

    def is_newest(self, negotiation: Negotiation) -> bool:
        """Whether nothing was begun after this negotiation."""
        return self.negotiations[-1] is negotiation

    def begin_soft_reset(self, now: Instant) -> None:
        """Starts a renegotiation of our own."""
        self.session.begin_soft_reset(now)
        self.adopt_soft_reset()

    def adopt_soft_reset(self) -> None:
        """Follows the session to its newest key session."""
        following = Negotiation(key=self.session.current, side=self._side)
        self.negotiations = (self.current, following)

    def forget_previous(self) -> None:
        """The negotiation before the newest answers no more."""
        self.session.forget_previous()
        self.negotiations = (self.current,)

    def say(self, text: str, now: Instant) -> KeySession | None:
        """Sends a control message on the newest negotiation that is open; None without one."""
        for negotiation in reversed(self.negotiations):
            if negotiation.is_open:
                negotiation.key.write(encode_message(text), now)
                return negotiation.key
        return None

    def close(self) -> None:
        """Wipes the session's secrets."""
        self.session.close()
