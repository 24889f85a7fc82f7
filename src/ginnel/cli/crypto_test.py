"""``--test-crypto``: seals and opens a packet of every size and says whether all came back.

Runs the packet formats and ciphers of the Python data plane with keys cut from the given static
key, in both directions; each packet is also tampered with once, which must be noticed. The control
channel's wrappings have tests of their own.
"""

import contextlib
from collections.abc import Iterator

from ginnel.cli.report import fail, log_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.data_key import AEAD_FORMATS, OLD_FORMATS, DataCipher, DataFormat
from ginnel.core.digests import digest_named
from ginnel.core.key_derivation import KeyShape
from ginnel.core.key_files import StaticKey, parse_static_key
from ginnel.core.types import KeyId, PeerId
from ginnel.options.actions import TestCrypto
from ginnel.options.ciphers import CipherMode, canonical_cipher
from ginnel.options.model import KeyDirection, ProcessOptions

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
    asked = action.cipher or DEFAULT_CIPHER
    name = canonical_cipher(asked)
    if name is None:
        return fail(process, f"Cipher {asked} not supported")
    cipher = DataCipher(name)
    try:
        digest = None if cipher.is_aead or action.auth == "none" else digest_named(action.auth)
    except ValueError as unknown:
        return fail(process, str(unknown))
    key = parse_static_key(action.key)
    log_lines(process, [LogLine(text="Entering OpenVPN crypto self-test mode.")])
    for form in formats_of(cipher):
        failure = check_format(key, KeyShape(cipher=cipher, format=form, digest=digest))
        if failure is not None:
            return fail(process, f"SELF TEST FAILED, {cipher.value} {form.value}: {failure}")
    log_lines(process, _report())
    return 0


def _report() -> Iterator[LogLine]:
    for length in range(1, MAX_PAYLOAD + 1):
        yield LogLine(text=f"TESTING ENCRYPT/DECRYPT of packet length={length}")
    yield LogLine(text="OpenVPN crypto self-test mode SUCCEEDED.")


def formats_of(cipher: DataCipher) -> tuple[DataFormat, ...]:
    """The formats in which the cipher is used."""
    if cipher.is_aead:
        return AEAD_FORMATS
    if cipher.mode in (CipherMode.CBC, CipherMode.NONE):
        return OLD_FORMATS
    return (DataFormat.V1, DataFormat.V2)


def check_format(key: StaticKey, shape: KeyShape, largest: int = MAX_PAYLOAD) -> str | None:
    """Returns what went wrong, or None when every size survived and every forgery was refused.

    Without a digest nothing tells a forgery.
    """
    from ginnel.core.errors import Malformed
    from ginnel.dataplane import formats
    from ginnel.dataplane.open_key import open_key
    from ginnel.dataplane.reference_keys import Dropped, UsageLimits

    ends = [
        open_key(
            shape.cut(*key.by_direction(direction), key_id=KeyId(0), packet_time=1),
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
        header = (
            formats.NO_HEADER
            if shape.format is DataFormat.STATIC
            else formats.decode_header(packet)
        )
        if shape.cipher.is_aead or shape.digest is not None:
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
