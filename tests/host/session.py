"""A tunnel's main process that a test steers line by line. Runs inside a test namespace.

Usage: python -m tests.host.session RUNTIME_DIR DEVICE FLAGS... (no flags: nothing is redirected)
Reads a command a line from standard input and answers each with one line of JSON: ``open``,
``interface``, ``routes``, ``move`` (to a plan without redirection), ``underlay``, ``stranger``
(a request for a device that is not ours), ``undo-routes``, ``close-tun``, ``undo-all``, ``close``.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ginnel.core.errors import HostError
from ginnel.dataplane.api import TunDevice
from ginnel.host.client import HostClient
from ginnel.host.diff import Do, diff
from ginnel.host.helper_process import start_helper
from ginnel.host.plan import HostPlan, plan_tunnel
from ginnel.host.results import ChangeResult
from ginnel.host.steps import SetLink
from ginnel.host.tun import DeviceRequest
from ginnel.host.underlay import UnderlaySnapshot
from ginnel.options.model import RedirectFlag
from tests.host.scenarios import SERVER, route, tunnel_config


class Session:
    """One tunnel."""

    def __init__(
        self, client: HostClient, device: str, flags: frozenset[RedirectFlag] | None
    ) -> None:
        self._client = client
        self._wanted = device
        self._flags = flags
        self._tun: TunDevice | None = None
        self._plan = HostPlan()

    async def obey(self, command: str) -> object:
        """Carries out one command."""
        client = self._client
        match command:
            case "pids":
                return [os.getpid(), client.helper_pid]
            case "recovered":
                return [[entry.undone, entry.complete] for entry in await client.recovered()]
            case "open":
                request = DeviceRequest(name=self._wanted)
                self._tun, underlay = await client.open_tun(request, SERVER)
                self._draw(underlay)
                return self._tun.name
            case "interface":
                return _told((await client.apply(self._plan.interface)).results)
            case "routes":
                return _told((await client.apply(self._plan.routes)).results)
            case "move":
                old = self._plan
                self._flags = None
                self._draw(await client.underlay(SERVER))
                return _told((await client.apply(diff(old, self._plan))).results)
            case "underlay":
                underlay = await client.underlay(SERVER)
                gateways = (underlay.gateway_ipv4, underlay.server)
                return [str(each.address) if each is not None else "" for each in gateways]
            case "stranger":
                step = SetLink(device="lo", index=1, mtu=1400)
                return _told((await client.apply([Do(step)])).results)
            case "undo-routes":
                return _told((await client.undo_routes()).results)
            case "close-tun":
                assert self._tun is not None
                os.close(self._tun.fd)
                return _told((await client.close_tun(self._tun.name)).results)
            case "undo-all":
                return _told((await client.undo_all()).results)
            case "close":
                await client.close()
                return "closed"
            case _:
                raise AssertionError(command)

    def _draw(self, underlay: UnderlaySnapshot) -> None:
        assert self._tun is not None
        number = self._tun.name.removeprefix("tun")
        routes = (route("10.11.0.0/16"), route(f"10.12.{number}.0/24"))
        config = tunnel_config(self._flags, *routes)
        self._plan = plan_tunnel(config, self._client.device(self._tun.name), underlay)


def _told(results: Sequence[ChangeResult]) -> list[str]:
    return [f"{result.outcome.value}: {result.what} {result.detail}".strip() for result in results]


async def converse(session: Session) -> None:
    """Obeys until the commands end."""
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line:
            return
        try:
            answer = await session.obey(line.strip())
        except HostError as refused:
            answer = f"refused: {refused}"
        print(json.dumps(answer), flush=True)


def main() -> None:
    """Starts the helper, then the conversation."""
    client = HostClient(start_helper(Path(sys.argv[1])))
    flags = frozenset(RedirectFlag(word) for word in sys.argv[3:])
    asyncio.run(converse(Session(client, sys.argv[2], flags or None)))


if __name__ == "__main__":
    main()
