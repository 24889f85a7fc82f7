"""The directory of an authority: modes, order of steps, what is refused."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ginnel.options.actions import RunClient, RunServer
from ginnel.options.resolve import resolve_argv
from ginnel.pki.certificates import Role
from ginnel.pki.profiles import ServerSettings
from ginnel.pki.store import PkiError, Store, today

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SETTINGS = ServerSettings(name="vpn", host="vpn.example")


class RealFiles:
    """Reads below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, path: str) -> bytes:
        return (self._directory / path).read_bytes()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "pki"


@pytest.fixture
def store(directory: Path) -> Store:
    made = Store.create(directory, "ca", now=NOW, days=1000)
    made.add_server(SETTINGS, now=NOW, days=100)
    return made


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def revoked_serials(directory: Path) -> set[int]:
    listed = x509.load_pem_x509_crl((directory / "crl.pem").read_bytes())
    return {entry.serial_number for entry in listed}


def test_private_things_are_for_their_owner_alone(store: Store, directory: Path) -> None:
    before = os.umask(0)
    try:
        client = store.add_client("alice", None, now=NOW, days=10)
    finally:
        os.umask(before)
    private = [client, directory / "vpn.conf", *(directory / "private").iterdir()]
    assert [mode(path) for path in private] == [0o600] * 4
    assert mode(directory) == mode(directory / "private") == 0o700
    assert not list(directory.rglob(".*.new"))
    for public in ("ca.crt", "crl.pem"):
        assert "PRIVATE KEY" not in (directory / public).read_text()


def test_profiles_are_whole(store: Store, directory: Path) -> None:
    store.add_client("alice", "vpn", now=NOW, days=10)
    files = RealFiles(directory)
    assert isinstance(resolve_argv(["vpn.conf"], files), RunServer)
    run = resolve_argv(["alice.ovpn"], files)
    assert isinstance(run, RunClient)
    assert run.options.profiles[0].host == "vpn.example"


def test_a_revoked_name_can_be_given_again(store: Store, directory: Path) -> None:
    store.add_client("alice", None, now=NOW, days=10)
    (first,) = [entry for entry in store.entries() if entry.name == "alice"]
    with pytest.raises(PkiError, match="alice has a certificate already"):
        store.add_client("alice", None, now=NOW, days=10)
    assert store.revoke("alice", now=NOW + timedelta(days=1)) == directory / "crl.pem"
    assert not (directory / "alice.ovpn").exists()
    store.add_client("alice", None, now=NOW, days=20)
    old, new = [entry for entry in store.entries() if entry.name == "alice"]
    assert (old.serial, old.revoked) == (first.serial, NOW + timedelta(days=1))
    assert new.revoked is None
    store.revoke("alice", now=NOW)
    assert revoked_serials(directory) == {old.serial, new.serial}


def test_a_revocation_that_was_cut_short_is_finished_by_the_next(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_client("alice", None, now=NOW, days=10)

    def fails(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails)
        with pytest.raises(OSError, match="No space"):
            store.revoke("alice", now=NOW)
    assert len(revoked_serials(directory)) == 1
    store.revoke("alice", now=NOW)
    assert len(revoked_serials(directory)) == 1
    assert not (directory / "issued" / "alice.crt").exists()


def test_a_file_that_cannot_be_written_whole_is_not_written(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (directory / "crl.pem").read_bytes()
    store.add_client("alice", None, now=NOW, days=10)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.revoke("alice", now=NOW)
    assert (directory / "crl.pem").read_bytes() == before
    assert not list(directory.rglob(".*.new"))


def test_entries_say_role_and_end(store: Store) -> None:
    store.add_client("alice", None, now=NOW, days=10)
    assert [(entry.name, entry.role, entry.until) for entry in store.entries()] == [
        ("alice", Role.CLIENT, NOW + timedelta(days=10)),
        ("vpn", Role.SERVER, NOW + timedelta(days=100)),
    ]


def test_clients_of_several_servers_have_to_say_which(store: Store) -> None:
    other = ServerSettings(name="other", host="192.0.2.9")
    store.add_server(other, now=NOW, days=10)
    with pytest.raises(PkiError, match="say which: --server other, vpn"):
        store.add_client("alice", None, now=NOW, days=10)
    path = store.add_client("alice", "other", now=NOW, days=10)
    assert "remote 192.0.2.9 1194 udp" in path.read_text()
    with pytest.raises(PkiError, match="there is no server third"):
        store.add_client("bob", "third", now=NOW, days=10)


def test_a_client_needs_a_server(directory: Path) -> None:
    made = Store.create(directory, "ca", now=NOW, days=10)
    with pytest.raises(PkiError, match="no server to connect to yet"):
        made.add_client("alice", None, now=NOW, days=10)
    assert not (directory / "issued" / "alice.crt").exists()


@pytest.mark.parametrize("name", ["", "../x", ".x", "-x", "a b", "a/b", "a\nb", "x" * 65, "ä"])
def test_bad_names_are_refused(store: Store, directory: Path, name: str) -> None:
    with pytest.raises(PkiError):
        store.add_client(name, None, now=NOW, days=1)
    with pytest.raises(PkiError):
        store.add_client("alice", name, now=NOW, days=1)
    with pytest.raises(PkiError):
        store.add_server(ServerSettings(name=name, host="x"), now=NOW, days=1)
    with pytest.raises(PkiError):
        store.add_server(ServerSettings(name="y", host=f"{name} z"), now=NOW, days=1)
    with pytest.raises(PkiError):
        store.revoke(name, now=NOW)
    assert sorted(path.name for path in directory.glob("issued/*")) == ["vpn.crt"]


def test_an_authority_wants_an_empty_directory(store: Store, directory: Path) -> None:
    key = (directory / "private" / "ca.key").read_bytes()
    with pytest.raises(PkiError, match="is not empty"):
        Store.create(directory, "ca", now=NOW, days=1)
    assert (directory / "private" / "ca.key").read_bytes() == key


def test_other_directories_are_none(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="ginnel pki init"):
        Store(tmp_path)


def test_damage_is_named(store: Store, directory: Path) -> None:
    (directory / "servers" / "vpn.json").write_text("{}")
    with pytest.raises(PkiError, match=r"vpn\.json is damaged"):
        store.add_client("alice", None, now=NOW, days=1)


def test_what_is_not_there_cannot_be_revoked(store: Store) -> None:
    with pytest.raises(PkiError, match="no certificate for carol"):
        store.revoke("carol", now=NOW)


def test_times_are_whole_seconds() -> None:
    assert today().microsecond == 0
    assert today().tzinfo is UTC
