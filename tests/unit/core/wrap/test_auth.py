"""tls-auth beyond what the recorded packets show."""

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.key_files import StaticKey
from ginnel.core.types import KeyId, SessionId
from ginnel.core.wire import ControlHeader, Opcode
from ginnel.core.wrap.auth import AuthControl
from ginnel.options.model import KeyDirection
from ginnel.options.values import Secret

KEY = StaticKey(Secret(bytes(range(256))))
HEADER = ControlHeader(Opcode.CONTROL_V1, KeyId(1), SessionId(bytes(range(1, 9))))


def control(direction: KeyDirection, digest: str = "SHA1") -> AuthControl:
    return AuthControl(key=KEY, direction=direction, digest=digest, unix_time=1000)


@pytest.mark.parametrize("digest", ["MD5", "SHA1", "SHA224", "SHA384", "SHA3-256", "BLAKE2b512"])
def test_any_digest_works_between_opposite_directions(digest: str) -> None:
    packet = control(KeyDirection.NORMAL, digest).seal(HEADER, b"body")
    assert control(KeyDirection.INVERSE, digest).open(packet) == (HEADER, b"body")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (KeyDirection.NORMAL, KeyDirection.NORMAL),
        (KeyDirection.INVERSE, KeyDirection.INVERSE),
        (KeyDirection.NONE, KeyDirection.INVERSE),
    ],
)
def test_directions_that_do_not_fit_are_noticed(ours: KeyDirection, theirs: KeyDirection) -> None:
    packet = control(theirs).seal(HEADER, b"body")
    with pytest.raises(Malformed, match="hmac"):
        control(ours).open(packet)


def test_another_digest_is_noticed() -> None:
    packet = control(KeyDirection.NONE, "SHA256").seal(HEADER, b"body" * 10)
    with pytest.raises(Malformed, match="hmac"):
        control(KeyDirection.NONE, "SHA1").open(packet)


def test_a_forged_packet_does_not_move_the_replay_window() -> None:
    sender, receiver = control(KeyDirection.NONE), control(KeyDirection.NONE)
    packet = sender.seal(HEADER, b"body")
    forged = packet[:29] + b"\xff\xff\xff\xff" + packet[33:]
    with pytest.raises(Malformed, match="hmac"):
        receiver.open(forged)
    assert receiver.open(packet) == (HEADER, b"body")


def test_a_packet_shorter_than_its_tag_is_malformed() -> None:
    packet = control(KeyDirection.NONE).seal(HEADER, b"")
    assert control(KeyDirection.NONE).open(packet) == (HEADER, b"")
    with pytest.raises(Malformed, match="short"):
        control(KeyDirection.NONE).open(packet[:-1])


def test_it_keeps_its_key_for_the_dynamic_wrapping() -> None:
    wrapping = control(KeyDirection.NONE)
    assert wrapping.static_key is KEY
    assert (wrapping.overhead, wrapping.trailer(Opcode.CONTROL_V1)) == (28, 0)


def test_an_unknown_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="digest"):
        control(KeyDirection.NONE, "SHA0")
