"""Data packet layouts against the vectors."""

import json
from pathlib import Path

import pytest

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.errors import Malformed
from ginnel.dataplane import formats
from ginnel.options.values import Secret
from tools.make_data_vectors import documents

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "data"
Case = dict[str, str | int]


def cases(name: str) -> list[Case]:
    loaded: list[Case] = json.loads((VECTORS / name).read_text())["cases"]
    return loaded


def name_of(case: Case) -> str:
    return str(case["name"])


def raw(case: Case, field: str) -> bytes:
    return bytes.fromhex(str(case[field]))


def epoch_material(case: Case) -> tuple[formats.Aead, bytes]:
    chain = Secret(raw(case, "cipher_key"))
    for _ in range(int(case["epoch"]) - 1):
        chain = formats.next_chain_secret(chain)
    return formats.epoch_key(chain, DataCipher(case["cipher"]))


def test_the_vectors_are_what_their_tool_writes() -> None:
    for name, document in documents().items():
        assert json.loads((VECTORS / name).read_text()) == document, name


RECORDED = cases("openvpn.json")


@pytest.mark.parametrize("case", cases("v1.json") + cases("v2.json") + RECORDED, ids=name_of)
def test_classic_layouts_match_the_vectors(case: Case) -> None:
    aead = formats.new_aead(DataCipher(case["cipher"]), raw(case, "cipher_key"))
    key_id, peer_id = int(case["key_id"]), int(case["peer_id"])
    is_v1 = case["format"] == DataFormat.V1.value
    head = formats.encode_header_v1(key_id) if is_v1 else formats.encode_header_v2(key_id, peer_id)
    packet, iv = raw(case, "packet"), raw(case, "implicit_iv")
    assert (
        formats.seal_classic(aead, iv, head, int(case["packet_id"]), raw(case, "plaintext"))
        == packet
    )
    header = formats.decode_header(packet)
    assert (header.key_id, header.peer_id) == (key_id, None if is_v1 else peer_id)
    assert formats.decode_classic_id(packet, header) == case["packet_id"]
    assert formats.open_classic(aead, iv, header, packet) == raw(case, "plaintext")


@pytest.mark.parametrize("case", cases("epoch.json"), ids=name_of)
def test_the_epoch_layout_matches_the_vectors(case: Case) -> None:
    aead, iv = epoch_material(case)
    number = formats.EpochId(int(case["epoch"]), int(case["packet_id"]))
    head = formats.encode_header_v2(int(case["key_id"]), int(case["peer_id"]))
    packet = raw(case, "packet")
    assert formats.seal_epoch(aead, iv, head, number, raw(case, "plaintext")) == packet
    header = formats.decode_header(packet)
    assert formats.decode_epoch_id(packet, header) == number
    assert formats.open_epoch(aead, iv, header, packet) == raw(case, "plaintext")


@pytest.mark.parametrize("case", cases("chain/epoch.json"), ids=name_of)
def test_the_key_chain_matches_the_vectors(case: Case) -> None:
    chain = Secret(raw(case, "first"))
    for _ in range(int(case["epoch"]) - 1):
        chain = formats.next_chain_secret(chain)
    key = formats.expand_label(chain.reveal(), b"data_key", len(raw(case, "data_key")))
    assert key == raw(case, "data_key")
    assert formats.epoch_key(chain, DataCipher(case["cipher"]))[1] == raw(case, "data_iv")


@pytest.mark.parametrize(
    "packet", [b"", b"\x20\x00\x00\x00", b"\x48", b"\x48\x00\x00", b"\xf8" * 40]
)
def test_what_has_no_data_header_is_malformed(packet: bytes) -> None:
    with pytest.raises(Malformed):
        formats.decode_header(packet)


def test_an_empty_payload_is_malformed() -> None:
    classic = b"\x48\x00\x00\x01" + bytes(4 + 16)
    epoch = b"\x48\x00\x00\x01" + bytes(8 + 16)
    with pytest.raises(Malformed):
        formats.decode_classic_id(classic, formats.decode_header(classic))
    with pytest.raises(Malformed):
        formats.decode_epoch_id(epoch, formats.decode_header(epoch))
    with pytest.raises(Malformed):
        formats.decode_epoch_id(b"\x30" + bytes(60), formats.decode_header(b"\x30" + bytes(60)))


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="AES-256-GCM takes 32 key bytes, not 16"):
        formats.new_aead(DataCipher.AES_256_GCM, bytes(16))
    with pytest.raises(ValueError, match="CHACHA20-POLY1305 takes 32 key bytes, not 31"):
        formats.new_aead(DataCipher.CHACHA20_POLY1305, bytes(31))
    with pytest.raises(ValueError, match="one block"):
        formats.expand_label(bytes(32), b"data_key", 33)
