"""The states of a client machine are values: equal by content, never changed in place."""

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from ginnel.core.client_state import AskingLogin, Deadline, Running, State
from ginnel.core.types import ActionId


def test_states_are_told_apart_by_kind_and_content() -> None:
    assert AskingLogin(ActionId(1)) == AskingLogin(ActionId(1))
    assert AskingLogin(ActionId(1)) != AskingLogin(ActionId(2))
    assert Running() == Running()


@pytest.mark.parametrize("kind", get_args(State), ids=lambda kind: kind.__name__)
def test_states_are_frozen(kind: type[AskingLogin]) -> None:
    state = kind(*(ActionId(1) for _ in fields(kind)))
    for field in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(state, field.name, None)
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        state.other = 1  # type: ignore[attr-defined]  # what is tested


def test_deadlines_have_names_of_their_own() -> None:
    assert len({deadline.value for deadline in Deadline}) == len(Deadline)
