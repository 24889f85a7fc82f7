"""The lexer against what a real openvpn did, and its own bounds."""

import base64
import json
from pathlib import Path
from typing import TypedDict

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.lexer import (
    MAX_LINE_BYTES,
    Directive,
    lex_config,
    lex_line,
    quote_word,
    split_command,
)
from ginnel.options.values import Origin

HERE = Origin("c.conf", 1)
VECTORS = Path(__file__).parents[2] / "vectors" / "options" / "lexer.json"


class Seen(TypedDict, total=False):
    word: str | None
    error: str


class Case(TypedDict):
    line: str
    first: Seen
    later: Seen


def load_cases() -> list[Case]:
    cases: list[Case] = json.loads(VECTORS.read_text())["cases"]
    return cases


CAUSES = {
    "double-quote": "No closing quotation",
    "single-quote": "No closing single quotation",
    "backslash": "Bad backslash",
    "length": "Maximum option line length",
}


def first_directive(content: bytes) -> Directive | None:
    return next(lex_config(content + b"\nzzz\n", "c.conf"), None)


def expect(seen: Seen, content: bytes, index: int) -> None:
    """Index 0 is the option's name, else an argument."""
    if "error" in seen:
        with pytest.raises(ConfigError, match=CAUSES[seen["error"]]):
            first_directive(content)
        return
    directive = first_directive(content)
    assert directive is not None
    word = seen["word"]
    if word is None:
        got = None if directive.origin.line == 2 else directive.name
        assert (got if index == 0 else directive.words[1:]) in (None, ())
        return
    wanted = base64.b64decode(word).decode("utf-8", "surrogateescape")
    assert (directive.name if index == 0 else directive.words[index]) == wanted


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: base64.b64decode(case["line"])[:20])
def test_lines_read_as_openvpn_reads_them(case: Case) -> None:
    line = base64.b64decode(case["line"])
    expect(case["first"], line, 0)
    expect(case["later"], b"redirect-gateway def1 " + line, 1)


def test_words_past_the_sixteenth_are_cut_and_marked() -> None:
    lexed = lex_line(" ".join(str(number) for number in range(20)), HERE)
    assert lexed.words == tuple(str(number) for number in range(16))
    assert lexed.truncated


def test_a_comment_after_sixteen_words_is_not_a_cut() -> None:
    line = " ".join(str(number) for number in range(16)) + " # that was all"
    assert not lex_line(line, HERE).truncated


def test_the_mark_at_the_start_of_a_file_is_skipped() -> None:
    directives = list(lex_config(b"\xef\xbb\xbfverb 3\r\ndev tun\r\n", "c"))
    assert [(item.name, item.words) for item in directives] == [("verb", ("3",)), ("dev", ("tun",))]


def test_origins_count_lines_past_comments_and_blocks() -> None:
    content = b"# one\n<ca>\na\nb\n</ca>\n\nverb 3\n"
    ca, verb = lex_config(content, "x.ovpn")
    assert str(ca.origin) == "x.ovpn:2"
    assert str(verb.origin) == "x.ovpn:7"


def test_a_block_keeps_its_bytes() -> None:
    (block,) = lex_config(b'<key>\n a "b\n#c\r\n\xff\n</key>\n', "x")
    assert block.inline is not None
    assert block.inline.reveal() == b' a "b\n#c\r\n\xff\n'


def test_an_empty_block_is_empty() -> None:
    (block,) = lex_config(b"<key>\n</key>\n", "x")
    assert block.inline is not None
    assert block.inline.reveal() == b""


def test_a_closing_tag_may_be_indented_and_followed_by_text() -> None:
    block, verb = lex_config(b"<ca>\nx\n \t</ca> trailing\nverb 1\n", "x")
    assert block.inline is not None
    assert block.inline.reveal() == b"x\n"
    assert verb.name == "verb"


def test_a_block_that_never_ends_names_its_first_line() -> None:
    with pytest.raises(ConfigError, match="Endtag </ca> missing") as raised:
        list(lex_config(b"\n<ca>\nabc\n", "x.ovpn"))
    assert raised.value.origin == Origin("x.ovpn", 2)


def test_long_lines_are_fine_within_a_block() -> None:
    (block,) = lex_config(b"<ca>\n" + b"A" * 5000 + b"\n</ca>\n", "x")
    assert block.inline is not None
    assert len(block.inline) == 5001


def test_a_long_line_is_not_shown_whole() -> None:
    with pytest.raises(ConfigError) as raised:
        list(lex_config(b"k" * (MAX_LINE_BYTES + 1), "x"))
    assert "k" * 33 not in raised.value.message


def test_a_nul_byte_is_refused_as_not_text() -> None:
    with pytest.raises(ConfigError, match="NUL byte"):
        list(lex_config("verb 3\n".encode("utf-16-le"), "x"))


@pytest.mark.parametrize(
    "word", ["", "plain", "two words", 'a"b', "a'b", "back\\slash", "#no", ";"]
)
def test_quoted_words_read_back(word: str) -> None:
    assert lex_line(f"echo {quote_word(word)} end", HERE).words == ("echo", word, "end")


@pytest.mark.parametrize("word", ["a\nb", "a\0b"])
def test_words_that_no_line_can_hold_are_not_quoted(word: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        quote_word(word)


def test_a_command_splits_like_a_line() -> None:
    assert split_command('/bin/x \'two words\' "q\\"q"', HERE) == ("/bin/x", "two words", 'q"q')


def test_a_command_that_does_not_split_is_one_word() -> None:
    assert split_command("/bin/x 'open", HERE) == ("/bin/x 'open",)
