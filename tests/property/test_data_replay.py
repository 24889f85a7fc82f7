"""The replay window against a plain set of everything ever seen."""

from hypothesis import given
from hypothesis import strategies as st

from ginnel.dataplane.replay_window import ReplayWindow

near_together = st.lists(st.integers(0, 200), max_size=120)
far_apart = st.lists(st.integers(0, 2**48 - 1), max_size=60)


@given(st.integers(1, 128), near_together | far_apart)
def test_window_agrees_with_a_set(size: int, arrivals: list[int]) -> None:
    window = ReplayWindow(size, 0.0)
    seen: set[int] = set()
    for packet_id in arrivals:
        highest = max(seen, default=0)
        expected = packet_id > 0 and packet_id not in seen and packet_id > highest - size
        assert window.check(packet_id, 0.0) == expected
        if expected:
            window.mark(packet_id, 0.0)
            seen.add(packet_id)
        assert window.highest == max(seen, default=0)


@given(
    st.integers(0, 128),
    st.integers(0, 30),
    st.lists(st.tuples(st.integers(1, 100), st.floats(0, 20)), max_size=80),
)
def test_no_id_passes_twice_at_any_time(
    size: int, backtrack: int, arrivals: list[tuple[int, float]]
) -> None:
    window = ReplayWindow(size, backtrack)
    passed: set[int] = set()
    now = 0.0
    for packet_id, pause in arrivals:
        now += pause
        if window.check(packet_id, now):
            assert packet_id not in passed
            window.mark(packet_id, now)
            passed.add(packet_id)


@given(st.lists(st.integers(1, 500), max_size=200))
def test_without_a_window_the_ids_rise_by_one(arrivals: list[int]) -> None:
    window = ReplayWindow(0, 15.0)
    passed: list[int] = []
    for packet_id in arrivals:
        if window.check(packet_id, 0.0):
            window.mark(packet_id, 0.0)
            passed.append(packet_id)
    assert passed == list(range(passed[0], passed[0] + len(passed))) if passed else not arrivals
