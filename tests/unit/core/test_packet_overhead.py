"""What packets add to their payloads, held against packets themselves."""

import pytest

from ginnel.core.data_key import AEAD_FORMATS, OLD_CIPHERS, OLD_FORMATS, DataCipher, DataFormat
from ginnel.core.digests import digest_named
from ginnel.core.packet_overhead import packet_overhead
from ginnel.dataplane.open_key import open_key
from ginnel.dataplane.reference_keys import UsageLimits
from ginnel.options.ciphers import CipherMode
from tests.unit.dataplane.rig import PEER, make_key

STREAMS = (CipherMode.CFB, CipherMode.OFB)
COMBINATIONS = [
    *((DataCipher.AES_256_GCM, layout) for layout in AEAD_FORMATS),
    *(
        (cipher, layout)
        for cipher in OLD_CIPHERS
        for layout in OLD_FORMATS
        if layout is not DataFormat.STATIC or cipher.mode not in STREAMS
    ),
]


@pytest.mark.parametrize(("cipher", "layout"), COMBINATIONS, ids=lambda it: it.value)
def test_the_largest_payload_fits_and_one_more_byte_does_not(
    cipher: DataCipher, layout: DataFormat
) -> None:
    digest = None if cipher.is_aead else digest_named("SHA256")
    overhead = packet_overhead(cipher, layout, digest)
    key = open_key(
        make_key("overhead", cipher=cipher, layout=layout),
        send_peer_id=PEER,
        replay_window=64,
        replay_time=15,
        limits=UsageLimits(),
    )
    for size in range(200, 240):
        largest = overhead.largest_payload(size)
        assert len(key.seal(bytes(largest))) <= size < len(key.seal(bytes(largest + 1)))
