"""The file that keeps clients' addresses."""

import os
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError
from ginnel.core.pool import AddressPool
from ginnel.shell import pool_store
from ginnel.shell.pool_store import PoolStore
from tests.unit.shell.loops import Lines, run, until
from tests.unit.shell.server_stand_ins import server_options


def opened(
    path: Path, lines: Lines | None = None, *, writes: bool = True
) -> tuple[PoolStore, AddressPool]:
    pool = AddressPool(server_options())
    store = PoolStore(str(path), pool, lines or Lines(), writes=writes)
    store.load()
    return store, pool


def test_addresses_are_kept_over_the_servers_end(tmp_path: Path) -> None:
    path = tmp_path / "pool.txt"
    store, pool = opened(path)
    for name in ("anna", "berta"):
        assert pool.lease(name) is not None
    store.close()
    store.close()
    assert path.read_text() == "anna,10.8.0.2,\nberta,10.8.0.3,\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    _, again = opened(path)
    lease = again.lease("berta")
    assert lease is not None
    assert lease.ifconfig is not None
    assert str(lease.ifconfig[0]) == "10.8.0.3"


def test_a_change_is_written_soon_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_store, "SETTLE", 0.001)

    async def whole() -> None:
        import asyncio

        store, pool = opened(tmp_path / "pool.txt")
        keeping = asyncio.ensure_future(store.keep())
        pool.lease("anna")
        await until((tmp_path / "pool.txt").read_text, "the file")
        keeping.cancel()
        store.close()

    run(whole())


def test_a_file_that_somebody_laid_in_its_way_is_not_written(tmp_path: Path) -> None:
    path, trap = tmp_path / "pool.txt", tmp_path / ".pool.txt.new"
    store, pool = opened(path)
    trap.write_text("theirs")
    trap.chmod(0o666)
    with trap.open() as theirs:
        pool.lease("anna")
        store.close()
        assert theirs.read() == "theirs"
        assert path.stat().st_ino != os.fstat(theirs.fileno()).st_ino
    assert path.read_text() == "anna,10.8.0.2,\n"


def test_mode_stays_and_a_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "pool.txt"
    real.write_text("anna,10.8.0.4,\n")
    real.chmod(0o640)
    store, pool = opened(real)
    pool.lease("berta")
    store.close()
    assert real.stat().st_mode & 0o777 == 0o640
    link.symlink_to(real)
    store, pool = opened(link)
    pool.lease("carla")
    store.close()
    assert link.is_symlink()
    assert real.read_text().count("\n") == 3


def test_a_full_disk_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lines = tmp_path / "pool.txt", Lines()
    path.write_text("anna,10.8.0.4,\n")
    store, pool = opened(path, lines)
    pool.lease("berta")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        for _ in range(3):
            store.write()
    assert lines.texts == [
        f"WARNING: ifconfig-pool-persist: '{path}' cannot be written: No space left on device"
    ]
    assert path.read_text() == "anna,10.8.0.4,\n", "the old file is whole"
    store.close()
    assert "berta" in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_where_no_file_can_be_made_the_open_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pool.txt"
    store, pool = opened(path)
    inode = path.stat().st_ino
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    pool.lease("anna")
    store.close()
    assert path.stat().st_ino == inode
    assert path.read_text() == "anna,10.8.0.2,\n"


def test_a_file_of_another_root_directory_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "pool.txt"
    store, pool = opened(path)
    moved = path.rename(tmp_path / "outside.txt")
    path.write_text("somebody else's\n")
    pool.lease("anna")
    store.close()
    assert path.read_text() == "somebody else's\n"
    assert moved.read_text() == "anna,10.8.0.2,\n"


def test_what_is_late_does_not_undo_what_came_after(tmp_path: Path) -> None:
    path = tmp_path / "pool.txt"
    store, pool = opened(path)
    pool.lease("anna")
    early = store._content()
    pool.lease("berta")
    store.write()
    assert store._put(*early) is None
    assert "berta" in path.read_text()
    store.close()


def test_a_file_that_is_only_read_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "pool.txt"
    path.write_text("anna,10.8.0.4,\n")
    store, pool = opened(path, writes=False)
    pool.lease("berta")
    store.write()
    store.close()
    assert path.read_text() == "anna,10.8.0.4,\n"
    missing, _ = opened(tmp_path / "none.txt", writes=False)
    missing.close()
    assert not (tmp_path / "none.txt").exists()


def test_mistakes_in_the_file_are_said_and_a_place_out_of_reach_is_an_error(tmp_path: Path) -> None:
    path, lines = tmp_path / "pool.txt", Lines()
    path.write_bytes(b"anna,192.0.2.1,\n\xff\xfe\n")
    store, _ = opened(path, lines)
    store.close()
    assert lines.has("ifconfig-pool-persist: line 1")
    with pytest.raises(ConfigError, match="ifconfig-pool-persist fails with"):
        opened(tmp_path / "no" / "pool.txt")


def test_after_a_reload_another_pool_knows_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "pool.txt"
    store, pool = opened(path)
    pool.lease("anna")
    store.write()
    fresh = AddressPool(server_options())
    store.succeed(fresh)
    assert fresh.render() == "anna,10.8.0.2,\n"
    path.unlink()
    path.mkdir()
    last = AddressPool(server_options())
    store.succeed(last)
    assert last.render() == "anna,10.8.0.2,\n"
    store.close()
