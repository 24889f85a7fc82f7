"""Names of message digests."""

import pytest

from ginnel.core.digests import available_digests, digest_named


@pytest.mark.parametrize(
    ("name", "display", "size"),
    [
        ("SHA1", "SHA1", 20),
        ("sha256", "SHA256", 32),
        ("RSA-SHA512", "SHA512", 64),
        ("SHA2-384", "SHA384", 48),
        ("SHA512-256", "SHA512-256", 32),
        ("SHA3-224", "SHA3-224", 28),
        ("BLAKE2b512", "BLAKE2b512", 64),
        ("MD5", "MD5", 16),
    ],
)
def test_names_are_found_in_any_spelling(name: str, display: str, size: int) -> None:
    digest = digest_named(name)
    assert (digest.name, digest.size) == (display, size)


@pytest.mark.parametrize("name", ["", "none", "sha257", "shake_128", "../sha1"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        digest_named(name)


def test_the_common_digests_are_available() -> None:
    names = [digest.name for digest in available_digests()]
    assert names == sorted(names)
    assert {"SHA1", "SHA256", "SHA384", "SHA512"} <= set(names)
