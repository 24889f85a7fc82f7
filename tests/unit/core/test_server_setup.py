"""From being let in to the push: terms, data plane, keys; and pushing again."""

from dataclasses import replace

import pytest

from ginnel.core.actions import Done, Failed, InstallKey
from ginnel.core.notices import DataChannelReady, Warned
from ginnel.core.server_actions import (
    AddClient,
    ConnectClient,
    Refused,
    ServerAction,
    ServerActionResult,
)
from ginnel.core.server_notices import AuthenticationFailed, ClientConnected, PushSent
from ginnel.options.model import DataOptions, LinkOptions
from ginnel.options.server_model import AccessOptions, ClientConfig
from tests.sim.client import NEW, Said, SimClient, usual
from tests.sim.duo import Duo, server_options, terms

OPTIONS = server_options()


def answering(kind: type[ServerAction], result: ServerActionResult | None) -> SimClient:
    """A client whose server's shell gives one kind of action another answer."""
    return SimClient(
        answer=lambda action: result if isinstance(action, kind) else usual(action, OPTIONS)
    )


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (Refused(reason="max-clients"), "AUTH_FAILED,max-clients"),
        (Refused(), "AUTH_FAILED"),
        (Failed(reason="script broke"), "AUTH_FAILED"),
        (terms(OPTIONS, ClientConfig(disable=True)), "AUTH_FAILED"),
        (Done(), "AUTH_FAILED"),
    ],
)
def test_a_client_that_gets_nothing_is_told(result: ServerActionResult, told: str) -> None:
    client = answering(ConnectClient, result)
    client.connect()
    assert client.messages == [told]
    assert client.asked(AddClient) == []
    client.advance(5.0)
    assert client.ended is not None
    assert client.ended.signal_text == "delayed-exit"


def test_a_client_that_the_data_plane_does_not_take_shall_come_again() -> None:
    """A plain refusal, which says that its login is wrong, would end it for good."""
    client = answering(AddClient, Failed(reason="full"))
    client.connect()
    assert client.messages == ["AUTH_FAILED,TEMP:the server cannot serve right now"]
    client = answering(AddClient, Failed(reason="full"))
    client.said.peer_info = NEW.replace("478", "6")
    client.connect()
    assert client.messages == ["RESTART,[P]"]
    assert Warned(text="the data plane does not take the client: full") in client.told(Warned)


def test_a_key_that_cannot_be_installed_ends_the_client() -> None:
    client = answering(InstallKey, Failed(reason="no such cipher"))
    client.connect()
    assert client.ended is not None
    assert "no such cipher" in client.ended.explanation


def test_the_push_waits_for_the_first_key() -> None:
    client = answering(InstallKey, None)
    client.connect()
    assert client.messages == []
    (install,) = client.asked(InstallKey)
    client.complete(install, Done())
    assert client.messages[0].startswith("PUSH_REPLY")


def test_a_client_about_which_nobody_decided_shall_come_again() -> None:
    client = answering(ConnectClient, None)
    client.connect()
    client.advance(61.0)
    assert client.messages == ["AUTH_FAILED,TEMP:nobody decided in time"]


def test_a_late_decision_is_not_too_late() -> None:
    client = answering(ConnectClient, None)
    client.connect()
    client.say("PUSH_REQUEST")
    client.advance(30.0)
    (action,) = client.asked(ConnectClient)
    client.complete(action, terms(OPTIONS))
    assert client.messages[0].startswith("PUSH_REPLY")
    client.advance(100.0)
    assert client.ended is None


def old_client() -> SimClient:
    """One that asks for its options."""
    return SimClient(said=Said(peer_info=NEW.replace("478", "2")))


def test_an_old_client_gets_its_options_when_it_asks() -> None:
    client = old_client()
    client.connect()
    assert client.messages == []
    client.say("PUSH_REQUEST")
    assert len(client.messages) == 1


def test_the_options_are_repeated_now_and_then() -> None:
    client = old_client()
    client.connect()
    for _ in range(3):
        client.say("PUSH_REQUEST")
    assert len(client.messages) == 1
    client.advance(30.0)
    client.say("PUSH_REQUEST")
    assert len(client.messages) == 2


def test_a_long_push_comes_in_parts() -> None:
    many = tuple(f"route 10.{number}.0.0 255.255.0.0" for number in range(200))
    client = SimClient(server_options(push=many))
    client.connect()
    assert len(client.messages) > 3
    assert client.messages[0].endswith(",push-continuation 2")
    assert client.messages[-1].endswith(",push-continuation 1")
    assert len(client.told(PushSent)) == len(client.messages)
    duo = Duo(server=server_options(push=many))
    duo.connect()


def test_what_cannot_be_pushed_is_told_to_a_human() -> None:
    client = SimClient(server_options(push=("setenv X " + "y" * 2000,)))
    client.connect()
    assert client.messages == []
    assert any("cannot be pushed" in str(notice) for notice in client.notices)


def test_changed_options_are_sent_to_those_who_know_them() -> None:
    duo = Duo()
    duo.connect()
    assert duo.act(lambda machine, now: machine.update(["route 10.9.0.0"], now)) is True
    assert duo.told(PushSent)[-1] == PushSent(common_name="fake", text="PUSH_UPDATE,route 10.9.0.0")
    client = SimClient()
    client.connect()
    assert client.act(lambda machine, now: machine.update(["route 10.9.0.0"], now)) is False


def test_without_a_common_cipher_the_client_is_told() -> None:
    client = SimClient(server_options(data=DataOptions(data_ciphers=("CHACHA20-POLY1305",))))
    client.connect()
    assert client.messages == [
        "AUTH_FAILED,Data channel cipher negotiation failed (no shared cipher)"
    ]
    assert len(client.told(AuthenticationFailed)) == 1
    assert len(client.asked(ConnectClient)) == 1, "its own settings could have helped"
    assert client.asked(AddClient) == []


@pytest.mark.parametrize(
    ("common", "own", "cipher"),
    [
        ("AES-256-GCM", ("AES-128-GCM",), "AES-128-GCM"),
        ("CHACHA20-POLY1305", ("AES-256-GCM",), "AES-256-GCM"),
        ("AES-256-GCM", None, "AES-256-GCM"),
    ],
)
def test_a_client_can_have_ciphers_of_its_own(
    common: str, own: tuple[str, ...] | None, cipher: str
) -> None:
    options = server_options(data=DataOptions(data_ciphers=(common,)))
    given = terms(options, ClientConfig(data_ciphers=own))
    client = SimClient(
        options,
        answer=lambda action: (
            given if isinstance(action, ConnectClient) else usual(action, options)
        ),
    )
    client.connect()
    (added,) = client.asked(AddClient)
    assert isinstance(added, AddClient)
    assert added.agreed.agreement.cipher.value == cipher
    client.connect()
    assert client.ended is None, "a new session of it has them as well"


def test_a_client_that_comes_back_with_other_ciphers_begins_anew() -> None:
    client = SimClient()
    client.connect()
    client.said.peer_info = NEW.replace("AES-256-GCM:", "")
    client.connect()
    assert client.messages[-1] == "RESTART"
    client.advance(1.0)
    assert client.ended is not None
    assert client.ended.signal_text == "connection-reset"
    client.connect()
    assert "cipher AES-128-GCM" in client.messages[-1]


def test_a_session_has_its_time() -> None:
    client = SimClient(server_options(link=LinkOptions(session_timeout=100)))
    client.connect()
    client.advance(101.0)
    assert client.ended is not None
    assert client.ended.signal_text == "session-timeout"
    own = ClientConfig(session_timeout=10)
    client = answering(ConnectClient, terms(OPTIONS, own))
    client.connect()
    client.advance(11.0)
    assert client.ended is not None


def test_the_data_channel_is_described_with_the_first_push() -> None:
    client = SimClient(server_options(link=LinkOptions(ping=10, ping_restart=120)))
    client.connect()
    client.connect()
    (told,) = client.told(DataChannelReady)
    assert isinstance(told, DataChannelReady)
    assert (told.peer_id, told.ping, told.ping_restart) == (5, 10, 120)
    assert told.protocol_flags == ("cc-exit", "tls-ekm")


def test_connected_is_told_once() -> None:
    client = SimClient()
    client.connect()
    client.connect()
    client.soft_reset()
    client.introduce()
    assert len(client.told(ClientConnected)) == 1


def test_export_can_be_demanded() -> None:
    options = replace(server_options(), force_key_material_export=True, access=AccessOptions())
    client = SimClient(options, said=Said(peer_info=NEW.replace("478", "6")))
    client.connect()
    assert client.messages == [
        "AUTH_FAILED,Client incompatible with --force-tls-key-material-export"
    ]
