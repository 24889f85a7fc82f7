"""What client and server support is written down: a regression fails here.

``client_exceptions.txt`` and ``server_exceptions.txt`` list the options of tier A and B (needed by
common profiles, or by some) that are not carried out, each with the reason. They are to shrink.
"""

from pathlib import Path

import pytest

from ginnel.options.table import OptionRow, OptionSide, Support, all_rows

LISTS = Path(__file__).parents[2] / "vectors" / "options"
OTHERS = {
    "client": {OptionSide.SERVER},
    "server": {OptionSide.CLIENT, OptionSide.P2P},
}
"""Options that are no business of a side."""


def rows_of(side: str) -> list[OptionRow]:
    return [
        row
        for row in all_rows().values()
        if row.side not in OTHERS[side] and row.tier in {"A", "B"}
    ]


CASES = [(side, row) for side in OTHERS for row in rows_of(side)]


def exceptions(side: str) -> dict[str, str]:
    lines = (LISTS / f"{side}_exceptions.txt").read_text().splitlines()
    found: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, reason = line.split(": ", 1)
            found[name] = reason
    return found


@pytest.mark.parametrize(("side", "row"), CASES, ids=[f"{side}-{row.name}" for side, row in CASES])
def test_options_that_configurations_need_are_carried_out(side: str, row: OptionRow) -> None:
    """Supported, or without effect where OpenVPN's would be none that this program has."""
    if row.support is Support.REFUSED:
        assert row.name in exceptions(side), f"{row.name} is {row.support.value}"
    if row.support is Support.NO_EFFECT:
        assert row.name in exceptions(side), f"{row.name} is taken and does nothing: {row.why}"


@pytest.mark.parametrize("side", list(OTHERS))
def test_exceptions_are_options_of_that_side_with_a_reason(side: str) -> None:
    rows = {row.name: row for row in rows_of(side)}
    for name, reason in exceptions(side).items():
        assert rows[name].support is not Support.SUPPORTED
        assert reason
