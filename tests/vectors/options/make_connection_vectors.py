"""Writes connection.json: which options a real openvpn takes inside a ``<connection>`` block.

Run by hand, with openvpn 2.6 on the PATH and ginnel importable; the result is committed. The
program stops before it does anything, as there is no certificate authority.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from ginnel.options.arguments import ArgKind, Argument
from ginnel.options.table import OptionRow, all_rows

TARGET = Path(__file__).with_name("connection.json")
ACTS_WHILE_READING = frozenset({"version", "help", "config", "connection", "show-gateway"})
VALUES = {"compat-mode": "2.4.0", "route-ipv6-gateway": "fd00::1"}


def plausible(argument: Argument) -> str:
    if argument.choices:
        return argument.choices[0]
    if argument.kind is ArgKind.PORT:
        return "1194"
    if argument.kind is ArgKind.NUMBER:
        return str(max(argument.low, min(argument.high, 1400)))
    return "x"


def is_taken(row: OptionRow) -> bool:
    words = [plausible(argument) for argument in row.args if not argument.optional]
    words = [VALUES[row.name]] if row.name in VALUES else words
    block = f"<connection>\nremote 127.0.0.1 1\n{' '.join([row.name, *words])}\n</connection>\n"
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "c").write_text(f"client\ndev null\n{block}")
        done = subprocess.run(
            ["openvpn", "--config", "c"],
            cwd=directory,
            capture_output=True,
            check=False,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
    text = done.stdout.decode("utf-8", "replace")
    return "cannot be used in this context" not in text and "Unrecognized option" not in text


def main() -> None:
    version = subprocess.run(["openvpn", "--version"], capture_output=True, check=False).stdout
    rows = [row for row in all_rows().values() if row.name not in ACTS_WHILE_READING]
    document = {
        "origin": "tests/vectors/options/make_connection_vectors.py",
        "tool": version.decode().split(" [", 1)[0],
        "command": "openvpn --config FILE",
        "meaning": "options that may stand in a <connection> block",
        "names": [row.name for row in rows if is_taken(row)],
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
