"""The drive of all clients: actions, packets, notices, time, bugs, and each one's end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from ginnel.core.actions import (
    CertificateInfo,
    Credentials,
    Done,
    Failed,
    SwapKeys,
    VerifyCertificates,
)
from ginnel.core.control_keys import ClientKeyClaim
from ginnel.core.events import Floated
from ginnel.core.notices import PeerConnected, Warned
from ginnel.core.server_actions import (
    AddClient,
    Admitted,
    AgreedClient,
    AnswerChallenge,
    Authenticate,
    ClientFacts,
    ClientTerms,
    ConnectClient,
    Refused,
    VerifyClientKey,
)
from ginnel.core.server_notices import ClientConnected
from ginnel.core.types import ActionId, Endpoint, Instant, PeerId, Transmit, Transport
from ginnel.dataplane.api import LinkId, PeerStats
from ginnel.options.server_model import ClientConfig
from ginnel.options.values import Secret
from ginnel.shell.clients import Client, Clients
from ginnel.shell.peer_log import PeerLog
from ginnel.shell.server_drive import BURST, MAX_TASKS, ServerDrive
from ginnel.shell.server_hooks import Departure, Pend
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

LINK = LinkId(1)
TERMS = ClientTerms(config=ClientConfig())


@dataclass
class FakeHooks:
    told: list[object] = field(default_factory=list)
    bug: Exception | None = None
    hangs: bool = False

    async def verify_client_key(self, action: VerifyClientKey) -> Done | Failed:
        return Done()

    async def verify_certificates(
        self, client: ClientFacts, chain: tuple[CertificateInfo, ...]
    ) -> Done | Failed:
        return Done()

    async def authenticate(self, action: Authenticate, pend: Pend) -> Admitted | Refused | Failed:
        assert pend(60, "WEB_AUTH::https://vpn.example.net/")
        return Admitted()

    async def connect(self, action: ConnectClient) -> ClientTerms | Refused | Failed:
        if self.bug is not None:
            raise self.bug
        if self.hangs:
            await asyncio.Event().wait()
        return TERMS

    async def answer_challenge(self, action: AnswerChallenge) -> Done | Failed:
        return Done()

    hears_connections = True

    async def connected(self, agreed: AgreedClient) -> None:
        self.told.append("connected")

    async def moved(self, agreed: AgreedClient) -> None:
        self.told.append(("moved", agreed.client.remote))

    async def learnt(self, agreed: AgreedClient, address: str, *, added: bool) -> None:
        self.told.append((address, added))

    async def disconnected(self, departure: Departure) -> None:
        self.told.append(departure)
        if self.hangs:
            await asyncio.Event().wait()


class Rig:
    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.story = Story()
        self.plane = FakePlane(self.story)
        self.clients = Clients()
        self.hooks = FakeHooks()
        self.lines = Lines()
        self.clock = Clock()
        self.heard: list[str] = []
        self.drive = ServerDrive(
            options=server_options(),
            data_plane=self.plane,
            clients=self.clients,
            hooks=self.hooks,
            tasks=tasks,
            log=self.lines,
            clock=self.clock,
        )
        self.drive.watch(self)

    def client_added(self, client: Client) -> None:
        self.heard.append("added")

    def client_gone(self, client: Client) -> None:
        self.heard.append("gone")

    def enter(
        self, remote: Endpoint = HOME, transport: Transport = Transport.UDP
    ) -> tuple[Client, FakeMachine]:
        client_id, peer_id = self.clients.new_ids()
        machine = FakeMachine(facts(client_id, remote))
        client = Client(
            client_id=client_id,
            peer_id=peer_id,
            link=LINK,
            remote=remote,
            local=None,
            transport=transport,
            machine=machine,
            log=PeerLog(self.lines, self.clock),
            began=0.0,
        )
        self.clients.add(client)
        self.drive.start(client)
        return client, machine

    def named(self, name: str, remote: Endpoint = HOME) -> tuple[Client, FakeMachine]:
        """One that is asked to connect under a name."""
        client, machine = self.enter(remote)
        who = replace(machine.facts, common_name=name)
        machine.actions.append(ConnectClient(id=ActionId(1), client=who))
        self.drive.receive(client, [(b"x", remote)])
        return client, machine


def with_rig(work: Callable[[Rig], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.TaskGroup() as tasks:
            rig = Rig(tasks)
            try:
                await work(rig)
            finally:
                for client in rig.clients:
                    rig.drive.close(client, "test-over")
                rig.drive.shut()
                rig.drive.abandon_departures()
                rig.plane.close()

    run(whole())


QUESTIONS = [
    (VerifyCertificates(id=ActionId(7), chain=()), Done()),
    (
        VerifyClientKey(
            id=ActionId(7), client=facts(), claim=ClientKeyClaim(metadata_type=0, metadata=b"")
        ),
        Done(),
    ),
    (
        Authenticate(
            id=ActionId(7),
            client=facts(),
            login=Credentials(username="anna", password=Secret(b"x")),
            is_first=True,
        ),
        Admitted(),
    ),
    (ConnectClient(id=ActionId(7), client=facts()), TERMS),
    (AnswerChallenge(id=ActionId(7), client=facts(), response="eA=="), Done()),
]


@pytest.mark.parametrize(("action", "answer"), QUESTIONS)
def test_the_hooks_answer_what_takes_time(action: ConnectClient, answer: object) -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.enter()
        machine.actions.append(action)
        rig.drive.receive(client, [(b"x", HOME)])
        await until(lambda: (7, answer) in machine.inputs, "the answer")

    with_rig(work)


def test_packets_that_came_together_are_answered_together() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.enter()
        rig.drive.receive(client, [(b"x", HOME), (b"y", HOME)])
        assert machine.inputs[-2:] == [(b"x", "more"), b"y"]
        assert client.control_read == 2

    with_rig(work)


def test_a_peer_comes_into_the_data_plane_before_packets_leave() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.named("anna")
        has = agreed(machine.facts)
        machine.actions.append(AddClient(id=ActionId(2), agreed=has))
        machine.transmits.append(Transmit(b"push", HOME))
        rig.drive.receive(client, [(b"y", HOME)])
        assert (2, Done()) in machine.inputs
        assert rig.story.told == ["plane new-peer", "plane add-iroute", "plane set-peer"]
        assert rig.plane.keepalive.ping_timeout == 120
        assert rig.plane.sent == [Transmit(b"push", HOME)]
        assert rig.heard == ["added"]
        assert rig.lines.texts[-2:] == [
            "anna/192.0.2.7:40000 MULTI: Learn: 10.8.0.2 -> anna/192.0.2.7:40000",
            "anna/192.0.2.7:40000 MULTI: primary virtual IP for anna/192.0.2.7:40000: 10.8.0.2",
        ]

    with_rig(work)


def test_a_refusal_of_the_data_plane_is_an_answer() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.enter()
        rig.plane._refuse = "swap-keys"
        machine.actions.append(SwapKeys(id=ActionId(3), peer_id=PeerId(0)))
        rig.drive.receive(client, [(b"x", HOME)])
        refusal = Failed(reason="swap-keys (peer 0): errno 22")
        assert machine.inputs[-1] == (3, refusal)

    with_rig(work)


def test_the_end_of_a_client_is_told_to_all_with_its_counters() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.named("anna")
        before = client.control_read
        machine.actions.append(AddClient(id=ActionId(2), agreed=agreed(machine.facts)))
        machine.notices.append(ClientConnected(agreed=agreed(machine.facts)))
        rig.drive.receive(client, [(b"y", HOME)])
        await until(lambda: "connected" in rig.hooks.told, "connected")
        rig.plane.counters = PeerStats(link_read_bytes=5)
        rig.clock.now += 60
        machine.notices.append(ended("ping-restart"))
        rig.drive.receive(client, [(b"z", HOME)])
        assert client.over
        assert rig.lines.texts[-1] == (
            "anna/192.0.2.7:40000 SIGUSR1[soft,ping-restart] received, client-instance restarting"
        )
        assert rig.story.told[-1] == "plane del-peer"
        await rig.drive.all_departed()
        departure = rig.hooks.told[-1]
        assert isinstance(departure, Departure)
        control = sum(len(packet) for packet in (b"y", b"z")) + before
        assert departure.counters.link_read_bytes == 5 + control
        assert departure.duration == 60
        assert departure.reason == "ping-restart"
        assert rig.heard == ["added", "gone"]
        assert len(rig.clients) == 0
        rig.drive.receive(client, [(b"late", HOME)])
        assert b"late" not in machine.inputs

    with_rig(work)


def test_a_client_that_never_proved_anything_ends_without_hooks() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.enter(transport=Transport.TCP)
        machine.notices.append(ended("tls-error"))
        rig.drive.receive(client, [(b"x", None)])
        await rig.drive.all_departed()
        assert rig.hooks.told == []
        assert rig.story.told == ["plane remove-link"]

    with_rig(work)


def test_a_bug_ends_its_client_and_nobody_else() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.enter()
        other, unharmed = rig.enter(ELSEWHERE)
        machine.fails = KeyError("a bug of ours")
        rig.drive.receive(client, [(b"x", HOME)])
        rig.drive.receive(other, [(b"x", ELSEWHERE)])
        assert client.over
        assert not other.over
        assert b"x" in unharmed.inputs
        assert rig.lines.has("192.0.2.7:40000 internal error")
        assert rig.lines.has("KeyError: 'a bug of ours'")
        rig.hooks.bug = ValueError("in a hook")
        broken, _ = rig.named("berta", Endpoint(HOME.address, 9))
        await until(lambda: broken.over, "the end of the one")
        assert not other.over

    with_rig(work)


def test_without_duplicate_cn_the_newest_of_a_name_stays() -> None:
    async def work(rig: Rig) -> None:
        first, machine = rig.named("anna")
        await until(lambda: (1, TERMS) in machine.inputs, "the answer")
        second, _ = rig.named("anna", ELSEWHERE)
        assert first.over
        assert not second.over
        assert rig.clients.named("anna") == (second,)
        assert rig.lines.has("MULTI: new connection by client 'anna' will cause previous")
        third, _ = rig.named("berta", Endpoint(HOME.address, 9))
        assert not second.over
        assert not third.over

    with_rig(work)


def test_a_hook_that_hangs_is_cancelled_by_the_clients_end_and_by_insisting() -> None:
    async def work(rig: Rig) -> None:
        rig.hooks.hangs = True
        client, _ = rig.named("anna")
        assert client.tasks
        (task,) = client.tasks
        rig.drive.close(client, "gone")
        await until(task.done, "the end of the question")
        waiting = asyncio.ensure_future(rig.drive.all_departed())
        await asyncio.sleep(0)
        assert not waiting.done()
        rig.drive.abandon_departures()
        await waiting

    with_rig(work)


def test_time_reaches_the_machine_whose_it_is() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.enter()
        machine.due = Instant(rig.clock.now - 1)
        rig.drive.receive(client, [(b"x", HOME)])
        await until(lambda: "timeout" in machine.inputs, "the timer")

    with_rig(work)


def test_a_float_to_where_another_client_is_sends_the_floating_one_away() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.named("anna")
        other, _ = rig.named("berta", ELSEWHERE)
        rig.drive.float_to(client, LINK, ELSEWHERE, None)
        assert machine.inputs[-1] == "RESTART"
        assert not other.over
        assert rig.clients.at((LINK, ELSEWHERE)) is other
        assert rig.lines.has("Disallow float to an address taken by another client berta/")

    with_rig(work)


def test_many_lines_of_strangers_are_counted_and_those_of_clients_are_not() -> None:
    async def work(rig: Rig) -> None:
        stranger, noisy = rig.enter(ELSEWHERE)
        for _ in range(BURST + 50):
            noisy.notices.append(Warned(text="noise"))
        rig.drive.receive(stranger, [(b"x", ELSEWHERE)])
        assert sum("noise" in text for text in rig.lines.texts) == BURST
        client, machine = rig.named("anna")
        machine.notices.append(Warned(text="heard"))
        rig.drive.receive(client, [(b"x", HOME)])
        assert rig.lines.has("heard")

    with_rig(work)


def test_a_float_moves_the_client_and_puts_out_its_own_earlier_self() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.named("anna")
        machine.actions.append(AddClient(id=ActionId(2), agreed=agreed(machine.facts)))
        rig.drive.receive(client, [(b"x", HOME)])
        other, _ = rig.enter(ELSEWHERE)
        rig.clients.name(other, "anna")
        rig.drive.float_to(client, LINK, ELSEWHERE, None)
        assert other.over
        assert machine.inputs[-1] == Floated(remote=ELSEWHERE)
        assert rig.clients.at((LINK, ELSEWHERE)) is client
        assert rig.lines.has(
            "peer 0 (anna) floated from 192.0.2.7:40000 to [AF_INET]198.51.100.9:40001"
        )
        await until(lambda: ("moved", ELSEWHERE) in rig.hooks.told, "the hook")

    with_rig(work)


def test_what_others_ask_of_a_client_reaches_its_machine() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.enter()
        rig.plane.counters = PeerStats(tun_read_bytes=3, tun_write_bytes=4, tun_read_packets=1)
        client.peer_added = True
        rig.drive.report_traffic(client)
        assert rig.drive.say(client, "INFO_PRE,hello")
        assert rig.drive.update(client, ("route 10.9.0.0",))
        rig.drive.restart(client, "HALT")
        rig.drive.refuse(client, "go away")
        assert machine.inputs[1:] == [
            (7, 1),
            "INFO_PRE,hello",
            ("route 10.9.0.0",),
            "HALT",
            "AUTH_FAILED,go away",
        ]
        rig.drive.close(client, "x")
        assert not rig.drive.say(client, "late")

    with_rig(work)


def test_addresses_that_were_learnt_are_handed_on() -> None:
    async def work(rig: Rig) -> None:
        client, machine = rig.enter()
        rig.drive.learn(client, "00:00:5e:00:53:01", added=True, anew=False)
        assert rig.hooks.told == []
        machine.notices.append(ClientConnected(agreed=agreed(machine.facts)))
        machine.notices.append(PeerConnected(common_name="anna", remote=HOME))
        machine.notices.append(Warned(text="careful"))
        rig.drive.receive(client, [(b"x", HOME)])
        assert rig.lines.texts[-1] == "anna/192.0.2.7:40000 WARNING: careful"
        rig.drive.learn(client, "00:00:5e:00:53:01", added=True, anew=True)
        rig.drive.bad_source(client, "10.1.2.3")
        assert rig.lines.has("MULTI: Learn (RELEARN): 00:00:5e:00:53:01 -> anna/")
        assert rig.lines.has("MULTI: bad source address from client [10.1.2.3], packet dropped")
        await until(lambda: ("00:00:5e:00:53:01", True) in rig.hooks.told, "the hook")

    with_rig(work)


def test_what_one_client_has_under_way_is_bounded() -> None:
    async def work(rig: Rig) -> None:
        rig.hooks.hangs = True
        client, machine = rig.enter()
        for number in range(MAX_TASKS + 3):
            machine.actions.append(ConnectClient(id=ActionId(number), client=machine.facts))
        rig.drive.receive(client, [(b"x", HOME)])
        assert client.tasks is not None
        assert len(client.tasks) == MAX_TASKS
        refused = Failed(reason="it asks for too much at once")
        assert machine.inputs[-3:] == [(MAX_TASKS + more, refused) for more in range(3)]

    with_rig(work)
