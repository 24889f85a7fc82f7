"""``ginnel.protocol``: classes like the standard library's, as far as the program uses them."""

from typing import Any, Protocol, TypeVar

import pytest

from ginnel import protocol

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


@pytest.fixture(params=[Protocol, protocol.Protocol], ids=["typing", "ginnel"])
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
    assert protocol.Protocol.__dict__["__slots__"] == ()


def test_type_checkers_see_a_protocol() -> None:
    """Held by mypy, which checks this file."""

    class Speaks(protocol.Protocol):
        def speak(self) -> str: ...

    def ask(speaker: Speaks) -> str:
        return speaker.speak()

    assert ask(Speaker("Ann")) == "Ann"
