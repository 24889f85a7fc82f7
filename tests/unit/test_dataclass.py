"""``ginnel.dataclass``: what the program expects of its data classes.

Most have no slots; the tests of what is the same with them take both.
"""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from ginnel.dataclass import PLAIN_INSTANCES, dataclass, field, replace


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    """The same fields as a point's."""

    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)
    origin: str = field(default="", compare=False)


@dataclass(frozen=True)
class Loose:
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
    slotted = Slotted(x=1)
    assert (slotted.x, slotted.y, slotted.tags, slotted.origin) == (1, 2, [], "")
    assert replace(slotted, y=3, tags=["a"]) == Slotted(x=1, y=3, tags=["a"])


def test_any_name_will_do_for_a_field() -> None:
    awkward = Awkward(set_up=True, make_made=4)
    assert (awkward.set_up, awkward.up, awkward.default_up) == (True, 1, 2)
    assert (awkward.made, awkward.make_made) == ([], 4)


def standard(ours: Any) -> Any:
    """The class as the standard library makes it of the same fields."""
    return dataclasses.make_dataclass(
        ours.__name__,
        [
            (entry.name, entry.type, dataclasses.field(default=entry.default))
            if entry.default_factory is dataclasses.MISSING
            else (entry.name, entry.type, dataclasses.field(default_factory=entry.default_factory))
            for entry in dataclasses.fields(ours)
        ],
        kw_only=not ours.__match_args__,
        frozen=True,
    )


@pytest.mark.parametrize("ours", [Point, Slotted, Pair, Loose, Nothing])
@pytest.mark.parametrize(
    ("positional", "named"),
    [
        ((), {}),
        ((1,), {}),
        ((1, 2), {}),
        ((1, 2, 3, 4, 5), {}),
        ((1,), {"left": 2}),
        ((1,), {"right": 2}),
        ((), {"x": 1}),
        ((), {"x": 1, "origin": "a", "tags": ["b"]}),
        ((), {"y": 1}),
        ((), {"x": 1, "z": 2}),
        ((), {"z": 2}),
        ((), {"right": 1, "left": 2}),
        ((), {"right": 1}),
    ],
)
def test_calls_are_taken_and_refused_as_by_the_standard_library(
    ours: Any, positional: tuple[Any, ...], named: dict[str, Any]
) -> None:
    def told(kind: Any) -> str:
        try:
            return repr(kind(*positional, **named))
        except TypeError as error:
            return str(error)

    # ``make_dataclass`` leaves the class out of the name of its ``__init__``.
    assert told(ours) == told(standard(ours)).replace(" __init__", f" {ours.__name__}.__init__")


def test_a_refused_call_spoils_nothing() -> None:
    wrong: Any = Point
    for _ in range(2):
        with pytest.raises(TypeError, match=r"Point.__init__\(\) missing 1 required keyword-only"):
            wrong()
        assert Point(x=1).y == 2
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        replace(Point(x=1), z=2)  # type: ignore[call-arg]  # what is tested


@pytest.mark.parametrize("slots", [True, False])
def test_the_first_instances_are_like_all_others(slots: bool) -> None:
    @dataclass(frozen=True, slots=slots)  # type: ignore[literal-required]
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
    for frozen in (Pair(1), Loose(1)):
        wrong: Any = frozen
        with pytest.raises(dataclasses.FrozenInstanceError):
            wrong.left = 2
        with pytest.raises(dataclasses.FrozenInstanceError):
            wrong.other = 2
        with pytest.raises(dataclasses.FrozenInstanceError):
            del wrong.left
        assert frozen.left == 1
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
    for pair in (Pair(1), Loose(1), Slotted(x=1), point):
        assert pickle.loads(pickle.dumps(pair)) == pair
        assert copy.copy(pair) == pair


def test_a_function_as_default_is_no_method() -> None:
    def double(number: int) -> int:
        return number * 2

    for slots in (True, False):

        @dataclass(frozen=True, slots=slots, kw_only=True)  # type: ignore[literal-required]
        class Step:
            work: Callable[[int], int] = double

        assert Step().work(2) == 4
        assert replace(Step(), work=abs).work(-1) == 1
        assert Step() == Step(work=double)


def test_what_is_not_offered_is_said_at_once() -> None:
    with pytest.raises(TypeError, match="frozen or slots"):

        @dataclass(kw_only=True)
        class Open:
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
