"""Protocol classes as ``typing`` makes them, at a third of the time.

A connection begins with the making of some forty protocols, each of which ``typing`` looks through
for what an ``isinstance`` at run time would ask; this program leaves them to type checkers.

Type checkers see the standard class. At run time there is an empty base that takes type parameters.
"""

from typing import TYPE_CHECKING


class _Protocol:
    __slots__ = ()

    def __class_getitem__(cls, parameters: object) -> type:
        return cls


if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = _Protocol

__all__ = ["Protocol"]
