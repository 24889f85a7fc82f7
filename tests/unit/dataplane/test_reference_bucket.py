"""The bucket of hard resets on virtual time."""

from ginnel.dataplane.reference_bucket import Bucket


def test_a_flood_is_cut_and_the_rate_recovers() -> None:
    bucket = Bucket(0.0, 100, 10)
    assert sum(bucket.take(0.0) for _ in range(500)) == 100
    assert not bucket.take(0.05)
    assert sum(bucket.take(1.05) for _ in range(500)) == 10
    assert sum(bucket.take(3600.0) for _ in range(500)) == 100


def test_what_is_given_back_is_never_more_than_the_bucket_holds() -> None:
    bucket = Bucket(0.0, 3, 10)
    bucket.give(7)
    assert sum(bucket.take(0.0) for _ in range(9)) == 3
    bucket.give(2)
    assert sum(bucket.take(0.0) for _ in range(9)) == 2


def test_many_are_taken_together_or_not_at_all() -> None:
    bucket = Bucket(0.0, 5, 1)
    assert [bucket.take(0.0, tokens) for tokens in (3, 3, 2, 1, 0)] == [
        True,
        False,
        True,
        False,
        True,
    ]
