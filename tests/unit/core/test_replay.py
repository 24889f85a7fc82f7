"""The replay window of wrapped control packets."""

from ginnel.core.replay import ReplayWindow


def test_each_number_is_accepted_once_in_any_order() -> None:
    window = ReplayWindow()
    assert [window.accept(100, number) for number in (3, 1, 2, 5, 4)] == [True] * 5
    assert [window.accept(100, number) for number in (1, 2, 3, 4, 5)] == [False] * 5


def test_zero_is_never_valid() -> None:
    assert not ReplayWindow().accept(100, 0)


def test_the_window_reaches_back_sixty_three_numbers() -> None:
    window = ReplayWindow()
    assert window.accept(100, 64)
    assert window.accept(100, 1)
    assert window.accept(100, 65)
    assert window.accept(100, 2)
    assert window.accept(100, 70)
    assert not window.accept(100, 6)
    assert window.accept(100, 7)


def test_a_far_jump_forgets_what_is_out_of_reach() -> None:
    window = ReplayWindow()
    assert window.accept(100, 5)
    assert window.accept(100, 0xFFFFFFFF)
    assert not window.accept(100, 5)
    assert window.accept(100, 0xFFFFFFFF - 63)
    assert not window.accept(100, 0xFFFFFFFF)


def test_a_later_time_restarts_and_an_earlier_one_is_refused() -> None:
    window = ReplayWindow()
    assert window.accept(100, 50)
    assert window.accept(101, 3)
    assert not window.accept(100, 51)
    assert not window.accept(101, 3)
    assert window.accept(101, 2)


def test_time_zero_is_a_time() -> None:
    window = ReplayWindow()
    assert window.accept(0, 1)
    assert not window.accept(0, 1)


def test_a_window_of_zero_takes_only_the_next_number() -> None:
    window = ReplayWindow(0)
    assert window.accept(100, 7)
    assert not window.accept(100, 9)
    assert window.accept(100, 8)
    assert not window.accept(101, 2)
    assert window.accept(101, 1)
    assert window.accept(101, 2)
    assert not window.accept(101, 2)


def test_asking_does_not_mark() -> None:
    for size in (0, 64):
        window = ReplayWindow(size)
        assert window.accept(5, 1)
        for _ in range(2):
            assert window.is_new(5, 2)
            assert window.is_new(6, 1)
        assert not window.is_new(5, 1)
        assert not window.is_new(4, 9)
        assert not window.is_new(6, 0)
        assert window.accept(5, 2)
        assert not window.is_new(5, 2)
