"""The privileged helper as its parent sees it: what earlier ones left, its death, its end."""

import asyncio
import os
from collections.abc import Callable

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import HostError
from ginnel.hints import Protocol
from ginnel.host.client import Recovered
from ginnel.host.results import Outcome
from ginnel.shell.early_helper import runtime_directory


class Helper(Protocol):
    """What ends a helper: ``host.client.HostClient``."""

    @property
    def helper_pid(self) -> int: ...
    async def close(self) -> None: ...


class RecoveringHelper(Protocol):
    """What a helper undid at its start: ``host.client.HostClient``."""

    async def recovered(self) -> tuple[Recovered, ...]: ...


async def watch_helper(pid: int) -> None:
    """Raises HostError when the helper ends before us: then nobody could put the host back."""
    descriptor = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _set_once, gone)
    try:
        await gone
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    raise HostError("privileged helper", 0, "it ended unexpectedly, so this program ends too")


def _set_once(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


async def report_recovered(host: RecoveringHelper, log: Callable[[LogLine], None]) -> None:
    """Says what was undone of processes that ended without doing it themselves."""
    for earlier in await host.recovered():
        if earlier.complete and not earlier.undone:
            continue
        rest = "" if earlier.complete else "; some could not be undone, see 'ginnel restore'"
        log(
            shell_lines.note(
                f"undid {earlier.undone} change(s) to the host that process "
                f"{earlier.main_pid} left behind{rest}"
            )
        )


async def leave_host(host: Helper, log: Callable[[LogLine], None]) -> None:
    """Ends the helper, which undoes what is left. If it died before, undoes that here."""
    died = has_ended(host.helper_pid)
    await host.close()
    if not died:
        return
    from ginnel.host.recover import restore

    try:
        report = restore(runtime_directory())
    except HostError as error:
        log(shell_lines.not_restored(str(error)))
        return
    for journal in report.journals:
        if journal.main_pid == os.getpid():
            undone = sum(r.outcome is Outcome.REVERTED for r in journal.results)
            if undone:
                log(shell_lines.note(f"undid {undone} change(s) to the host"))
    if not report.complete:
        log(shell_lines.not_restored("some changes could not be undone"))


def has_ended(pid: int) -> bool:
    """Whether a child has ended; its status stays to be collected."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
