"""Whatever is imported late is on the list, so that a process without rights can go on."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ginnel
from ginnel.shell import preload

SOURCE = Path(ginnel.__file__).parent
RUNNING = ("core", "options", "compat", "host", "shell")
"""Packages whose code runs after the drop; an engine in use has loaded its own modules."""

LEFT_OUT = {
    "ginnel_engine",
    "ginnel.dataplane.engine",
    "ginnel.dataplane.reference",
    "ginnel.host.helper",  # forked before the drop, and imports at once
}

PROGRAM = """
import sys
import ginnel.shell.client
from ginnel.shell.preload import preload
preload()
missing = [name for name in sys.argv[1:] if name not in sys.modules]
print(*missing)
"""


def late_imports() -> Iterator[str]:
    """The modules that functions import, as far as the source says."""
    for package in RUNNING:
        for path in sorted((SOURCE / package).rglob("*.py")):
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    for node in ast.walk(function):
                        if isinstance(node, ast.Import):
                            yield from (alias.name for alias in node.names)
                        elif isinstance(node, ast.ImportFrom) and node.module:
                            yield node.module


def test_every_late_import_is_loaded_before_the_drop() -> None:
    names = sorted(set(late_imports()) - LEFT_OUT)
    assert "cryptography" in names, "the search finds what it looks for"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names, *preload.MODULES],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == []


def test_names_resolve_and_traces_print_without_the_library() -> None:
    """What the standard library loads at the moment of use works with no import left to it."""
    program = """
from ginnel.cli.lean_imports import import_lean
import_lean()  # as a client does
import sys, socket, traceback, subprocess
import ginnel.shell.client
from ginnel.shell.preload import preload
preload()
class Closed:
    def find_spec(self, name, path=None, target=None):
        raise AssertionError("imported after the drop: " + name)
sys.meta_path.insert(0, Closed())
socket.getaddrinfo("127.0.0.1", 1194)
try:
    "bücher.example".encode("idna").decode("idna")
    socket.getaddrinfo("no\\u2028such", 1)
except (OSError, UnicodeError) as error:
    traceback.format_exception(error)
subprocess.run(["/bin/true"], check=True)
print("fine")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")
