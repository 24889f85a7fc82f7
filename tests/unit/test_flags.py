"""``ginnel.flags``: the same as the standard library's, as far as the program uses it."""

import enum
from typing import Any

import pytest

from ginnel import flags


def make(base: Any) -> Any:
    class Right(base):  # type: ignore[misc]
        """With what a class of flags may hold beside flags."""

        READ = 1 << 2
        WRITE = 1 << 1
        """Text under a member is documentation."""
        RUN = 1 << 0

    return Right


@pytest.fixture(params=[enum.IntFlag, flags.IntFlag], ids=["enum", "ginnel"])
def right(request: pytest.FixtureRequest) -> Any:
    return make(request.param)


def test_members_are_numbers(right: Any) -> None:
    assert (right.READ, right.WRITE, right.RUN) == (4, 2, 1)
    assert isinstance(right.READ, right)
    assert f"{right.READ | right.RUN} {right.READ}" == "5 4"


def test_flags_unite_and_are_cut(right: Any) -> None:
    both = right.READ | right.WRITE
    both |= right.RUN
    assert both == right(7)
    assert isinstance(both, right)
    assert isinstance(both & right.RUN, right)
    assert both & ~right.RUN == 6
    assert both & 3 & right.WRITE == right.WRITE


def test_a_flag_is_in_what_has_all_its_bits(right: Any) -> None:
    both = right.READ | right.WRITE
    assert right.READ in both
    assert right.READ | right.WRITE in both
    assert right.RUN not in both
    assert right.RUN | right.READ not in both


def test_none_is_false(right: Any) -> None:
    assert not right(0)
    assert right.RUN
