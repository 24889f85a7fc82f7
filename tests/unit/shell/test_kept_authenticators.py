"""Authenticators over reloads: made anew, kept where rights are gone, never lost to a mistake."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError
from ginnel.shell.kept_authenticators import KeptAuthenticators
from tests.unit.shell.server_scripts import server_options
from tests.unit.shell.test_authenticators import Plain


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Plain]:
    """Every authenticator that was made by the name ``one``."""
    all_made: list[Plain] = []

    def make(words: list[str]) -> Plain:
        if words:
            raise ValueError("wants no words")
        all_made.append(Plain())
        return all_made[-1]

    point = EntryPoint("one", "x:y", "ginnel.authenticators")
    monkeypatch.setattr(EntryPoint, "load", lambda _self: make)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: EntryPoints([point]))
    return all_made


def test_they_are_made_anew_while_that_is_possible(tmp_path: Path, made: list[Plain]) -> None:
    kept = KeptAuthenticators()
    options = server_options(tmp_path, authenticators=(("one",),))
    kept.for_options(options, rights_dropped=False)
    kept.for_options(options, rights_dropped=False)
    assert [one.heard for one in made] == [["closed"], []]
    kept.close()
    assert made[1].heard == ["closed"]


def test_without_rights_those_that_there_are_go_on(tmp_path: Path, made: list[Plain]) -> None:
    kept = KeptAuthenticators()
    options = server_options(tmp_path, authenticators=(("one",),))
    first = kept.for_options(options, rights_dropped=False)
    assert kept.for_options(options, rights_dropped=True) is first
    both = server_options(tmp_path, authenticators=(("one",), ("one",)))
    assert len(kept.for_options(both, rights_dropped=True)) == 2
    assert made[0].heard == ["closed"]


def test_a_mistake_leaves_those_before_as_they_are(tmp_path: Path, made: list[Plain]) -> None:
    kept = KeptAuthenticators()
    good = server_options(tmp_path, authenticators=(("one",),))
    bad = server_options(tmp_path, authenticators=(("one", "word"),))
    with pytest.raises(ConfigError, match="wants no words"):
        kept.for_options(bad, rights_dropped=False)
    first = kept.for_options(good, rights_dropped=False)
    with pytest.raises(ConfigError, match="wants no words"):
        kept.for_options(bad, rights_dropped=True)
    assert made[0].heard == []
    assert kept.for_options(good, rights_dropped=True) is first
