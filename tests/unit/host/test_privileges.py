"""What every user may give up; ``tests/host`` has what takes root to begin with."""

import os
import resource
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError, HostError
from ginnel.host import privileges
from ginnel.host.privileges import Identity
from ginnel.options.model import ProcessOptions
from tests.unit.host.children import in_child, status


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


def test_helper_of_a_user_without_rights_can_gain_none() -> None:
    def work() -> str:
        privileges.confine_helper()
        found = status()
        beyond = int(found["CapPrm"], 16) & ~(1 << privileges.CAP_NET_ADMIN)
        return f"{beyond} {found['NoNewPrivs']} {resource.getrlimit(resource.RLIMIT_CORE)}"

    assert in_child(work) == "0 1 (0, 0)"
