"""Rights are given up for good, and scripts still run afterwards."""

import asyncio
import ctypes
import os
import re
import resource
import shutil
import subprocess
from pathlib import Path

from ginnel.host import privileges
from ginnel.host.privileges import CAP_NET_ADMIN, Identity
from ginnel.host.scripts import ScriptRunner
from tests.unit.host.children import in_child, status

NOBODY = 65534


def test_helper_keeps_one_capability_and_gains_none() -> None:
    def work() -> str:
        privileges.confine_helper()
        found = status()
        core = resource.getrlimit(resource.RLIMIT_CORE)
        return " ".join([found["CapPrm"], found["CapEff"], found["NoNewPrivs"], str(core)])

    net_admin = f"{1 << CAP_NET_ADMIN:016x}"
    assert in_child(work) == f"{net_admin} {net_admin} 1 (0, 0)"


def test_helper_without_rights_can_still_be_confined() -> None:
    assert ctypes.sizeof(ctypes.c_int) == 4  # loaded before the user who may not read it

    def work() -> str:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        privileges.confine_helper()
        return status()["CapPrm"]

    assert in_child(work) == "0" * 16


def test_identity_is_dropped_with_its_groups() -> None:
    def work() -> str:
        privileges.drop_identity(Identity(user=NOBODY, group=NOBODY))
        try:
            os.setuid(0)
        except PermissionError:
            return f"{os.getresuid()} {os.getresgid()} {os.getgroups()} {status()['CapEff']}"
        return "could come back"

    three = (NOBODY,) * 3
    assert in_child(work) == f"{three} {three} {[NOBODY]} {'0' * 16}"


def test_user_alone_loses_supplementary_groups() -> None:
    def work() -> str:
        os.setgroups([4, 27])
        privileges.drop_identity(Identity(user=NOBODY))
        return str(os.getgroups())

    assert in_child(work) == "[]"


def test_chroot_comes_first(tmp_path: Path) -> None:
    (tmp_path / "inside").write_text("x")
    tmp_path.chmod(0o755)

    def work() -> str:
        privileges.drop_identity(Identity(user=NOBODY, chroot=str(tmp_path)))
        return " ".join(sorted(path.name for path in Path("/").iterdir())) + f" {Path.cwd()}"

    assert in_child(work) == "inside /"


def make_root(folder: Path) -> None:
    """A root directory with a shell and what the shell needs, and no device nodes."""
    listed = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    for name in ["/bin/sh", *re.findall(r"(/\S+) \(0x", listed)]:
        target = folder / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)
    script = folder / "up"
    script.write_text('#!/bin/sh\nread line || echo "$dev $1 $(cd / && pwd)"\n')
    script.chmod(0o755)
    folder.chmod(0o755)


def test_scripts_run_without_rights_in_a_root_without_devices(tmp_path: Path) -> None:
    make_root(tmp_path)

    async def run(runner: ScriptRunner) -> str:
        privileges.drop_identity(Identity(user=NOBODY, group=NOBODY, chroot=str(tmp_path)))
        return str(await runner.run(("/up",), ("word",), {"dev": "tun0"}, script_security=2))

    def work() -> str:
        lines: list[str] = []
        runner = ScriptRunner(lines.append)
        return f"{asyncio.run(run(runner))}: {lines}"

    assert in_child(work) == "external program succeeded: ['tun0 word /']"
