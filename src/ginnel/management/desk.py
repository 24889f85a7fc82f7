"""Where the management client's wishes meet the server: who waits for a verdict, and who is told.

Keeps one entry for each login that waits and a number for each client that was announced; both end
with the client. Not responsible for the words (``server_executor``) or for what the server does
(``shell.server_frontend.ServerControl``).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from ginnel.compat.log_lines import LogLine
from ginnel.compat.server_status import DEFAULT_STATUS_VERSION, ServerStatus, status_lines
from ginnel.core.server_actions import ClientFacts, ClientId
from ginnel.core.types import Endpoint, Transport
from ginnel.dataclass import dataclass
from ginnel.management.server_commands import KeyOf
from ginnel.management.state import clean
from ginnel.shell.server_frontend import Allowed, Denied, LoadStats, ServerControl, Traffic
from ginnel.shell.server_hooks import Pend

NO_STATS = LoadStats()


@dataclass(slots=True, kw_only=True)
class Waiting:
    """A login that waits for its verdict."""

    verdict: asyncio.Future[Allowed | Denied]
    pend: Pend


class ClientDesk:
    """Implements ``board.ServerDaemon`` for one process."""

    def __init__(
        self,
        *,
        title: Callable[[], str],
        wall_clock: Callable[[], int],
        time_text: Callable[[int], str],
        log: Callable[[LogLine], None],
    ) -> None:
        self._title = title
        self._wall_clock = wall_clock
        self._time_text = time_text
        self._log = log
        self._waiting: dict[KeyOf, Waiting] = {}
        self.control: ServerControl | None = None
        """The server as it is now; None before it began."""
        self.status_version = DEFAULT_STATUS_VERSION

    # --- verdicts ------------------------------------------------------------------------------

    async def judge(
        self, client: ClientFacts, pend: Pend, announce: Callable[[], None]
    ) -> Allowed | Denied:
        """Waits for the verdict; ``announce`` asks for it once it could be taken."""
        key = KeyOf(client_id=client.client_id, key_number=client.key_number)
        verdict: asyncio.Future[Allowed | Denied] = asyncio.get_running_loop().create_future()
        waiting = Waiting(verdict=verdict, pend=pend)
        self._waiting[key] = waiting
        try:
            announce()
            return await verdict
        finally:
            if self._waiting.get(key) is waiting:
                del self._waiting[key]

    def allow(self, key: KeyOf, config: tuple[str, ...]) -> bool:
        return self._decide(key, Allowed(config=config)) or self._is_key_of_client(key)

    def deny(self, key: KeyOf, reason: str, client_reason: str | None) -> bool:
        if self._decide(key, Denied(reason=reason, client_reason=client_reason)):
            return True
        if self.control is None or not self._is_key_of_client(key):
            return False
        said = "[NULL]" if client_reason is None else clean(client_reason)
        text = f"MULTI: connection rejected: {clean(reason)}, CLI:{said}"
        self._log(LogLine(text=text, verb=3))
        return self.control.refuse(key.client_id, client_reason or "")

    def pend(self, key: KeyOf, extra: str, timeout: int) -> bool:
        waiting = self._waiting.get(key)
        return waiting is not None and waiting.pend(timeout, extra)

    def _decide(self, key: KeyOf, verdict: Allowed | Denied) -> bool:
        waiting = self._waiting.get(key)
        if waiting is None:
            return False
        if not waiting.verdict.done():
            waiting.verdict.set_result(verdict)
        return True

    def _is_key_of_client(self, key: KeyOf) -> bool:
        facts = None if self.control is None else self.control.facts(key.client_id)
        return facts is not None and facts.key_number == key.key_number

    # --- facts and wishes ----------------------------------------------------------------------

    def status_lines(self, form: int | None) -> Iterator[str]:
        control = self.control
        status = ServerStatus(
            title=self._title(),
            now=self._wall_clock(),
            clients=() if control is None else control.clients(),
            routes=() if control is None else control.routes(),
            broadcast_queue=0 if control is None else control.broadcast_queue(),
        )
        return status_lines(status, form or self.status_version, self._time_text)

    def load_stats(self) -> LoadStats:
        return NO_STATS if self.control is None else self.control.load_stats()

    def traffic(self) -> Iterable[Traffic]:
        return () if self.control is None else self.control.traffic()

    def kill_by_name(self, common_name: str) -> int:
        return 0 if self.control is None else self.control.kill_by_name(common_name)

    def kill_by_address(self, remote: Endpoint, transport: Transport | None) -> int:
        return 0 if self.control is None else self.control.kill_by_address(remote, transport)

    def restart_client(self, client_id: ClientId, message: str) -> bool:
        return self.control is not None and self.control.restart_client(client_id, message)

    def push_update(self, client_id: ClientId | None, options: Sequence[str]) -> int | None:
        if self.control is None:
            return None
        if client_id is None:
            return self.control.push_update_all(options)
        return 1 if self.control.push_update(client_id, options) else None
