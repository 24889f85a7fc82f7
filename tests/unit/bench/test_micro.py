import json
from pathlib import Path

from bench.micro import COPY, Change, check, compare, in_copies, least, read_samples


def write_sample(home: Path, name: str, times: list[float], iterations: list[float]) -> None:
    folder = home / name.replace("/", "_") / "new"
    folder.mkdir(parents=True)
    (folder / "benchmark.json").write_text(json.dumps({"full_id": name}))
    (folder / "sample.json").write_text(json.dumps({"times": times, "iters": iterations}))


def test_the_least_time_of_an_iteration_counts(tmp_path: Path) -> None:
    write_sample(tmp_path, "a/seal", [100.0, 240.0, 900.0], [10.0, 30.0, 60.0])
    assert read_samples(tmp_path) == {"a/seal": 8.0}
    assert least({"a": 8.0, "b": 3.0}, {"a": 9.0, "b": 2.0, "c": 1.0}) == {
        "a": 8.0,
        "b": 2.0,
        "c": 1.0,
    }


def test_times_are_told_in_memory_copies() -> None:
    assert in_copies({COPY: 100.0, "seal": 350.0}) == {"seal": 3.5}


def test_a_machine_that_is_twice_as_slow_changes_nothing() -> None:
    fast = in_copies({COPY: 100.0, "seal": 350.0, "open": 420.0})
    slow = in_copies({COPY: 200.0, "seal": 700.0, "open": 840.0})
    assert [change.times() for change in compare(slow, fast)] == [1.0, 1.0]


def test_what_became_slower_is_named() -> None:
    changes = compare({"open": 4.2, "seal": 5.0}, {"open": 4.0, "seal": 3.5})
    faults = [fault for it in changes if (fault := it.fault(0.3))]
    assert faults == [
        "seal became slower: 1.43 times its baseline (5 memory copies, were 3.5; 1.3 is tolerated)"
    ]
    assert check(changes, 0.3) == 1
    assert check(changes, 0.5) == 0


def test_what_became_faster_is_no_fault() -> None:
    assert Change(name="seal", now=1.0, then=3.5).fault(0.3) is None


def test_a_benchmark_that_is_gone_is_a_fault_and_a_new_one_is_not() -> None:
    gone, new = compare({"new": 1.0}, {"gone": 1.0})
    assert gone.fault(0.3) == "gone is in the baseline but was not measured"
    assert new.fault(0.3) is None
    assert (gone.times(), new.times()) == (None, None)
