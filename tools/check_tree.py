"""Checks rules about the tree that no linter knows.

Sizes, docstrings, unfinished marks, a unit test beside each module, one version everywhere, and a
decision record for each dependency. Run as ``python -m tools.check_tree``.
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from ginnel import __version__
from tools import check_files

ROOT = Path(__file__).resolve().parent.parent
SOURCE_LIMIT = 800
TEST_LIMIT = 1200
TWIN_EXCEPTIONS = ROOT / "tools" / "test_twins.txt"


def tracked(*patterns: str) -> list[Path]:
    """Lists the tracked and the new, not ignored files that match, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in names.splitlines() if (ROOT / name).is_file()]


def oversized() -> list[str]:
    """Names each file past its limit."""
    found = []
    for path in tracked("*.py", "*.rs"):
        limit = TEST_LIMIT if "tests" in path.parts else SOURCE_LIMIT
        lines = (ROOT / path).read_text().count("\n")
        if lines > limit:
            found.append(f"{path}: {lines} lines, the limit is {limit}")
    return found


def without_docstring() -> list[str]:
    """Names each source module that does not open with what it is responsible for."""
    return [
        f"{path}: the module does not open with a docstring"
        for path in tracked("src/*.py", "tools/*.py", "bench/*.py")
        if path.name != "__init__.py"
        and not (ROOT / path).read_text().lstrip().startswith(('"""', 'r"""'))
    ]


def unfinished() -> list[str]:
    """Names each mark of unfinished work."""
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error", "to" + "do!(")
    return [
        f"{path}:{number}: unfinished mark {mark}"
        for path in tracked("*.py", "*.pyi", "*.rs", "*.sh")
        for number, line in enumerate((ROOT / path).read_text().splitlines(), start=1)
        for mark in marks
        if mark in line
    ]


def has_behaviour(path: Path) -> bool:
    """Tells whether a module does anything: values, tables and protocols have nothing to test."""
    functions = (
        node
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    # A docstring and the dots of a protocol are both lone constants.
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for function in functions
        for statement in function.body
    )


def without_twin() -> list[str]:
    """Names each module without its file in ``tests/unit``, and each exception that is none."""
    exceptions = {}
    for line in TWIN_EXCEPTIONS.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, reason = line.partition(": ")
            exceptions[name] = reason
    modules = {
        path.relative_to("src/ginnel")
        for path in tracked("src/ginnel/*.py")
        if not path.name.startswith("__") and has_behaviour(path)
    }
    missing = {
        str(module)
        for module in modules
        if not (ROOT / "tests/unit" / module.parent / f"test_{module.name}").exists()
    }
    found = [
        f"src/ginnel/{name}: no unit test beside it" for name in sorted(missing - exceptions.keys())
    ]
    for name, reason in exceptions.items():
        if name not in missing:
            found.append(f"{TWIN_EXCEPTIONS.name}: {name} is no exception (any more)")
        if not reason.strip():
            found.append(f"{TWIN_EXCEPTIONS.name}: {name} has no reason")
    return found


def other_versions() -> list[str]:
    """Names each place whose version is not that of the package."""
    found = []
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    engine = tomllib.loads((ROOT / "crates/pymodule/pyproject.toml").read_text())["project"]
    # Without one of its own, maturin takes the workspace's.
    versions = {"Cargo.toml": workspace["version"]}
    if "version" in engine:
        versions["crates/pymodule/pyproject.toml"] = engine["version"]
    for name, version in versions.items():
        if version != __version__:
            found.append(f"{name}: version {version}, the package is {__version__}")
    return found


def undecided_dependencies() -> list[str]:
    """Names each direct dependency that no decision record speaks of."""
    records = "\n".join(path.read_text() for path in sorted((ROOT / "docs/adr").glob("*.md")))
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    names = {name for name, source in workspace["dependencies"].items() if "path" not in source}
    for path in sorted((ROOT / "requirements").glob("*.in")):
        names |= {
            line.strip() for line in path.read_text().splitlines() if re.match(r"[A-Za-z]", line)
        }
    return [
        f"{name}: a dependency without a line in docs/adr"
        for name in sorted(names)
        if f"`{name}`" not in records
    ]


def main() -> int:
    """Prints every finding; exit status 1 when there is one."""
    findings = [
        *check_files.findings(ROOT / path for path in tracked()),
        *oversized(),
        *without_docstring(),
        *unfinished(),
        *without_twin(),
        *other_versions(),
        *undecided_dependencies(),
    ]
    for line in findings:
        print(line)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
