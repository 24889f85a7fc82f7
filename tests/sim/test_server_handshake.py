"""Our client against our server: every wrapping and transport, losses, and what is agreed."""

from dataclasses import replace

import pytest

from ginnel.core.data_key import DataFormat
from ginnel.core.server_actions import AddClient, ConnectClient
from ginnel.core.server_notices import ClientConnected, PushSent
from ginnel.core.types import Transport
from ginnel.options.model import (
    ControlWrapping,
    KeyDirection,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
)
from ginnel.options.server_model import ServerOptions
from tests.sim.duo import Duo, server_options
from tests.sim.pair import STATIC_KEY, profile
from tests.sim.wire import Faults
from tests.unit.core.test_listener import V2, v2_client_file

WRAPPINGS: dict[str, tuple[ControlWrapping, ServerOptions]] = {
    "plain": (PlainWrapping(), server_options()),
    "tls-auth": (
        TlsAuth(key=STATIC_KEY, direction=KeyDirection.INVERSE, digest="SHA256"),
        server_options(
            wrapping=TlsAuth(key=STATIC_KEY, direction=KeyDirection.NORMAL, digest="SHA256")
        ),
    ),
    "tls-crypt": (TlsCrypt(key=STATIC_KEY), server_options(wrapping=TlsCrypt(key=STATIC_KEY))),
    "tls-crypt-v2": (TlsCryptV2(key=v2_client_file()), server_options(crypt_v2=V2)),
}


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("name", list(WRAPPINGS))
def test_client_and_server_agree(name: str, transport: Transport) -> None:
    wrapping, options = WRAPPINGS[name]
    duo = Duo(server=options, connection=profile(wrapping), transport=transport)
    duo.connect()
    assert duo.keys_match
    assert duo.server.welcomes == 1
    agreed = duo.machine.agreed
    assert agreed is not None
    assert agreed.agreement.format is DataFormat.EPOCH
    assert agreed.agreement.tls_ekm
    assert agreed.agreement.dyn_tls_crypt
    assert [type(action) for action in duo.asked(AddClient)] == [AddClient]
    assert len(duo.asked(ConnectClient)) == len(duo.told(ClientConnected)) == 1
    (push,) = duo.told(PushSent)
    assert isinstance(push, PushSent)
    assert push.text == (
        "PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ping 10,ping-restart 60,"
        "ifconfig 10.8.0.2 255.255.255.0,peer-id 0,cipher AES-256-GCM,"
        "protocol-flags cc-exit tls-ekm dyn-tls-crypt aead-epoch,tun-mtu 1500"
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", list(WRAPPINGS))
def test_a_bad_link_only_takes_longer(name: str, seed: int) -> None:
    wrapping, options = WRAPPINGS[name]
    # Without a wrapping only TLS would notice corrupted bytes, and the one here is not real.
    corrupt = 0.0 if name == "plain" else 0.05
    faults = Faults(loss=0.2, duplicate=0.1, corrupt=corrupt, jitter=0.3)
    duo = Duo(server=options, connection=profile(wrapping), faults=faults, seed=seed)
    duo.connect(within=300.0)
    assert duo.keys_match
    duo.advance(60.0)
    assert duo.keys_match


def test_a_client_that_cannot_do_the_newest_format_gets_the_one_before() -> None:
    formats = frozenset({DataFormat.V1, DataFormat.V2})
    duo = Duo(formats=formats)
    duo.connect()
    agreed = duo.machine.agreed
    assert agreed is not None
    assert agreed.agreement.format is DataFormat.V2
    assert duo.keys_match


def test_timers_run_out_when_nothing_is_answered() -> None:
    duo = Duo()
    duo.down.cut = True
    duo.start()
    duo.advance(300.0)
    assert duo.server.machine is None
    assert duo.server.welcomes == 0


def test_a_client_that_comes_back_while_its_machine_leaves_is_let_in_soon_after() -> None:
    duo = Duo()
    duo.connect()
    duo.act(lambda machine, now: machine.restart_client("RESTART", now))
    duo.restart_client()
    duo.until(lambda: duo.server.welcomes == 2 and duo.is_connected, 15.0)


def test_a_client_that_goes_silent_after_it_was_let_in_is_given_up() -> None:
    duo = Duo()
    duo.start()
    duo.until(lambda: duo.server.welcomes == 1, 10.0)
    duo.up.cut = duo.down.cut = True
    duo.advance(61.0)
    assert duo.server.machine is None
    assert duo.server_ended is not None
    assert duo.server_ended.signal_text == "tls-error"


def test_a_stream_that_says_nothing_is_given_up() -> None:
    duo = Duo(transport=Transport.TCP)
    duo.advance(61.0)
    assert duo.server_ended is not None
    assert duo.server_ended.signal_text == "tls-error"


def test_both_keys_side_by_side() -> None:
    options = replace(server_options(crypt_v2=V2), wrapping=TlsCrypt(key=STATIC_KEY))
    for wrapping in (TlsCrypt(key=STATIC_KEY), TlsCryptV2(key=v2_client_file())):
        duo = Duo(server=options, connection=profile(wrapping))
        duo.connect()
        assert duo.keys_match
