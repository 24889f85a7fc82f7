"""Command lines, includes and what acts while lines are read."""

import pytest

from ginnel.options.errors import ConfigError, UnrecognizedOption
from ginnel.options.lexer import Directive
from ginnel.options.source import MAX_INCLUDE_DEPTH, Reading, lex_argv, match_directive
from ginnel.options.values import Origin, Secret
from tests.unit.options.memory_files import MemoryFiles

HERE = Origin("c", 3)


def names(text: str, **files: bytes | None) -> list[str]:
    """Reads a configuration and returns the options that came out, in order."""
    reading = reading_of(text, **files)[0]
    return [use.row.name for use in reading.expand(lex_argv(["c"]))][1:]


def reading_of(text: str, **files: bytes | None) -> tuple[Reading, MemoryFiles]:
    memory = MemoryFiles({**files, "c": text.encode()})
    return Reading(memory), memory


def test_a_single_bare_word_is_a_configuration_file() -> None:
    (config,) = lex_argv(["my.ovpn"])
    assert (config.name, config.words) == ("config", ("my.ovpn",))
    assert str(config.origin) == "[CMD-LINE]:1"


def test_options_end_where_the_next_begins() -> None:
    got = [(item.name, item.words) for item in lex_argv(["--verb", "3", "--client", "--dev", "x"])]
    assert got == [("verb", ("3",)), ("client", ()), ("dev", ("x",))]


def test_a_single_dash_is_part_of_a_value() -> None:
    (nice,) = lex_argv(["--nice", "-5"])
    assert nice.words == ("-5",)


def test_command_line_words_are_not_split_again() -> None:
    (up,) = lex_argv(["--up", "/bin/x 'a b' #c"])
    assert up.words == ("/bin/x 'a b' #c",)


@pytest.mark.parametrize("argv", [["a", "b"], ["c.ovpn", "--verb", "3"], [""] * 2])
def test_stray_words_are_refused_in_openvpns_words(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"I'm trying to parse .* I don't see a leading '--'"):
        lex_argv(argv)


def test_a_word_too_many_is_a_stray_word() -> None:
    """As with openvpn 2.6: an option takes fifteen words, the next one is looked at anew."""
    with pytest.raises(ConfigError, match="I'm trying to parse"):
        lex_argv(["--dhcp-option", *(["x"] * 16)])


def test_an_unknown_option_suggests_the_nearest() -> None:
    with pytest.raises(UnrecognizedOption, match="did you mean 'remote'"):
        match_directive(Directive(name="remot", words=(), origin=HERE))


def test_includes_stand_in_place() -> None:
    assert names("verb 3\nconfig d\nclient\n", d=b"nobind\n") == [
        "verb",
        "config",
        "nobind",
        "client",
    ]


def test_an_endless_include_is_stopped() -> None:
    with pytest.raises(ConfigError, match="Maximum recursive include levels exceeded"):
        names("config c\n")


def test_includes_as_deep_as_allowed_work() -> None:
    files: dict[str, bytes | None] = {
        f"d{level}": f"config d{level + 1}\n".encode() for level in range(1, MAX_INCLUDE_DEPTH - 1)
    }
    files[f"d{MAX_INCLUDE_DEPTH - 1}"] = b"nobind\n"
    assert names("config d1\n", **files)[-1] == "nobind"


def test_many_includes_are_bounded() -> None:
    """Ten levels of ten includes each must not run for hours."""
    files: dict[str, bytes | None] = {
        f"d{level}": (f"config d{level + 1}\n" * 30).encode() for level in range(1, 10)
    }
    with pytest.raises(ConfigError, match=r"more than 100000 options|recursive"):
        names("config d1\n", **files)


def test_a_missing_file_names_the_line() -> None:
    with pytest.raises(ConfigError, match="In c:2: Error opening configuration file: nope"):
        names("verb 3\nconfig nope\n")


def test_standard_input_can_be_read() -> None:
    reading = Reading(MemoryFiles({"/dev/stdin": b"nobind\n"}))
    assert [use.row.name for use in reading.expand(lex_argv(["stdin"]))] == ["config", "nobind"]


def test_cd_acts_on_later_includes() -> None:
    reading, memory = reading_of(
        "cd sub\nconfig d\ncd ../b\nconfig d\n",
        **{
            "sub": None,
            "sub/d": b"",
            "sub/../b": None,
            "sub/../b/d": b"",
        },
    )
    assert [use.row.name for use in reading.expand(lex_argv(["c"]))].count("config") == 3
    assert memory.asked == ["c", "sub", "sub/d", "sub/../b", "sub/../b/d"]
    assert reading.cwd == "sub/../b"


@pytest.mark.parametrize(("where", "cause"), [("none", "No such file"), ("c", "Not a directory")])
def test_cd_to_nowhere_is_refused(where: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=f"--cd fails with '{where}': {cause}"):
        names(f"cd {where}\n")


def test_ignored_options_may_be_unknown_from_there_on() -> None:
    assert names("ignore-unknown-option foo --bar\nfoo 1\nbar\nnobind\n")[-1] == "nobind"
    with pytest.raises(UnrecognizedOption):
        names("foo 1\nignore-unknown-option foo\n")


def test_ignored_options_are_reported() -> None:
    reading, _ = reading_of("ignore-unknown-option foo\nfoo\n")
    list(reading.expand(lex_argv(["c"])))
    assert [note.text.split(":")[0] for note in reading.notes] == [
        "Unrecognized option or missing or extra parameter(s) in c"
    ]


def test_setenv_opt_takes_what_it_knows() -> None:
    assert names("setenv opt verb 4\nsetenv opt foo bar\nsetenv opt\nnobind\n") == [
        "verb",
        "nobind",
    ]


def test_setenv_opt_does_not_stop_at_options_that_are_refused() -> None:
    reading, _ = reading_of("setenv opt no-replay\nnobind\n")
    assert [use.row.name for use in reading.expand(lex_argv(["c"]))] == ["config", "nobind"]
    assert "optional --no-replay is not supported" in reading.notes[0].text


def test_setenv_opt_still_wants_good_values() -> None:
    with pytest.raises(ConfigError, match="not a number"):
        names("setenv opt verb loud\n")


def test_forward_compatible_forgives_from_there_on() -> None:
    assert names("setenv FORWARD_COMPATIBLE 1\nfoo\nverb 1 2 3\nnobind\n") == ["setenv", "nobind"]


def test_dashes_in_a_file_are_tolerated() -> None:
    assert names("--nobind\n  --verb 3\n") == ["nobind", "verb"]


def test_only_a_server_pushes_some_options() -> None:
    directive = Directive(name="peer-id", words=("1",), origin=HERE)
    with pytest.raises(ConfigError, match="cannot be used in this context"):
        match_directive(directive)
    assert match_directive(directive, pushed=True).number(0) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("verb", "option 'verb' is not expected to be inline"),
        ("client", "Unrecognized option"),
        ("nonsense", "Unrecognized option"),
    ],
)
def test_blocks_only_where_they_belong(name: str, message: str) -> None:
    block = Directive(name=name, words=(), origin=HERE, inline=Secret(b"x"))
    with pytest.raises(ConfigError, match=message):
        match_directive(block)


def test_a_cut_line_is_reported() -> None:
    reading, _ = reading_of("ignore-unknown-option " + "x " * 20 + "\n")
    list(reading.expand(lex_argv(["c"])))
    assert "first 16 words" in reading.notes[0].text
