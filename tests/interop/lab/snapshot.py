"""What a host's network looks like: addresses, routes, rules, links and resolver, to compare later.

Not responsible for undoing anything: it only proves that all is as before.
"""

import json
from dataclasses import dataclass

from tests.interop.lab.namespaces import NETNS_ETC, Namespace

_VOLATILE = frozenset({"valid_life_time", "preferred_life_time", "expires", "stats64", "stats"})


def _entries(objects: list[dict[str, object]]) -> tuple[str, ...]:
    kept = (
        {key: value for key, value in entry.items() if key not in _VOLATILE}
        for entry in objects
        if entry  # `ip -j` prints an empty object for some filtered entries
    )
    return tuple(sorted(json.dumps(entry, sort_keys=True) for entry in kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Sorted JSON texts of every address, route (all tables), rule; and the resolver file."""

    addresses: tuple[str, ...]
    routes: tuple[str, ...]
    rules: tuple[str, ...]
    resolver: str

    def difference(self, later: "Snapshot") -> list[str]:
        """Lists what the later snapshot lost (``-``) and gained (``+``); empty when equal."""
        lines: list[str] = []
        pairs = (
            ("address", self.addresses, later.addresses),
            ("route", self.routes, later.routes),
            ("rule", self.rules, later.rules),
            ("resolver", (self.resolver,), (later.resolver,)),
        )
        for kind, before, after in pairs:
            lines += [f"- {kind} {text}" for text in before if text not in after]
            lines += [f"+ {kind} {text}" for text in after if text not in before]
        return lines


def take_snapshot(namespace: Namespace) -> Snapshot:
    """Asks ``ip -j`` for both families and all tables."""
    routes: list[str] = []
    rules: list[str] = []
    for family in ("-4", "-6"):
        listing = namespace.ip_json(family, "route", "show", "table", "all")
        routes += [f"{family} {entry}" for entry in _entries(listing)]
        rules += [f"{family} {entry}" for entry in _entries(namespace.ip_json(family, "rule"))]
    resolver = NETNS_ETC / namespace.name / "resolv.conf"
    return Snapshot(
        addresses=_entries(namespace.ip_json("address", "show")),
        routes=tuple(routes),
        rules=tuple(rules),
        resolver=resolver.read_text() if resolver.exists() else "",
    )


def route_lines(namespace: Namespace) -> tuple[str, ...]:
    """Gives the main tables as ``ip route`` prints them, IPv4 first, for people to read."""
    lines: list[str] = []
    for family in ("-4", "-6"):
        text = namespace.ip(family, "route", "show")
        lines += [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return tuple(line for line in lines if not line.startswith(("fe80::/64", "ff00::/8")))
