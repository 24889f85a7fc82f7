"""The root of ginnel's errors, and the one that a user's configuration causes.

Also renders a configuration error as the lines OpenVPN's users and tools know. Printing them is the
frontend's work.
"""

from ginnel import OPENVPN_RELEASE
from ginnel.options.values import Origin

_SHOWN_MAX = 120


class GinnelError(Exception):
    """Everything ginnel raises on purpose derives from this."""


class ConfigError(GinnelError):
    """The user can fix it: names the option, the file and line, and what was expected."""

    def __init__(
        self, message: str, *, origin: Origin | None = None, option: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.origin = origin
        self.option = option


class UnrecognizedOption(ConfigError):
    """The option does not exist, or does not take that many words; may be forgiven on request."""


def printable(text: str, limit: int = _SHOWN_MAX) -> str:
    """Makes text from outside fit for a log line: no control characters, bounded length."""
    cut = text[:limit]
    shown = "".join(char if char.isprintable() else "?" for char in cut)
    return shown + "..." if len(text) > limit else shown


def unrecognized(name: str, origin: Origin, detail: str) -> UnrecognizedOption:
    """Builds the error for an unknown option or a wrong argument count.

    The first line keeps the words that tools search for (protocol-facts 26); ``detail`` follows on
    a line of its own and says what was expected.
    """
    first = (
        "Unrecognized option or missing or extra parameter(s) in "
        f"{origin}: {printable(name)} ({OPENVPN_RELEASE})"
    )
    message = f"{first}\n{detail}" if detail else first
    return UnrecognizedOption(message, origin=origin, option=name)


def render_config_error(error: ConfigError) -> list[str]:
    """Renders the lines to print before exit status 1, in OpenVPN's form, without a timestamp."""
    lines = error.message.splitlines() or ["invalid configuration"]
    if error.origin is not None and str(error.origin) not in lines[0]:
        lines[0] = f"In {error.origin}: {lines[0]}"
    rendered = [f"Options error: {printable(line, 1000)}" for line in lines]
    return [*rendered, "Use --help for more information."]
