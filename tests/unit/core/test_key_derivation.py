"""Key derivation against OpenSSL's PRF and the keys an OpenVPN client logged."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.digests import digest_named
from ginnel.core.key_derivation import KeyShape, SessionPair, data_key, legacy_key2, tls1_prf
from ginnel.core.key_files import StaticKey
from ginnel.core.key_method import KeySource
from ginnel.core.types import KeyId, SessionId, Side
from ginnel.options.model import KeyDirection
from ginnel.options.values import Secret

VECTORS = Path(__file__).parents[2] / "vectors" / "control"
KEY2 = Secret(bytes(range(256)))


def test_the_prf_is_openssls() -> None:
    vectors = json.loads((VECTORS / "tls1-prf.json").read_text())["vectors"]
    assert len(vectors) >= 4
    for vector in vectors:
        output = bytes.fromhex(vector["output"])
        computed = tls1_prf(
            bytes.fromhex(vector["secret"]),
            vector["label"].encode(),
            bytes.fromhex(vector["seed"]),
            len(output),
        )
        assert computed == output


def source(parts: dict[str, str], side: Side) -> KeySource:
    pre_master = bytes.fromhex(parts["pre_master"]) if side is Side.CLIENT else b""
    return KeySource(
        pre_master=Secret(pre_master),
        random1=Secret(bytes.fromhex(parts["random1"])),
        random2=Secret(bytes.fromhex(parts["random2"])),
    )


def test_legacy_keys_are_those_of_an_openvpn_client_and_open_its_packets() -> None:
    vector = json.loads((VECTORS / "legacy-keys.json").read_text())
    key2 = legacy_key2(
        source(vector["sources"]["client"], Side.CLIENT),
        source(vector["sources"]["server"], Side.SERVER),
        SessionPair(
            client=SessionId(bytes.fromhex(vector["client_session_id"])),
            server=SessionId(bytes.fromhex(vector["server_session_id"])),
        ),
    )
    key = data_key(
        key2,
        KeyShape(cipher=DataCipher(vector["cipher"]), format=DataFormat.V2),
        side=Side.CLIENT,
        key_id=KeyId(0),
    )
    assert key.send.cipher_key.reveal().hex() == vector["client_send_key"]
    assert key.receive.cipher_key.reveal().hex() == vector["client_receive_key"]
    assert len(vector["client_data_packets"]) >= 2
    for text in vector["client_data_packets"]:
        packet = bytes.fromhex(text)
        nonce = packet[4:8] + key.send.implicit_iv.reveal()
        aead = AESGCM(key.send.cipher_key.reveal())
        opened = aead.decrypt(nonce, packet[24:] + packet[8:24], packet[:8])
        assert opened.hex() == vector["ping_payload"]


@pytest.mark.parametrize(
    ("cipher", "length"),
    [
        (DataCipher.AES_128_GCM, 16),
        (DataCipher.AES_192_GCM, 24),
        (DataCipher.AES_256_GCM, 32),
        (DataCipher.CHACHA20_POLY1305, 32),
    ],
)
def test_keys_are_cut_from_the_front_of_each_slice(cipher: DataCipher, length: int) -> None:
    client = data_key(
        KEY2,
        KeyShape(cipher=cipher, format=DataFormat.V1),
        side=Side.CLIENT,
        key_id=KeyId(3),
    )
    assert (client.key_id, client.cipher, client.format) == (3, cipher, DataFormat.V1)
    assert client.send.cipher_key.reveal() == bytes(range(length))
    assert client.send.implicit_iv.reveal() == bytes(range(64, 72))
    assert client.receive.cipher_key.reveal() == bytes(range(128, 128 + length))
    assert client.receive.implicit_iv.reveal() == bytes(range(192, 200))
    server = data_key(
        KEY2,
        KeyShape(cipher=cipher, format=DataFormat.V1),
        side=Side.SERVER,
        key_id=KeyId(3),
    )
    assert (server.send, server.receive) == (client.receive, client.send)


def test_the_epoch_format_takes_thirty_two_bytes_whatever_the_cipher() -> None:
    key = data_key(
        KEY2,
        KeyShape(cipher=DataCipher.AES_128_GCM, format=DataFormat.EPOCH),
        side=Side.SERVER,
        key_id=KeyId(0),
    )
    assert key.send.cipher_key.reveal() == bytes(range(128, 160))
    assert key.receive.cipher_key.reveal() == bytes(range(32))
    assert len(key.send.implicit_iv) == len(key.receive.implicit_iv) == 0


def test_key_material_of_another_length_is_our_bug() -> None:
    with pytest.raises(ValueError, match="256"):
        data_key(
            Secret(bytes(255)),
            KeyShape(cipher=DataCipher.AES_128_GCM, format=DataFormat.V2),
            side=Side.CLIENT,
            key_id=KeyId(0),
        )


def test_other_ciphers_take_a_key_for_their_hmac_and_no_nonce_tail() -> None:
    shape = KeyShape(
        cipher=DataCipher.BF_CBC,
        format=DataFormat.V2,
        digest=digest_named("SHA512"),
        cipher_key_length=56,
    )
    key = data_key(KEY2, shape, side=Side.CLIENT, key_id=KeyId(1))
    assert key.digest == digest_named("SHA512")
    assert key.send.cipher_key.reveal() == bytes(range(56))
    assert key.send.hmac_key.reveal() == bytes(range(64, 128))
    assert key.receive.hmac_key.reveal() == bytes(range(192, 256))
    assert len(key.send.implicit_iv) == 0


def test_a_static_key_is_cut_by_direction_and_told_its_time() -> None:
    halves = StaticKey(KEY2).by_direction(KeyDirection.INVERSE)
    shape = KeyShape(
        cipher=DataCipher.AES_256_CBC, format=DataFormat.STATIC, digest=digest_named("SHA1")
    )
    key = shape.cut(*halves, key_id=KeyId(0), packet_time=1_700_000_000)
    assert (key.format, key.packet_time) == (DataFormat.STATIC, 1_700_000_000)
    assert key.send.cipher_key.reveal() == bytes(range(128, 160))
    assert key.receive.hmac_key.reveal() == bytes(range(64, 84))
