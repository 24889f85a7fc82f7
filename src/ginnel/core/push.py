"""Putting together and cutting up pushed options that take more than one message.

Responsible for: ``push-continuation`` on both sides, within bounds (protocol-facts 17). Not
responsible for: what the options mean (``options.pushed``).
"""

from collections.abc import Sequence

from ginnel.core.errors import Malformed

MAX_PUSH_CHARACTERS = 1 << 20
MAX_PUSH_ITEMS = 16384
BUNDLE_SIZE = 1024 - 84
"""Characters of a part that OpenVPN fills before it begins another."""

_MORE = "push-continuation 2"
_LAST = "push-continuation 1"


class PushAssembler:
    """Collects the parts of a push. One for each kind: a reply is not continued by an update."""

    __slots__ = ("_characters", "_items")

    def __init__(self) -> None:
        self._items: list[str] = []
        self._characters = 0

    def add(self, items: Sequence[str]) -> tuple[str, ...] | None:
        """Adds a part; returns all options once the last has come, else None.

        The continuation marks are taken out. Raises ``Malformed("push-length")`` past the bounds
        and forgets what was collected.
        """
        more = False
        for item in items:
            if item.startswith("push-continuation"):
                more = item == _MORE
                continue
            self._items.append(item)
            self._characters += len(item)
        if self._characters > MAX_PUSH_CHARACTERS or len(self._items) > MAX_PUSH_ITEMS:
            self._forget()
            raise Malformed("push-length")
        if more:
            return None
        whole = tuple(self._items)
        self._forget()
        return whole

    def _forget(self) -> None:
        self._items = []
        self._characters = 0


def split_push(keyword: str, items: Sequence[str], limit: int = BUNDLE_SIZE) -> list[str]:
    """Renders options as one message, or as several with continuation marks.

    Raises ``ValueError`` for an option that holds a comma or cannot fit into a message.
    """
    parts: list[list[str]] = [[]]
    length = len(keyword)
    for item in items:
        if "," in item:
            raise ValueError("a pushed option cannot hold a comma")
        needed = len(item.encode("utf-8", "replace")) + 1
        if len(keyword) + needed > limit:
            raise ValueError(f"a pushed option of {needed - 1} bytes is too long")
        if length + needed > limit:
            parts.append([])
            length = len(keyword)
        parts[-1].append(item)
        length += needed
    if len(parts) == 1:
        return [",".join([keyword, *parts[0]])]
    marked = [[*part, _MORE] for part in parts[:-1]] + [[*parts[-1], _LAST]]
    return [",".join([keyword, *part]) for part in marked]


def _shown(item: str) -> str:
    if item.startswith("auth-token "):
        return "auth-token [secret]"
    return "echo" if item.startswith("echo ") else item


def redact(keyword: str, items: Sequence[str]) -> str:
    """The push as it may be logged: tokens are blanked, and what is echoed, as OpenVPN does."""
    shown = (_shown(item) for item in items)
    return ",".join((keyword, *shown))
