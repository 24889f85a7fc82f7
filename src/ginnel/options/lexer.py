"""Splits configuration text into directives by OpenVPN's rules; every directive keeps its origin.

Rules checked against openvpn 2.6.14 (tests/vectors/options/lexer.json): a backslash escapes a
backslash, a double quote or white space, outside quotes and in double quotes; single quotes take
everything literally; a quote is special only where a word begins; ``#`` and ``;`` begin a comment
only where a word could begin; a line is at most 255 bytes and counts at most 16 words.

It knows nothing of which options exist, opens no files, and only ever raises ConfigError.
"""

from collections.abc import Iterator

from ginnel.dataclass import dataclass
from ginnel.options.errors import ConfigError, printable
from ginnel.options.values import Origin, Secret

MAX_LINE_BYTES = 255
"""Longest line with its line end, as OpenVPN's buffer of 256 takes it."""

MAX_WORDS = 16
"""Words of a line, the option's name included; OpenVPN reads no further, and says nothing."""

MAX_BLOCK_BYTES = 16 * 1024 * 1024
"""Largest inline block; certificate revocation lists can be big, endless input must not be."""

_SPACES = frozenset(" \t\n\v\f\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NOTHING_LEFT = ""


@dataclass(frozen=True, kw_only=True)
class Directive:
    """One option as written: its name without dashes, its arguments, or an inline block."""

    name: str
    words: tuple[str, ...]
    origin: Origin
    inline: Secret | None = None
    """Bytes between ``<name>`` and ``</name>``."""
    truncated: bool = False
    """True when the line had more words than OpenVPN reads."""


@dataclass(frozen=True)
class LexedLine:
    """The words of a line, and whether there were more than ``MAX_WORDS``."""

    words: tuple[str, ...]
    truncated: bool = False


def lex_line(text: str, origin: Origin) -> LexedLine:
    """Splits one line into words. Raises ConfigError for unbalanced quotes or a bad backslash."""
    words: list[str] = []
    position = 0
    while True:
        position = _skip_space(text, position)
        if position >= len(text):
            return LexedLine(tuple(words))
        if len(words) == MAX_WORDS:
            return LexedLine(tuple(words), truncated=not _is_comment(text, position))
        if _is_comment(text, position):
            return LexedLine(tuple(words))
        word, position = _read_word(text, position, origin)
        words.append(word)


def lex_config(content: bytes, source: str, *, first_line: int = 1) -> Iterator[Directive]:
    """Yields the directives of a configuration file (or of a ``<connection>`` block's inside).

    ``first_line`` is the number of the first line, for blocks inside a file. Raises ConfigError.
    """
    lines = content.removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    had_mark = content.startswith(_BYTE_ORDER_MARK)
    index = 0
    while index < len(lines):
        origin = Origin(source, first_line + index)
        extra = len(_BYTE_ORDER_MARK) if had_mark and index == 0 else 0
        is_last = index == len(lines) - 1
        text = _checked_line(lines[index], extra + (not is_last), origin)
        index += 1
        if not is_last:
            text += "\n"
        lexed = lex_line(text, origin)
        if not lexed.words:
            continue
        name = strip_dashes(lexed.words[0])
        if len(lexed.words) == 1 and len(name) > 1 and name[0] == "<" and name[-1] == ">":
            block, index = _read_block(lines, index, name[1:-1], origin)
            yield Directive(name=name[1:-1], words=(), origin=origin, inline=Secret(block))
        else:
            yield Directive(
                name=name, words=lexed.words[1:], origin=origin, truncated=lexed.truncated
            )


def strip_dashes(word: str) -> str:
    """Removes the leading ``--`` that OpenVPN tolerates in files and wants on the command line."""
    return word[2:] if len(word) > 2 and word.startswith("--") else word


def split_command(text: str, origin: Origin) -> tuple[str, ...]:
    """Splits a script option into argv by the rules of a line; what does not lex is one word."""
    try:
        words = lex_line(text, origin).words
    except ConfigError:
        return (text,)
    return words or (text,)


def quote_word(word: str) -> str:
    """Writes a word so that ``lex_line`` reads it back unchanged.

    Raises ValueError for a word with a line break or NUL, which no configuration line can hold.
    """
    if "\n" in word or "\0" in word:
        raise ValueError("a line break or NUL cannot be written in a configuration line")
    special = _SPACES | {'"', "'", "\\", "#", ";"}
    if word and not special.intersection(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACES:
        position += 1
    return position


def _is_comment(text: str, position: int) -> bool:
    """A backslash before the mark does not protect it (seen with openvpn 2.6.14)."""
    if text[position] == "\\":
        position += 1
    return position < len(text) and text[position] in "#;"


def _read_word(text: str, position: int, origin: Origin) -> tuple[str, int]:
    if text[position] == "'":
        end = text.find("'", position + 1)
        if end < 0:
            raise ConfigError(f"No closing single quotation (') in {origin}", origin=origin)
        return text[position + 1 : end], end + 1
    if text[position] == '"':
        return _read_escaped(text, position + 1, '"', origin)
    return _read_escaped(text, position, _NOTHING_LEFT, origin)


def _read_escaped(text: str, position: int, quote: str, origin: Origin) -> tuple[str, int]:
    """Reads up to the closing quote, or up to white space when ``quote`` is empty."""
    letters: list[str] = []
    while position < len(text):
        char = text[position]
        position += 1
        if char == "\\":
            if position == len(text) and not quote:
                raise ConfigError(
                    f"Bad backslash ('\\') usage in {origin}: nothing follows it", origin=origin
                )
            if position == len(text):
                break
            char = text[position]
            position += 1
            if char not in _SPACES and char not in '\\"':
                raise ConfigError(
                    f"Bad backslash ('\\') usage in {origin}: a backslash escapes a backslash, a "
                    "double quote or white space only; write \\\\ for the character itself",
                    origin=origin,
                )
        elif char == quote or (not quote and char in _SPACES):
            return "".join(letters), position
        letters.append(char)
    if quote:
        raise ConfigError(f'No closing quotation (") in {origin}', origin=origin)
    return "".join(letters), position


def _checked_line(line: bytes, extra: int, origin: Origin) -> str:
    if len(line) + extra > MAX_LINE_BYTES:
        start = printable(line[:32].decode("utf-8", "replace"))
        raise ConfigError(
            f"In {origin}: Maximum option line length ({MAX_LINE_BYTES + 1}) exceeded, "
            f"line starts with {start}",
            origin=origin,
        )
    if b"\0" in line:
        raise ConfigError(
            f"In {origin}: the line holds a NUL byte, so this is not a text file in UTF-8",
            origin=origin,
        )
    return line.decode("utf-8", "surrogateescape")


def _read_block(lines: list[bytes], index: int, name: str, origin: Origin) -> tuple[bytes, int]:
    """Collects lines up to the closing tag, which may be indented and followed by anything."""
    close = f"</{name}>".encode("utf-8", "surrogateescape")
    size = 0
    for end in range(index, len(lines)):
        if lines[end].lstrip(b" \t\v\f\r").startswith(close):
            block = lines[index:end]
            return b"\n".join([*block, b""]) if block else b"", end + 1
        size += len(lines[end]) + 1
        if size > MAX_BLOCK_BYTES:
            raise ConfigError(
                f"the block <{printable(name)}> is larger than {MAX_BLOCK_BYTES} bytes",
                origin=origin,
                option=name,
            )
    raise ConfigError(f"Endtag </{printable(name)}> missing", origin=origin, option=name)
