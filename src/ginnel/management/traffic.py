"""``bytecount`` of a server: a line for each client that moved something since the last report."""

from collections.abc import Iterable, Iterator

from ginnel.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from ginnel.core.server_actions import ClientId
    from ginnel.shell.server_frontend import Traffic


class TrafficReports:
    """Remembers what was reported to one management client; holds only clients that are there."""

    def __init__(self) -> None:
        self._reported: dict[ClientId, tuple[int, int]] = {}

    def lines(self, traffic: "Iterable[Traffic]") -> Iterator[str]:
        """Renders the report, line by line as it is read."""
        seen: dict[ClientId, tuple[int, int]] = {}
        for client in traffic:
            counts = (client.received, client.sent)
            seen[client.client_id] = counts
            if self._reported.get(client.client_id) != counts:
                yield f">BYTECOUNT_CLI:{client.client_id},{client.received},{client.sent}"
        self._reported = seen
