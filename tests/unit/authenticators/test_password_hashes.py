"""Hashes of password files, as htpasswd and openssl made them."""

import pytest

from ginnel.authenticators.password_hashes import apr1, is_known, matches

SECRET = {
    "apr1": "$apr1$abcdefgh$sAT51V/DnRGRtxDJCf7lm/",
    "sha256": "$5$abcdefgh$BlShvXo.3L9F.2nlZU387R5pVcSKbUx5PY33zaxwGu.",
    "sha512": "$6$abcdefgh$LD3B9uQazUr5JO40TJP6MCHMIO4iy9k4k8wtwFKc/2c.J3/D5xE/lc1u40jG/"
    "wrBUnUYu3FRVho1G9GJagdAs/",
    "md5": "$1$abcdefgh$rlELB50f38LUhhk75DTw70",
}
"""Of 'secret word', by ``openssl passwd``."""
APACHE = {
    "bcrypt": "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
    "apr1": "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/",
    "sha": "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=",
}
"""Of 'myPassword', from the documentation of Apache."""


@pytest.mark.parametrize("stored", SECRET.values(), ids=SECRET)
def test_hashes_of_openssl(stored: str) -> None:
    assert is_known(stored)
    assert matches(stored, b"secret word")
    assert not matches(stored, b"secret wor")
    assert not matches(stored, b"")
    assert not matches(stored, b"secret word\0")


@pytest.mark.parametrize("stored", APACHE.values(), ids=APACHE)
def test_hashes_of_htpasswd(stored: str) -> None:
    assert is_known(stored)
    assert matches(stored, b"myPassword")
    assert not matches(stored, b"mypassword")


@pytest.mark.parametrize(
    "stored", ["", "secret", "rqXexS6ZhobKA", "$2y$xx", "$7$what", "$6$ä$x", "{SSHA}abc"]
)
def test_what_cannot_be_checked_is_not_taken(stored: str) -> None:
    assert not is_known(stored)


def test_long_passwords_and_salts() -> None:
    assert apr1(b"x" * 40, "abcdefghij").startswith("$apr1$abcdefgh$")
    assert not matches("$apr1$abcdefgh$", b"secret word")
    assert not matches("$2y$05$broken", b"secret word")
