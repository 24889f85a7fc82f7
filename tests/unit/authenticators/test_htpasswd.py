"""Logins against a password file, and what happens when it changes."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from ginnel.authenticators import htpasswd
from ginnel.authenticators.htpasswd import MAX_FILE, Htpasswd, make
from ginnel.hooks import Allow, Decision, Deny
from tests.unit.authenticators.logins import login
from tests.unit.authenticators.test_password_hashes import APACHE, SECRET
from tests.unit.shell.loops import run, until

ADA = f"ada:{SECRET['sha256']}\n"


def judge(one: Htpasswd, username: str = "ada", password: bytes = b"secret word") -> Decision:
    return run(one.authenticate(login(username, password)))


def rewrite(path: Path, text: str) -> None:
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 1, before + 1))


def test_names_and_passwords_of_the_file_are_let_in(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"# people\n\n{ADA}bob:{APACHE['bcrypt']}\n")
    one = make([str(path)])
    assert judge(one) == Allow()
    assert judge(one, "bob", b"myPassword") == Allow()
    assert judge(one, "bob", b"secret word") == Deny()
    # The password of the entry that stands in for unknown names opens none of them.
    assert judge(one, "eve", b"secret word") == Deny()
    assert judge(one, "", b"") == Deny()
    one.close()


def test_a_changed_file_is_read_again_and_a_broken_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users"
    path.write_text(ADA)
    one = make([str(path)])
    rewrite(path, f"bob:{APACHE['sha']}\n")
    assert judge(one) == Deny()
    assert judge(one, "bob", b"myPassword") == Allow()
    rewrite(path, "bob:plain\n")
    assert judge(one, "bob", b"myPassword") == Allow()
    assert "has no hash that can be checked" in caplog.text
    path.unlink()
    assert judge(one, "bob", b"myPassword") == Allow()
    assert caplog.text.count("stays in force") == 2
    one.close()


def test_a_changed_file_costs_no_hash_of_those_who_were_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users"
    path.write_text(ADA)
    one = make([str(path)])
    tried: list[str] = []

    def look(stored: str) -> bool:
        tried.append(stored)
        return True

    monkeypatch.setattr(htpasswd, "is_known", look)
    rewrite(path, f"{ADA}bob:{APACHE['sha']}\n")
    assert judge(one, "bob", b"myPassword") == Allow()
    assert tried == [APACHE["sha"]]
    one.close()


def test_others_go_on_while_a_changed_file_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users"
    path.write_text(ADA)
    one = make([str(path)])
    began, go_on = threading.Event(), threading.Event()
    tried: list[str] = []

    def look(stored: str) -> bool:
        tried.append(stored)
        began.set()
        return go_on.wait(10)

    monkeypatch.setattr(htpasswd, "is_known", look)
    rewrite(path, f"bob:{APACHE['sha']}\n")

    async def work() -> list[Decision]:
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(one.authenticate(login()))
            await until(began.is_set, "the reading")
            names = ("ada", "bob")
            later = [
                tasks.create_task(one.authenticate(login(name, b"myPassword"))) for name in names
            ]
            first.cancel()  # it ends, and the reading goes on
            await asyncio.wait((first,))
            assert not any(each.done() for each in later)
            go_on.set()
        return [each.result() for each in later]

    assert run(work()) == [Deny(), Allow()]
    assert tried == [APACHE["sha"]]
    one.close()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("ada\n", r"users:1: expected NAME:HASH"),
        ("\nada:secret\n", r"users:2: 'ada' has no hash .* 'htpasswd -B "),
        ("# nobody\n", "names nobody"),
    ],
)
def test_a_file_that_is_wrong_is_refused_at_the_start(
    tmp_path: Path, content: str, told: str
) -> None:
    path = tmp_path / "users"
    path.write_text(content)
    with pytest.raises(ValueError, match=told):
        make([str(path)])


def test_words_that_name_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wants one word"):
        make([])
    with pytest.raises(OSError, match="No such file"):
        make([str(tmp_path / "users")])
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(ValueError, match="is larger than"):
        make([str(path)])
