"""Enumerations as the standard library makes them, at a fraction of the time.

A connection begins with the making of some sixty enumerations, which took a fourteenth of the time
from ``exec`` to the first packet.

Type checkers see the standard classes. At run time there is what this program uses of them: members
with ``name`` and ``value``, methods and properties, iteration, and look-up by value and by name.
"""

from collections.abc import Iterator

from ginnel.hints import TYPE_CHECKING, Any

# ``Any``: this module handles the members of classes that it knows nothing about.


class _EnumType(type):
    """Turns what a class body assigns into members."""

    _by_name: dict[str, Any]
    _by_value: dict[Any, Any]

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> "_EnumType":
        values = {
            key: value
            for key, value in namespace.items()
            if key[:2] != "__" and not hasattr(value, "__get__")
        }
        for key in values:
            del namespace[key]
        by_name: dict[str, Any] = {}
        by_value: dict[Any, Any] = {}
        namespace["_by_name"] = by_name
        namespace["_by_value"] = by_value
        made: Any = type.__new__(cls, name, bases, namespace)
        is_number = issubclass(made, int)
        for key, value in values.items():
            member: Any = by_value.get(value)
            if member is None:
                member = int.__new__(made, value) if is_number else object.__new__(made)
                member.name = key
                member.value = value
                by_value[value] = member
            by_name[key] = member
        # Together, since Python looks up anew in a class that has changed.
        for key, member in by_name.items():
            setattr(made, key, member)
        kind: _EnumType = made
        return kind

    def __call__(cls, value: Any) -> Any:
        try:
            return value if isinstance(value, cls) else cls._by_value[value]
        except (KeyError, TypeError):
            raise ValueError(f"{value!r} is not a valid {cls.__qualname__}") from None

    def __getitem__(cls, name: str) -> Any:
        return cls._by_name[name]

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls._by_value.values())

    def __len__(cls) -> int:
        return len(cls._by_value)

    def __contains__(cls, member: object) -> bool:
        return isinstance(member, cls)

    def __bool__(cls) -> bool:
        return True


class _Enum(metaclass=_EnumType):
    name: str
    value: Any

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __reduce_ex__(self, protocol: object) -> tuple[type, tuple[Any]]:
        """For ``copy`` and ``pickle``: there is one of each member."""
        return type(self), (self.value,)


class _IntEnum(int, _Enum):
    __repr__ = _Enum.__repr__
    __str__ = int.__repr__


if TYPE_CHECKING:
    from enum import Enum, IntEnum
else:
    Enum, IntEnum = _Enum, _IntEnum

__all__ = ["Enum", "IntEnum"]
