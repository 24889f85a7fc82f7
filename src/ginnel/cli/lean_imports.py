"""Imports asyncio and json without what a client hardly uses of them: more than a third of both.

A start is mostly imports. asyncio imports ``ssl`` if there is one, and some modules that it needs
only to explain errors; json has patterns that its C code does without. Their modules get stand-ins
for these, which import the real one when they are asked for something. Whatever is imported
afterwards gets the real modules as usual.
"""

import concurrent
import sys
from functools import partial
from importlib import import_module
from types import ModuleType

from ginnel import start_image
from ginnel.hints import Any, cast

LATE = (
    "asyncio.sslproto",
    "asyncio.staggered",
    "concurrent.futures",
    "inspect",
    "linecache",
    "locale",
    "logging",
    "re",
    "subprocess",
    "textwrap",
    "traceback",
    "typing",
)
"""``shell.preload`` lists them too: they are needed after a drop of privileges."""

_CO_COROUTINE = 0x80
"""``inspect.CO_COROUTINE``."""


class _StandIn(ModuleType):
    """Imports the module of its name when an attribute is looked up."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # asked of what ``from`` imports: is it a package?
            raise AttributeError(name)
        _remove(self.__name__, self)
        return getattr(import_module(self.__name__), name)


def import_lean() -> None:
    """Imports both; for a process that runs no code but ours, which never asks asyncio for TLS."""
    stand_ins: dict[str, ModuleType | None] = {name: _StandIn(name) for name in LATE}
    for name, attributes in _ASKED_AT_ONCE.items():
        vars(stand_ins[name]).update(attributes)
    stand_ins["ssl"] = None  # what Python takes for a module that is not there
    modules = cast(dict[str, ModuleType | None], sys.modules)
    placed = {name: module for name, module in stand_ins.items() if name not in modules}
    modules |= placed
    if "concurrent.futures" in placed:
        # Where the statement that imports a module of a package looks for what it binds.
        concurrent.futures = cast(ModuleType, placed["concurrent.futures"])
    try:
        start_image.load(start_image.LEAN)
        # For all that import them from now on.
        import asyncio  # noqa: F401
        import json  # noqa: F401
    finally:
        for name, module in placed.items():
            _remove(name, module)


def _remove(name: str, stand_in: ModuleType | None) -> None:
    if name in sys.modules and sys.modules[name] is stand_in:
        del sys.modules[name]


def _is_coroutine_function(function: object) -> bool:
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & _CO_COROUTINE)


def _extract_stack(*arguments: Any, **options: Any) -> Any:
    return import_module("traceback").extract_stack(*arguments, **options)


class _Pattern:
    """A pattern that is compiled when it is used."""

    def __init__(self, *described: Any) -> None:
        self._described = described

    def match(self, *arguments: Any) -> Any:
        """A method, since json keeps it as a default."""
        return self._compiled().match(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled(), name)

    def _compiled(self) -> Any:
        return import_module("re").compile(*self._described)


class _Annotation:
    """Of functions in ``asyncio.timeouts``, where nobody reads it."""

    def __getitem__(self, parameters: object) -> None:
        return None

    def __call__(self, decorated: type) -> type:
        """As ``final``."""
        return decorated


class _Logger:
    """A logger that loads ``logging`` when there is something to say.

    A message for debugging is none while ``logging`` is not loaded: nobody has asked for it then.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, *arguments: Any, **options: Any) -> None:
        if "logging" in sys.modules:
            self._real().debug(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def _real(self) -> Any:
        return import_module("logging").getLogger(self._name)


_ASKED_AT_ONCE: dict[str, dict[str, Any]] = {
    "concurrent.futures": {
        "ALL_COMPLETED": "ALL_COMPLETED",
        "FIRST_COMPLETED": "FIRST_COMPLETED",
        "FIRST_EXCEPTION": "FIRST_EXCEPTION",
    },
    # By handlers of signals.
    "inspect": {"iscoroutinefunction": _is_coroutine_function},
    "logging": {"DEBUG": 10, "getLogger": _Logger},
    "re": {"MULTILINE": 8, "DOTALL": 16, "VERBOSE": 64, "compile": _Pattern},
    "subprocess": {"DEVNULL": -3, "PIPE": -1, "STDOUT": -2},
    "traceback": {"extract_stack": _extract_stack},
    "typing": dict.fromkeys(("Optional", "Type", "final"), _Annotation()),
}
"""What asyncio and json ask of these modules while they are loaded, or at every start."""
