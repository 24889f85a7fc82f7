"""The options layer on arbitrary input: it raises nothing but ConfigError, and round trips hold."""

import string
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from ginnel.options.client_config import merge, parse_client_config
from ginnel.options.errors import ConfigError, render_config_error
from ginnel.options.lexer import MAX_WORDS, lex_config, lex_line, quote_word
from ginnel.options.model import ClientOptions, PullFilter, PullVerdict
from ginnel.options.pushed import MAX_REFUSED, apply_push
from ginnel.options.resolve import resolve_argv
from ginnel.options.server_model import ClientConfig
from ginnel.options.table import all_rows
from ginnel.options.values import Origin
from tests.unit.options.memory_files import NET, STANDARD, MemoryFiles, serve

HERE = Origin("c", 1)
NAMES = sorted(all_rows())
WORDS = st.one_of(
    st.sampled_from(
        [
            "0",
            "1",
            "-1",
            "10",
            "65536",
            "ca.crt",
            "dir",
            "server",
            "10.0.0.0",
            "255.0.0.0",
            "fd00::/8",
            "[inline]",
            "udp",
            "tcp",
            "none",
            "AES-256-GCM",
            "opt",
            "\u0663",
            "a" * 300,
        ]
    ),
    st.text(max_size=20),
)
LINES = st.builds(
    lambda name, words: " ".join([name, *words]),
    st.sampled_from(NAMES),
    st.lists(WORDS, max_size=4),
)
OPTIONS = ClientOptions(
    profiles=(), pull_filters=(PullFilter(verdict=PullVerdict.IGNORE, prefix="route 11"),)
)
HEADS = (
    "client\nremote x\nca ca.crt\nauth-user-pass login\n",
    "server 10.8.0.0 255.255.255.0\ndev tap\nca ca.crt\ncert me.crt\nkey me.key\n",
)
SERVER = serve(*NET).options
QUOTABLE = st.text(max_size=30).filter(lambda word: "\n" not in word and "\0" not in word)


@given(st.binary(max_size=400))
def test_the_lexer_takes_any_bytes(content: bytes) -> None:
    with suppress(ConfigError):
        for directive in lex_config(content, "c"):
            assert directive.origin.line >= 1
            assert len(directive.words) < MAX_WORDS


@given(st.text(alphabet="ab \t\\\"'#;<>/\n\r", max_size=60))
def test_the_lexer_takes_any_mix_of_special_characters(text: str) -> None:
    with suppress(ConfigError):
        list(lex_config(text.encode(), "c"))


@given(st.lists(QUOTABLE, max_size=MAX_WORDS - 1))
def test_quoting_round_trips(words: list[str]) -> None:
    line = " ".join(["x", *map(quote_word, words)])
    lexed = lex_line(line, HERE)
    assert lexed.words == ("x", *words)
    assert not lexed.truncated


@given(
    st.lists(
        st.text(alphabet=string.ascii_letters + string.digits + "./:-", min_size=1), max_size=8
    )
)
def test_plain_words_need_no_quotes(words: list[str]) -> None:
    assert lex_line(" ".join(words), HERE).words == tuple(words)


@given(st.lists(st.one_of(LINES, st.text(max_size=60)), max_size=12))
@settings(deadline=None)
def test_a_push_never_raises(items: list[str]) -> None:
    result = apply_push(OPTIONS, items)
    assert len(result.refused) <= MAX_REFUSED + 1
    assert all(item.isprintable() and why.isprintable() for item, why in result.refused)
    assert result.options.scripts.up is None
    assert result.options.tls == OPTIONS.tls
    assert apply_push(OPTIONS, items) == result


@given(st.lists(st.one_of(LINES, st.text(max_size=60)), max_size=12))
@settings(deadline=None)
def test_lines_about_a_client_never_raise(lines: list[str]) -> None:
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    result = parse_client_config(text, "ccd/x", SERVER, MemoryFiles(STANDARD))
    assert all(problem.isprintable() for problem in result.problems)
    assert merge(result.config, ClientConfig()) == result.config


@given(st.sampled_from(HEADS), st.lists(LINES, max_size=6))
@settings(deadline=None)
def test_any_configuration_resolves_or_says_why(head: str, lines: list[str]) -> None:
    text = head + "\n".join(lines)
    files = MemoryFiles({**STANDARD, "c": text.encode("utf-8", "surrogatepass")})
    try:
        resolve_argv(["c"], files)
    except ConfigError as error:
        rendered = render_config_error(error)
        assert rendered[-1] == "Use --help for more information."
        assert all(line.isprintable() for line in rendered)


@given(st.lists(st.one_of(st.sampled_from([f"--{name}" for name in NAMES]), WORDS), max_size=8))
@settings(deadline=None)
def test_any_command_line_resolves_or_says_why(argv: list[str]) -> None:
    with suppress(ConfigError):
        resolve_argv(argv, MemoryFiles(STANDARD))
