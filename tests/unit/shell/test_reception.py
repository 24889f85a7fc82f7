"""Where packets arrive: demultiplexing, fairness, limits, newcomers, reports."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.errors import DataPlaneError
from ginnel.core.events import (
    DecryptFailed,
    Floated,
    FramingMismatch,
    Inactive,
    KeyExhausted,
    LinkLost,
    OccReceived,
    PathMtuFound,
    PeerSilent,
)
from ginnel.core.listener import Admission, Dropped, Reply, Welcome
from ginnel.core.server_actions import ClientId
from ginnel.core.server_notices import ClientConnected
from ginnel.core.types import Endpoint, Instant, KeyId, PeerId, SessionId, Transmit, Transport
from ginnel.core.wrap.plain import PlainControl
from ginnel.dataplane.api import ControlPacket, LinkId, Notification, NotificationKind
from ginnel.options.server_model import LimitOptions
from ginnel.shell import reception
from ginnel.shell.clients import INBOX, Client, Clients
from ginnel.shell.reception import STRANGERS, TURN, Reception
from ginnel.shell.server_drive import ServerDrive
from tests.unit.shell.loops import Lines, run, until
from tests.unit.shell.server_stand_ins import (
    ELSEWHERE,
    HOME,
    Clock,
    FakeMachine,
    agreed,
    ended,
    facts,
    server_options,
)
from tests.unit.shell.stand_ins import FakePlane, Story
from tests.unit.shell.test_server_drive import FakeHooks

LINK = LinkId(1)
ADMISSION = Admission(
    client_session=SessionId(b"12345678"),
    own_session=None,
    wrapping=PlainControl(),
    claim=None,
    packet=b"first",
)


class FakeListener:
    """Lets in who says ``hello``, answers who says ``reset``."""

    def __init__(self) -> None:
        self.drops: Counter[str] = Counter()
        self.streams = True

    def meet(self, packet: bytes, source: Endpoint, now: Instant) -> Dropped | Reply | Welcome:
        match packet:
            case b"hello":
                return Welcome(admission=ADMISSION, credits=1)
            case b"reset":
                return Reply(b"answer")
            case b"often":
                return Dropped("connect-freq")
            case _:
                return Dropped("malformed")

    def admit_stream(self, now: Instant) -> bool:
        return self.streams


class Rig:
    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.plane = FakePlane(Story())
        self.clients = Clients()
        self.lines = Lines()
        self.clock = Clock()
        self.machines: list[FakeMachine] = []
        self.order: list[tuple[int, bytes]] = []
        self.lost: list[int] = []
        self.listener = FakeListener()
        options = replace(server_options(), limits=LimitOptions(max_clients=3))
        self.hooks = FakeHooks()
        self.drive = ServerDrive(
            options=options,
            data_plane=self.plane,
            clients=self.clients,
            hooks=self.hooks,
            tasks=tasks,
            log=self.lines,
            clock=self.clock,
        )
        self.reception = Reception(
            options=options,
            data_plane=self.plane,
            clients=self.clients,
            drive=self.drive,
            listener=self.listener,
            make_machine=self._machine,
            log=self.lines,
            owner=self,
            clock=self.clock,
        )
        self.reception.open()

    def _machine(
        self,
        *,
        client_id: ClientId,
        peer_id: PeerId,
        remote: Endpoint,
        local: Endpoint | None,
        transport: Transport,
        admission: Admission | None,
    ) -> FakeMachine:
        rig = self

        class Ordered(FakeMachine):
            def receive(
                self, packet: bytes, source: Endpoint | None, now: Instant, *, more: bool = False
            ) -> None:
                rig.order.append((client_id, packet))
                super().receive(packet, source, now, more=more)

        machine = Ordered(facts(client_id, remote))
        self.machines.append(machine)
        return machine

    def tun_lost(self, errno: int) -> None:
        self.lost.append(errno)

    def socket_lost(self, errno: int) -> None:
        self.lost.append(-errno)

    def plane_failed(self, error: DataPlaneError) -> None:
        self.lost.append(0)

    def arrive(self, *packets: tuple[bytes, Endpoint | None]) -> None:
        self.plane.control += [
            ControlPacket(payload=payload, source=source, link=LINK) for payload, source in packets
        ]
        self.plane.wake()

    def report(self, kind: NotificationKind, **more: object) -> None:
        self.plane.reports.append(
            Notification(kind=kind, peer_id=PeerId(0), **more)  # type: ignore[arg-type]
        )
        self.plane.wake()

    async def enter(self, source: Endpoint = HOME) -> Client:
        count = len(self.clients)
        self.arrive((b"hello", source))
        await until(lambda: len(self.clients) > count, "the newcomer")
        client = self.clients.at((LINK, source))
        assert client is not None
        return client


def with_rig(work: Callable[[Rig], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.TaskGroup() as tasks:
            rig = Rig(tasks)
            try:
                await work(rig)
            finally:
                for client in rig.clients:
                    rig.drive.close(client, "test-over")
                rig.reception.close()
                rig.reception.close()
                rig.drive.shut()
                rig.plane.close()

    run(whole())


def at(port: int) -> Endpoint:
    return Endpoint(HOME.address, port)


def test_strangers_are_answered_or_let_in_and_nothing_is_kept_of_others() -> None:
    async def work(rig: Rig) -> None:
        rig.arrive((b"reset", ELSEWHERE), (b"junk", ELSEWHERE))
        await until(lambda: rig.plane.sent, "the answer")
        assert rig.plane.sent == [Transmit(b"answer", ELSEWHERE)]
        assert len(rig.clients) == 0
        await rig.enter()
        assert rig.machines[0].inputs == ["start"]
        assert rig.plane.credited == 1

    with_rig(work)


def test_resets_that_are_not_answered_do_not_count() -> None:
    """Whoever has no key would keep everybody out otherwise, with a few packets a second."""

    async def work(rig: Rig) -> None:
        junk = bytes([7 << 3]) + bytes(20)
        rig.arrive((b"reset", ELSEWHERE), (b"often", ELSEWHERE), (junk, ELSEWHERE))
        await until(lambda: rig.plane.credited == 1, "what the junk took")
        rig.arrive(*[(junk, at(port)) for port in range(2 * STRANGERS)])
        while rig.plane.control:
            rig.plane.wake()
            await asyncio.sleep(0)
        await until(lambda: rig.plane.credited == 1 + 2 * STRANGERS, "what all of it took")

    with_rig(work)


def test_packets_reach_the_machine_of_their_address() -> None:
    async def work(rig: Rig) -> None:
        await rig.enter(HOME)
        await rig.enter(ELSEWHERE)
        rig.arrive((b"a", HOME), (b"b", ELSEWHERE))
        await until(lambda: len(rig.order) == 2, "both")
        assert rig.order == [(0, b"a"), (1, b"b")]

    with_rig(work)


def test_a_client_with_many_packets_waits_for_its_turn() -> None:
    async def work(rig: Rig) -> None:
        await rig.enter(HOME)
        await rig.enter(ELSEWHERE)
        many = [(bytes((number,)), HOME) for number in range(10)]
        rig.arrive(*many, (b"one", ELSEWHERE))
        await until(lambda: len(rig.order) == 11, "all")
        assert rig.order.index((1, b"one")) == TURN
        assert [packet for number, packet in rig.order if number == 0] == [p for p, _ in many]

    with_rig(work)


def test_what_waits_is_bounded_for_each_and_for_all() -> None:
    async def work(rig: Rig) -> None:
        await rig.enter(HOME)
        rig.arrive(*[(b"x", HOME)] * (INBOX + 20))
        await until(lambda: len(rig.order) == INBOX, "as many as wait")
        assert rig.reception.drops["client-queue"] == 20
        rig.arrive(*[(b"junk", at(port)) for port in range(2 * STRANGERS)])
        while rig.plane.control:
            rig.plane.wake()
            await asyncio.sleep(0)
            assert len(rig.reception._strangers) <= STRANGERS

    with_rig(work)


def test_newcomers_wait_while_clients_have_much_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is in gets through; the others repeat themselves until there is room."""
    monkeypatch.setattr(reception, "BUSY", 2)

    async def work(rig: Rig) -> None:
        await rig.enter(HOME)
        await rig.enter(ELSEWHERE)
        known = [(b"x", HOME), (b"x", ELSEWHERE)] * (2 * TURN)
        rig.arrive(*known, (b"hello", at(7)), (b"reset", at(8)))
        await until(lambda: len(rig.order) == len(known), "all of the clients'")
        assert len(rig.clients) == 2
        assert rig.plane.sent == []
        assert rig.reception.drops["busy"] == 2
        text = "more clients come than this machine can serve: new ones have to wait"
        assert sum(text in line for line in rig.lines.texts) == 1
        await rig.enter(at(7))

    with_rig(work)


def test_streams_count_as_waiting_from_when_they_are_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reception, "BUSY", 2)

    async def work(rig: Rig) -> None:
        for number in (1, 2):
            assert not rig.reception.is_busy()
            rig.reception.let_in_stream(LinkId(number), at(number), None)
        assert rig.reception.is_busy()
        await until(lambda: not rig.reception.is_busy(), "their turn")
        assert sum("new ones have to wait" in text for text in rig.lines.texts) == 1

    with_rig(work)


def test_a_client_that_ends_takes_its_waiting_packets_with_it() -> None:
    async def work(rig: Rig) -> None:
        client = await rig.enter(HOME)
        rig.machines[0].notices.append(ended("gone"))
        rig.arrive(*[(b"x", HOME)] * 9)
        await until(lambda: client.over and not rig.reception._waiting, "its end")
        assert len(rig.order) == TURN

    with_rig(work)


def test_too_many_clients_are_refused_with_one_line() -> None:
    async def work(rig: Rig) -> None:
        for port in range(1, 4):
            await rig.enter(at(port))
        rig.arrive(*[(b"hello", at(port)) for port in range(10, 40)])
        await until(lambda: not rig.plane.control and not rig.reception._strangers, "all")
        assert len(rig.clients) == 3
        text = "MULTI: new incoming connection would exceed maximum number of clients (3)"
        assert rig.lines.texts.count(text) == 1
        assert not rig.reception.admit_stream(HOME)

    with_rig(work)


def test_nobody_new_comes_in_while_the_server_closes() -> None:
    async def work(rig: Rig) -> None:
        rig.reception.is_closing = True
        rig.arrive((b"hello", HOME))
        await until(lambda: rig.lines.texts, "a line")
        assert rig.lines.has("attempt from 192.0.2.7:40000 ignored while server is shutting down")
        assert len(rig.clients) == 0
        assert not rig.reception.admit_stream(HOME)

    with_rig(work)


def test_connect_freq_is_said_for_either_transport() -> None:
    async def work(rig: Rig) -> None:
        rig.arrive((b"often", HOME))
        await until(lambda: rig.lines.texts, "a line")
        assert rig.lines.has("would exceed new connection frequency limit")
        rig.listener.streams = False
        assert not rig.reception.admit_stream(HOME)
        rig.reception.refuse_stranger(HOME)
        assert rig.lines.has("does not speak OpenVPN")

    with_rig(work)


def test_a_stream_is_a_client_by_its_link() -> None:
    async def work(rig: Rig) -> None:
        assert rig.reception.admit_stream(HOME)
        rig.reception.let_in_stream(LINK, HOME, None)
        rig.arrive((b"a", None))
        await until(lambda: rig.order == [(0, b"a")], "the packet")
        rig.report(NotificationKind.LINK_LOST, link=LINK, errno=104)
        await until(lambda: LinkLost(errno=104) in rig.machines[0].inputs, "the loss")
        (client,) = rig.clients
        rig.drive.close(client, "connection-reset")
        assert "plane remove-link" not in rig.plane._story.told
        rig.reception.shared_links.add(LinkId(9))
        rig.report(NotificationKind.LINK_LOST, link=LinkId(8), errno=5)
        rig.report(NotificationKind.LINK_LOST, link=LinkId(9), errno=6)
        await until(lambda: rig.lost == [-6], "the loss of the shared one")

    with_rig(work)


def test_reports_reach_the_client_in_the_cores_words() -> None:
    async def work(rig: Rig) -> None:
        client = await rig.enter(HOME)
        client.peer_added = True
        rig.report(NotificationKind.SILENT)
        rig.report(NotificationKind.INACTIVE)
        rig.report(NotificationKind.KEY_EXHAUSTED, key_id=3)
        rig.report(NotificationKind.DECRYPT_ERROR)
        rig.report(NotificationKind.BAD_FRAMING, payload=b"\xfb")
        rig.report(NotificationKind.OCC, payload=b"occ")
        rig.report(NotificationKind.FLOATED, remote=ELSEWHERE, link=LinkId(2))
        await until(lambda: len(rig.machines[0].inputs) == 8, "all")
        assert rig.machines[0].inputs[1:] == [
            PeerSilent(),
            Inactive(),
            KeyExhausted(key_id=KeyId(3)),
            DecryptFailed(),
            FramingMismatch(first=0xFB),
            OccReceived(payload=b"occ"),
            Floated(remote=ELSEWHERE),
        ]
        assert client.link == 2

    with_rig(work)


def test_a_late_report_does_not_reach_the_next_client_of_its_peer_id() -> None:
    async def work(rig: Rig) -> None:
        client = await rig.enter(HOME)
        rig.report(NotificationKind.SILENT)
        rig.report(NotificationKind.FLOATED, remote=ELSEWHERE, link=LinkId(2))
        rig.arrive((b"x", HOME))
        await until(lambda: rig.order, "the packet behind the reports")
        assert not any(isinstance(given, PeerSilent) for given in rig.machines[0].inputs)
        assert client.remote == HOME

    with_rig(work)


def test_learnt_addresses_and_wrong_sources_are_told() -> None:
    async def work(rig: Rig) -> None:
        client = await rig.enter(HOME)
        client.peer_added = True
        rig.machines[0].notices.append(ClientConnected(agreed=agreed(client.facts)))
        rig.arrive((b"x", HOME))
        await until(lambda: client.agreed, "it agreed")
        mac = bytes.fromhex("00005e005301")
        rig.report(NotificationKind.LEARNED, payload=mac, vlan=7)
        rig.report(NotificationKind.FORGOTTEN, payload=mac)
        rig.report(NotificationKind.BAD_SOURCE, payload=ip_address("10.9.8.7").packed)
        rig.report(NotificationKind.BAD_SOURCE, payload=mac)
        await until(lambda: rig.lines.has("from client [00:00:5e:00:53:01]"), "the last")
        assert rig.lines.has("Learn: 00:00:5e:00:53:01@7 -> ")
        assert rig.lines.has("from client [10.9.8.7]")
        await until(lambda: ("00:00:5e:00:53:01", False) in rig.hooks.told, "the hook")

    with_rig(work)


def test_a_packet_too_long_has_the_system_asked_about_the_path() -> None:
    async def work(rig: Rig) -> None:
        client = await rig.enter(HOME)
        client.peer_added = True
        rig.report(NotificationKind.TOO_LONG, remote=Endpoint(ip_address("127.0.0.1"), 9))
        rig.report(NotificationKind.TOO_LONG)  # of a peer whose address is not known
        inputs = rig.machines[0].inputs
        await until(lambda: PathMtuFound(mtu=65_535) in inputs, "the event")
        assert sum(isinstance(given, PathMtuFound) for given in inputs) == 1

    with_rig(work)


def test_a_lost_device_is_told() -> None:
    async def work(rig: Rig) -> None:
        rig.report(NotificationKind.TUN_LOST, errno=19)
        rig.report(NotificationKind.SILENT)  # of a client that is gone
        await until(lambda: rig.lost == [19], "the loss")

    with_rig(work)


def test_a_bug_loses_one_packet_and_is_said_once() -> None:
    async def work(rig: Rig) -> None:
        meet = rig.listener.meet

        def broken(packet: bytes, source: Endpoint, now: Instant) -> Dropped | Reply | Welcome:
            if packet == b"bad":
                raise KeyError("a bug of ours")
            return meet(packet, source, now)

        rig.listener.meet = broken  # type: ignore[method-assign]
        rig.arrive((b"bad", HOME), (b"bad", ELSEWHERE), (b"hello", ELSEWHERE))
        await until(lambda: len(rig.clients) == 1, "the one behind it")
        assert rig.lines.texts.count("KeyError: 'a bug of ours'") == 1

    with_rig(work)


def test_a_data_plane_that_fails_ends_the_run() -> None:
    async def work(rig: Rig) -> None:
        rig.plane._refuse = "notifications"
        rig.plane.wake()
        await until(lambda: rig.lost == [0], "the end")

    with_rig(work)
