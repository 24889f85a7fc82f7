"""Small values that all layers share: where a setting came from, secrets, file contents.

This is the lowest module of the package: it imports nothing of ginnel.
"""

from ginnel.dataclass import dataclass

COMMAND_LINE = "[CMD-LINE]"
PUSH_OPTIONS = "[PUSH-OPTIONS]"


@dataclass(frozen=True)
class Origin:
    """Names the place a setting came from: a file and line, the command line, or a push."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"


class Secret:
    """Holds bytes that must not reach logs, records or core dumps.

    ``reveal()`` is called at the point of use only. Equality is constant-time. ``wipe`` overwrites
    what is kept here; copies that were revealed live until Python reuses their memory.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes | bytearray) -> None:
        """Takes a bytearray over as it is, so that no second copy is made."""
        self._value = value if isinstance(value, bytearray) else bytearray(value)

    def reveal(self) -> bytes:
        """Returns a copy of the bytes."""
        return bytes(self._value)

    def view(self) -> memoryview:
        """Lends the bytes for reading, without a copy. Give it back before ``wipe``."""
        return memoryview(self._value).toreadonly()

    def wipe(self) -> None:
        """Overwrites and forgets the bytes; the secret is empty afterwards."""
        self._value[:] = bytes(len(self._value))
        self._value = bytearray()

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        from hmac import compare_digest  # loads the system's OpenSSL, which few starts need

        return isinstance(other, Secret) and compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a Secret is not hashable")

    def __repr__(self) -> str:
        return f"Secret({len(self._value)} bytes)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not serialized")


@dataclass(frozen=True, kw_only=True)
class FileContent:
    """The bytes behind a file option, read when the options were resolved, or given inline.

    ``path`` is None for an inline block. ``content`` is a Secret because most such files are keys.
    """

    option: str
    origin: Origin
    path: str | None
    content: Secret
