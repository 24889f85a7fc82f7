"""Writes docs/reference/options.md from the option rows; ``--check`` only compares."""

import sys
from pathlib import Path

from ginnel.options.render import render_reference

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "options.md"


def main(arguments: list[str]) -> int:
    """Exit status 1 when ``--check`` finds the page out of date."""
    text = render_reference().rstrip() + "\n"
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        print("docs/reference/options.md is out of date: run `make docs`")
        return 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
