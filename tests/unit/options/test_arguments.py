"""Argument grammar: counts, bounds, and what the messages say."""

import pytest

from ginnel.options.arguments import (
    Argument,
    choice,
    command,
    count_bounds,
    file,
    number,
    optional,
    parse_arguments,
    parse_number,
    port,
    repeated,
    seconds,
    word,
)
from ginnel.options.errors import ConfigError, UnrecognizedOption
from ginnel.options.values import Origin

HERE = Origin("c.conf", 4)


@pytest.mark.parametrize("words", [(), ("1", "2", "3")])
def test_a_wrong_count_shows_the_usage(words: tuple[str, ...]) -> None:
    grammar = (seconds(), optional(number("bytes")))
    with pytest.raises(UnrecognizedOption) as raised:
        parse_arguments("inactive", grammar, words, HERE)
    first, second = raised.value.message.splitlines()
    assert first.startswith("Unrecognized option or missing or extra parameter(s) in c.conf:4: ")
    assert second == "expected: inactive seconds [bytes]"


def test_count_bounds_know_optional_and_repeated_words() -> None:
    assert count_bounds(()) == (0, 0)
    assert count_bounds((word("a"), optional(word("b")))) == (1, 2)
    assert count_bounds((repeated(word("a")),)) == (1, None)
    assert count_bounds((optional(repeated(word("a"))),)) == (0, None)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("10", 10), ("+5", 5), ("007", 7)])
def test_numbers_within_bounds_are_read(text: str, value: int) -> None:
    assert parse_number("x", text, 0, 10, HERE) == value


@pytest.mark.parametrize("text", ["", "-", "-1", "11", "1.0", "0x1", "٣", "9" * 30, "1 ", "²"])
def test_numbers_out_of_bounds_name_the_bounds(text: str) -> None:
    with pytest.raises(ConfigError, match=r"c\.conf:4: x: .* not a number from 0 to 10"):
        parse_number("x", text, 0, 10, HERE)


@pytest.mark.parametrize(
    ("argument", "good", "bad"),
    [
        (port(), "1194", "0"),
        (port(low=0), "0", "65536"),
        (port(), "openvpn", "65536"),
        (port(), "1", "a b"),
        (choice("udp", "tcp"), "udp", "sctp"),
        (file(), "x", ""),
        (command(), "/bin/true x", "  "),
    ],
)
def test_values_of_each_kind(argument: Argument, good: str, bad: str) -> None:
    assert parse_arguments("x", (argument,), (good,), HERE)
    with pytest.raises(ConfigError) as raised:
        parse_arguments("x", (argument,), (bad,), HERE)
    assert argument.expected() in raised.value.message
    assert raised.value.origin == HERE
    assert raised.value.option == "x"


def test_a_command_becomes_argv() -> None:
    assert parse_arguments("up", (command(),), ("/bin/x 'a b'",), HERE) == (("/bin/x", "a b"),)


def test_the_last_argument_repeats() -> None:
    grammar = (repeated(choice("a", "b")),)
    assert parse_arguments("x", grammar, ("a", "b", "a"), HERE) == ("a", "b", "a")
    with pytest.raises(ConfigError):
        parse_arguments("x", grammar, ("a", "c"), HERE)
