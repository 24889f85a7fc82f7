"""The action requests: plain values."""

from ginnel.options.actions import GenKey, GenKeyKind, ShowVersion
from ginnel.options.rows.log import GENKEY_KINDS


def test_kinds_of_keys_are_those_of_the_command_line() -> None:
    assert {kind.value for kind in GenKeyKind} == set(GENKEY_KINDS)


def test_actions_compare_by_value() -> None:
    assert ShowVersion() == ShowVersion()
    assert GenKey(kind=GenKeyKind.SECRET, path="a") != GenKey(kind=GenKeyKind.SECRET, path="b")
