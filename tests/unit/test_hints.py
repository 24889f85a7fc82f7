"""``ginnel.hints``: names like the standard library's, as far as the program uses them."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import pytest

from ginnel import hints

T = TypeVar("T")


class Speaker:
    """What both protocols below describe."""

    def __init__(self, name: str) -> None:
        self.name = name

    def speak(self) -> str:
        return self.name


def make(base: Any) -> dict[str, Any]:
    """A protocol, one that goes on from it, and what implements it by inheritance."""

    class Speaks(base):  # type: ignore[misc]
        def speak(self) -> str:
            return "nothing"

    class Sings(Speaks, base):  # type: ignore[misc]
        def sing(self) -> str:
            return "la"

    class Holds(base[T]):  # type: ignore[misc]
        def held(self, default: T) -> T:
            return default

    class Slotted(Sings):
        __slots__ = ("note",)

    class Inherits(Speaks):
        def __init__(self, name: str) -> None:
            self.name = name

    classes = (Speaks, Sings, Holds, Slotted, Inherits)
    return {made.__name__: made for made in classes}


@pytest.fixture(params=[Protocol, hints.Protocol], ids=["typing", "ginnel"])
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    return make(request.param)


def test_implements_by_inheritance(made: dict[str, Any]) -> None:
    instance = made["Inherits"]("Ann")
    assert (instance.name, instance.speak()) == ("Ann", "nothing")
    assert made["Slotted"]().speak() == "nothing"
    assert made["Speaks"] in made["Slotted"].__mro__


def test_takes_parameters(made: dict[str, Any]) -> None:
    assert "held" in vars(made["Holds"])
    assert made["Holds"].__mro__[0] is made["Holds"]


def test_adds_nothing_to_instances() -> None:
    assert hints.Protocol.__dict__["__slots__"] == ()


def test_type_checkers_see_a_protocol() -> None:
    """Held by mypy, which checks this file."""

    class Speaks(hints.Protocol):
        def speak(self) -> str: ...

    def ask(speaker: Speaks) -> str:
        return speaker.speak()

    assert ask(Speaker("Ann")) == "Ann"


def test_names_may_stand_in_annotations_and_aliases() -> None:
    """Where Python evaluates them: as parameters, with parameters, beside ``|``."""
    T = hints.TypeVar("T")
    Bound = hints.TypeVar("Bound", bound=int)

    class Box(hints.Generic[T]):
        kind: hints.Final = 1

        def same(self) -> hints.Self:
            return self

        def maybe(self, value: T | None, other: "int | Bound" = 1) -> hints.Any | None:
            return value or other

    made: dict[str, Callable[[T | None, T | None], list[T]]] = {}
    assert (made, Box[int]().same().maybe(None)) == ({}, 1)
    Number = hints.NewType("Number", int)
    assert Number(7) == 7
    assert hints.cast(Any, "text") == "text"


def test_what_cannot_be_reached_fails_with_what_came() -> None:
    impossible: Any = "this"
    with pytest.raises(AssertionError, match="'this'"):
        hints.assert_never(impossible)


def test_a_client_starts_without_typing_and_re() -> None:
    program = """
import sys
from ginnel.cli.lean_imports import import_lean
import ginnel.cli.openvpn, ginnel.options.resolve
import_lean()
import ginnel.shell.client, ginnel.dataplane.engine
print({"typing", "re"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "set()\n"
