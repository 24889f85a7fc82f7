"""Tables are read again when something changed, and only then."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from ginnel.core.types import IPAddress
from ginnel.host import tables
from ginnel.host.rtnetlink import AddressState, LinkState, RouteState
from ginnel.host.tables import KeptTables
from tests.unit.host.fake_kernel import fake_link, fake_route

SERVER = ip_address("198.51.100.1")
EVERYTHING = ["links", "addresses", "routes 4", "routes 6"]


class Source:
    """Counts what is asked for; has one row of each kind."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def links(self) -> list[LinkState]:
        self.asked.append("links")
        return [fake_link(7, "eth0")]

    def addresses(self) -> list[AddressState]:
        self.asked.append("addresses")
        return [AddressState(index=7, local=ip_address("192.0.2.10"), prefix=24, peer=None)]

    def routes(self, version: int) -> list[RouteState]:
        self.asked.append(f"routes {version}")
        return [fake_route("192.0.2.0/24", None, 7)]

    def route_to(self, destination: IPAddress) -> RouteState | None:
        self.asked.append("way")
        return None


class Heard:
    def __init__(self, drain: Callable[[], bool]) -> None:
        self.drain = drain


def read(kept: KeptTables, source: Source) -> list[str]:
    """What is asked for to read everything, after a refresh."""
    source.asked.clear()
    kept.refresh()
    for _ in range(2):
        assert [link.name for link in kept.links()] == ["eth0"]
        assert len(kept.addresses()) == len(kept.routes(4)) == len(kept.routes(6)) == 1
    return list(source.asked)


def lost() -> bool:
    raise OSError(9, "Bad file descriptor")


def test_what_nobody_changed_is_not_read_again() -> None:
    source = Source()
    kept = KeptTables(source, Heard(lambda: False))
    assert read(kept, source) == EVERYTHING
    assert read(kept, source) == []


@pytest.mark.parametrize("changes", [Heard(lambda: True), Heard(lost), None])
def test_what_may_have_changed_is_read_again(changes: Heard | None) -> None:
    source = Source()
    kept = KeptTables(source, changes)
    assert read(kept, source) == EVERYTHING
    assert read(kept, source) == EVERYTHING


def test_the_way_to_a_server_is_always_asked_for() -> None:
    source = Source()
    kept = KeptTables(source, Heard(lambda: False))
    assert kept.route_to(SERVER) is kept.route_to(SERVER) is None
    assert source.asked == ["way", "way"]


def test_long_tables_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "KEPT_ROWS", 0)
    source = Source()
    kept = KeptTables(source, Heard(lambda: False))
    assert read(kept, source) == 2 * EVERYTHING
