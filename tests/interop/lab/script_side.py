"""A script for all hooks of a server.

It writes down what it is told, with the content of the files that it is shown, and does as it is
planned to.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCRIPT = """#!/usr/bin/python3 -I
import json, os, sys
raw = open("/proc/self/environ", "rb").read().decode("utf-8", "surrogateescape")
told = dict(line.split("=", 1) for line in raw.split("\\0") if line)
hook = told["script_type"]
shown = {{}}
for name, value in [*enumerate(sys.argv), *told.items()]:
    if name != 0 and "openvpn_" in value and os.path.isfile(value):
        shown[str(name)] = open(value, encoding="utf-8", errors="replace").read()
call = {{"hook": hook, "words": sys.argv[1:], "environment": told, "files": shown}}
place = "{folder}/calls/%d-%d.json" % (__import__("time").monotonic_ns(), os.getpid())
with open(place + ".tmp", "w") as file:
    json.dump(call, file)
try:
    plan = json.load(open("{folder}/plan." + hook))
except OSError:
    plan = {{"status": 0, "write": {{}}}}
for variable, text in plan["write"].items():
    with open(told[variable], "w") as file:
        file.write(text)
os.rename(place + ".tmp", place)
sys.exit(plan["status"])
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One run of the script."""

    hook: str
    words: list[str]
    environment: dict[str, str]
    files: dict[str, str]
    """Contents by the variable, or the number of the word, that named them."""


class ScriptDouble:
    """A script in a folder; plans may change while the server runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "calls").mkdir()
        (folder / "calls").chmod(0o777)
        self.path = folder / "script"
        self.path.write_text(_SCRIPT.format(folder=folder))
        self.path.chmod(0o755)

    def plan(self, hook: str, *, status: int = 0, write: dict[str, str] | None = None) -> None:
        """What the script does from now on when it is called as this hook."""
        (self._folder / f"plan.{hook}").write_text(
            json.dumps({"status": status, "write": write or {}})
        )

    def calls(self, hook: str) -> list[Call]:
        """The runs as this hook so far, in order."""
        paths = sorted((self._folder / "calls").glob("*.json"))
        loaded: list[dict[str, Any]] = [json.loads(path.read_text()) for path in paths]
        return [Call(**one) for one in loaded if one["hook"] == hook]
