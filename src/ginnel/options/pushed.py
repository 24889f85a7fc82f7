"""Applies what a server pushed: options in, new options out.

Nothing here raises: a pushed option that is wrong, unknown or not allowed is refused on its own,
and whatever a hostile server sends stays bounded in time and memory. Rules: protocol-facts 17.
"""

from collections.abc import Sequence

from ginnel.dataclass import dataclass
from ginnel.options.apply import apply_use
from ginnel.options.draft import Draft, Use
from ginnel.options.errors import ConfigError, printable
from ginnel.options.lexer import Directive, lex_line
from ginnel.options.model import ClientOptions, PullFilter, PullVerdict
from ginnel.options.source import match_directive
from ginnel.options.table import OptionRow, PushClass, Support
from ginnel.options.tunnel_addresses import address_problem
from ginnel.options.values import PUSH_OPTIONS, Origin

MAX_ITEM_BYTES = 1024
"""Longest pushed option; a whole part of a reply is not longer."""

MAX_ITEMS = 20_000
MAX_REFUSED = 64
"""Refusals reported one by one; the rest is counted."""

_ROUTE_CLASSES = frozenset({PushClass.ROUTE, PushClass.DHCPDNS})
_GROUPS = {
    PushClass.MESSAGES: "--verb and/or --mute level",
    PushClass.TIMER: "timers and/or timeouts",
    PushClass.EXPLICIT_NOTIFY: "explicit notify parm(s)",
    PushClass.SOCKBUF: "--sndbuf/--rcvbuf options",
    PushClass.SOCKFLAGS: "--socket-flags option",
    PushClass.PERSIST: "--persist options",
    PushClass.UP: "--ifconfig/up options",
    PushClass.ROUTE: "route options",
    PushClass.ROUTE_EXTRAS: "route-related options",
    PushClass.DHCPDNS: "--ip-win32 and/or --dhcp-option options",
    PushClass.SETENV: "environment",
    PushClass.PEER_ID: "peer-id",
    PushClass.PUSH_MTU: "tun-mtu",
    PushClass.NCP: "data channel crypto options",
    PushClass.COMP: "compression parms modified",
}
_NOT_OF_DEVICE = frozenset(
    {
        "peer-id",
        "auth-token",
        "auth-token-user",
        "protocol-flags",
        "key-derivation",
        "explicit-exit-notify",
        "ping",
        "ping-restart",
        "ping-exit",
        "push-continuation",
    }
)


@dataclass(frozen=True, kw_only=True)
class PushResult:
    """What a push made of the options."""

    options: ClientOptions
    refused: tuple[tuple[str, str], ...] = ()
    """Items that were not taken, each with the reason; printable, secrets never among them."""
    filtered: tuple[str, ...] = ()
    """Items that ``pull-filter ignore`` removed, the first ``MAX_REFUSED`` of them; printable."""
    groups: tuple[str, ...] = ()
    """Which groups changed, in OpenVPN's words: ``timers and/or timeouts``, ``route options``."""
    rejected_by_filter: str | None = None
    """The item that a ``pull-filter reject`` hit; the connection must restart."""
    failure: str | None = None
    """Why the connection cannot go on: it asks for addresses or compression that cannot be had."""
    device_items: tuple[str, ...] = ()
    """Those that the device follows from: with equal ones a kept device still fits
    (``persist-tun``)."""


def apply_push(options: ClientOptions, items: Sequence[str]) -> PushResult:
    """Applies pushed items (the texts between the commas of a PUSH_REPLY) to the base options.

    ``options`` are those of the profile, without an earlier push. Never raises for what is pushed.
    """
    push = _Push(options)
    for number, item in enumerate(items, 1):
        if number > MAX_ITEMS:
            push.refuse("...", f"more than {MAX_ITEMS} options were pushed")
            break
        text = item.lstrip(" \t")
        match filter_verdict(options.pull_filters, text):
            case PullVerdict.REJECT:
                push.rejected = printable(_named(text))
                break
            case PullVerdict.IGNORE:
                push.leave_out(text)
            case PullVerdict.ACCEPT:
                push.take(text, Origin(PUSH_OPTIONS, number))
    return push.result()


def filter_verdict(filters: tuple[PullFilter, ...], text: str) -> PullVerdict:
    """What ``pull-filter`` says about an item. The first filter whose text begins the item decides.

    An item that no filter knows is also looked at without quotes and backslashes, lest a server
    slips ``"route" ...`` past a filter for ``route``.
    """
    if not filters:
        return PullVerdict.ACCEPT
    for candidate in (text, _plain(text)):
        for entry in filters:
            if candidate.startswith(entry.prefix):
                return entry.verdict
    return PullVerdict.ACCEPT


def _plain(text: str) -> str:
    try:
        return " ".join(lex_line(text[:MAX_ITEM_BYTES], Origin(PUSH_OPTIONS, 0)).words)
    except ConfigError:
        return text


class _Push:
    """One push while it is being applied."""

    def __init__(self, options: ClientOptions) -> None:
        self.rejected: str | None = None
        self._failure: str | None = None
        self._draft = Draft(options=options)
        self._refused: list[tuple[str, str]] = []
        self._refused_more = 0
        self._filtered: list[str] = []
        self._classes: set[PushClass] = set()
        self._device_items: list[str] = []

    def take(self, text: str, origin: Origin) -> None:
        """Applies one item, or refuses it."""
        if not text.strip():
            return
        try:
            use = self._use(text, origin)
            reason = self._obstacle(use.row)
            if reason is None:
                apply_use(self._draft, use)
        except ConfigError as error:
            self.refuse(text, _reason(error))
            return
        if reason is not None:
            self.refuse(text, reason)
            return
        if use.row.push is not None and use.row.support is Support.SUPPORTED:
            self._classes.add(use.row.push)
        self._note_for_device(use.row.name, text)

    def refuse(self, text: str, reason: str) -> None:
        """Remembers a refusal, within bounds."""
        if len(self._refused) < MAX_REFUSED:
            self._refused.append((printable(_named(text)), reason))
        else:
            self._refused_more += 1

    def leave_out(self, text: str) -> None:
        """Remembers an item that a filter removed, within bounds."""
        if len(self._filtered) < MAX_REFUSED:
            self._filtered.append(printable(_named(text)))

    def result(self) -> PushResult:
        refused = self._refused
        data = self._draft.options.data
        kind = data.compression
        if kind is not None and kind.may_compress and not data.allow_compression:
            self._failure = (
                "OPTIONS ERROR: server pushed compression settings that are not allowed and will "
                "result in a non-working connection: its packets would be compressed. Remove "
                "comp-lzo and compress on the server, or add 'allow-compression asym' here"
            )
        if self._refused_more:
            refused = [*refused, (f"{self._refused_more} more", "refused likewise")]
        groups = [words for kind, words in _GROUPS.items() if kind in self._classes]
        return PushResult(
            options=self._draft.options,
            refused=tuple(refused),
            filtered=tuple(self._filtered),
            groups=tuple(groups),
            rejected_by_filter=self.rejected,
            failure=self._failure or self._address_failure(),
            device_items=tuple(self._device_items),
        )

    def _address_failure(self) -> str | None:
        problem = address_problem(self._draft.options.tun)
        return None if problem is None else f"the server pushed {problem}"

    def _use(self, text: str, origin: Origin) -> Use:
        if len(text.encode("utf-8", "replace")) > MAX_ITEM_BYTES or "\0" in text or "\n" in text:
            raise ConfigError(f"longer than {MAX_ITEM_BYTES} bytes, or not one line of text")
        words = lex_line(text, origin).words
        if not words:
            raise ConfigError("a comment")
        directive = Directive(name=words[0], words=words[1:], origin=origin)
        return match_directive(directive, pushed=True, suggest=False)

    def _obstacle(self, row: OptionRow) -> str | None:
        """Returns why this option is not taken from a server, or None."""
        if row.push is None:
            return "a server may not set this option"
        if self._draft.options.routes.route_nopull and row.push in _ROUTE_CLASSES:
            return "route-nopull is set"
        if row.support is Support.REFUSED:
            return row.why
        return None

    def _note_for_device(self, name: str, text: str) -> None:
        """A new cipher alone keeps the device when its MTU does not follow from the cipher."""
        if name in _NOT_OF_DEVICE:
            return
        if name == "cipher" and self._draft.options.tun.tun_mtu_defined:
            return
        self._device_items.append(text)


def _reason(error: ConfigError) -> str:
    lines = [line for line in error.message.splitlines() if line]
    head = f"In {error.origin}: " if error.origin is not None else ""
    text = lines[-1] if len(lines) > 1 else lines[0].removeprefix(head)
    return printable(text, 300)


def _named(text: str) -> str:
    """Blanks the value of a pushed secret: logs show refusals."""
    name, space, _ = text.strip("\"'").partition(" ")
    return f"{name} [...]" if space and name.startswith("auth-") else text
