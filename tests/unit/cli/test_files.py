"""The file system as the options layer sees it."""

from pathlib import Path

import pytest

from ginnel.cli.files import MAX_BYTES, SystemFiles


def test_relative_paths_start_at_the_given_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"\x00\xff\r\n")
    assert SystemFiles(str(tmp_path)).read("a") == b"\x00\xff\r\n"
    assert SystemFiles("/nonexistent").read(str(tmp_path / "a")) == b"\x00\xff\r\n"
    monkeypatch.chdir(tmp_path)
    assert SystemFiles().read("a") == b"\x00\xff\r\n"


def test_endless_files_are_cut() -> None:
    assert len(SystemFiles().read("/dev/zero")) == MAX_BYTES


def test_errors_are_the_systems(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SystemFiles().read(str(tmp_path / "missing"))
    # How the options layer recognizes a directory.
    with pytest.raises(IsADirectoryError):
        SystemFiles().read(str(tmp_path))
