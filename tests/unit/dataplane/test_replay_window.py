"""The replay window against the vectors, with their clock."""

import json
from pathlib import Path

import pytest

from ginnel.dataplane.replay_window import ReplayWindow

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "data" / "replay" / "window.json"
CASES = json.loads(VECTORS.read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_window_follows_the_vectors(case: dict[str, object]) -> None:
    window = ReplayWindow(int(str(case["window"])), float(str(case["time"])))
    steps = case["steps"]
    assert isinstance(steps, list)
    for step in steps:
        accepted = window.check(step["id"], step["at"])
        assert accepted == step["accept"], step
        if accepted:
            window.mark(step["id"], step["at"])


def test_checking_alone_closes_nothing() -> None:
    window = ReplayWindow(64, 15.0)
    window.mark(1, 0.0)
    assert window.check(2**32 - 1, 0.0)
    assert window.check(2, 0.0)
    assert window.highest == 1


def test_the_first_id_may_be_any_without_a_window() -> None:
    window = ReplayWindow(0, 15.0)
    assert window.check(9, 0.0)
    window.mark(9, 0.0)
    assert not window.check(9, 0.0)
    assert not window.check(11, 0.0)
    assert window.check(10, 0.0)
