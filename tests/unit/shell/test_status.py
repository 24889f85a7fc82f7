"""Counters over all connections, in the status file and in the log."""

from pathlib import Path

import pytest

from ginnel.compat.status_file import LinkStatistics, StatusFile
from ginnel.shell.status import Status
from tests.unit.shell.loops import Lines


def test_counters_add_up_over_connections(tmp_path: Path) -> None:
    path = tmp_path / "status"
    status = Status(str(path), Lines())
    status.connection = lambda: LinkStatistics(tun_read=1, link_read=10, authenticated_read=3)
    status.write()
    assert "TUN/TAP read bytes,1\n" in path.read_text()
    status.finish_connection()
    status.connection = lambda: LinkStatistics(tun_read=5, tun_write=2, link_write=7)
    assert status.total() == LinkStatistics(
        tun_read=6, tun_write=2, link_read=10, link_write=7, authenticated_read=3
    )
    status.finish_connection()
    assert status.total().tun_read == 6
    status.close()
    text = path.read_text()
    assert "TUN/TAP read bytes,6\n" in text
    assert text.endswith("END\n")
    status.close()


def test_the_log_shows_the_same_counters() -> None:
    lines = Lines()
    status = Status(None, lines)
    status.connection = lambda: LinkStatistics(link_read=4711)
    status.log()
    assert lines.texts[0] == "OpenVPN STATISTICS"
    assert lines.has("TCP/UDP read bytes,4711")
    status.write()
    status.close()


def test_a_full_disk_is_said_once_and_again_after_it_worked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    status = Status(str(tmp_path / "status"), lines)
    works = StatusFile.write

    def full(_self: StatusFile, _text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StatusFile, "write", full)
    for _ in range(10):
        status.write()
    monkeypatch.setattr(StatusFile, "write", works)
    status.write()
    monkeypatch.setattr(StatusFile, "write", full)
    status.write()
    said = "WARNING: the status file cannot be written: No space left on device"
    assert lines.texts == [said, said]
    monkeypatch.setattr(StatusFile, "write", works)
    status.close()


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Status(str(tmp_path / "no" / "status"), Lines())
