"""The sockets: turns, peers, slow and dead clients, restarts of the loop; on real sockets."""

import asyncio
import grp
import os
import pwd
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError
from ginnel.core.types import Instant
from ginnel.management.intents import ClientLeft, Intent, SignalThrown
from ginnel.management.server import ManagementServer
from ginnel.management.session import ManagementSession
from ginnel.management.settings import ManagementSettings, TcpAddress, UnixAddress, unix_address
from ginnel.management.state import StateRecord
from ginnel.options.values import Secret
from tests.unit.management.fakes import WHEN, Rig

GREETED = b"-- type 'help' for more info\r\n"
DEADLINE = 40.0


class Served:
    """A server on a rig's session, and clients to it."""

    def __init__(self, settings: ManagementSettings) -> None:
        self.rig = Rig(hold=settings.hold, password=settings.password)
        self.session: ManagementSession = self.rig.session
        self.intents: list[Intent] = []
        self.server = ManagementServer(
            session=self.session,
            settings=settings,
            log=self.rig.log,
            on_intent=self.intents.append,
            clock=lambda: Instant(asyncio.get_running_loop().time()),
        )

    def lines(self) -> list[str]:
        return [line.text for line in self.rig.logged]


class Peer:
    """One client over a unix socket or TCP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def unix(cls, path: Path) -> "Peer":
        return cls(*await asyncio.open_unix_connection(str(path)))

    async def until(self, end: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(end), DEADLINE)

    async def say(self, line: bytes, end: bytes = b"\r\n") -> bytes:
        self.writer.write(line + b"\n")
        return await self.until(end)

    async def rest(self) -> bytes:
        """Reads up to the end of the connection."""
        return await asyncio.wait_for(self.reader.read(), DEADLINE)

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


def unix_settings(path: Path, *, password: Secret | None = None) -> ManagementSettings:
    return ManagementSettings(address=UnixAddress(path=str(path)), password=password)


def run(settings: ManagementSettings, scenario: Callable[[Served], Awaitable[None]]) -> Served:
    served = Served(settings)

    async def live() -> None:
        served.server.open()
        served.server.attach()
        try:
            await scenario(served)
        finally:
            served.server.close()

    asyncio.run(live())
    return served


async def eventually(condition: Callable[[], object], what: str) -> None:
    async def wait() -> None:
        while not condition():  # noqa: ASYNC110 -- the condition is outside of any loop
            await asyncio.sleep(0.005)

    try:
        await asyncio.wait_for(wait(), DEADLINE)
    except TimeoutError as late:
        raise AssertionError(f"waited in vain for {what}") from late


def test_a_client_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o777
        peer = await Peer.unix(path)
        await peer.until(GREETED)
        assert await peer.say(b"pid") == b"SUCCESS: pid=4711\r\n"
        peer.writer.write(b"ho")
        await peer.writer.drain()
        assert await peer.say(b"ld") == b"SUCCESS: hold=0\r\n"
        peer.writer.write(b"exit\n")
        assert await peer.rest() == b""
        await peer.close()

    served = run(unix_settings(path), scenario)
    assert not path.exists()
    assert served.lines()[0] == f"MANAGEMENT: unix domain socket listening on {path}"
    assert served.lines()[1] == f"MANAGEMENT: Client connected from {path}"
    assert served.lines()[-1] == "MANAGEMENT: Client disconnected"
    assert served.intents == [ClientLeft()]


def test_a_client_over_tcp() -> None:
    async def scenario(served: Served) -> None:
        port = int(served.lines()[0].rpartition(":")[2])
        peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
        await peer.until(GREETED)
        assert await peer.say(b"hold") == b"SUCCESS: hold=0\r\n"
        await peer.close()
        await eventually(lambda: served.intents, "the client's leaving")

    served = run(ManagementSettings(address=TcpAddress(host="127.0.0.1", port=0)), scenario)
    assert served.lines()[0].startswith("MANAGEMENT: TCP Socket listening on [AF_INET]127.0.0.1:")


def test_the_next_client_waits_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        first = await Peer.unix(path)
        await first.until(GREETED)
        second = await Peer.unix(path)
        assert await first.say(b"pid") == b"SUCCESS: pid=4711\r\n"
        assert served.lines().count(f"MANAGEMENT: Client connected from {path}") == 1
        await first.close()
        await second.until(GREETED)
        assert await second.say(b"pid") == b"SUCCESS: pid=4711\r\n"
        await second.close()

    run(unix_settings(path), scenario)


def test_a_client_that_never_reads_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, str(path))
        sock.send(b"state on\n" + b"test 1000\n" * 100)
        await eventually(lambda: not served.session.wants_input, "the pause")
        record = StateRecord(when=WHEN, name="RECONNECTING", detail="x" * 1500)
        for _ in range(5000):
            served.session.state_entered(record)
            served.server.pump()
            if not served.session.has_client:
                break
        assert not served.session.has_client
        second = await Peer.unix(path)
        await second.until(GREETED)
        assert await second.say(b"pid") == b"SUCCESS: pid=4711\r\n"
        await second.close()
        sock.close()

    served = run(unix_settings(path), scenario)
    assert "MANAGEMENT: the client does not read, its connection is closed" in served.lines()


def test_all_output_arrives_at_a_slow_reader(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        peer = await Peer.unix(path)
        await peer.until(GREETED)
        peer.writer.write(b"test 1000\n" * 50 + b"pid\nexit\n")
        await eventually(lambda: not served.session.wants_input, "the pause")
        heard = await peer.rest()
        assert heard.count(b"[999] ") == 50
        assert heard.endswith(b"SUCCESS: pid=4711\r\n")
        await peer.close()

    run(unix_settings(path), scenario)


def test_garbage_is_answered_and_survived(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        peer = await Peer.unix(path)
        await peer.until(GREETED)
        peer.writer.write(bytes(range(256)) * 40 + b"\n")
        assert await peer.say(b"pid", end=b"pid=4711\r\n")
        await peer.close()

    run(unix_settings(path), scenario)


def test_a_client_that_is_gone_when_we_answer(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.send(b"test 1000\n" * 20)
        sock.close()
        await eventually(lambda: served.intents == [ClientLeft()], "the client's leaving")
        peer = await Peer.unix(path)
        await peer.until(GREETED)
        await peer.close()

    run(unix_settings(path), scenario)


def test_the_password_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        peer = await Peer.unix(path)
        await peer.until(b"ENTER PASSWORD:")
        peer.writer.write(b"a\nb\nc\nsecret\n")
        assert await peer.rest() == b"ENTER PASSWORD:ENTER PASSWORD:"
        await peer.close()
        peer = await Peer.unix(path)
        await peer.until(b"ENTER PASSWORD:")
        assert await peer.say(b"secret", end=GREETED)
        await peer.close()

    run(unix_settings(path, password=Secret(b"secret")), scenario)


def test_traffic_reports_come_by_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        served.rig.daemon.bytes = (7, 8)
        peer = await Peer.unix(path)
        await peer.until(GREETED)
        await peer.say(b"bytecount 1")
        assert await peer.until(b"\r\n") == b">BYTECOUNT:7,8\r\n"
        await peer.close()

    run(unix_settings(path), scenario)


def test_wrong_users_and_groups_are_turned_away(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    me, mine = os.getuid(), os.getgid()
    for uid, gid, welcome in (
        (me, mine, True),
        (me + 1, None, False),
        (None, mine + 1, False),
        (me, mine + 1, False),
    ):

        async def scenario(served: Served, *, welcome: bool = welcome) -> None:
            peer = await Peer.unix(path)
            if welcome:
                await peer.until(GREETED)
            else:
                assert await peer.rest() == b""
            await peer.close()

        address = UnixAddress(path=str(path), uid=uid, gid=gid)
        served = run(ManagementSettings(address=address), scenario)
        rejected = [line for line in served.lines() if "connection rejected" in line]
        assert bool(rejected) is not welcome
        if not welcome:
            assert not served.intents


def test_users_and_groups_are_looked_up_by_name() -> None:
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    address = unix_address("/x", user, group)
    assert (address.uid, address.gid) == (os.getuid(), os.getgid())
    with pytest.raises(ConfigError, match="there is no such user"):
        unix_address("/x", "no-such-user", None)
    with pytest.raises(ConfigError, match="there is no such group"):
        unix_address("/x", None, "no-such-group")


def test_a_socket_left_behind_is_replaced_but_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()

    async def scenario(served: Served) -> None:
        peer = await Peer.unix(path)
        await peer.until(GREETED)
        await peer.close()

    run(unix_settings(path), scenario)
    path.write_text("precious")
    with pytest.raises(ConfigError, match="Socket bind failed on unix domain socket"):
        Served(unix_settings(path)).server.open()
    assert path.read_text() == "precious"


def test_a_socket_that_is_not_ours_any_more_stays(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        path.unlink()
        path.write_text("someone else's")

    run(unix_settings(path), scenario)
    assert path.exists()


def test_a_path_that_is_too_long_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="path too long"):
        Served(unix_settings(tmp_path / ("x" * 120))).server.open()


def test_a_port_in_use_is_an_error_that_names_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = ManagementSettings(address=TcpAddress(host="127.0.0.1", port=port))
        with pytest.raises(ConfigError, match=rf"Socket bind failed.*:{port}: Address already"):
            Served(settings).server.open()


def test_we_connect_when_we_are_told_to(tmp_path: Path) -> None:
    path = tmp_path / "gui.sock"
    settings = ManagementSettings(address=UnixAddress(path=str(path)), connects=True)
    missing = Served(settings)
    assert not missing.server.open()
    assert missing.lines() == [
        f"MANAGEMENT: connect to unix socket {path} failed: No such file or directory (errno=2)"
    ]
    with socket.socket(socket.AF_UNIX) as gui:
        gui.bind(str(path))
        gui.listen()

        async def scenario(served: Served) -> None:
            sock, _ = gui.accept()
            reader, writer = await asyncio.open_connection(sock=sock)
            peer = Peer(reader, writer)
            await peer.until(GREETED)
            writer.write(b"signal SIGTERM\n")
            await peer.until(b"thrown\r\n")
            await peer.close()
            await eventually(lambda: len(served.intents) == 2, "signal and leaving")
            assert [type(each) for each in served.intents] == [SignalThrown, ClientLeft]

        run(settings, scenario)
    assert path.exists()


def test_a_client_stays_over_a_change_of_loops(tmp_path: Path) -> None:
    """A reload ends one event loop and starts another."""
    path = tmp_path / "m.sock"
    served = Served(unix_settings(path))
    served.server.open()
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE)
    sock.connect(str(path))

    async def first() -> None:
        served.server.attach()
        await eventually(lambda: served.session.has_client, "the client")
        served.server.detach()

    async def second() -> None:
        served.server.attach()
        sock.send(b"exit\n")
        await eventually(lambda: not served.session.has_client, "the end")
        served.server.detach()

    asyncio.run(first())
    served.session.state_entered(StateRecord(when=WHEN, name="RECONNECTING"))
    sock.send(b"hold\n")
    asyncio.run(second())
    heard = b""
    while part := sock.recv(65536):
        heard += part
    assert heard.endswith(GREETED + b"SUCCESS: hold=0\r\n")
    sock.close()
    served.server.close()


def test_the_last_words_arrive(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"

    async def scenario(served: Served) -> None:
        peer = await Peer.unix(path)
        await peer.until(GREETED)
        await peer.say(b"state on")
        served.session.state_entered(StateRecord(when=WHEN, name="EXITING", detail="SIGTERM"))
        served.server.close()
        assert await peer.rest() == f">STATE:{WHEN},EXITING,SIGTERM,,,,,\r\n".encode()
        await peer.close()

    run(unix_settings(path), scenario)
