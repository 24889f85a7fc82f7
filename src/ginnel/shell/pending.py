"""Helps the user through what a server wants before it lets him in: questions and login pages.

A management client that asks for passwords does this itself. Without one, questions go to the
terminal and pages to the user's browser, and the address is always written down in the log.
"""

import asyncio
import os
from binascii import b2a_base64
from collections.abc import Callable

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import ConfigError
from ginnel.core.notices import Connected, ControlMessage, Notice
from ginnel.core.pending import (
    BadRequest,
    PendingRequest,
    TextChallenge,
    WebLogin,
    parse_pending,
)
from ginnel.hints import assert_never
from ginnel.options.values import Secret
from ginnel.shell.browser import open_page, plan_opening
from ginnel.shell.prompt import ask, console

MAX_WAITING = 8
"""Requests that wait while the user answers one; a server that asks for more is not heard."""

SCRIPT_SECURITY_BUILT_IN = 1
"""Below this nothing outside of the program is started, not even a browser."""


class PendingLogin:
    """Carries out what one connection's server asks for. ``respond`` sends an answer in base64."""

    def __init__(
        self,
        *,
        log: Callable[[LogLine], None],
        respond: Callable[[Secret], bool],
        asks_elsewhere: bool,
        heard_elsewhere: bool,
        script_security: int,
    ) -> None:
        """``asks_elsewhere``: a management client asks for passwords, in our place.

        ``heard_elsewhere``: there is a management interface, whose client may answer.
        """
        self._log = log
        self._heard_elsewhere = heard_elsewhere
        self._respond = respond
        self._asks_elsewhere = asks_elsewhere
        self._may_start_programs = script_security >= SCRIPT_SECURITY_BUILT_IN
        self._requests: asyncio.Queue[PendingRequest] = asyncio.Queue(MAX_WAITING)
        self._opened: set[str] = set()
        self._question: asyncio.Timeout | None = None

    def observe(self, notice: Notice) -> None:
        """Takes a message of the server that may ask for something; a tunnel needs no answers."""
        if isinstance(notice, Connected) and self._question is not None:
            self._question.reschedule(asyncio.get_running_loop().time())
        if not isinstance(notice, ControlMessage) or notice.keyword not in {"INFO", "INFO_PRE"}:
            return
        request = parse_pending(notice.text)
        if request is not None and not self._requests.full():
            self._requests.put_nowait(request)

    async def serve(self) -> None:
        """Carries requests out, one after the other, until it is cancelled."""
        while True:
            request = await self._requests.get()
            match request:
                case WebLogin():
                    await self._log_in_at(request)
                case TextChallenge():
                    await self._answer(request)
                case BadRequest(reason=reason):
                    self._log(shell_lines.warning(f"{reason}; it is not opened"))
                case _:
                    assert_never(request)

    async def _log_in_at(self, login: WebLogin) -> None:
        if login.address in self._opened:
            return
        self._opened.add(login.address)
        self._log(shell_lines.note(f"to log in, open this address: {login.address}"))
        if self._asks_elsewhere or not self._may_start_programs:
            return
        opening = plan_opening(os.environ, os.geteuid())
        if opening is None:
            return
        problem = await open_page(login.address, opening)
        if problem is not None:
            self._log(shell_lines.warning(f"the browser could not be started: {problem}"))

    async def _answer(self, challenge: TextChallenge) -> None:
        if self._asks_elsewhere:
            return
        if not challenge.response_required:
            self._log(shell_lines.note(f"the server says: {challenge.text}"))
            return
        try:
            response = await self._ask(challenge)
        except TimeoutError:
            return  # the server let us in without it
        except ConfigError as error:
            if not self._heard_elsewhere:
                why = f"the server asks '{challenge.text}', and nobody answers: {error.message}"
                self._log(shell_lines.warning(why))
            return
        encoded = Secret(b2a_base64(response.view(), newline=False))
        response.wipe()
        if not self._respond(encoded):
            self._log(shell_lines.warning("the answer to the challenge came too late"))

    async def _ask(self, challenge: TextChallenge) -> Secret:
        """Raises TimeoutError when the answer is not needed any more, and ConfigError."""
        try:
            async with asyncio.timeout(None) as self._question:
                with console("auth-user-pass") as place:
                    return await ask(
                        place,
                        f"CHALLENGE: {challenge.text}",
                        echo=challenge.echo,
                        option="auth-user-pass",
                        what="answer to the challenge",
                    )
        finally:
            self._question = None
