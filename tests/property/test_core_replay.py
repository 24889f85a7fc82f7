"""The replay window against a model that remembers every pair it ever took."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.replay import ReplayWindow

near = st.integers(0, 200)
far = st.integers(0, 0xFFFFFFFF)


class Model:
    """The rule in words: newest time only, not older than the window, never twice."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken: set[tuple[int, int]] = set()

    def accept(self, unix_time: int, number: int) -> bool:
        newest = max((time for time, _ in self.taken), default=-1)
        highest = max((seen for time, seen in self.taken if time == unix_time), default=None)
        if number == 0 or unix_time < newest or (unix_time, number) in self.taken:
            return False
        if highest is not None and number <= highest - self.size:
            return False
        self.taken.add((unix_time, number))
        return True


@given(
    st.sampled_from([1, 2, 64, 128]),
    st.lists(st.tuples(st.integers(0, 3), st.one_of(near, near, far)), max_size=200),
)
def test_the_window_agrees_with_the_model(size: int, pairs: list[tuple[int, int]]) -> None:
    window, model = ReplayWindow(size), Model(size)
    for unix_time, number in pairs:
        assert window.accept(unix_time, number) == model.accept(unix_time, number)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=100))
def test_a_window_of_zero_takes_runs_only(pairs: list[tuple[int, int]]) -> None:
    window = ReplayWindow(0)
    taken = [pair for pair in pairs if window.accept(*pair)]
    for earlier, later in pairwise(taken):
        expected = (earlier[0], earlier[1] + 1) if later[0] == earlier[0] else (later[0], 1)
        assert later == expected
        assert later[0] >= earlier[0]
