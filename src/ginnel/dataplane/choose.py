"""Chooses the data plane and says why; the decision is apart from the opening.

Not responsible for how a data plane works, nor for what a user may ask for on the command line.
"""

import importlib

from ginnel import __version__
from ginnel.core.wrap.api import SivMaker, library_siv
from ginnel.dataclass import dataclass
from ginnel.dataplane.api import Capabilities, DataPlane, TunDevice
from ginnel.enumeration import Enum
from ginnel.options.errors import ConfigError

EXTENSION = "ginnel_engine"

INTERFACE = 4
"""Counts changes of what the extension is called with; the same number is in its ``lib.rs``."""


class Engine(Enum):
    """The back ends that exist; ``value`` is the word a user writes."""

    RUST = "rust"
    PYTHON = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """Which back end, and the reasons in plain words for the log."""

    engine: Engine
    reasons: tuple[str, ...]


def choose_engine(asked: str | None, problem: str | None) -> EngineChoice:
    """Decides from what was asked for (None prefers the compiled engine) and what hinders that.

    ``problem`` is None when the compiled engine is usable. Raises ConfigError when it was asked for
    and is not, and for a word that names no engine.
    """
    if asked == Engine.PYTHON.value:
        return EngineChoice(engine=Engine.PYTHON, reasons=("the Python engine was asked for",))
    if asked == Engine.RUST.value:
        if problem is not None:
            raise ConfigError(f"the compiled engine was asked for, but {problem}")
        return EngineChoice(engine=Engine.RUST, reasons=("the compiled engine was asked for",))
    if asked is not None:
        known = ", ".join(engine.value for engine in Engine)
        raise ConfigError(f"there is no data plane engine {asked!r}, only: {known}")
    if problem is not None:
        reasons = (problem, "the Python engine works the same way, only slower")
        return EngineChoice(engine=Engine.PYTHON, reasons=reasons)
    return EngineChoice(engine=Engine.RUST, reasons=("the compiled engine is installed",))


def find_problem() -> str | None:
    """Tells what keeps the compiled engine from being used here, None when nothing does."""
    try:
        module = importlib.import_module(EXTENSION)
    except ModuleNotFoundError as missing:
        if missing.name == EXTENSION:
            return f"the compiled engine (module {EXTENSION}) is not installed"
        return f"the compiled engine needs the module {missing.name}, which is not installed"
    except ImportError as bad:
        return f"the compiled engine does not load: {bad}"
    found = getattr(module, "__version__", "unknown")
    if found != __version__:
        return f"the compiled engine is version {found} and ginnel is {__version__}"
    # Two builds of one release may differ as well: a tree that went on after its engine was built.
    interface = getattr(module, "__interface__", "unknown")
    if interface != INTERFACE:
        return f"the compiled engine has interface {interface} and ginnel has {INTERFACE}"
    return None


def open_data_plane(
    tun: TunDevice | None, *, engine: str | None = None
) -> tuple[DataPlane, tuple[str, ...]]:
    """Opens the chosen data plane on the device and returns it with the reasons of the choice.

    Raises ConfigError as ``choose_engine`` does, and DataPlaneError when the system refuses.
    """
    choice = _choice(engine)
    return _open(choice.engine, tun), choice.reasons


def capabilities_of(engine: str | None) -> Capabilities:
    """What the chosen data plane can do, without opening it, which starts a thread.

    Raises ConfigError as ``choose_engine`` does.
    """
    if _choice(engine).engine is Engine.RUST:
        from ginnel.dataplane import engine as compiled

        return compiled.capabilities()
    from ginnel.dataplane import reference

    return reference.capabilities()


def siv_maker(engine: str | None) -> SivMaker:
    """Who makes the keys of control packets: the chosen engine, if it is the compiled one.

    Raises ConfigError as ``choose_engine`` does.
    """
    if _choice(engine).engine is Engine.PYTHON:
        return library_siv
    maker: SivMaker = importlib.import_module(EXTENSION).SivKey
    return maker


def _choice(asked: str | None) -> EngineChoice:
    return choose_engine(asked, None if asked == Engine.PYTHON.value else find_problem())


def _open(engine: Engine, tun: TunDevice | None) -> DataPlane:
    """Imports only what is used: either engine is heavy, start-up time is connect time."""
    if engine is Engine.RUST:
        from ginnel.dataplane.engine import RustDataPlane

        return RustDataPlane(tun)
    from ginnel.dataplane.reference import PythonDataPlane

    return PythonDataPlane(tun)
