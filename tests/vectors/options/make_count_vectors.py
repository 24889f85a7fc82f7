"""Writes counts.json: how many words a real openvpn takes after each option.

Run by hand, with openvpn 2.6 on the PATH and ginnel importable; the result is committed. Options
are tried with none to six words of a plausible kind; a second, unknown line stops the program
before it does anything.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from ginnel.options.arguments import ArgKind, Argument
from ginnel.options.table import OptionRow, all_rows

TARGET = Path(__file__).with_name("counts.json")
MOST = 6
ACTS_WHILE_READING = frozenset(
    {"version", "help", "config", "setenv", "ignore-unknown-option", "connection"}
)


def plausible(argument: Argument) -> str:
    if argument.choices:
        return argument.choices[0]
    return "1194" if argument.kind in {ArgKind.NUMBER, ArgKind.PORT} else "10.0.0.1"


def is_taken(name: str, words: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "c").write_text(" ".join([name, *words]) + "\nzzz\n")
        done = subprocess.run(
            ["openvpn", "--config", "c"],
            cwd=directory,
            capture_output=True,
            check=False,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
    text = done.stdout.decode("utf-8", "replace")
    return f"c:1: {name} (" not in text and "should have at most" not in text


def counts(row: OptionRow) -> str:
    words = [plausible(argument) for argument in row.args] or ["1"]
    words += [words[-1]] * MOST
    return "".join(str(int(is_taken(row.name, words[:number]))) for number in range(MOST + 1))


def main() -> None:
    version = subprocess.run(["openvpn", "--version"], capture_output=True, check=False).stdout
    rows = [row for row in all_rows().values() if row.name not in ACTS_WHILE_READING]
    document = {
        "origin": "tests/vectors/options/make_count_vectors.py",
        "tool": version.decode().split(" [", 1)[0],
        "command": "openvpn --config FILE",
        "meaning": "digit N is 1 when the option is taken with N words",
        "counts": {row.name: counts(row) for row in rows},
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
