"""``ginnel.dataclass``: what the program expects of its data classes."""

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from ginnel.dataclass import PLAIN_INSTANCES, dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place."""

    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)
    origin: str = field(default="", compare=False)

    def shifted(self, by: int) -> "Point":
        return replace(self, x=self.x + by)

    @property
    def total(self) -> int:
        return self.x + self.y


@dataclass(frozen=True, slots=True)
class Pair:
    left: int
    right: int = 0


@dataclass(slots=True)
class Counter:
    count: int = 0


@dataclass(frozen=True, slots=True)
class Even:
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("odd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Awkward:
    """Names that generated code could mistake for its own."""

    set_up: bool
    up: int = 1
    default_up: int = 2
    made: list[int] = field(default_factory=list)
    make_made: int = 3


@dataclass(frozen=True, slots=True)
class Nothing:
    """No fields."""


@dataclass(frozen=True, slots=True)
class Quiet:
    secret: str

    def __repr__(self) -> str:
        return "Quiet(…)"


def test_fields_defaults_and_methods() -> None:
    point = Point(x=1)
    assert (point.x, point.y, point.tags, point.origin) == (1, 2, [], "")
    assert Point(x=1).tags is not point.tags
    assert point.shifted(4) == Point(x=5)
    assert point.total == 3
    assert Point.__doc__ == "A place."
    assert Point.__qualname__ == "Point"


def test_any_name_will_do_for_a_field() -> None:
    awkward = Awkward(set_up=True, make_made=4)
    assert (awkward.set_up, awkward.up, awkward.default_up) == (True, 1, 2)
    assert (awkward.made, awkward.make_made) == ([], 4)


def test_wrong_arguments_are_refused_as_by_a_function() -> None:
    wrong: Any = Point
    with pytest.raises(TypeError, match=r"Point.__init__\(\) missing 1 required keyword-only"):
        wrong()
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        wrong(x=1, z=2)
    with pytest.raises(TypeError, match="positional"):
        wrong(1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        replace(Point(x=1), z=2)  # type: ignore[call-arg]  # what is tested


def test_the_first_instances_are_like_all_others() -> None:
    @dataclass(frozen=True, slots=True)
    class Place:
        row: int
        column: int = 2
        marks: list[int] = field(default_factory=list)

    made = [Place(1), Place(row=1), Place(1, 2, []), Place(1, column=2), Place(1, marks=[])]
    made += [Place(1) for _ in range(PLAIN_INSTANCES)]
    assert all(place == made[0] for place in made)
    assert len({id(place.marks) for place in made}) == len(made)


def test_equality_and_hash_leave_out_what_is_not_compared() -> None:
    assert Point(x=1, origin="a") == Point(x=1, origin="b")
    assert Point(x=1) != Point(x=2)
    assert hash(Pair(1)) == hash(Pair(1, 0))
    assert len({Pair(1), Pair(1), Pair(2)}) == 2
    other: object = Even(2)
    assert Pair(2) != other
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


def test_frozen_or_not() -> None:
    frozen: Any = Pair(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frozen.left = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del frozen.left
    counter: Any = Counter()
    counter.count += 1
    assert counter == Counter(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(counter)
    with pytest.raises(AttributeError):
        counter.other = 1


def test_post_init_runs() -> None:
    assert Even(2).number == 2
    with pytest.raises(ValueError, match="odd"):
        Even(3)


def test_repr() -> None:
    assert repr(Pair(1)) == "Pair(left=1, right=0)"
    assert repr(Quiet("x")) == "Quiet(…)"


def test_patterns() -> None:
    match Pair(1, 2):
        case Pair(left, right):
            assert (left, right) == (1, 2)
    match Point(x=1):
        case Point(x=value):
            assert value == 1
    assert Point.__match_args__ == ()


def test_the_standard_library_takes_them_for_its_own() -> None:
    point = Point(x=1)
    assert dataclasses.is_dataclass(point)
    assert [entry.name for entry in dataclasses.fields(Point)] == ["x", "y", "tags", "origin"]
    assert dataclasses.replace(point, y=3) == Point(x=1, y=3)
    assert dataclasses.asdict(Pair(1)) == {"left": 1, "right": 0}
    assert [entry.compare for entry in dataclasses.fields(Point)] == [True, True, True, False]


def test_copies() -> None:
    point = Point(x=1, tags=["a"])
    assert copy.copy(point) == point
    deep = copy.deepcopy(point)
    assert deep == point
    assert deep.tags is not point.tags
    assert pickle.loads(pickle.dumps(Pair(1))) == Pair(1)


def test_what_is_not_offered_is_said_at_once() -> None:
    with pytest.raises(TypeError, match="slots=True"):

        @dataclass(frozen=True)
        class Loose:
            x: int

    with pytest.raises(TypeError, match="does not inherit"):

        @dataclass(frozen=True, slots=True)
        class Child(Pair):
            z: int = 0

    with pytest.raises(TypeError, match="without a default"):

        @dataclass(frozen=True, slots=True)
        class Wrong:
            x: int = 0
            y: int  # type: ignore[misc]  # what is tested
