"""The helper's caller: order of answers, loss of the helper, descriptors."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar

import pytest

from ginnel.core.errors import HostError
from ginnel.host.client import HostClient
from ginnel.host.diff import Do
from ginnel.host.helper_process import HelperProcess, start_helper
from ginnel.host.messages import snapshot_record
from ginnel.host.results import Outcome
from ginnel.host.steps import AddRoute, SetLink
from ginnel.host.tun import DeviceRequest
from ginnel.host.underlay import UnderlaySnapshot

T = TypeVar("T")
Record = dict[str, object]
ROUTE = AddRoute(
    network=IPv4Network("10.0.0.0/8"), gateway=IPv4Address("10.8.0.1"), device=None, index=None
)
LINK = SetLink(device="tun0", index=7, mtu=1360)


class Scripted:
    """The other end of the socket, answering as the test says."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs.setblocking(False)
        self.client = HostClient(HelperProcess(channel=ours, pid=2**22 + 1))
        self.requests: list[Record] = []

    async def serve(self, answer: Callable[[Record], Record | None]) -> None:
        loop = asyncio.get_running_loop()
        with self.theirs:
            while message := await loop.sock_recv(self.theirs, 1 << 17):
                request: Record = json.loads(message)
                self.requests.append(request)
                reply: Record | None = {"ok": {"recovered": []}}
                if request["op"] != "hello":
                    reply = answer(request)
                if reply is None:
                    return
                message = json.dumps({"id": request["id"], **reply}).encode()
                await loop.sock_sendall(self.theirs, message)


def converse(
    answer: Callable[[Record], Record | None], talk: Callable[[HostClient], Awaitable[T]]
) -> tuple[T, list[Record]]:
    async def both() -> tuple[T, list[Record]]:
        scripted = Scripted()
        async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
            tasks.create_task(scripted.serve(answer))
            try:
                told = await talk(scripted.client)
            finally:
                await scripted.client.close()
        return told, scripted.requests

    return asyncio.run(both())


def results(*outcomes: str) -> Record:
    each = [{"outcome": o, "what": "w", "errno": 1, "detail": "d"} for o in outcomes]
    return {"ok": {"results": each}}


def test_hello_names_this_process_before_the_first_request() -> None:
    _report, requests = converse(lambda _r: results(), lambda client: client.undo_all())
    assert [request["op"] for request in requests] == ["hello", "undo-all"]
    assert requests[0]["pid"] == os.getpid()


def test_failed_route_is_told_and_not_fatal() -> None:
    report, _requests = converse(
        lambda _r: results("applied", "failed"), lambda client: client.apply([Do(ROUTE)] * 2)
    )
    assert report.fatal is None
    assert [result.outcome for result in report.failed] == [Outcome.FAILED]


def test_failed_interface_is_fatal() -> None:
    report, requests = converse(
        lambda _r: results("failed"), lambda client: client.apply([Do(LINK)] * 200)
    )
    assert report.fatal is not None
    assert len(requests) == 2


def test_many_changes_go_in_parts() -> None:
    def answer(request: Record) -> Record:
        changes = request["changes"]
        assert isinstance(changes, list)
        return results(*["applied"] * len(changes))

    report, requests = converse(answer, lambda client: client.apply([Do(ROUTE)] * 300))
    assert len(report.results) == 300
    assert [len(str(request.get("changes", "")).split("}}")) - 1 for request in requests] == [
        0,
        128,
        128,
        44,
    ]


def test_refusal_becomes_an_error() -> None:
    async def talk(client: HostClient) -> str:
        with pytest.raises(HostError) as caught:
            await client.open_tun(DeviceRequest(), None)
        return f"{caught.value} {caught.value.errno}"

    error: Record = {"error": {"step": "open device tun", "errno": 16, "detail": "busy"}}
    assert converse(lambda _r: error, talk)[0] == "open device tun: busy 16"


@pytest.mark.parametrize(
    "reply", [{}, {"ok": 7}, {"ok": {}}, {"ok": {"results": 7}}, {"error": {}}, {"error": 7}]
)
def test_answer_without_sense_is_an_error(reply: Record) -> None:
    async def talk(client: HostClient) -> None:
        with pytest.raises(HostError, match="makes no sense"):
            await client.undo_all()

    converse(lambda _r: reply, talk)


def test_device_without_descriptor_is_an_error() -> None:
    async def talk(client: HostClient) -> None:
        with pytest.raises(HostError, match="no descriptor"):
            await client.open_tun(DeviceRequest(), None)

    underlay = snapshot_record(UnderlaySnapshot())
    opened = {"name": "tun0", "index": 7, "mtu": 1500, "vnet_header": False, "underlay": underlay}
    converse(lambda _r: {"ok": opened}, talk)


def test_helper_that_goes_is_an_error() -> None:
    async def talk(client: HostClient) -> None:
        with pytest.raises(HostError, match="privileged helper"):
            await client.undo_all()

    converse(lambda _r: None, talk)


def test_answer_to_a_cancelled_call_is_not_taken_for_the_next() -> None:
    asked: list[Record] = []

    def answer(request: Record) -> Record:
        asked.append(request)
        return results("applied" if request["op"] == "undo-routes" else "reverted")

    async def talk(client: HostClient) -> Outcome:
        await client.recovered()
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(client.undo_routes())
            await asyncio.sleep(0)  # lets it send its request, and no more
            first.cancel()
        assert first.cancelled()
        return (await client.undo_all()).results[0].outcome

    outcome, _requests = converse(answer, talk)
    assert outcome is Outcome.REVERTED


def test_real_helper_starts_answers_and_ends(tmp_path: Path) -> None:
    client = HostClient(start_helper(tmp_path / "run"))
    pid = client.helper_pid

    async def talk() -> None:
        assert await client.recovered() == ()
        assert (await client.undo_all()).results == ()
        await client.close()
        await client.close()

    asyncio.run(asyncio.wait_for(talk(), 40))
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_what_only_the_helper_needs_is_left_to_it() -> None:
    """The main process connects in the meantime."""
    program = "import sys, ginnel.shell.client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = done.stdout.split()
    assert "ginnel.host.client" in loaded
    names = ("helper", "executor", "journal", "batch", "netlink", "recover", "tables")
    assert {f"ginnel.host.{name}" for name in names}.isdisjoint(loaded)


def test_greeting_ahead_is_done_once_and_answered_when_asked_for() -> None:
    async def talk(client: HostClient) -> object:
        client.greet()
        client.greet()
        await client.undo_all()
        return await client.recovered()

    recovered, requests = converse(lambda _r: results("reverted"), talk)
    assert recovered == ()
    assert [request["op"] for request in requests] == ["hello", "undo-all"]


def test_greeting_a_helper_that_is_gone_fails_where_its_answer_is_awaited() -> None:
    async def talk() -> None:
        scripted = Scripted()
        scripted.theirs.close()
        scripted.client.greet()
        with pytest.raises(HostError, match="privileged helper"):
            await scripted.client.recovered()
        await scripted.client.close()

    asyncio.run(talk())
