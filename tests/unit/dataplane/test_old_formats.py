"""Layouts of packets with an HMAC against the vectors."""

import json
from pathlib import Path

import pytest

from ginnel.core.data_key import OLD_CIPHERS, DataCipher
from ginnel.core.digests import digest_named
from ginnel.dataplane import old_formats
from ginnel.dataplane.old_formats import OldKeys, OldSuite, PacketId

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "data"
HEADERS = {"v1": 1, "v2": 4, "static": 0}
Case = dict[str, str | int]


def cases() -> list[Case]:
    """Our own, and those of a real openvpn."""
    return [
        case
        for name in ("old.json", "openvpn-old.json")
        for case in json.loads((VECTORS / name).read_text())["cases"]
    ]


def suite_of(case: Case) -> OldSuite:
    return OldSuite(
        cipher=DataCipher(case["cipher"]),
        digest=None if case["digest"] == "none" else digest_named(str(case["digest"])),
        long_ids=case["format"] == "static",
    )


def raw(case: Case, field: str) -> bytes:
    return bytes.fromhex(str(case[field]))


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["name"]))
def test_bodies_are_sealed_and_opened_as_in_the_vectors(case: Case) -> None:
    suite = suite_of(case)
    keys = OldKeys(raw(case, "cipher_key"), raw(case, "hmac_key"))
    old_formats.check_keys(suite, keys)
    number = PacketId(int(case["packet_time"]), int(case["packet_id"]))
    body = raw(case, "packet")[HEADERS[str(case["format"])] :]
    plaintext = raw(case, "plaintext")
    assert old_formats.seal(suite, keys, number, plaintext, raw(case, "iv")) == body
    assert old_formats.open_packet(suite, keys, body) == (number, plaintext)


def test_the_package_has_every_cipher() -> None:
    assert all(old_formats.is_available(cipher) for cipher in OLD_CIPHERS)


@pytest.mark.parametrize(
    ("cipher", "cipher_key", "hmac_key"),
    [(DataCipher.AES_128_CBC, 15, 20), (DataCipher.AES_128_CBC, 16, 19), (DataCipher.NONE, 1, 20)],
)
def test_material_of_the_wrong_length_is_refused(
    cipher: DataCipher, cipher_key: int, hmac_key: int
) -> None:
    suite = OldSuite(cipher=cipher, digest=digest_named("SHA1"), long_ids=False)
    with pytest.raises(ValueError, match="key"):
        old_formats.check_keys(suite, OldKeys(bytes(cipher_key), bytes(hmac_key)))
