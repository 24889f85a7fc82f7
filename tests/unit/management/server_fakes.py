"""A server as the interface sees it, and a session with a desk before it."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from ginnel.compat.server_status import ClientRow, RouteRow
from ginnel.core.server_actions import ClientFacts, ClientId
from ginnel.core.types import Endpoint, PeerId, Transport
from ginnel.management.desk import ClientDesk
from ginnel.shell.server_frontend import LoadStats, Traffic
from tests.unit.management.fakes import TITLE, WHEN, Rig

WHEN_TEXT = "2026-11-26 23:09:46"
REMOTE = Endpoint(ip_address("192.0.2.10"), 35810)


def facts(client_id: int = 0, key_number: int = 1) -> ClientFacts:
    return ClientFacts(
        client_id=ClientId(client_id),
        key_number=key_number,
        peer_id=PeerId(client_id),
        remote=REMOTE,
        transport=Transport.UDP,
        common_name="laptop",
    )


class FakeControl:
    """A server whose clients a test puts there; remembers what it was asked to do."""

    def __init__(self) -> None:
        self.present: dict[ClientId, ClientFacts] = {}
        self.client_rows: Iterable[ClientRow] = ()
        self.route_rows: Iterable[RouteRow] = ()
        self.counted: Iterable[Traffic] = ()
        self.stats = LoadStats()
        self.done: list[tuple[object, ...]] = []

    def clients(self) -> Iterable[ClientRow]:
        return self.client_rows

    def routes(self) -> Iterable[RouteRow]:
        return self.route_rows

    def traffic(self) -> Iterable[Traffic]:
        return self.counted

    def broadcast_queue(self) -> int:
        return 0

    def load_stats(self) -> LoadStats:
        return self.stats

    def kill_by_name(self, common_name: str) -> int:
        found = [each for each in self.present.values() if each.common_name == common_name]
        self.done.append(("kill", common_name))
        return len(found)

    def kill_by_address(self, remote: Endpoint, transport: Transport | None) -> int:
        self.done.append(("kill", remote, transport))
        return sum(each.remote == remote for each in self.present.values())

    def restart_client(self, client_id: ClientId, message: str) -> bool:
        self.done.append(("restart", client_id, message))
        return client_id in self.present

    def refuse(self, client_id: ClientId, client_reason: str) -> bool:
        self.done.append(("refuse", client_id, client_reason))
        return client_id in self.present

    def facts(self, client_id: ClientId) -> ClientFacts | None:
        return self.present.get(client_id)

    def push_update(self, client_id: ClientId, options: Sequence[str]) -> bool:
        self.done.append(("update", client_id, tuple(options)))
        return client_id in self.present

    def push_update_all(self, options: Sequence[str]) -> int:
        self.done.append(("update", tuple(options)))
        return len(self.present)


class ServerRig(Rig):
    """A session of a server; ``begin`` lets it run."""

    def __init__(self, *, hold: bool = False) -> None:
        self.desk = ClientDesk(
            title=lambda: TITLE,
            wall_clock=lambda: WHEN,
            time_text=lambda when: WHEN_TEXT,
            log=self.log,
        )
        super().__init__(hold=hold, server=self.desk)
        self.control = FakeControl()

    def begin(self) -> None:
        self.desk.control = self.control
        self.session.begin()
