"""The option table: complete, consistent with the model, helpful with misspellings."""

from dataclasses import fields
from pathlib import Path

import pytest

from ginnel.options.apply import HANDLERS
from ginnel.options.draft import ProfileDraft
from ginnel.options.model import ClientOptions
from ginnel.options.rows import ALL_ROWS
from ginnel.options.table import OptionRow, Repeat, Support, all_rows, find_row, near_misses

NAMES = Path(__file__).parents[2] / "vectors" / "options" / "names.txt"
ROWS = list(all_rows().values())


def test_every_directive_of_openvpn_has_a_row() -> None:
    assert sorted(all_rows()) == sorted(NAMES.read_text().split())


def test_no_name_has_two_rows() -> None:
    assert len(ALL_ROWS) == len(all_rows())


@pytest.mark.parametrize("row", [row for row in ROWS if row.field], ids=lambda row: row.name)
def test_fields_exist_in_the_model(row: OptionRow) -> None:
    group, _, name = row.field.partition(".")
    owner = ProfileDraft() if group == "profile" else getattr(ClientOptions(profiles=()), group)
    assert name in {entry.name for entry in fields(owner)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_are_consistent(row: OptionRow) -> None:
    assert row.help.endswith(".")
    assert row.help[0].isupper()
    assert (row.support in {Support.NO_EFFECT, Support.REFUSED}) == bool(row.why)
    assert not (row.repeat is Repeat.FLAG and row.args)
    assert row.tier in {"A", "B", "C"}
    seen_optional = False
    for argument in row.args:
        assert argument.optional or not seen_optional, "a required argument after an optional one"
        seen_optional = seen_optional or argument.optional
    assert not any(argument.repeated for argument in row.args[:-1])


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.support is Support.SUPPORTED], ids=lambda row: row.name
)
def test_supported_options_do_something(row: OptionRow) -> None:
    handled_while_reading = {"connection"}
    assert row.field or row.name in HANDLERS or row.name in handled_while_reading


@pytest.mark.parametrize("row", [row for row in ROWS if row.field], ids=lambda row: row.name)
def test_a_field_takes_one_value(row: OptionRow) -> None:
    assert len(row.args) <= 1
    assert row.name not in HANDLERS


def test_handlers_belong_to_rows() -> None:
    assert not [name for name in HANDLERS if find_row(name) is None]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("vreb", "verb"),
        ("remotes", "remote"),
        ("tls_crypt", "tls-crypt"),
        ("Keepalive", "keepalive"),
    ],
)
def test_misspelt_options_get_a_suggestion(wrong: str, right: str) -> None:
    assert right in near_misses(wrong)


@pytest.mark.parametrize("wrong", ["", "x", "qqqqqqqq", "a" * 5000])
def test_nonsense_gets_no_suggestion(wrong: str) -> None:
    assert near_misses(wrong) == []


@pytest.mark.parametrize("name", ["up", "ca", "script-security", "plugin", "config", "user", "log"])
def test_dangerous_options_are_not_pushable(name: str) -> None:
    row = find_row(name)
    assert row is not None
    assert row.push is None


def test_usage_shows_the_grammar() -> None:
    row = find_row("inactive")
    assert row is not None
    assert row.usage() == "--inactive seconds [bytes]"
