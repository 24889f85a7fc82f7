"""Names of certificate attributes and the numbers behind them."""

import pytest

from ginnel.options.x509_names import SHORT_NAMES, trackable


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("CN", "2.5.4.3"),
        ("commonName", "2.5.4.3"),
        ("2.5.4.3", "2.5.4.3"),
        ("X509v3 Key Usage", "2.5.29.15"),
        ("2.5.29.15", "2.5.29.15"),
        ("SHA256", "sha256"),
        ("cn", None),
        ("1.2.3", None),
        ("", None),
    ],
)
def test_names(name: str, number: str | None) -> None:
    assert trackable(name) == number


def test_every_part_of_a_subject_can_be_tracked() -> None:
    assert all(trackable(short) == number for number, short in SHORT_NAMES.items())
