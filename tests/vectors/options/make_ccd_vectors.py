"""Writes ccd.json: which options a real openvpn takes in the file of one client.

Run by hand as root, with openvpn 2.6 and openssl on the PATH and ginnel importable; the result is
committed. One client connects to a server, in a network of its own, and the server says which
lines of the client's file it does not take.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ginnel.options.arguments import ArgKind, Argument
from ginnel.options.table import OptionRow, all_rows

TARGET = Path(__file__).with_name("ccd.json")
NOT_ASKED = frozenset({"version", "help", "config", "connection", "disable"})
"""Acting while they are read, or ending the connection."""
WRONG = re.compile(r"Options error: (.*)")


def plausible(argument: Argument) -> str:
    if argument.choices:
        return argument.choices[0]
    if argument.kind is ArgKind.PORT:
        return "1194"
    if argument.kind is ArgKind.NUMBER:
        return str(max(argument.low, min(argument.high, 1400)))
    return "x"


def line(row: OptionRow) -> str:
    words = [plausible(argument) for argument in row.args if not argument.optional]
    return " ".join([row.name, *words])


def make_certificates(directory: Path) -> None:
    for command in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt"
        " -subj /CN=ca",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out r -subj /CN=alice",
        "x509 -req -in r -CA ca.crt -CAkey ca.key -CAcreateserial -out crt",
    ):
        subprocess.run(
            ["openssl", *command.split()], cwd=directory, check=True, capture_output=True
        )


def log_of_a_server(directory: Path) -> str:
    """Runs both ends until the client's file was read."""
    common = ["--dev", "tun", "--ca", "ca.crt", "--cert", "crt", "--key", "k", "--verb", "3"]
    serving = "--server 10.8.0.0 255.255.255.0 --dh none --client-config-dir ccd --log server.log"
    calling = "--client --remote 127.0.0.1 --ifconfig-noexec --route-noexec --log client.log"
    server = subprocess.Popen(["openvpn", *common, *serving.split()], cwd=directory)
    client = subprocess.Popen(["openvpn", *common, *calling.split()], cwd=directory)
    try:
        for _ in range(100):
            time.sleep(0.1)
            log = directory / "server.log"
            text = log.read_text(errors="replace") if log.exists() else ""
            if "SENT CONTROL" in text or "MULTI: primary virtual" in text:
                return text
        raise SystemExit("the client did not connect:\n" + text)
    finally:
        for process in (client, server):
            process.terminate()
            process.wait()


def main() -> None:
    if "--inside" not in sys.argv:
        again = ["unshare", "--net", sys.executable, __file__, "--inside"]
        raise SystemExit(subprocess.run(again, check=False).returncode)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    rows = [row for row in all_rows().values() if row.name not in NOT_ASKED]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        make_certificates(directory)
        (directory / "ccd").mkdir()
        (directory / "ccd" / "alice").write_text("".join(f"{line(row)}\n" for row in rows))
        text = log_of_a_server(directory)
    errors = WRONG.findall(text)
    unknown = {
        rows[int(found[1]) - 1].name
        for error in errors
        for found in [re.search(r"ccd/alice:([0-9]+)", error)]
        if found is not None
    }
    misplaced = {
        found[1]
        for error in errors
        for found in [re.search(r"option '([^']+)' cannot be used in this context", error)]
        if found is not None
    }
    version = subprocess.run(["openvpn", "--version"], capture_output=True, check=False).stdout
    document = {
        "origin": "tests/vectors/options/make_ccd_vectors.py",
        "tool": version.decode().split(" [", 1)[0],
        "command": "openvpn --server NET MASK --client-config-dir DIR",
        "meaning": "options that may stand in a client's file, and those that may not; what this "
        "release does not know at all is in neither",
        "names": [row.name for row in rows if row.name not in misplaced | unknown],
        "misplaced": sorted(misplaced),
        "errors": errors,
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
