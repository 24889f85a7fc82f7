"""What a client does about the server's text messages: pushes, refusals, waiting, endings.

Responsible for requesting the push and for obeying what comes. Parsing is ``messages``' business,
how a message ends the connection ``client_end``'s.
"""

from collections.abc import Sequence

from ginnel.core import client_end as end
from ginnel.core import messages as said
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_push import UPDATE, PushImport
from ginnel.core.client_setup import ClientSetup
from ginnel.core.client_state import AwaitPush, Deadline, Opening, Running
from ginnel.core.client_talk import ClientTalk
from ginnel.core.negotiate import digest_warning
from ginnel.core.notices import Ended, LoginPending, ManagementState, PushRequested
from ginnel.core.types import Instant

PUSH_REQUEST_DELAY = 1.0
PUSH_REQUEST_INTERVAL = 5.0


class ClientMessages:
    """Handles what is said between the key exchange and the end."""

    def __init__(
        self, course: ClientCourse, talk: ClientTalk, push: PushImport, setup: ClientSetup
    ) -> None:
        self._course = course
        self._talk = talk
        self._push = push
        self._setup = setup
        self._requested = False
        self.peer_cipher: str | None = None
        """The cipher item of the server's options string."""
        self.peer_auth: str | None = None
        """The auth item of it."""

    # --- asking --------------------------------------------------------------------------------

    def await_push(self, now: Instant) -> None:
        """The key exchange is done: from here on options are asked for."""
        course = self._course
        course.state = AwaitPush(since=now)
        self._requested = False
        course.timers.arm(Deadline.PUSH_REQUEST, now + PUSH_REQUEST_DELAY)
        course.timers.arm(Deadline.PUSH_GIVE_UP, now + course.options.tls.hand_window)

    def request_push(self, now: Instant) -> None:
        """Asks for the options, and will again."""
        course = self._course
        if course.tunnel is None and not self._requested:
            course.outbox.enter(ManagementState.GET_CONFIG)
        self._requested = True
        course.outbox.tell(PushRequested(common_name=self._talk.common_name))
        course.link.say("PUSH_REQUEST", now)
        course.timers.arm(Deadline.PUSH_REQUEST, now + PUSH_REQUEST_INTERVAL)

    # --- hearing -------------------------------------------------------------------------------

    def handle(self, message: said.TextMessage, now: Instant) -> None:
        """Obeys a message, or only shows it."""
        course = self._course
        shown = end.shown(message)
        if shown is not None:
            course.outbox.message(*shown)
        ended = end.by_message(
            message, course.options, course.profile, token_in_use=self._talk.token is not None
        )
        if ended is not None:
            if end.voids_token(ended):
                self._talk.drop_token()
            course.finish(ended)
            return
        match message:
            case said.PushReply(items=items):
                self._handle_push(items, now)
            case said.PushUpdate(items=items):
                self._handle_update(items)
            case said.AuthPending():
                self._login_pending(message, now)
            case said.PushRequest() | said.CrResponse():
                course.link.drops["message"] += 1
            case _:
                pass  # shown, and that is all

    def _handle_push(self, items: Sequence[str], now: Instant) -> None:
        whole = self._push.add(items)
        if whole is None:
            return
        if isinstance(whole, Ended):
            self._course.finish(whole)
        elif isinstance(self._course.state, AwaitPush):
            self._apply_push(whole, now)
        elif isinstance(self._course.state, Running):
            self._talk.take_token(self._push.options_of(whole))

    def _apply_push(self, items: Sequence[str], now: Instant) -> None:
        course = self._course
        imported = self._push.apply(items, self.peer_cipher)
        if isinstance(imported, Ended):
            course.finish(imported)
            return
        course.timers.cancel(Deadline.PUSH_REQUEST)
        course.timers.cancel(Deadline.PUSH_GIVE_UP)
        self._talk.take_token(imported.options)
        warning = digest_warning(imported.agreement, imported.options.data.auth, self.peer_auth)
        if warning is not None:
            course.outbox.warn(warning)
        self._setup.open(imported.options, imported.agreement, imported.device_items, now)

    def _handle_update(self, items: Sequence[str]) -> None:
        """Applies an update at once, or when the tunnel is up; before a reply there is none."""
        course = self._course
        if course.tunnel is None and not isinstance(course.state, Opening):
            course.link.drops["message"] += 1
            return
        whole = self._push.add(items, UPDATE)
        if isinstance(whole, Ended):
            course.finish(whole)
        elif whole is not None:
            updated = self._push.update(whole)
            if isinstance(updated, Ended):
                course.finish(updated)
            else:
                self._setup.update(updated)

    def _login_pending(self, message: said.AuthPending, now: Instant) -> None:
        """Waits longer, yet not for ever: the limit counts from the key exchange."""
        course = self._course
        if not isinstance(course.state, AwaitPush):
            return
        tls = course.options.tls
        longest = max(tls.reneg_sec // 2, tls.hand_window)
        timeout = tls.hand_window if message.timeout is None else message.timeout
        told = LoginPending(window=tls.hand_window, timeout=min(timeout, longest))
        course.outbox.enter(ManagementState.AUTH_PENDING, message.text)
        course.outbox.tell(told)
        if message.timeout is not None:
            latest = course.state.since + longest
            course.timers.arm(Deadline.PUSH_GIVE_UP, min(now + timeout, latest))
