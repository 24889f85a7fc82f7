"""Checks rules about the tree that no linter knows: file sizes, test twins, package files."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE_LIMIT = 800
TEST_LIMIT = 1200


def tracked(*patterns: str) -> list[Path]:
    """Lists the tracked and the new, not ignored files that match."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.splitlines() if (ROOT / name).exists()]


def oversized() -> list[str]:
    """Names each file past its limit."""
    found = []
    for path in tracked("*.py", "*.rs"):
        relative = path.relative_to(ROOT)
        limit = TEST_LIMIT if "tests" in relative.parts else SOURCE_LIMIT
        lines = path.read_text().count("\n")
        if lines > limit:
            found.append(f"{relative}: {lines} lines, the limit is {limit}")
    return found


def without_docstring() -> list[str]:
    """Names each source module that does not open with what it is responsible for."""
    return [
        f"{path.relative_to(ROOT)}: the module does not open with a docstring"
        for path in tracked("src/*.py")
        if path.name != "__init__.py" and not path.read_text().lstrip().startswith(('"""', 'r"""'))
    ]


def unfinished() -> list[str]:
    """Names each mark of unfinished work."""
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error", "to" + "do!(")
    return [
        f"{path.relative_to(ROOT)}:{number}: unfinished mark {mark}"
        for path in tracked("*.py", "*.rs")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for mark in marks
        if mark in line
    ]


def main() -> int:
    """Prints every finding; exit status 1 when there is one."""
    findings = oversized() + without_docstring() + unfinished()
    for line in findings:
        print(line)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
