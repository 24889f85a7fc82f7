"""Brings records of Python's ``logging`` into the program's log, once somebody has loaded it.

``logging`` with what it imports is a fiftieth of a client's start, and a client that nothing
surprises never has a record for it: it is watched for instead of imported.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

from ginnel.hints import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader

    from ginnel.shell.logging_setup import LogOutput


@contextmanager
def python_records(log: "LogOutput") -> Iterator[None]:
    """Brings records of ``logging`` into the log: ours, the event loop's and libraries'."""
    undo: list[Callable[[], None]] = []

    def begin() -> None:
        undo.append(_begin(log))

    watch = _Watch(begin)
    if "logging" in sys.modules or log.verb >= 9:
        begin()
    else:
        sys.meta_path.insert(0, watch)
    try:
        yield
    finally:
        if watch in sys.meta_path:
            sys.meta_path.remove(watch)
        for end in undo:
            end()


def _begin(log: "LogOutput") -> Callable[[], None]:
    import logging

    handler = log.python_handler()
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if log.verb >= 9 else logging.INFO)

    def end() -> None:
        root.setLevel(before)
        root.removeHandler(handler)

    return end


class _Watch:
    """Sees ``logging`` being imported, and acts when that is done."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the import system asks for every module; None leaves it to others."""
        if name != "logging":
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = cast("Loader", _Loading(spec.loader, self._then))
        return spec


class _Loading:
    """Loads as another loader does, then acts."""

    def __init__(self, loader: "Loader", then: Callable[[], None]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        module.__loader__ = self._loader
        self._then()
