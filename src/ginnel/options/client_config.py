"""Reads the lines about one client: its file, what a script wrote, what a management client sent.

As OpenVPN does, a line that is wrong is said and left out, and the others count. Where several
sources speak, ``merge`` puts them together in the order of their speaking.
"""

from collections.abc import Iterator

from ginnel.dataclass import dataclass, replace
from ginnel.options.apply import apply_use
from ginnel.options.apply_instance import without
from ginnel.options.draft import Draft, Use
from ginnel.options.errors import ConfigError, printable
from ginnel.options.files import FileReader
from ginnel.options.lexer import Directive, lex_config
from ginnel.options.model import ClientOptions
from ginnel.options.server_model import ClientConfig, ServerOptions
from ginnel.options.source import MAX_INCLUDE_DEPTH, match_directive

MAX_LINES = 50_000
MAX_PROBLEMS = 64
"""Wrong lines reported one by one; the rest is counted."""

_TIMERS = ("ping", "ping_restart", "ping_exit", "session_timeout")


@dataclass(frozen=True, kw_only=True)
class ParsedClient:
    """What the lines said."""

    config: ClientConfig
    problems: tuple[str, ...] = ()
    """Lines for the log about what was left out, in OpenVPN's form; printable and bounded."""


def parse_client_config(
    text: bytes, source: str, options: ServerOptions, reader: FileReader | None = None
) -> ParsedClient:
    """Reads options of one client; ``source`` names the file in complaints. Never raises.

    ``reader`` reads what ``config`` lines name; without one they are refused.
    """
    reading = _Reading(source, options, reader)
    reading.read(text, source)
    return reading.result()


def merge(first: ClientConfig, second: ClientConfig) -> ClientConfig:
    """Adds what a later source says. Its push-reset and push-remove hit earlier pushes, too."""
    earlier = () if second.push_reset else without(first.push, second.push_remove)
    later = ClientConfig()
    changed = {
        name: getattr(second, name)
        for name in ClientConfig.__dataclass_fields__
        if getattr(second, name) != getattr(later, name)
    }
    if second.ifconfig_push is not None:
        changed["ifconfig_push_alias"] = second.ifconfig_push_alias
    changed |= {
        "push": (*earlier, *second.push),
        "push_remove": (*first.push_remove, *second.push_remove),
        "iroutes": (*first.iroutes, *second.iroutes),
        "iroutes_ipv6": (*first.iroutes_ipv6, *second.iroutes_ipv6),
    }
    return replace(first, **changed)


class _Reading:
    """The lines of one source while they are read."""

    def __init__(self, source: str, options: ServerOptions, reader: FileReader | None) -> None:
        self._options = options
        self._reader = reader
        self._draft = Draft(options=ClientOptions(profiles=(), pull=False))
        self._problems: list[str] = []
        self._more_problems = 0
        self._lines = 0

    def read(self, text: bytes, source: str, depth: int = 1) -> None:
        for directive in self._directives(text, source):
            self._lines += 1
            if self._lines > MAX_LINES:
                self._complain(f"Options error: {printable(source)}: more than {MAX_LINES} options")
                return
            try:
                use = match_directive(directive, for_client=True, suggest=False)
                if use.row.name == "config":
                    self._include(use, depth)
                else:
                    apply_use(self._draft, use)
            except ConfigError as error:
                self._object(error)

    def result(self) -> ParsedClient:
        problems = self._problems
        if self._more_problems:
            problems = [*problems, f"Options error: {self._more_problems} more lines are wrong"]
        return ParsedClient(config=self._config(), problems=tuple(problems))

    def _directives(self, text: bytes, source: str) -> Iterator[Directive]:
        """Goes on behind a line that cannot be split into words."""
        lines = text.split(b"\n")
        start = 0
        while True:
            rest = b"\n".join(lines[start:])
            try:
                yield from lex_config(rest, printable(source), first_line=start + 1)
            except ConfigError as error:
                self._object(error)
                if error.origin is None or self._more_problems:
                    return
                start = error.origin.line
            else:
                return

    def _include(self, use: Use, depth: int) -> None:
        name = use.words[0]
        if depth >= MAX_INCLUDE_DEPTH or self._reader is None:
            raise use.wrong("no more files can be included here")
        try:
            content = self._reader.read(name)
        except OSError as error:
            raise use.wrong(
                f"Error opening configuration file: {error.strerror or error}"
            ) from error
        self.read(content, name, depth + 1)

    def _object(self, error: ConfigError) -> None:
        text = error.message.splitlines()[0]
        if error.origin is not None and str(error.origin) not in text:
            text = f"In {error.origin}: {text}"
        self._complain(f"Options error: {printable(text, 400)}")

    def _complain(self, text: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(text)
        else:
            self._more_problems += 1

    def _config(self) -> ClientConfig:
        """Puts what came through settings of all connections into the client's own."""
        config, places = self._draft.instance, self._draft.places
        link, data = self._draft.options.link, self._draft.options.data
        for name in _TIMERS:
            if places.has(name.replace("_", "-")):
                config = replace(config, **{name: getattr(link, name)})
        if places.has("inactive"):
            config = replace(config, inactive=link.inactive, inactive_bytes=link.inactive_bytes)
        if places.has("data-ciphers") or places.has("ncp-ciphers"):
            config = replace(config, data_ciphers=data.data_ciphers)
        if data.compression is not None:
            config = replace(config, compression=data.compression)
        fallback = data.data_ciphers_fallback
        if fallback is None and self._options.data.data_ciphers_fallback is not None:
            # The server lets clients in that negotiate nothing; ``cipher`` says what this one has.
            fallback = data.configured_cipher
        return replace(config, data_ciphers_fallback=fallback)
