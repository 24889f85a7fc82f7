"""A main process and its helper that are killed at chosen moments. Runs inside a test namespace.

For each journal line in turn: a fresh main process configures a tunnel and takes it down again, is
killed when that line is written, recovery runs, and the state of the host is compared with before.
Prints one JSON object for each run.

Usage: python -m tests.host.victim RUNTIME_DIR VICTIM DEVICE FLAGS...
VICTIM: both, main or helper. DEVICE: tun for a fresh one or the name of a persistent one.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ginnel.core.errors import HostError
from ginnel.host.client import HostClient
from ginnel.host.helper_process import start_helper
from ginnel.host.plan import plan_tunnel
from ginnel.host.recover import Disposition, restore
from ginnel.host.tun import DeviceRequest
from ginnel.options.model import RedirectFlag
from tests.host.scenarios import SERVER, differences, host_state, tunnel_config

_COMPLETE = 0
_REFUSED = 3
_MAXIMUM_LINES = 200


async def configure_and_leave(
    client: HostClient, device: str, flags: frozenset[RedirectFlag]
) -> None:
    """One life of a tunnel."""
    tun, underlay = await client.open_tun(DeviceRequest(name=device), SERVER)
    plan = plan_tunnel(tunnel_config(flags), client.device(tun.name), underlay)
    for part in (plan.interface, plan.routes):
        report = await client.apply(part)
        if report.failed:
            raise AssertionError(report)
    await client.undo_routes()
    os.close(tun.fd)
    await client.close_tun(tun.name)
    await client.close()


def killer(at: int, victim: str, main: int) -> Callable[[int], None]:
    """Kills at the given journal line. Runs in the helper."""

    def observe(writes: int) -> None:
        if writes == at:
            if victim in ("both", "main"):
                os.kill(main, signal.SIGKILL)
            if victim in ("both", "helper"):
                os.kill(os.getpid(), signal.SIGKILL)

    return observe


def live(runtime: Path, at: int, victim: str, device: str, flags: frozenset[RedirectFlag]) -> int:
    """The main process; returns its exit status unless it is killed."""
    client = HostClient(start_helper(runtime, observer=killer(at, victim, os.getpid())))
    try:
        asyncio.run(configure_and_leave(client, device, flags))
    except HostError:
        return _REFUSED
    return _COMPLETE


def run_once(
    runtime: Path,
    at: int,
    victim: str,
    device: str,
    flags: frozenset[RedirectFlag],
    *,
    before: list[str],
) -> bool:
    """One kill and its recovery; False when the life ended otherwise than by that."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = live(runtime, at, victim, device, flags)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    _pid, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    report = restore(runtime)
    left = [path.name for path in runtime.iterdir()] if runtime.exists() else []
    after = host_state()
    print(
        json.dumps(
            {
                "at": at,
                "code": code,
                "differences": differences(before, after),
                "complete": report.complete,
                "in_use": any(j.disposition is Disposition.IN_USE for j in report.journals),
                "left": left,
            }
        ),
        flush=True,
    )
    return code in (-signal.SIGKILL, _REFUSED)


def main() -> None:
    """Kills at line 1, 2, 3 ... until a run ends in peace."""
    runtime, victim, device = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    flags = frozenset(RedirectFlag(word) for word in sys.argv[4:])
    # A persistent device that nobody ever opened changes by being opened: its queue discipline and
    # multicast routes come with its first carrier and stay. One life in peace goes before.
    assert not run_once(runtime, 0, victim, device, flags, before=host_state())
    before = host_state()
    at = 1
    with suppress(BrokenPipeError):
        while at < _MAXIMUM_LINES and run_once(runtime, at, victim, device, flags, before=before):
            at += 1


if __name__ == "__main__":
    main()
