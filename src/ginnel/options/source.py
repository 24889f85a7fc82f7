"""Turns a command line and the files it includes into a flat list of checked directives.

Follows what acts while OpenVPN reads: ``config`` includes, ``cd``, ``setenv opt``,
``setenv FORWARD_COMPATIBLE`` and ``ignore-unknown-option``. What options mean is not known here.
"""

from collections.abc import Iterable, Iterator, Sequence

from ginnel.dataclass import dataclass, field
from ginnel.options.arguments import parse_arguments
from ginnel.options.draft import Use
from ginnel.options.errors import ConfigError, UnrecognizedOption, printable, unrecognized
from ginnel.options.files import FileReader, FileRef, check_directory, join_path
from ginnel.options.lexer import MAX_WORDS, Directive, lex_config
from ginnel.options.notes import Note
from ginnel.options.table import Support, find_row, near_misses
from ginnel.options.values import COMMAND_LINE, Origin

MAX_INCLUDE_DEPTH = 10
MAX_DIRECTIVES = 100_000
_NO_SUCH_OPTION = "there is no option of this name"
_COMMAND_LINE_ORIGIN = Origin(COMMAND_LINE, 1)


def lex_argv(argv: Sequence[str]) -> list[Directive]:
    """Splits a command line (without the program's name) into directives.

    A single word without dashes is a configuration file. Raises ConfigError for a stray word.
    """
    if len(argv) == 1 and not argv[0].startswith("--"):
        return [Directive(name="config", words=(argv[0],), origin=_COMMAND_LINE_ORIGIN)]
    directives: list[Directive] = []
    index = 0
    while index < len(argv):
        word = argv[index]
        if not word.startswith("--"):
            raise ConfigError(
                f"I'm trying to parse \"{printable(word)}\" as an --option parameter but I don't "
                "see a leading '--'",
                option=word,
            )
        end = index + 1
        while end < len(argv) and end - index < MAX_WORDS and not argv[end].startswith("--"):
            end += 1
        words = tuple(argv[index + 1 : end])
        directives.append(Directive(name=word[2:], words=words, origin=_COMMAND_LINE_ORIGIN))
        index = end
    return directives


def match_directive(
    directive: Directive, *, pushed: bool = False, for_client: bool = False, suggest: bool = True
) -> Use:
    """Finds the directive's row and checks its words. Raises ConfigError or UnrecognizedOption.

    ``for_client``: the line is one of those about a single client of a server. Looking for near
    misses is slow: ``suggest`` only where the error ends the reading.
    """
    name, origin = directive.name, directive.origin
    row = find_row(name)
    if row is None:
        raise unrecognized(name, origin, _suggestion(name) if suggest else _NO_SUCH_OPTION)
    if row.pushed_only and not pushed:
        raise ConfigError(
            f"option '{name}' cannot be used in this context ({origin}): only a server pushes it",
            origin=origin,
            option=name,
        )
    if row.ccd_only and not for_client:
        raise ConfigError(
            f"option '{name}' cannot be used in this context ({origin}): it is about one client "
            "and belongs in its file in --client-config-dir",
            origin=origin,
            option=name,
        )
    if for_client and not row.ccd:
        raise ConfigError(
            f"option '{name}' cannot be used in this context ({origin}): it cannot be set for one "
            "client",
            origin=origin,
            option=name,
        )
    if directive.inline is None:
        values = parse_arguments(name, row.args, directive.words, origin)
        return Use(
            row=row,
            origin=origin,
            words=directive.words,
            values=values,
            pushed=pushed,
            for_client=for_client,
        )
    if not row.args and not row.inline:
        raise unrecognized(name, origin, f"expected: {name} (it takes no block)")
    if not row.inline:
        raise ConfigError(
            f"option '{name}' is not expected to be inline ({origin})", origin=origin, option=name
        )
    return Use(row=row, origin=origin, words=(), values=(), inline=directive.inline)


def _suggestion(name: str) -> str:
    found = near_misses(name)
    if not found:
        return _NO_SUCH_OPTION
    return f"{_NO_SUCH_OPTION}; did you mean " + " or ".join(repr(x) for x in found)


@dataclass(slots=True)
class Reading:
    """Reads directives in order and keeps what acts on later ones."""

    reader: FileReader
    notes: list[Note] = field(default_factory=list)
    cwd: str = ""
    """Where ``cd`` has led to, relative to where the program was started; empty is there."""
    _ignored: set[str] = field(default_factory=set)
    _forgiving: bool = False
    _count: int = 0

    def expand(self, directives: Iterable[Directive], depth: int = 1) -> Iterator[Use]:
        """Yields every directive with its row, those of included files in their place."""
        for directive in directives:
            self._count += 1
            if self._count > MAX_DIRECTIVES:
                raise ConfigError(
                    f"there are more than {MAX_DIRECTIVES} options", origin=directive.origin
                )
            use = self._match(directive)
            if use is None:
                continue
            yield use
            if use.row.name == "config":
                yield from self._include(use, depth)
            elif use.row.name == "cd":
                self._change_directory(use)

    def _match(self, directive: Directive) -> Use | None:
        """Returns None for a directive that does not exist and need not."""
        if directive.truncated:
            text = f"only the first {MAX_WORDS} words of the line are read, as OpenVPN does"
            self.notes.append(Note(text=text, origin=directive.origin, option=directive.name))
        forgiving = self._forgiving or directive.name in self._ignored
        if directive.name == "setenv" and directive.words[:1] == ("opt",):
            forgiving = True
            directive = Directive(
                name=directive.words[1] if len(directive.words) > 1 else "setenv opt",
                words=directive.words[2:],
                origin=directive.origin,
            )
            use = self._forgive(directive)
            if use is not None and use.row.support is Support.REFUSED:
                self._skip(directive, "is not supported by this release of ginnel")
                return None
            return use
        use = self._forgive(directive) if forgiving else match_directive(directive)
        if use is not None and use.row.name == "ignore-unknown-option":
            self._ignored.update(word.removeprefix("--") for word in use.words)
        if use is not None and use.row.name == "setenv":
            self._forgiving |= use.words == ("FORWARD_COMPATIBLE", "1")
        return use

    def _forgive(self, directive: Directive) -> Use | None:
        try:
            return match_directive(directive, suggest=False)
        except UnrecognizedOption as error:
            first = error.message.splitlines()[0]
            self.notes.append(Note(text=first, option=directive.name))
            return None

    def _skip(self, directive: Directive, why: str) -> None:
        text = f"optional --{directive.name} {why}"
        self.notes.append(Note(text=text, origin=directive.origin, option=directive.name))

    def _include(self, use: Use, depth: int) -> Iterator[Use]:
        name = use.words[0]
        if depth > MAX_INCLUDE_DEPTH:
            raise ConfigError(
                f"In {use.origin}: Maximum recursive include levels exceeded in include attempt of "
                f"file {printable(name)} -- probably you have a configuration file that tries to "
                "include itself.",
                origin=use.origin,
                option="config",
            )
        path = "/dev/stdin" if name == "stdin" else join_path(self.cwd, name)
        try:
            content = self.reader.read(path)
        except OSError as error:
            raise ConfigError(
                f"In {use.origin}: Error opening configuration file: {printable(name)} "
                f"({error.strerror or error})",
                origin=use.origin,
                option="config",
            ) from error
        yield from self.expand(lex_config(content, printable(name)), depth + 1)

    def _change_directory(self, use: Use) -> None:
        ref = FileRef(option="cd", origin=use.origin, path=use.words[0])
        self.cwd = join_path(self.cwd, check_directory(ref, self.reader, self.cwd))
