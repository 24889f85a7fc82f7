"""What the client supports is written down: a regression fails here.

``client_exceptions.txt`` lists the client options of tier A and B (needed by common profiles, or by
some) that are not carried out, each with the reason. It is to shrink.
"""

from pathlib import Path

import pytest

from ginnel.options.table import OptionRow, OptionSide, Support, all_rows

LIST = Path(__file__).parents[2] / "vectors" / "options" / "client_exceptions.txt"
CLIENT = [
    row
    for row in all_rows().values()
    if row.side is not OptionSide.SERVER and row.tier in {"A", "B"}
]


def exceptions() -> dict[str, str]:
    lines = LIST.read_text().splitlines()
    found: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, reason = line.split(": ", 1)
            found[name] = reason
    return found


@pytest.mark.parametrize("row", CLIENT, ids=lambda row: row.name)
def test_client_options_that_profiles_need_are_carried_out(row: OptionRow) -> None:
    """Supported, or without effect where OpenVPN's would be none that this program has."""
    if row.support in {Support.LATER, Support.REFUSED}:
        assert row.name in exceptions(), f"{row.name} is {row.support.value}"
    if row.support is Support.NO_EFFECT:
        assert row.name in exceptions(), f"{row.name} is taken and does nothing: {row.why}"


def test_exceptions_are_client_options_with_a_reason() -> None:
    names = {row.name for row in CLIENT}
    for name, reason in exceptions().items():
        assert name in names
        assert reason
