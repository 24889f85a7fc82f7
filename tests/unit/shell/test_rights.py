"""Rights are given up once, after everything was loaded, and said."""

import pytest

from ginnel.core.errors import ConfigError
from ginnel.host.privileges import Identity
from ginnel.options.model import ProcessOptions
from ginnel.shell import rights
from ginnel.shell.rights import Rights


def test_nothing_to_give_up_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "preload", lambda: pytest.fail("nothing is dropped"))
    made = Rights(ProcessOptions())
    assert made.drop() == ()
    assert not made.dropped


def test_modules_are_loaded_first_and_a_second_drop_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def drop(identity: Identity) -> None:
        done.append(f"drop {identity.user} {identity.chroot}")

    monkeypatch.setattr(rights, "preload", lambda: done.append("preload"))
    monkeypatch.setattr(rights, "drop_identity", drop)
    made = Rights(ProcessOptions(user="root", chroot="/jail"))
    texts = [line.text for line in made.drop()]
    assert texts == ["chroot to '/jail' and cd to '/' succeeded", "UID set to root"]
    assert made.dropped
    assert made.drop() == ()
    assert done == ["preload", "drop 0 /jail"]


def test_unknown_user_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="no-such-user"):
        Rights(ProcessOptions(user="no-such-user"))
