"""The choice of an engine, and its reasons."""

import hashlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ginnel import __version__
from ginnel.core.wrap.api import library_siv
from ginnel.dataclass import replace
from ginnel.dataplane import choose
from ginnel.dataplane.choose import (
    INTERFACE,
    Engine,
    capabilities_of,
    choose_engine,
    find_problem,
    open_data_plane,
    siv_maker,
)
from ginnel.options.errors import ConfigError

INTERFACES = {
    "e9183fba286dbb86cd679b8b51b91dd7136185726ac6455c74ab83a5f29f1f4a": 1,
    "b6ae20dad29f63ba74646de63d34f224e7664f8ee607b7a70766a09e326e2960": 2,
    "afd906dbaad2a6777afeb7cd675f44c266c8cad1c9beaa8a17cca8f14029fd11": 3,
    "174f9ebb748b8bba3dccadb4cf0ffb9b29e0d31d1ee1388a2c6f80d3934c16bd": 4,
}
"""Digests of the stub, and the number of what it says."""
MISSING = "the compiled engine (module ginnel_engine) is not installed"


@pytest.mark.parametrize(
    ("asked", "problem", "chosen"),
    [
        (None, None, Engine.RUST),
        (None, MISSING, Engine.PYTHON),
        ("python", None, Engine.PYTHON),
        ("python", MISSING, Engine.PYTHON),
        ("rust", None, Engine.RUST),
    ],
)
def test_decides_and_gives_reasons(asked: str | None, problem: str | None, chosen: Engine) -> None:
    choice = choose_engine(asked, problem)
    assert choice.engine is chosen
    assert choice.reasons
    if asked is None and problem is not None:
        assert choice.reasons[0] == problem


def test_what_was_asked_for_and_cannot_be_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"asked for, but the compiled engine .* not installed"):
        choose_engine("rust", MISSING)
    with pytest.raises(ConfigError, match="no data plane engine 'kernel'"):
        choose_engine("kernel", None)


def test_a_missing_module_is_a_problem_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "EXTENSION", "ginnel_engine_that_is_not_there")
    problem = find_problem()
    assert problem is not None
    assert "ginnel_engine_that_is_not_there" in problem
    with pytest.raises(ConfigError):
        open_data_plane(None, engine="rust")
    plane, reasons = open_data_plane(None)
    assert plane.capabilities.name == "python"
    assert reasons[0] == problem
    plane.close()


def test_a_module_that_does_not_load_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ginnel_engine", None)
    problem = find_problem()
    assert problem is not None
    assert problem.startswith("the compiled engine")


def test_a_module_of_another_release_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("ginnel_engine")
    monkeypatch.setitem(sys.modules, "ginnel_engine", other)
    assert "version unknown and ginnel is" in str(find_problem())
    other.__version__ = "0.0.1"  # type: ignore[attr-defined]  # as a compiled module has one
    assert find_problem() == f"the compiled engine is version 0.0.1 and ginnel is {__version__}"
    other.__version__ = __version__  # type: ignore[attr-defined]
    other.__interface__ = INTERFACE  # type: ignore[attr-defined]
    assert find_problem() is None


@pytest.mark.parametrize("interface", [None, INTERFACE - 1, INTERFACE + 1])
def test_a_module_of_another_build_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, interface: int | None
) -> None:
    other = ModuleType("ginnel_engine")
    monkeypatch.setitem(sys.modules, "ginnel_engine", other)
    other.__version__ = __version__  # type: ignore[attr-defined]  # as a compiled module has one
    if interface is not None:
        other.__interface__ = interface  # type: ignore[attr-defined]
    found = "unknown" if interface is None else interface
    problem = f"the compiled engine has interface {found} and ginnel has {INTERFACE}"
    assert find_problem() == problem
    with pytest.raises(ConfigError, match=f"asked for, but {problem}"):
        open_data_plane(None, engine="rust")
    plane, reasons = open_data_plane(None)
    assert (plane.capabilities.name, reasons[0]) == ("python", problem)
    plane.close()


def test_a_changed_interface_has_another_number() -> None:
    crate = Path(__file__).parents[3] / "crates/pymodule"
    assert f"const INTERFACE: u32 = {INTERFACE};" in (crate / "src/lib.rs").read_text()
    digest = hashlib.sha256((crate / "ginnel_engine.pyi").read_bytes()).hexdigest()
    assert INTERFACES.get(digest) == INTERFACE, "count INTERFACE up and note the stub's digest"


def test_control_keys_are_of_the_chosen_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("ginnel_engine")
    module.__version__ = __version__  # type: ignore[attr-defined]  # as a compiled module has one
    module.__interface__ = INTERFACE  # type: ignore[attr-defined]
    module.SivKey = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ginnel_engine", module)
    assert siv_maker("python") is library_siv
    assert siv_maker("rust") is siv_maker(None) is module.SivKey
    with pytest.raises(ConfigError):
        siv_maker("kernel")
    monkeypatch.setitem(sys.modules, "ginnel_engine", None)
    assert siv_maker(None) is library_siv


@pytest.mark.parametrize("asked", ["python", None])
def test_capabilities_are_known_before_a_data_plane_is_open(asked: str | None) -> None:
    before = capabilities_of(asked)
    plane, _ = open_data_plane(None, engine=asked)
    plane.close()
    assert replace(plane.capabilities, offloads=before.offloads) == before
    with pytest.raises(ConfigError):
        capabilities_of("kernel")


def test_the_python_engine_can_always_be_asked_for() -> None:
    plane, reasons = open_data_plane(None, engine="python")
    assert plane.capabilities.name == "python"
    assert reasons == ("the Python engine was asked for",)
    plane.close()
