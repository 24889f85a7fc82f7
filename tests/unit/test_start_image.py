"""The image of a start: what comes from it, and when Python imports as ever."""

import marshal
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ginnel import start_image

Entry = tuple[Any, ...]

SHOWS = """
import sys
from ginnel import start_image
image = start_image.install({path!r})
import ginnel.options.lexer, json, traceback
loader = type(sys.modules[{name!r}].__spec__.loader).__name__
start_image.release()
print(image is not None, loader, sys.modules[{name!r}].__file__)
assert not any(isinstance(finder, start_image.StartImage) for finder in sys.meta_path)
del image
assert {path!r} not in open("/proc/self/maps").read(), "forgotten as a whole"
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a start's modules, built by an interpreter of its own."""
    path = tmp_path_factory.mktemp("image") / "start.image"
    program = f"""
import sys
from ginnel import start_image
start_image.image_path = lambda: {str(path)!r}
sys.exit(start_image.main())
"""
    run(program)
    return path


def run(program: str, *flags: str) -> str:
    """Runs a program in an interpreter that has loaded nothing yet; what it prints."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("name", ["ginnel.options.lexer", "json", "json.decoder"])
def test_modules_come_from_the_image_and_know_their_files(image: Path, name: str) -> None:
    found, loader, file = run(SHOWS.format(path=str(image), name=name)).split()
    assert (found, loader) == ("True", "_ImageLoader")
    assert Path(file).is_file()
    assert name.rpartition(".")[2] in file


def test_a_start_takes_nearly_all_from_the_image(image: Path) -> None:
    program = f"""
import sys
from ginnel import start_image
start_image.install({str(image)!r})
from ginnel.cli.lean_imports import import_lean
from ginnel.cli import openvpn
import_lean()
from ginnel.shell.client import run_client
print(*(name for name, module in sys.modules.items() if name.startswith("ginnel.")
      and type(module.__spec__.loader).__name__ == "SourceFileLoader"))
"""
    assert run(program).split() == ["ginnel.start_image"]


def test_modules_are_loaded_before_they_are_asked_for(image: Path) -> None:
    program = f"""
import sys
from ginnel import start_image
from ginnel.cli.lean_imports import import_lean
start_image.install({str(image)!r})
start_image.load(start_image.READING)
print("ginnel.options.rows" in sys.modules, "asyncio" in sys.modules)
import_lean()
start_image.load(start_image.CONNECTING)
loaded = set(sys.modules)
import ginnel.options.rows, ginnel.shell.client, ginnel.dataplane.engine, ginnel.core.wrap.crypt
print(set(sys.modules) == loaded)
print(ginnel.shell.client.run_client.__module__, ginnel.shell.client.__file__[-22:])
print(ginnel.options.__path__[0][-14:], ginnel.options.rows.__package__)
# Only what a start needs: not what writing the file needs.
print({{"pathlib", "logging", "subprocess", "ssl", "hashlib", "ginnel.host.helper"}} & loaded)
"""
    assert run(program).splitlines() == [
        "True False",
        "True",
        "ginnel.shell.client ginnel/shell/client.py",
        "ginnel/options ginnel.options.rows",
        "set()",
    ]


def test_a_module_that_fails_says_so_to_who_imports_it(image: Path) -> None:
    program = f"""
import sys
from ginnel import start_image
start_image.install({str(image)!r})
sys.modules["ipaddress"] = None  # what Python takes for a module that is not there
start_image.load(start_image.CONNECTING)
print("ginnel.core.types" in sys.modules, "ginnel.core.replay" in sys.modules)
try:
    import ginnel.core.types
except ImportError as error:
    print(error.name)
"""
    assert run(program).splitlines() == ["False True", "ipaddress"]


def test_lines_of_the_source_are_shown_in_tracebacks(image: Path) -> None:
    program = f"""
import traceback
from ginnel import start_image
start_image.install({str(image)!r})
from ginnel.options.lexer import lex_line
try:
    lex_line(None, None)
except Exception:
    print(traceback.format_exc())
"""
    shown = run(program)
    assert "options/lexer.py" in shown
    assert shown.count("\n    ") >= 2


def test_a_source_that_changed_is_imported_as_ever(image: Path, tmp_path: Path) -> None:
    changed = rewritten(image, tmp_path, lambda entry: (entry[0], entry[1] + 1, *entry[2:]))
    assert run(SHOWS.format(path=str(changed), name="json")).split()[1] == "SourceFileLoader"
    program = f"""
from ginnel import start_image
start_image.install({str(changed)!r})
start_image.load(start_image.CONNECTING)
import ginnel.options.lexer
print(type(ginnel.options.lexer.__spec__.loader).__name__)
"""
    assert run(program) == "SourceFileLoader\n"
    gone = rewritten(image, tmp_path, lambda entry: (entry[0] + ".gone", *entry[1:]))
    assert run(SHOWS.format(path=str(gone), name="json")).split()[1] == "SourceFileLoader"


def rewritten(image: Path, directory: Path, change: Callable[[Entry], Entry]) -> Path:
    content = image.read_bytes()
    start = len(start_image._mark()) + 4
    end = start + int.from_bytes(content[start - 4 : start], "little")
    searched, entries = marshal.loads(content[start:end])
    index = marshal.dumps((searched, {name: change(entry) for name, entry in entries.items()}))
    path = directory / "other.image"
    path.write_bytes(
        content[: start - 4] + len(index).to_bytes(4, "little") + index + content[end:]
    )
    return path


@pytest.mark.parametrize(
    "content", [b"", b"ginnel", b"x" * 100, start_image._mark(), start_image._mark() + b"\1\0\0\0("]
)
def test_what_is_no_image_is_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "start.image"
    path.write_bytes(content)
    before = list(sys.meta_path)
    assert start_image.install(str(path)) is None
    assert start_image.install(str(tmp_path / "none")) is None
    assert sys.meta_path == before


def test_an_image_of_another_environment_is_left_alone(image: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from ginnel import start_image
here = list(sys.path)
for there in (here, here[1:], [here[0], {str(tmp_path)!r}, *here[1:]], here[:-1]):
    sys.path[:] = there
    print(start_image.install({str(image)!r}) is not None)
"""
    assert run(program).split() == ["True", "True", "False", "False"]


def test_an_optimizing_python_has_code_of_its_own(image: Path) -> None:
    program = f"from ginnel import start_image; print(start_image.install({str(image)!r}))"
    assert run(program, "-O") == "None\n"


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(start_image, "image_path", lambda: str(file / "start.image"))
    assert start_image.main() == 1
    assert f"ginnel: {file}/start.image cannot be written" in capsys.readouterr().err


def test_each_environment_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    path = Path(start_image.image_path())
    assert path.parent == Path(start_image.__file__).parent / "__pycache__"
    assert path.name == f"start.{sys.implementation.cache_tag}.usr.image"
    monkeypatch.setattr(sys, "prefix", "/" + "long/" * 80)
    assert len(os.path.basename(start_image.image_path())) < 255  # noqa: PTH119 -- a string
