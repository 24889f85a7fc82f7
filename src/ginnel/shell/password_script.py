"""``auth-user-pass-verify``: has a script judge user name and password, at once or later.

A script that ends with status 2 answers later, through the file that ``auth_control_file`` names.
Meanwhile the client is asked for patience, and perhaps for more, as ``auth_pending_file`` says; its
answer goes to ``client-crresponse``.
"""

import asyncio
from collections.abc import Callable, Mapping

from ginnel.compat import admission_lines
from ginnel.compat.server_script_env import ServerHook, client_environment
from ginnel.core.server_actions import Admitted, Authenticate, ClientFacts, Refused
from ginnel.options.server_model import ScriptMethod, ServerOptions
from ginnel.shell.guests import Guest
from ginnel.shell.script_files import ScriptFiles, read_script_file, wait_for_verdict
from ginnel.shell.script_gate import Say, ScriptGate
from ginnel.shell.server_hooks import Pend

DEFERRED = 2
"""Exit status of a script that answers later."""
SCRIPT_SECURITY_PASSWORDS = 3
"""From this ``script-security`` level on, an environment may hold passwords."""
MAX_REASON = 1024
MAX_PATIENCE = 86_400
"""Seconds for which a script may put a client off."""


class PasswordScript:
    """See the module. ``base`` gives what scripts are told whatever the client."""

    def __init__(
        self,
        options: ServerOptions,
        gate: ScriptGate,
        say: Say,
        base: Callable[[], Mapping[str, str]],
    ) -> None:
        self._options = options
        self._access = options.access
        self._gate = gate
        self._say = say
        self._base = base

    async def judge(
        self, command: tuple[str, ...], action: Authenticate, guest: Guest, pend: Pend
    ) -> Admitted | Refused:
        """Runs the script and waits for its verdict."""
        facts = action.client
        try:
            with ScriptFiles(self._options.scripts.tmp_dir) as files:
                return await self._converse(command, action, guest, pend, files)
        except OSError as error:
            self._say(facts, admission_lines.no_files("auth-user-pass-verify", error))
            return Refused()
        finally:
            guest.open_files = {}

    async def _converse(
        self,
        command: tuple[str, ...],
        action: Authenticate,
        guest: Guest,
        pend: Pend,
        files: ScriptFiles,
    ) -> Admitted | Refused:
        facts = action.client
        control, pending, reason = files.make("acf"), files.make("apf"), files.make("afr")
        named = {
            "auth_control_file": control,
            "auth_pending_file": pending,
            "auth_failed_reason_file": reason,
        }
        with ScriptFiles(self._options.scripts.tmp_dir) as secrets:
            words, told = self._hand_over(action, secrets)
            story = guest.story(facts, is_trusted=not action.is_first, files=named | told)
            result = await self._gate.run(
                facts,
                ServerHook.PASSWORD,
                command,
                words,
                client_environment(self._base(), self._options, story),
                fine=(0, DEFERRED),
            )
        if result.status == 0:
            return Admitted()
        if result.status != DEFERRED:
            return Refused(reason=_reason(reason))
        seconds = self._put_off(facts, read_script_file(pending, 4096), pend)
        if isinstance(seconds, Refused):
            return seconds
        guest.open_files = named
        try:
            async with asyncio.timeout(seconds):
                good = await wait_for_verdict(control)
        except TimeoutError:
            self._say(facts, admission_lines.no_verdict("auth-user-pass-verify", seconds))
            good = False
        return Admitted() if good else Refused(reason=_reason(reason))

    def _hand_over(
        self, action: Authenticate, secrets: ScriptFiles
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """The arguments and variables that carry the password."""
        password = action.login.password.reveal().decode("utf-8", "surrogateescape")
        if self._access.auth_user_pass_method is ScriptMethod.VIA_ENV:
            allowed = self._options.scripts.script_security >= SCRIPT_SECURITY_PASSWORDS
            return (), {"password": password} if allowed else {}
        text = f"{action.login.username}\n{password}\n"
        return (secrets.make("up", text.encode("utf-8", "surrogateescape")),), {}

    def _put_off(self, facts: ClientFacts, request: bytes, pend: Pend) -> int | Refused:
        """Asks the client for patience, as the script wants it; for how long it has then."""
        window = self._options.tls.hand_window
        lines = [line.strip() for line in request.decode("utf-8", "replace").split("\n")]
        if not any(lines):
            return window
        seconds, method, extra = (*lines, "", "")[:3]
        if not (seconds.isascii() and seconds.isdigit()) or not 0 < int(seconds) <= MAX_PATIENCE:
            self._say(facts, admission_lines.bad_pending_file(seconds))
            return Refused()
        if not (method and extra):
            self._say(facts, admission_lines.bad_pending_file(" ".join(lines)))
            return Refused()
        if method not in dict(facts.peer_info).get("IV_SSO", "").split(","):
            self._say(facts, admission_lines.method_unknown(method))
            return Refused(reason=f"Client does not support {method}")
        return int(seconds) if pend(int(seconds), extra) else window

    async def answer(self, facts: ClientFacts, guest: Guest, response: str) -> bool:
        """Runs ``client-crresponse``; False when that failed."""
        command = self._access.client_crresponse
        if command is None:
            return True
        try:
            with ScriptFiles(self._options.scripts.tmp_dir) as files:
                path = files.make("cr", f"{response}\n".encode("ascii", "replace"))
                environment = client_environment(
                    self._base(), self._options, guest.story(facts, files=guest.open_files)
                )
                result = await self._gate.run(
                    facts, ServerHook.RESPONSE, command, (path,), environment
                )
        except OSError as error:
            self._say(facts, admission_lines.no_files("client-crresponse", error))
            return False
        return result.ok


def _reason(path: str) -> str:
    """What the script wants the client to be told: one line."""
    text = read_script_file(path, MAX_REASON).decode("utf-8", "replace")
    line = text.split("\n", 1)[0].strip()
    return "".join(char for char in line if char.isprintable())
