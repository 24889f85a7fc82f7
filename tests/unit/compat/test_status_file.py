"""The client's status file: form, in-place rewriting and mode."""

import os
from pathlib import Path

import pytest

from ginnel.compat.status_file import LinkStatistics, StatusFile, render_client_status

STATISTICS = LinkStatistics(
    tun_read=48, tun_write=1, link_read=2713, link_write=2475, authenticated_read=99
)
RENDERED = """\
OpenVPN STATISTICS
Updated,2026-11-22 12:09:49
TUN/TAP read bytes,48
TUN/TAP write bytes,1
TCP/UDP read bytes,2713
TCP/UDP write bytes,2475
Auth read bytes,99
END
"""


def test_form_is_that_of_an_openvpn_client() -> None:
    assert render_client_status(STATISTICS, "2026-11-22 12:09:49") == RENDERED


def test_new_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "status"
    file = StatusFile(str(path))
    file.write(RENDERED)
    file.close()
    assert path.read_text() == RENDERED
    assert path.stat().st_mode & 0o777 == 0o600


def test_rewriting_keeps_file_and_mode_and_leaves_no_old_text(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_text("x" * 10_000)
    path.chmod(0o644)
    before = path.stat().st_ino
    file = StatusFile(str(path))
    file.write(RENDERED)
    assert path.read_text() == RENDERED
    file.write("OpenVPN STATISTICS\nEND\n")
    assert path.read_text() == "OpenVPN STATISTICS\nEND\n"
    file.close()
    assert (path.stat().st_ino, path.stat().st_mode & 0o777) == (before, 0o644)


def test_pipe_gets_one_report_after_the_other() -> None:
    reading, writing = os.pipe()
    file = StatusFile(f"/proc/self/fd/{writing}")
    file.write("one\n")
    file.write("two\n")
    file.close()
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "one\ntwo\n"


def test_close_is_idempotent_and_writing_afterwards_fails(tmp_path: Path) -> None:
    file = StatusFile(str(tmp_path / "status"))
    file.close()
    file.close()
    with pytest.raises(OSError):
        file.write("x")


def test_unwritable_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StatusFile(str(tmp_path / "missing" / "status"))
