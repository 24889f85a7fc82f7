"""The systemd units: systemd finds nothing to say about them, and they land where they should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[3] / "packaging"
UNITS = ("ginnel-client@.service", "ginnel-server@.service")


def install(
    destination: Path, *words: str, path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PACKAGING / "install.sh"), *words],
        env={"PATH": path, "DESTDIR": str(destination)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_units_are_installed_with_the_program_they_start(tmp_path: Path) -> None:
    done = install(tmp_path, "/opt/ginnel/bin/ginnel")
    assert (done.returncode, done.stderr) == (0, "")
    directory = tmp_path / "etc/systemd/system"
    assert sorted(path.name for path in directory.iterdir()) == list(UNITS)
    for unit in UNITS:
        text = (directory / unit).read_text()
        assert "ExecStart=/opt/ginnel/bin/ginnel openvpn " in text
        assert "/usr/bin/ginnel" not in text
        assert (directory / unit).stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "etc/openvpn/server").is_dir()
    assert install(tmp_path, "/usr/bin/ginnel").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ginnel",), "not an absolute path"),
        (("/opt/my programs/ginnel",), "would read otherwise"),
        ((), "no ginnel on the PATH"),
    ],
)
def test_a_program_that_units_cannot_start_is_refused(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname"):
        (programs / name).symlink_to(f"/bin/{name}")
    done = install(tmp_path, *words, path=str(programs))
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "etc").exists()


@pytest.mark.parametrize("program", ["/root/ginnel/.venv/bin/ginnel", "/home/ada/bin/ginnel"])
def test_a_program_that_the_units_hide_is_named(tmp_path: Path, program: str) -> None:
    done = install(tmp_path, program)
    assert done.returncode == 0
    assert f"will not find '{program}'" in done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_reload_reaches_a_process_that_gave_up_root(unit: str) -> None:
    """The bounding set has no CAP_KILL, and ExecReload is held to it unless it begins with +."""
    text = (PACKAGING / "systemd" / unit).read_text()
    assert "CAP_KILL" not in "".join(
        line for line in text.splitlines() if line.startswith("CapabilityBoundingSet=")
    )
    assert "\nExecReload=+/bin/kill -HUP $MAINPID\n" in text


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong(tmp_path: Path, unit: str) -> None:
    """With a program and directories that exist: only those it would complain about otherwise."""
    assert install(tmp_path, sys.executable).returncode == 0
    text = (tmp_path / "etc/systemd/system" / unit).read_text()
    instance = tmp_path / unit.replace("@", "@office")
    instance.write_text(text.replace("/etc/openvpn/", f"{tmp_path}/etc/openvpn/"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(instance)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
