"""Logins by a directory, with python-ldap replaced: what it is asked, and what its answers mean."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ginnel.authenticators.ldap import Ldap, make, parse_words
from ginnel.hooks import Allow, Decision, Deny
from tests.unit.authenticators.logins import login
from tests.unit.shell.loops import run

URI = "uri=ldaps://ldap.example"
ADA = "uid=ada,ou=people,dc=example"


class InvalidCredentialsError(Exception):
    """As ``ldap.INVALID_CREDENTIALS``."""


class Connection:
    def __init__(self, library: "Library", uri: str) -> None:
        self.fake = library
        library.told.append(uri)

    def set_option(self, name: str, value: object) -> None:
        self.fake.told.append(f"{name} {value}")

    def start_tls_s(self) -> None:
        self.fake.told.append("start-tls")

    def simple_bind_s(self, dn: str, password: str) -> None:
        self.fake.told.append(f"bind {dn}")
        if self.fake.passwords.get(dn) != password:
            raise InvalidCredentialsError

    def search_ext_s(
        self, base: str, scope: str, query: str, **_limits: object
    ) -> list[tuple[str | None, object]]:
        self.fake.told.append(f"search {base} {query}")
        return [(None, ["a referral"]), *((dn, {}) for dn in self.fake.found)]

    def unbind_s(self) -> None:
        self.fake.told.append("unbind")


class Library:
    """As much of python-ldap as is used."""

    INVALID_CREDENTIALS = InvalidCredentialsError
    SCOPE_SUBTREE = "subtree"

    def __init__(self, *found: str) -> None:
        self.told: list[str] = []
        self.found = found
        self.passwords = {ADA: "secret word", "cn=searcher": "of the searcher"}
        self.dn = self.filter = self

    def __getattr__(self, name: str) -> str:
        assert name.startswith("OPT_")
        return name

    def initialize(self, uri: str) -> Connection:
        return Connection(self, uri)

    def escape_dn_chars(self, text: str) -> str:
        return text.replace(",", "\\,")

    def escape_filter_chars(self, text: str) -> str:
        return text.replace("*", "\\2a")


def judge(
    library: Library, *words: str, name: str = "ada", password: bytes = b"secret word"
) -> Decision:
    one = Ldap(parse_words([URI, *words]), library)
    try:
        return run(one.authenticate(login(name, password)))
    finally:
        one.close()


def test_a_pattern_names_the_person() -> None:
    library = Library()
    pattern = "dn=uid=%s,ou=people,dc=example"
    assert judge(library, pattern) == Allow()
    assert judge(library, pattern, password=b"other") == Deny()
    assert judge(library, pattern, name="x,dc=evil") == Deny()
    assert f"bind {ADA}" in library.told
    assert "bind uid=x\\,dc=evil,ou=people,dc=example" in library.told
    assert library.told.count("unbind") == 3
    assert "OPT_X_TLS_REQUIRE_CERT OPT_X_TLS_DEMAND" in library.told


def test_a_search_finds_the_person(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of the searcher\n")
    words = ("base=dc=example", "bind=cn=searcher", f"password-file={tmp_path / 'password'}")
    library = Library(ADA)
    assert judge(library, *words) == Allow()
    assert "search dc=example (uid=ada)" in library.told
    assert judge(Library(), *words) == Deny()
    assert judge(Library(ADA, "uid=ada,ou=guests"), *words) == Deny()
    odd = Library(ADA)
    assert judge(odd, "base=dc=example", "filter=(mail=%s)", name="*") == Allow()
    assert "search dc=example (mail=\\2a)" in odd.told


def test_a_searcher_that_is_refused_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong\n")
    words = ("base=dc=example", "bind=cn=searcher", f"password-file={tmp_path / 'password'}")
    with pytest.raises(PermissionError, match="the directory refuses cn=searcher"):
        judge(Library(ADA), *words)


def test_who_has_no_password_is_not_let_in_as_nobody() -> None:
    library = Library()
    for name, password in (("ada", b""), ("", b"x"), ("a\0b", b"x")):
        assert judge(library, "dn=uid=%s", name=name, password=password) == Deny()
    assert library.told == []


def test_transport_options() -> None:
    library = Library()
    one = Ldap(
        parse_words(["uri=ldap://ldap.example", "start-tls=yes", "dn=%s", "ca=/ca.crt"]), library
    )
    run(one.authenticate(login()))
    one.close()
    assert "OPT_X_TLS_CACERTFILE /ca.crt" in library.told
    assert library.told.index("start-tls") < library.told.index("bind ada")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["host"], "expected words like uri=ldaps"),
        (["color=blue"], "expected words like uri=ldaps"),
        (["base=x"], "wants uri=ldaps://HOST"),
        ([URI], "wants either base="),
        ([URI, "base=x", "dn=%s"], "wants either base="),
        ([URI, "dn=uid=ada"], "needs %s once"),
        ([URI, "base=x", "filter=(uid=ada)"], "needs %s once"),
        (["uri=ldap://ldap.example", "base=x"], "passwords would cross the network"),
    ],
)
def test_words_that_are_wrong_are_explained(words: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_words(words)
    assert parse_words(["uri=ldap://x", "base=x", "unencrypted=yes"]).uri == "ldap://x"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ldap", None)
    with pytest.raises(ImportError, match=r"install 'ginnel\[ldap\]'"):
        make([URI, "dn=%s"])
    for name in ("ldap", "ldap.dn", "ldap.filter"):
        module: Any = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
    make([URI, "dn=%s"]).close()
