"""The kernel's tables, listed and decoded again only after something changed.

A connection asks for the underlay several times within a second, and links, routes and addresses
are a millisecond or two each time. The kernel queues its word of a change before the call that made
it returns: what was read holds until something is heard. The way to one destination depends on
rules as well, and is always asked for.
"""

from ginnel.core.types import IPAddress
from ginnel.hints import Protocol
from ginnel.host.rtnetlink import AddressState, LinkState, RouteState
from ginnel.host.underlay import Tables

KEPT_ROWS = 4096
"""A longer table, a router's, is not kept in memory."""


class Changes(Protocol):
    """What hears of changes: ``watch.ChangeSocket``."""

    def drain(self) -> bool: ...


class KeptTables:
    """``Tables`` that remember. They are as of the last ``refresh`` or later."""

    def __init__(self, source: Tables, changes: Changes | None) -> None:
        """Without ``changes`` each refresh forgets everything. They must be heard already."""
        self._source = source
        self._changes = changes
        self._links: list[LinkState] | None = None
        self._addresses: list[AddressState] | None = None
        self._routes: dict[int, list[RouteState]] = {}

    def refresh(self) -> None:
        """Forgets what may have changed."""
        if self._may_have_changed():
            self._links = self._addresses = None
            self._routes.clear()

    def _may_have_changed(self) -> bool:
        try:
            return self._changes is None or self._changes.drain()
        except OSError:
            return True

    def links(self) -> list[LinkState]:
        if self._links is not None:
            return self._links
        found = self._source.links()
        self._links = found if len(found) <= KEPT_ROWS else None
        return found

    def addresses(self) -> list[AddressState]:
        if self._addresses is not None:
            return self._addresses
        found = self._source.addresses()
        self._addresses = found if len(found) <= KEPT_ROWS else None
        return found

    def routes(self, version: int) -> list[RouteState]:
        known = self._routes.get(version)
        if known is not None:
            return known
        found = self._source.routes(version)
        if len(found) <= KEPT_ROWS:
            self._routes[version] = found
        return found

    def route_to(self, destination: IPAddress) -> RouteState | None:
        return self._source.route_to(destination)
