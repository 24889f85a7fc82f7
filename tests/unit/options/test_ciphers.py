"""Names of ciphers and digests, and the sizes that follow from them."""

import pytest

from ginnel.core.data_key import DataCipher
from ginnel.core.digests import digest_named
from ginnel.options.ciphers import (
    CIPHERS,
    DATA_DIGESTS,
    DEFAULT_CIPHERS,
    CipherMode,
    canonical_cipher,
    is_foreign_cipher,
)


def test_every_cipher_has_a_data_cipher_and_the_other_way_round() -> None:
    assert list(CIPHERS) == [cipher.value for cipher in DataCipher]
    assert set(DEFAULT_CIPHERS) <= set(CIPHERS)


def test_every_data_digest_is_there() -> None:
    assert [digest_named(name).name for name in DATA_DIGESTS] == list(DATA_DIGESTS)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("aes-256-cbc", "AES-256-CBC"),
        ("id-aes128-GCM", "AES-128-GCM"),
        ("ChaCha20-Poly1305", "CHACHA20-POLY1305"),
        ("[null-cipher]", "none"),
        ("NONE", "none"),
        ("ARIA-128-CBC", None),
        ("", None),
    ],
)
def test_names_in_any_case(name: str, found: str | None) -> None:
    assert canonical_cipher(name) == found


def test_ciphers_of_openvpn_that_we_lack_are_known() -> None:
    assert all(map(is_foreign_cipher, ("ARIA-128-CBC", "camellia-128-cfb", "AES-256-CFB1")))
    assert not is_foreign_cipher("NOPE")


def test_sizes() -> None:
    triple = CIPHERS["DES-EDE3-CBC"]
    assert (triple.key_length, triple.block_length, triple.has_short_blocks) == (24, 8, True)
    assert CIPHERS["AES-192-CFB"].mode is CipherMode.CFB
    assert 56 in CIPHERS["BF-CBC"].key_lengths
    assert CIPHERS["CHACHA20-POLY1305"].is_aead
