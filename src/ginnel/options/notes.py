"""Remarks of option resolution for the log: nothing failed, yet a human should read them."""

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.options.values import Origin


class NoteKind(Enum):
    """How the remark is to be shown."""

    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class Note:
    """One line for the log, complete in itself; ``origin`` is None when no one line caused it."""

    text: str
    kind: NoteKind = NoteKind.NOTE
    origin: Origin | None = None
    option: str | None = None

    def __str__(self) -> str:
        head = "WARNING: " if self.kind is NoteKind.WARNING else ""
        where = f" ({self.origin})" if self.origin is not None else ""
        return f"{head}{self.text}{where}"
