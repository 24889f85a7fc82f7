"""What a server does about a client's text messages, and what it says of its own.

Responsible for push requests, exits and answers to questions, and for telling a client to wait.
Parsing is ``messages``' business, what is pushed ``server_push``'s.
"""

from ginnel.core import messages as said
from ginnel.core import server_end as end
from ginnel.core.actions import Failed
from ginnel.core.frequency import FrequencyLimit
from ginnel.core.peer_info import ProtocolFlag, protocol_flags
from ginnel.core.server_actions import AnswerChallenge, ServerActionResult
from ginnel.core.server_course import ServerCourse
from ginnel.core.server_link import Guest
from ginnel.core.server_sessions import ServerSessions
from ginnel.core.server_setup import ServerSetup
from ginnel.core.server_state import Deadline
from ginnel.core.types import ActionId, Instant

LONGEST_EXTRA = 1024 - 84
"""Bytes that go along with AUTH_PENDING: old clients read no more at a time."""

MOST_TOLD = 16
"""Messages of one client that are passed on for the log; what it says after that is counted."""

ANSWERS = (10, 60)
"""Answers to questions that are passed on in so many seconds: each runs a script."""


class ServerMessages:
    """Handles what is said once the keys are exchanged."""

    def __init__(self, course: ServerCourse, sessions: ServerSessions, setup: ServerSetup) -> None:
        self._course = course
        self._sessions = sessions
        self._setup = setup
        self._answering: tuple[ActionId, Guest] | None = None
        """An answer that somebody looks at, and whose it is; there is one at a time."""
        self._answers = FrequencyLimit(ANSWERS)
        self._told = 0

    def handle(self, guest: Guest, message: said.TextMessage, now: Instant) -> None:
        """Obeys a message; what only servers say is dropped."""
        course = self._course
        match message:
            case said.PushRequest():
                self._setup.push_requested(guest, now)
            case said.Exit():
                if guest is course.link.active:
                    course.outbox.message("EXIT", "")
                    course.leave(end.delayed(), end.EXIT_DELAY, now)
            case said.CrResponse(response=response):
                self._answered(guest, response, now)
            case said.Info(text=text):
                self._tell("INFO", text)
            case said.Unknown(keyword=keyword, text=text):
                self._tell(keyword, text)
            case _:
                course.link.drops["message"] += 1

    def take_answer(self, action_id: ActionId, result: ServerActionResult, now: Instant) -> bool:
        """Takes the answer to AnswerChallenge; whether it was one."""
        if self._answering is None or self._answering[0] != action_id:
            return False
        _, guest = self._answering
        self._answering = None
        if isinstance(result, Failed) and self._may_answer(guest):
            self._course.outbox.warn(f"the client's answer was refused: {result.reason}")
            self._sessions.turn_away(guest, "", now)
        return True

    def pend(self, guest: Guest, timeout: int, extra: str, now: Instant) -> bool:
        """Asks the client for patience; False when ``extra`` is too long for it."""
        course = self._course
        if len(extra.encode("utf-8", "replace")) > LONGEST_EXTRA:
            return False
        longest = max(course.reneg_sec // 2, course.tls.hand_window)
        waited = now - guest.talk.current.key.started
        granted = max(min(timeout, int(longest - waited)), 0)
        knows_words = ProtocolFlag.AUTH_PENDING_KEYWORDS in protocol_flags(guest.peer_info)
        pending = f"AUTH_PENDING,timeout {granted}" if knows_words else "AUTH_PENDING"
        guest.talk.say(pending, now)
        if extra:
            guest.talk.say(f"INFO_PRE,{said.clean_text(extra)}", now)
        deadline = Deadline.DECISION if guest is course.link.active else Deadline.NEWCOMER
        course.timers.arm(deadline, now + granted)
        return True

    def _tell(self, keyword: str, text: str) -> None:
        """Passes on what a client said for no reason of ours, until it has said enough."""
        if self._told >= MOST_TOLD:
            self._course.link.drops["message"] += 1
            return
        self._told += 1
        self._course.outbox.message(keyword, text)

    def _may_answer(self, guest: Guest) -> bool:
        """Whether a session is judged or in use: what others say decides about nobody."""
        link = self._course.link
        return guest is link.active or (guest is link.newcomer and guest.is_judged)

    def _answered(self, guest: Guest, response: str, now: Instant) -> None:
        course = self._course
        is_free = self._answering is None and self._may_answer(guest)
        if not is_free or not self._answers.allows(now):
            course.link.drops["message"] += 1
            return
        facts = course.facts_of(guest)
        action_id = course.outbox.ask(
            lambda new_id: AnswerChallenge(id=new_id, client=facts, response=response)
        )
        self._answering = action_id, guest
