"""Configuration errors as the lines that users and tools know."""

from ginnel import OPENVPN_RELEASE
from ginnel.options.errors import ConfigError, printable, render_config_error, unrecognized
from ginnel.options.values import Origin

HERE = Origin("/etc/c.ovpn", 12)


def test_an_unknown_option_keeps_openvpns_words() -> None:
    lines = render_config_error(unrecognized("foo", HERE, "did you mean 'bar'?"))
    assert lines == [
        "Options error: Unrecognized option or missing or extra parameter(s) in /etc/c.ovpn:12: "
        f"foo ({OPENVPN_RELEASE})",
        "Options error: did you mean 'bar'?",
        "Use --help for more information.",
    ]


def test_the_place_is_put_in_front_when_the_message_lacks_it() -> None:
    lines = render_config_error(ConfigError("too large", origin=HERE, option="x"))
    assert lines[0] == "Options error: In /etc/c.ovpn:12: too large"


def test_the_place_is_not_repeated() -> None:
    lines = render_config_error(ConfigError("missing (/etc/c.ovpn:12)", origin=HERE))
    assert lines[0] == "Options error: missing (/etc/c.ovpn:12)"


def test_an_error_without_a_place_has_none() -> None:
    assert render_config_error(ConfigError("no remote"))[0] == "Options error: no remote"


def test_control_characters_do_not_reach_the_log() -> None:
    lines = render_config_error(ConfigError("a\x1b[31mb\x00c"))
    assert lines[0] == "Options error: a?[31mb?c"


def test_long_text_is_cut() -> None:
    assert printable("x" * 500) == "x" * 120 + "..."
