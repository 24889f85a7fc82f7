"""Runs the scripts about clients, so many at once and so long each, and says what became of them.

What a script is told and what its end means are its callers' business; the process itself is
``host.scripts``'s. A client that ends cancels the call, and with it the script.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.compat.server_script_env import ServerHook
from ginnel.core.server_actions import ClientFacts
from ginnel.host.scripts import ScriptFailure, ScriptResult
from ginnel.shell.hooks import Runner

AT_ONCE = 16
"""Scripts about clients that run at the same time; further ones wait for their turn."""
SECONDS = 60.0
"""What one may take; who needs longer answers later (deferred)."""
TIMED_OUT = 124

Say = Callable[[ClientFacts, LogLine], None]
"""Logs a line about a client; its name is put in front."""


class ScriptGate:
    """See the module. Calls for one client come one after the other, by their callers."""

    def __init__(
        self,
        runner: Runner,
        say: Say,
        *,
        script_security: int,
        at_once: int = AT_ONCE,
        seconds: float = SECONDS,
    ) -> None:
        self._runner = runner
        self._say = say
        self._script_security = script_security
        self._room = asyncio.Semaphore(at_once)
        self._seconds = seconds

    async def run(
        self,
        facts: ClientFacts,
        hook: ServerHook,
        command: Sequence[str],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        fine: Sequence[int] = (0,),
    ) -> ScriptResult:
        """Runs a script; a status that is not among ``fine`` is logged as a failure."""
        async with self._room:
            try:
                async with asyncio.timeout(self._seconds):
                    result = await self._runner.run(
                        command,
                        arguments,
                        {**environment, "script_type": hook.value},
                        script_security=self._script_security,
                        own_session=True,
                    )
            except TimeoutError:
                detail = f"stopped after {self._seconds:g} seconds"
                failure = ScriptFailure.SIGNAL
                result = ScriptResult(status=TIMED_OUT, failure=failure, detail=detail)
        if result.status not in fine:
            self._say(facts, shell_lines.script_failed(hook.option, str(result)))
        return result
