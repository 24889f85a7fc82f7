"""``client-connect``: has a script add to what a client gets, at once or later.

A script that writes ``2`` to the file that ``client_connect_deferred_file`` names answers later,
with ``1`` or ``0`` in the same file. Options for the client are in its other file by then.
"""

import asyncio
from collections.abc import Callable, Mapping

from ginnel.compat import admission_lines
from ginnel.compat.server_script_env import ServerHook, client_environment
from ginnel.core.server_actions import ClientFacts, Refused
from ginnel.dataclass import dataclass
from ginnel.options.server_model import ServerOptions
from ginnel.shell.guests import Guest
from ginnel.shell.script_files import ScriptFiles, read_script_file, wait_for_verdict
from ginnel.shell.script_gate import Say, ScriptGate

DEFERRAL = 600.0
"""Seconds for which a script may put a client off; most clients give up earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenConfig:
    """Options that a script wrote, and the file that they were in."""

    path: str
    text: bytes


class ConnectScript:
    """See the module."""

    def __init__(
        self,
        options: ServerOptions,
        gate: ScriptGate,
        say: Say,
        base: Callable[[], Mapping[str, str]],
        *,
        deferral: float = DEFERRAL,
    ) -> None:
        self._options = options
        self._gate = gate
        self._say = say
        self._base = base
        self._deferral = deferral

    async def connect(
        self, command: tuple[str, ...], facts: ClientFacts, guest: Guest
    ) -> WrittenConfig | Refused:
        """Runs the script and waits for its verdict."""
        try:
            with ScriptFiles(self._options.scripts.tmp_dir) as files:
                return await self._converse(command, facts, guest, files)
        except OSError as error:
            self._say(facts, admission_lines.no_files("client-connect", error))
            return Refused()

    async def _converse(
        self, command: tuple[str, ...], facts: ClientFacts, guest: Guest, files: ScriptFiles
    ) -> WrittenConfig | Refused:
        config, later = files.make("cc"), files.make("ccr")
        named = {"client_connect_config_file": config, "client_connect_deferred_file": later}
        environment = client_environment(
            self._base(), self._options, guest.story(facts, files=named)
        )
        result = await self._gate.run(facts, ServerHook.CONNECT, command, (config,), environment)
        if not result.ok:
            return Refused()
        said = read_script_file(later, 1)
        if said == b"0" or (said == b"2" and not await self._wait(facts, later)):
            return Refused()
        return WrittenConfig(path=config, text=read_script_file(config))

    async def _wait(self, facts: ClientFacts, later: str) -> bool:
        try:
            async with asyncio.timeout(self._deferral):
                return await wait_for_verdict(later)
        except TimeoutError:
            self._say(facts, admission_lines.no_verdict("client-connect", self._deferral))
            return False
