"""Each format gets the key that works in it, and what cannot work is refused."""

import pytest

from ginnel.core.data_key import DataCipher, DataFormat, DataKey
from ginnel.dataplane.old_keys import OldKey
from ginnel.dataplane.open_key import open_key
from ginnel.dataplane.reference_keys import ClassicKey, EpochKeys, PacketKey, UsageLimits
from tests.unit.dataplane.rig import PEER, make_key


def opened(key: DataKey) -> PacketKey:
    return open_key(key, send_peer_id=PEER, replay_window=64, replay_time=15, limits=UsageLimits())


def test_format_and_cipher_choose_the_kind() -> None:
    assert isinstance(opened(make_key("kind")), ClassicKey)
    assert isinstance(opened(make_key("kind", layout=DataFormat.V1)), ClassicKey)
    assert isinstance(opened(make_key("kind", layout=DataFormat.EPOCH)), EpochKeys)
    assert isinstance(opened(make_key("kind", cipher=DataCipher.NONE)), OldKey)


@pytest.mark.parametrize(
    ("cipher", "layout"),
    [
        (DataCipher.AES_256_GCM, DataFormat.STATIC),
        (DataCipher.AES_256_CFB, DataFormat.STATIC),
        (DataCipher.AES_256_CBC, DataFormat.EPOCH),
    ],
)
def test_combinations_that_no_peer_has_are_refused(cipher: DataCipher, layout: DataFormat) -> None:
    with pytest.raises(ValueError, match=r"without TLS|no packets of format"):
        opened(make_key("refused", cipher=cipher, layout=layout))
