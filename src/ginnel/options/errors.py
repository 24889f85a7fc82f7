"""The root of ginnel's errors, and the one that a user's configuration causes."""

from ginnel.options.values import Origin


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
