"""``--test-crypto``: seals and opens a packet of every size and says whether all came back.

Runs the packet formats and ciphers of the Python data plane with keys cut from the given static
key, in both directions; each packet is also tampered with once, which must be noticed. The control
channel's wrappings have tests of their own.
"""

import contextlib
from collections.abc import Iterator

from ginnel.cli.report import fail, log_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.data_key import DataCipher, DataFormat, DataKey, DirectionKey
from ginnel.core.key_files import StaticKey, parse_static_key
from ginnel.core.types import KeyId, PeerId
from ginnel.options.actions import TestCrypto
from ginnel.options.model import KeyDirection, ProcessOptions
from ginnel.options.values import Secret

MAX_PAYLOAD = 1768
"""Largest packet tried, in bytes: what OpenVPN's own test reaches with a tun-mtu of 1500."""
DEFAULT_CIPHER = "AES-256-GCM"

_PEER = PeerId(1)


def run(action: TestCrypto, process: ProcessOptions) -> int:
    """Runs the test; returns the exit status."""
    if action.key is None:
        log_lines(
            process,
            [
                LogLine(text="Options error: You must define key file (--secret)", timestamp=False),
                LogLine(text="Use --help for more information.", timestamp=False),
            ],
        )
        return 1
    name = (action.cipher or DEFAULT_CIPHER).upper()
    cipher = next((known for known in DataCipher if known.value == name), None)
    if cipher is None:
        return fail(process, f"Cipher {name} not supported")
    key = parse_static_key(action.key)
    log_lines(process, [LogLine(text="Entering OpenVPN crypto self-test mode.")])
    for form in DataFormat:
        failure = check_format(key, cipher, form)
        if failure is not None:
            return fail(process, f"SELF TEST FAILED, {cipher.value} {form.value}: {failure}")
    log_lines(process, _report())
    return 0


def _report() -> Iterator[LogLine]:
    for length in range(1, MAX_PAYLOAD + 1):
        yield LogLine(text=f"TESTING ENCRYPT/DECRYPT of packet length={length}")
    yield LogLine(text="OpenVPN crypto self-test mode SUCCEEDED.")


def check_format(
    key: StaticKey, cipher: DataCipher, form: DataFormat, largest: int = MAX_PAYLOAD
) -> str | None:
    """Returns what went wrong, or None when every size survived and every forgery was refused."""
    from ginnel.core.errors import Malformed
    from ginnel.dataplane import formats
    from ginnel.dataplane.reference_keys import Dropped, UsageLimits, open_key

    ends = [
        open_key(
            _data_key(key, cipher, form, direction),
            send_peer_id=_PEER,
            replay_window=64,
            replay_time=15,
            limits=UsageLimits(),
        )
        for direction in (KeyDirection.NORMAL, KeyDirection.INVERSE)
    ]
    payload = bytes(number % 251 for number in range(largest))
    for length in range(1, largest + 1):
        sender, receiver = ends if length % 2 else reversed(ends)
        packet = sender.seal(payload[:length])
        header = formats.decode_header(packet)
        with contextlib.suppress(Dropped):
            receiver.open(header, packet[:-1] + bytes((packet[-1] ^ 1,)), 0.0)
            return f"a forged packet of length {length} was accepted"
        try:
            opened = receiver.open(header, packet, 0.0)
        except (Dropped, Malformed) as refused:
            return f"a packet of length {length} was refused: {refused}"
        if opened != payload[:length]:
            return f"a packet of length {length} came back changed"
    return None


def _data_key(
    key: StaticKey, cipher: DataCipher, form: DataFormat, direction: KeyDirection
) -> DataKey:
    send, receive = (
        _direction_key(half.cipher, half.hmac, cipher, form) for half in key.by_direction(direction)
    )
    return DataKey(key_id=KeyId(0), cipher=cipher, format=form, send=send, receive=receive)


def _direction_key(
    cipher_slice: Secret, hmac_slice: Secret, cipher: DataCipher, form: DataFormat
) -> DirectionKey:
    material = cipher_slice.reveal()
    if form is DataFormat.EPOCH:
        return DirectionKey(cipher_key=Secret(material[:32]), implicit_iv=Secret(b""))
    return DirectionKey(
        cipher_key=Secret(material[: cipher.key_length]),
        implicit_iv=Secret(hmac_slice.reveal()[:8]),
    )
