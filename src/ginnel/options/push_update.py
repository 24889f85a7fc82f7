"""Applies a PUSH_UPDATE: what a server changes while the tunnel is up (OpenVPN 2.7).

An update changes the *list of items* that the last push came to, and the options follow from that
list as they do from a reply: the same rules and bounds hold. ``-option`` takes an option's items
away; the first item of a kind takes the earlier ones' place; ``?`` lets a client go on that does
not know the option. What a file says is not touched by either. Rules: protocol-facts 17.
"""

from collections.abc import Sequence

from ginnel.dataclass import dataclass
from ginnel.options.errors import printable
from ginnel.options.model import ClientOptions, PullVerdict
from ginnel.options.pushed import MAX_ITEMS, PushResult, apply_push, filter_verdict

_KEEPALIVE = ("ping", "ping-restart", "ping-exit")
_UPDATABLE: dict[str, tuple[str, ...]] = {
    name: (name,)
    for name in (
        "block-ipv6",
        "block-outside-dns",
        "dhcp-option",
        "dns",
        "ifconfig",
        "ifconfig-ipv6",
        "push-continuation",
        "redirect-gateway",
        "redirect-private",
        "route",
        "route-gateway",
        "route-ipv6",
        "route-metric",
        "topology",
        "tun-mtu",
    )
}
_UPDATABLE["keepalive"] = _KEEPALIVE
"""Names an update may use, and those of the items that make way for them."""


@dataclass(frozen=True, kw_only=True)
class UpdateResult:
    """What an update made of the options."""

    items: tuple[str, ...] = ()
    """What the pushed options come to now; the next update starts from it."""
    push: PushResult
    failure: str | None = None
    """Why the connection cannot go on: an item that the server insists on was not taken."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Optional items that were not taken, each with the reason; printable."""
    groups: tuple[str, ...] = ()
    """Which groups the update named, in OpenVPN's words."""


def apply_update(
    base: ClientOptions, earlier: Sequence[str], update: Sequence[str]
) -> UpdateResult:
    """Applies update items to ``earlier`` ones, of a reply and of updates since.

    ``base`` are the options before any push. Never raises for what is pushed.
    """
    work = _Update(base, earlier)
    for text in update[: MAX_ITEMS + 1]:
        work.take(text.strip(" \t"))
        if work.failure is not None:
            break
    items = tuple(work.items)
    push = apply_push(base, items)
    return UpdateResult(
        items=items,
        push=push,
        failure=work.failure or push.failure,
        left_out=tuple(work.left_out),
        groups=apply_push(base, work.added).groups,
    )


class _Update:
    """One update while it is being applied."""

    def __init__(self, base: ClientOptions, earlier: Sequence[str]) -> None:
        self.items = list(earlier)
        self.failure: str | None = None
        self.left_out: list[tuple[str, str]] = []
        self.added: list[str] = []
        self._base = base
        self._begun: set[str] = set()
        """Kinds that the update has mentioned."""

    def take(self, text: str) -> None:
        removes = text.startswith("-")
        rest = text.removeprefix("-")
        optional = rest.startswith("?")
        item = rest.removeprefix("?")
        name = item.split(" ", 1)[0]
        if not text:
            return
        if name not in _UPDATABLE:
            self._refuse(text, "not an option that can be updated", optional=optional)
            return
        match filter_verdict(self._base.pull_filters, item):
            case PullVerdict.IGNORE:
                return
            case PullVerdict.REJECT:
                self._refuse(text, "rejected by pull-filter", optional=optional)
                return
            case PullVerdict.ACCEPT:
                pass
        if removes:
            self._drop(name)
            return
        added = _items_of(item)
        refused = apply_push(self._base, added).refused
        if refused and refused[0][1] != "route-nopull is set":
            self._refuse(text, refused[0][1], optional=optional)
            return
        if name not in self._begun:
            self._drop(name)
        self.items.extend(added)
        self.added.extend(added)

    def _drop(self, name: str) -> None:
        self._begun.add(name)
        kinds = _UPDATABLE[name]
        self.items = [item for item in self.items if item.lstrip().split(" ", 1)[0] not in kinds]

    def _refuse(self, text: str, reason: str, *, optional: bool) -> None:
        if optional:
            if len(self.left_out) < _MAX_LEFT_OUT:
                self.left_out.append((printable(text), reason))
        else:
            self.failure = f"Offending option received from server: '{printable(text)}': {reason}"


_MAX_LEFT_OUT = 64


def _items_of(item: str) -> tuple[str, ...]:
    """``keepalive`` is a word of updates only; its two halves are pushed one by one in a reply."""
    words = item.split()
    if words[0] == "keepalive" and len(words) == 3:
        return f"ping {words[1]}", f"ping-restart {words[2]}"
    return (item,)
