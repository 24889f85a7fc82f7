"""What ``typing`` gives to type checkers, without its import.

``typing`` is the largest module that a connection would begin with: it took, with ``re`` that comes
with it, a twenty-fifth of the time, and protocols another hundredth, since it looks through each
for what an ``isinstance`` at run time would ask. This program leaves them to type checkers.

Type checkers see the standard names. At run time there is what may stand in their places.
"""

# Known to type checkers by its name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import (
        Any,
        Final,
        Generic,
        NewType,
        NoReturn,
        Protocol,
        Self,
        TypeVar,
        assert_never,
        cast,
    )
else:

    class _Form:
        """Stands in annotations: with parameters, beside ``|``."""

        def __getitem__(self, parameters: object) -> "_Form":
            return self

        def __or__(self, other: object) -> "_Form":
            return self

        __ror__ = __or__

    class _Base:
        """What classes inherit from that take parameters."""

        __slots__ = ()

        def __class_getitem__(cls, parameters: object) -> type:
            return cls

    def _type_variable(name: str, *constraints: object, bound: object = None) -> _Form:
        return _Form()

    def _new_type(name: str, plain: type) -> type:
        return plain

    def _cast(kind: object, value: object) -> object:
        return value

    def _assert_never(value: object) -> None:
        raise AssertionError(f"expected code to be unreachable, but got: {value!r}")

    Any = object
    Final = NoReturn = Self = _Form()
    Generic = Protocol = _Base
    NewType = _new_type
    TypeVar = _type_variable
    assert_never = _assert_never
    cast = _cast

__all__ = [
    "TYPE_CHECKING",
    "Any",
    "Final",
    "Generic",
    "NewType",
    "NoReturn",
    "Protocol",
    "Self",
    "TypeVar",
    "assert_never",
    "cast",
]
