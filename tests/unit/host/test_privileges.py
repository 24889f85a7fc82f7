"""Rights are given up for good. Each test runs in a child of its own, which may throw them away."""

import ctypes
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError, HostError
from ginnel.host import privileges
from ginnel.host.privileges import CAP_NET_ADMIN, Identity
from ginnel.options.model import ProcessOptions

NOBODY = 65534


def in_child(work: Callable[[], str]) -> str:
    """Runs ``work`` in a forked child and returns its answer."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, work().encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
            raise
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(pid, 0)
    return answer


def status() -> dict[str, str]:
    text = Path("/proc/self/status").read_text()
    return {name: value.strip() for name, _colon, value in map(partition, text.splitlines())}


def partition(line: str) -> tuple[str, str, str]:
    return line.partition(":")


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


def test_impossible_chroot_is_an_error(tmp_path: Path) -> None:
    def work() -> str:
        try:
            privileges.drop_identity(Identity(chroot=str(tmp_path / "absent")))
        except HostError as error:
            return f"{error.step} {error.errno} {os.getuid()}"
        return "went on"

    assert in_child(work) == f"drop privileges 2 {os.getuid()}"


def test_names_become_numbers() -> None:
    identity = privileges.resolve_identity(ProcessOptions(user="root", group="root", chroot="/x"))
    assert identity == Identity(user=0, group=0, user_name="root", chroot="/x")
    assert identity.changes_anything
    assert not privileges.resolve_identity(ProcessOptions()).changes_anything


@pytest.mark.parametrize("option", ["user", "group"])
def test_unknown_names_are_errors_of_the_configuration(option: str) -> None:
    process = ProcessOptions(
        user="no-such-name" if option == "user" else None,
        group="no-such-name" if option == "group" else None,
    )
    with pytest.raises(ConfigError, match=f"for {option} no-such-name") as caught:
        privileges.resolve_identity(process)
    assert caught.value.option == option


def test_priority_and_name() -> None:
    def work() -> str:
        before = os.nice(0)
        privileges.set_priority(3)
        privileges.name_process("a-name-that-is-too-long")
        return f"{os.nice(0) - before} {status()['Name']}"

    assert in_child(work) == "3 a-name-that-is-"


def test_memory_is_locked_and_cores_are_off() -> None:
    def work() -> str:
        privileges.forbid_core_dumps()
        privileges.lock_memory()
        locked = int(status()["VmLck"].split()[0])
        return f"{locked > 0} {resource.getrlimit(resource.RLIMIT_CORE)}"

    assert in_child(work) == "True (0, 0)"
