"""The grammar of option arguments: what each word of a row must look like, and its parsed value.

Pure text checks. Rules that need a second option live in ``checks``; files are read in ``files``.
"""

from ginnel.dataclass import dataclass, replace
from ginnel.enumeration import Enum
from ginnel.options.errors import ConfigError, printable, unrecognized
from ginnel.options.lexer import split_command
from ginnel.options.values import Origin

Value = str | int | tuple[str, ...]
"""A parsed argument: a word, a number, or the argv of a command."""


class ArgKind(Enum):
    """How an argument is written."""

    WORD = "word"
    NUMBER = "number"
    CHOICE = "choice"
    PORT = "port"
    FILE = "file"
    COMMAND = "command"


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument of a row. ``repeated`` takes all remaining words."""

    name: str
    kind: ArgKind = ArgKind.WORD
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    optional: bool = False
    repeated: bool = False

    def usage(self) -> str:
        """Renders the argument for a usage line, for example ``[seconds]`` or ``udp|tcp``."""
        text = "|".join(self.choices) if self.choices else self.name
        if self.repeated:
            text += "..."
        return f"[{text}]" if self.optional else text

    def expected(self) -> str:
        """Describes in words what a good value is."""
        match self.kind:
            case ArgKind.NUMBER:
                return f"a number from {self.low} to {self.high}"
            case ArgKind.PORT:
                return f"a port number from {self.low} to 65535 or a service name"
            case ArgKind.CHOICE:
                return "one of " + ", ".join(repr(choice) for choice in self.choices)
            case ArgKind.COMMAND:
                return "a command"
            case ArgKind.FILE | ArgKind.WORD:
                return f"a value for {self.name}"


def word(name: str) -> Argument:
    """Any text."""
    return Argument(name=name)


def number(name: str, low: int = 0, high: int = 2**31 - 1) -> Argument:
    """A decimal number within bounds, both included."""
    return Argument(name=name, kind=ArgKind.NUMBER, low=low, high=high)


def seconds(name: str = "seconds", low: int = 0, high: int = 2**31 - 1) -> Argument:
    """A whole number of seconds."""
    return number(name, low, high)


def choice(*choices: str) -> Argument:
    """One of a few fixed words."""
    return Argument(name=choices[0], kind=ArgKind.CHOICE, choices=choices)


def port(name: str = "port", low: int = 1) -> Argument:
    """A port number or service name; ``low`` is 0 where that means any free one."""
    return Argument(name=name, kind=ArgKind.PORT, low=low)


def file(name: str = "file") -> Argument:
    """A path; most such options take an inline block instead."""
    return Argument(name=name, kind=ArgKind.FILE)


def command(name: str = "command") -> Argument:
    """A command line in one word; its value is the argv."""
    return Argument(name=name, kind=ArgKind.COMMAND)


def optional(argument: Argument) -> Argument:
    """The same argument, but it may be missing (and so must be all after it)."""
    return replace(argument, optional=True)


def repeated(argument: Argument) -> Argument:
    """The same argument, once or more, up to the end of the line."""
    return replace(argument, repeated=True)


def count_bounds(arguments: tuple[Argument, ...]) -> tuple[int, int | None]:
    """Returns the least and the greatest number of words; None is without limit."""
    least = sum(1 for argument in arguments if not argument.optional)
    unlimited = any(argument.repeated for argument in arguments)
    return least, None if unlimited else len(arguments)


def parse_arguments(
    name: str, arguments: tuple[Argument, ...], words: tuple[str, ...], origin: Origin
) -> tuple[Value, ...]:
    """Checks the words of a directive against its grammar and converts them.

    Raises ConfigError naming the option, its place and what was expected.
    """
    least, most = count_bounds(arguments)
    if len(words) < least or (most is not None and len(words) > most):
        usage = " ".join([name, *(argument.usage() for argument in arguments)])
        raise unrecognized(name, origin, f"expected: {usage}")
    values: list[Value] = []
    for index, text in enumerate(words):
        argument = arguments[min(index, len(arguments) - 1)]
        values.append(_parse(name, argument, text, origin))
    return tuple(values)


def parse_number(name: str, text: str, low: int, high: int, origin: Origin) -> int:
    """Reads a bounded decimal number. Raises ConfigError."""
    digits = text[1:] if text[:1] in {"-", "+"} else text
    if digits.isascii() and digits.isdecimal() and len(digits) <= 20 and low <= int(text) <= high:
        return int(text)
    raise ConfigError(
        f"In {origin}: {name}: {printable(text, 40)!r} is not a number from {low} to {high}",
        origin=origin,
        option=name,
    )


def _parse(name: str, argument: Argument, text: str, origin: Origin) -> Value:
    match argument.kind:
        case ArgKind.NUMBER:
            return parse_number(name, text, argument.low, argument.high, origin)
        case ArgKind.CHOICE:
            good = text in argument.choices
        case ArgKind.PORT:
            good = _is_port(text, argument.low)
        case ArgKind.COMMAND:
            if text.strip():
                return split_command(text, origin)
            good = False
        case ArgKind.FILE:
            good = text != ""
        case ArgKind.WORD:
            good = True
    if good:
        return text
    raise ConfigError(
        f"In {origin}: {name}: {printable(text, 60)!r} is not {argument.expected()}",
        origin=origin,
        option=name,
    )


def _is_port(text: str, low: int) -> bool:
    """Accepts what a resolver can take: a number in range, or a service name."""
    if text.isascii() and text.isdecimal():
        return len(text) <= 5 and low <= int(text) <= 65535
    letters = text.replace("-", "").replace("_", "").replace(".", "").replace("+", "")
    return 1 <= len(text) <= 64 and letters.isascii() and letters.isalnum()
