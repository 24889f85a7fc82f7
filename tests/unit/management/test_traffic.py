"""Traffic reports: only what changed, and nothing kept of clients that are gone."""

from ginnel.core.server_actions import ClientId
from ginnel.management.traffic import TrafficReports
from ginnel.shell.server_frontend import Traffic


def _traffic(*counts: tuple[int, int]) -> list[Traffic]:
    return [
        Traffic(client_id=ClientId(number), received=received, sent=10)
        for number, received in counts
    ]


def test_only_clients_that_moved_something_are_reported() -> None:
    reports = TrafficReports()
    assert list(reports.lines(_traffic((0, 5), (1, 6)))) == [
        ">BYTECOUNT_CLI:0,5,10",
        ">BYTECOUNT_CLI:1,6,10",
    ]
    assert list(reports.lines(_traffic((0, 5), (1, 7)))) == [">BYTECOUNT_CLI:1,7,10"]


def test_who_is_gone_is_forgotten() -> None:
    reports = TrafficReports()
    assert len(list(reports.lines(_traffic((0, 5), (1, 6))))) == 2
    assert list(reports.lines(_traffic((1, 6)))) == []
    assert len(list(reports.lines(_traffic((0, 5), (1, 6))))) == 1
