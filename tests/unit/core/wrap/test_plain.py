"""Control packets without wrapping."""

import pytest

from ginnel.core.errors import Malformed
from ginnel.core.types import KeyId, SessionId
from ginnel.core.wire import ControlHeader, Opcode
from ginnel.core.wrap.plain import PlainControl

HEADER = ControlHeader(Opcode.CONTROL_V1, KeyId(1), SessionId(bytes(range(1, 9))))


def test_nothing_is_added() -> None:
    wrapping = PlainControl()
    packet = wrapping.seal(HEADER, b"body")
    assert packet == b"\x21" + HEADER.session_id + b"body"
    assert wrapping.open(packet) == (HEADER, b"body")
    assert wrapping.overhead == wrapping.trailer(Opcode.CONTROL_WKC_V1) == 0
    assert wrapping.static_key is None


def test_a_short_packet_is_malformed() -> None:
    with pytest.raises(Malformed, match="short"):
        PlainControl().open(b"\x21")
