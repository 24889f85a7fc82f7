"""The server's side: events as openvpn 2.6.14 says them, and clients that do not behave."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from ginnel.compat.server_status import ClientRow
from ginnel.core.server_actions import ClientId
from ginnel.core.types import Instant
from ginnel.dataclass import replace
from ginnel.management.server_frontend import ServerManagementFrontend
from ginnel.management.settings import ManagementSettings, UnixAddress
from ginnel.options.model import ClientOptions
from ginnel.shell.server_frontend import Allowed, Denied, Traffic
from tests.unit.management.fakes import WHEN
from tests.unit.management.server_fakes import WHEN_TEXT, FakeControl, facts
from tests.unit.management.test_frontend import FakeLog
from tests.unit.management.test_server import DEADLINE, GREETED, Peer, eventually
from tests.unit.management.test_server_executor import load

MANY = 10_000


class Program:
    """What the shell would be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = FakeLog()
        self.control = FakeControl()
        self.frontend = ServerManagementFrontend(
            ManagementSettings(address=UnixAddress(path=str(path))),
            log=self.log,
            clock=lambda: Instant(asyncio.get_running_loop().time()),
            wall_clock=lambda: WHEN,
            time_text=lambda when: WHEN_TEXT,
        )
        self.log.tap = self.frontend.log_line

    async def client(self) -> Peer:
        peer = await Peer.unix(self.path)
        await peer.until(GREETED)
        return peer

    def judge(self, environment: dict[str, str]) -> "asyncio.Task[Allowed | Denied]":
        question = self.frontend.judge(facts(), environment, _patient, is_first=True)
        return asyncio.ensure_future(question)


def _patient(timeout: int, extra: str) -> bool:
    return True


def live(path: Path, scenario: Callable[[Program], Awaitable[None]]) -> None:
    async def run() -> None:
        program = Program(path)
        program.frontend.open()
        program.frontend.configure(ClientOptions(profiles=()))
        program.frontend.attach()
        program.frontend.serve(program.control)
        try:
            async with asyncio.timeout(DEADLINE * 2):
                await scenario(program)
        finally:
            program.frontend.close()

    asyncio.run(run())


def blocks(conversation: str, event: str) -> list[str]:
    """The recorded blocks of an event, line by line."""
    found: list[str] = []
    for step in load()[conversation]["steps"]:
        inside = False
        for line in step["hear"].splitlines():
            inside = inside or line.startswith(f">CLIENT:{event}")
            if inside:
                found.append(line)
                inside = line != ">CLIENT:ENV,END"
    return found


def environment(block: list[str]) -> dict[str, str]:
    """The variables of a recorded block in the order in which they were set."""
    pairs = [line.removeprefix(">CLIENT:ENV,").partition("=") for line in block[1:-1]]
    return {name: value for name, _, value in reversed(pairs) if name != "n_clients"}


async def hear_block(peer: Peer) -> list[str]:
    return (await peer.until(b">CLIENT:ENV,END\r\n")).decode().splitlines()


def test_the_life_of_a_client_is_told_like_by_openvpn(tmp_path: Path) -> None:
    connect, established, gone = (
        blocks("allowed", event) for event in ("CONNECT", "ESTABLISHED", "DISCONNECT")
    )

    async def scenario(program: Program) -> None:
        peer = await program.client()
        frontend = program.frontend
        judging = program.judge(environment(connect))
        assert await hear_block(peer) == connect
        assert (
            await peer.say(b"client-auth-nt 0 1") == b"SUCCESS: client-auth command succeeded\r\n"
        )
        assert await judging == Allowed()
        frontend.client_address(ClientId(0), "10.10.112.2", is_primary=True)
        frontend.client_address(ClientId(0), "192.168.7.0/24", is_primary=False)
        assert await peer.until(b",1\r\n") == b">CLIENT:ADDRESS,0,10.10.112.2,1\r\n"
        route = b">CLIENT:ADDRESS,0,192.168.7.0/255.255.255.0,0\r\n"
        assert await peer.until(b",0\r\n") == route
        frontend.client_established(facts(), environment(established))
        assert await hear_block(peer) == established
        frontend.client_leaves()
        assert await peer.until(b"EXIT\r\n") == b">NOTIFY:info,remote-exit,EXIT\r\n"
        frontend.client_gone(facts(), environment(gone))
        assert await hear_block(peer) == gone
        await peer.close()

    live(tmp_path / "m", scenario)


def test_a_renegotiation_and_an_answer(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        peer = await program.client()
        again = asyncio.ensure_future(
            program.frontend.judge(facts(key_number=2), {}, _patient, is_first=False)
        )
        assert (await hear_block(peer))[0] == ">CLIENT:REAUTH,0,2"
        program.frontend.client_answered(facts(key_number=2), "NDI=", {})
        assert (await hear_block(peer))[0] == ">CLIENT:CR_RESPONSE,0,2,NDI="
        await peer.say(b"client-deny 0 2 late")
        assert await again == Denied(reason="late")
        await peer.close()

    live(tmp_path / "m", scenario)


def _names(block: list[str]) -> list[str]:
    return [line.partition("=")[0] for line in block[1:]]


@pytest.mark.parametrize(("level", "conversation"), [(1, "filtered"), (2, "renegotiated")])
def test_filters_leave_what_openvpn_leaves(tmp_path: Path, level: int, conversation: str) -> None:
    """What a client tells of itself is shown in any case, and first."""
    event = "CONNECT" if level == 1 else "REAUTH"
    recorded = blocks(conversation, event)
    told = [line.removeprefix(">CLIENT:ENV,") for line in recorded if ",IV_" in line]
    peer_info = tuple((name, value) for name, _, value in (line.partition("=") for line in told))
    whole = environment(blocks("renegotiated", "CONNECT"))
    if level == 2:
        whole |= environment(blocks("renegotiated", "ESTABLISHED"))

    async def scenario(program: Program) -> None:
        peer = await program.client()
        await peer.say(f"env-filter {level}".encode())
        client = replace(facts(), peer_info=peer_info)
        judging = asyncio.ensure_future(
            program.frontend.judge(client, whole, _patient, is_first=level == 1)
        )
        heard = _names(await hear_block(peer))
        shown = _names(recorded)
        assert heard[: len(told)] == shown[: len(told)]
        assert sorted(heard) == sorted(shown)
        judging.cancel()
        await peer.close()

    live(tmp_path / "m", scenario)


def test_nobody_is_told_of_clients_it_was_not_asked_about(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        peer = await program.client()
        program.frontend.client_address(ClientId(0), "10.8.0.6", is_primary=True)
        program.frontend.client_gone(facts(), {})
        assert await peer.say(b"nclients") == b"SUCCESS: nclients=0\r\n"
        await peer.close()

    live(tmp_path / "m", scenario)


def test_values_cannot_make_lines_of_their_own(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        peer = await program.client()
        forged = {"username": "eve\r\n>CLIENT:ESTABLISHED,9\x1b[2J", "IV_GUI\n": "x" * 50_000}
        judging = program.judge(forged)
        _event, count, name, gui, end = await hear_block(peer)
        assert count == ">CLIENT:ENV,n_clients=0"
        assert len(gui) < 8300
        assert name == ">CLIENT:ENV,username=eve>CLIENT:ESTABLISHED,9[2J"
        assert end == ">CLIENT:ENV,END"
        judging.cancel()
        await peer.close()

    live(tmp_path / "m", scenario)


def test_a_management_client_that_leaves_in_the_middle_decides_nothing(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        first = await program.client()
        judging = program.judge({})
        await hear_block(first)
        first.writer.write(b'client-auth 0 1\npush "route 10.0.0.0 255.0.0.0"\nEN')
        await first.close()
        second = await program.client()
        assert await second.say(b"END") == (
            b"ERROR: unknown command, enter 'help' for more options\r\n"
        )
        assert not judging.done()
        await second.say(b"client-deny 0 1 no")
        assert await judging == Denied(reason="no")
        await second.close()

    live(tmp_path / "m", scenario)


def test_without_a_management_client_the_question_waits(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        judging = program.judge({"username": "ada"})
        await asyncio.sleep(0)
        peer = await program.client()
        await peer.say(b"client-auth-nt 0 1")
        assert await judging == Allowed()
        await peer.close()

    live(tmp_path / "m", scenario)


def _crowd() -> Iterator[ClientRow]:
    for number in range(MANY):
        yield ClientRow(
            common_name=f"client{number}",
            real_address="192.0.2.10:35810",
            received=number,
            sent=number,
            since=WHEN,
            client_id=number,
            peer_id=number,
            cipher="AES-256-GCM",
        )


def test_ten_thousand_clients_are_shown_in_pieces(tmp_path: Path) -> None:
    """The loop goes on between the pieces, and what happens meanwhile comes behind the reply."""

    async def scenario(program: Program) -> None:
        program.control.client_rows = _crowd()
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        turning = asyncio.ensure_future(turn())
        peer = await program.client()
        peer.writer.write(b"status 2\nnclients\n")
        await peer.until(b"CLIENT_LIST,client0,192.0.2.10:35810")
        seen = turns
        program.frontend.client_established(facts(), {})
        reply = await peer_until_end(peer)
        turning.cancel()
        assert reply.count(b"CLIENT_LIST,client") == MANY - 1
        assert b">CLIENT" not in reply
        assert turns - seen > 5
        assert (await hear_block(peer))[0] == ">CLIENT:ESTABLISHED,0"
        assert await peer.until(b"\r\n") == b"SUCCESS: nclients=0\r\n"
        await peer.close()

    live(tmp_path / "m", scenario)


async def peer_until_end(peer: Peer) -> bytes:
    """Reads a reply that is longer than a stream's own limit."""
    heard = b""
    while not heard.endswith(b"END\r\n"):
        heard += await peer.until(b"\r\n")
    return heard


def test_a_client_that_does_not_read_costs_no_memory_for_status_and_traffic(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        rendered = 0

        def rows() -> Iterator[Traffic]:
            nonlocal rendered
            for number in range(MANY):
                rendered += 1
                yield Traffic(client_id=ClientId(number), received=rendered, sent=0)

        program.control.counted = rows()
        program.control.client_rows = _crowd()
        peer = await program.client()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.writer.write(b"bytecount 1\n" + b"status 2\n" * 50)
        await eventually(lambda: program.log.lines, "the first command")
        for _ in range(50):
            await asyncio.sleep(0)
        assert rendered < MANY
        peer.writer.transport.abort()

    live(tmp_path / "m", scenario)


def test_between_two_runs_there_is_nobody_to_ask(tmp_path: Path) -> None:
    async def scenario(program: Program) -> None:
        peer = await program.client()
        assert await peer.say(b"nclients") == b"SUCCESS: nclients=0\r\n"
        program.frontend.serve(None)
        refusal = b"ERROR: The 'nclients' command is not supported by the current daemon mode\r\n"
        assert await peer.say(b"nclients") == refusal
        program.frontend.serve(program.control)
        assert await peer.say(b"nclients") == b"SUCCESS: nclients=0\r\n"
        await peer.close()

    live(tmp_path / "m", scenario)
