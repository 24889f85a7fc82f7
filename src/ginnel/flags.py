"""Flags as the standard library makes them, at a fraction of the time.

The one class of flags that a connection begins with took longer to make than all enumerations.

Type checkers see the standard class. At run time there is what this program uses of it: members
that are numbers, united with ``|``, cut with ``&``, and looked for with ``in``.
"""

from ginnel.hints import TYPE_CHECKING, Any

# ``Any``: this module handles the members of classes that it knows nothing about.


class _IntFlag(int):
    __slots__ = ()

    def __init_subclass__(cls) -> None:
        for name, value in list(vars(cls).items()):
            if isinstance(value, int) and name[:2] != "__":
                setattr(cls, name, cls(value))

    def __or__(self, other: int) -> Any:
        return type(self)(int(self) | other)

    def __and__(self, other: int) -> Any:
        return type(self)(int(self) & other)

    def __contains__(self, flag: int) -> bool:
        return int(self) & flag == flag


if TYPE_CHECKING:
    from enum import IntFlag
else:
    IntFlag = _IntFlag

__all__ = ["IntFlag"]
