"""Which wrapping a first packet is under; most of it shows in ``test_listener``."""

import pytest

from ginnel.core.control_keys import ControlKeys, announces_resend
from ginnel.core.errors import ConfigError
from ginnel.core.wire import decode_header
from ginnel.options.model import PlainWrapping, TlsCrypt
from ginnel.options.server_model import TlsCryptV2Server
from tests.sim.pair import UNIX_TIME
from tests.sim.pki import inline
from tests.unit.core.test_listener import (
    V3,
    client_wrapping,
    old_v2_reset,
    reset,
    server,
    v2_wrapping,
)


def test_a_key_that_does_not_parse_is_told_at_the_start() -> None:
    with pytest.raises(ConfigError, match="tls-crypt"):
        ControlKeys(server(TlsCrypt(key=inline("tls-crypt", b"nonsense"))))
    bad = TlsCryptV2Server(key=inline("tls-crypt-v2", b"nonsense"))
    with pytest.raises(ConfigError, match="tls-crypt-v2"):
        ControlKeys(server(PlainWrapping(), crypt_v2=bad))


def test_opening_a_packet_does_not_count_it() -> None:
    packet = reset(client_wrapping())
    opened = ControlKeys(server()).open(packet, decode_header(packet), unix_time=UNIX_TIME)
    assert opened.body.message_id == 0
    opened.wrapping.open(packet)


def test_the_mark_of_resending_is_in_the_replay_id() -> None:
    assert announces_resend(reset(v2_wrapping(), V3))
    assert not announces_resend(old_v2_reset())
    assert not announces_resend(b"\x50")
