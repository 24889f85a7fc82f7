"""``ginnel.enumeration``: the same as the standard library's, as far as the program uses it."""

import copy
import enum
import json
import pickle
from typing import Any

import pytest

from ginnel import enumeration


class Colour(enumeration.Enum):
    """A member of each kind of value."""

    RED = "red"
    """Text under a member is documentation."""
    GREEN = ("green", 1)
    CRIMSON = "red"

    @property
    def is_red(self) -> bool:
        return self is Colour.RED

    def other(self) -> "Colour":
        return Colour.GREEN if self.is_red else Colour.RED

    @classmethod
    def first(cls) -> "Colour":
        return cls.RED


class Number(enumeration.IntEnum):
    ONE = 1
    TWO = 2


def make(base: Any) -> Any:
    """The same class with either base."""

    class Kind(base):  # type: ignore[misc]
        PLAIN = 1
        SECOND = 2
        ALIAS = 1

        def doubled(self) -> int:
            return int(self.value) * 2

    return Kind


BASES = [(enum.Enum, enumeration.Enum), (enum.IntEnum, enumeration.IntEnum)]


@pytest.mark.parametrize(("standard", "ours"), BASES)
def test_classes_are_as_the_standard_library_makes_them(standard: Any, ours: Any) -> None:
    def told(kind: Any) -> list[object]:
        plain = kind.PLAIN
        return [
            [(each.name, each.value, repr(each), str(each), f"{each:}") for each in kind],
            len(kind),
            bool(kind),
            kind.PLAIN in kind,
            kind(2).name,
            kind["SECOND"].name,
            kind["ALIAS"].name,
            kind.ALIAS is plain,
            kind(plain) is plain,
            plain == kind.PLAIN,
            plain != kind.SECOND,
            plain == 1,
            plain.doubled(),
            {plain: 1}[kind(1)],
            isinstance(plain, kind),
            isinstance(plain, int),
            kind.__name__,
        ]

    assert told(make(ours)) == told(make(standard))


@pytest.mark.parametrize(("standard", "ours"), BASES)
@pytest.mark.parametrize("value", [7, "PLAIN", None, [1]])
def test_look_up_of_what_is_not_there(standard: Any, ours: Any, value: object) -> None:
    for base in (standard, ours):
        kind = make(base)
        with pytest.raises(ValueError, match=r"is not a valid .*Kind"):
            kind(value)
        with pytest.raises(KeyError):
            kind["plain"]


def test_members_have_methods_and_properties() -> None:
    assert [each.is_red for each in Colour] == [True, False]
    assert Colour.RED.other() is Colour.GREEN
    assert Colour.first() is Colour.RED
    assert Colour.__doc__ == "A member of each kind of value."


@pytest.mark.parametrize("member", [Colour.GREEN, Number.TWO])
def test_there_is_one_of_each_member(member: Any) -> None:
    assert copy.copy(member) is member
    assert copy.deepcopy([member])[0] is member
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(member, protocol)) is member


def test_members_match_as_patterns() -> None:
    match Colour("red"):
        case Colour.GREEN:
            matched = "green"
        case Colour.RED:
            matched = "red"
    assert matched == "red"


def test_integers_count_and_print_as_integers() -> None:
    assert Number.ONE + Number.TWO == 3
    assert Number.TWO > Number.ONE
    assert Number.ONE | 4 == 5
    assert (f"{Number.TWO:02}", str(Number.TWO), json.dumps(Number.TWO)) == ("02", "2", "2")
    assert {2: "two"}[Number.TWO] == "two"
    assert bytes([Number.ONE]) == b"\x01"
