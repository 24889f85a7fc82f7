"""Renegotiations of either side, and what becomes of a client whose handshake fails."""

import pytest

from ginnel.core.actions import Failed
from ginnel.core.notices import KeyRenegotiating, Warned
from ginnel.core.server_actions import Admitted, AnswerChallenge, Authenticate, Refused
from ginnel.core.server_notices import AuthenticationFailed
from ginnel.core.types import Side, Transport
from ginnel.dataclass import replace
from ginnel.options.model import TlsOptions
from tests.sim.client import Said, SimClient, usual
from tests.sim.duo import Duo, server_options
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import client_options, profile
from tests.sim.wire import Faults
from tests.unit.core.test_server_login import PASSWORDS

SHORT = TlsOptions(reneg_sec=100, tran_window=50)


def test_the_server_renegotiates_in_time() -> None:
    duo = Duo(server=server_options(tls=TlsOptions(reneg_sec=100)))
    duo.connect()
    for _ in range(12):  # over the last key-id and round again
        duo.advance(100.0)
        assert duo.keys_match
    assert len(duo.told(KeyRenegotiating)) >= 11
    assert duo.ended is None


def test_the_client_renegotiates_in_time() -> None:
    options = client_options(profile())
    duo = Duo(
        client=replace(options, tls=replace(options.tls, reneg_sec=100)),
        server=server_options(tls=TlsOptions(reneg_sec=0)),
    )
    duo.connect()
    for _ in range(12):
        duo.advance(100.0)
        assert duo.keys_match
    assert duo.ended is None


@pytest.mark.parametrize("seed", range(6))
def test_both_sides_at_once_still_agree(seed: int) -> None:
    options = client_options(profile())
    duo = Duo(
        client=replace(options, tls=replace(options.tls, reneg_sec=100)),
        server=server_options(tls=TlsOptions(reneg_sec=111)),
        faults=Faults(delay=0.2, jitter=0.3, loss=0.1),
        seed=seed,
    )
    duo.connect()
    for _ in range(30):
        duo.advance(60.0)
        assert duo.keys_match
    assert duo.ended is None
    assert duo.server_ended is None


def test_old_keys_are_forgotten() -> None:
    duo = Duo(server=server_options(tls=SHORT))
    duo.connect()
    duo.advance(1000.0)
    assert len(duo.server.keys.slots) <= 2
    assert len(duo.keys.slots) <= 2


def test_a_client_that_renegotiates_no_more_is_lost_with_its_key() -> None:
    duo = Duo(server=server_options(tls=TlsOptions(reneg_sec=100, hand_window=20, tran_window=50)))
    duo.connect()
    duo.up.cut = True
    duo.until(lambda: duo.server_ended is not None, 200.0)
    assert duo.server_ended is not None
    assert duo.server_ended.signal_text == "tls-error"
    assert any("serves on" in str(notice) for notice in duo.told(Warned))


def test_a_client_may_come_again_while_its_key_serves_on() -> None:
    duo = Duo(server=server_options(tls=TlsOptions(reneg_sec=100, hand_window=20)))
    duo.connect()
    duo.up.cut = True
    duo.advance(150.0)
    assert duo.server.machine is not None
    duo.up.cut = False
    duo.restart_client()
    duo.until(lambda: duo.is_connected and duo.keys_match, 60.0)


def test_over_tcp_a_failed_negotiation_is_the_end() -> None:
    duo = Duo(
        server=server_options(tls=TlsOptions(reneg_sec=100, hand_window=20)),
        transport=Transport.TCP,
    )
    duo.connect()
    duo.up.cut = True
    duo.advance(130.0)
    assert duo.server_ended is not None
    assert duo.server_ended.signal_text == "tls-error"


def test_a_certificate_that_is_refused_ends_the_client() -> None:
    duo = Duo(server_tls=lambda: FakeTls(Side.SERVER, 1, refuse=True))
    duo.start()
    duo.until(lambda: duo.server_ended is not None, 10.0)
    assert duo.server_ended is not None
    assert duo.server_ended.signal_text == "tls-error"
    assert "told to refuse" in duo.server_ended.explanation


def test_another_session_that_fails_harms_nobody() -> None:
    client = SimClient()
    client.connect()
    running = client.machine
    client.begin()
    client.write(b"nonsense")
    assert client.machine is running
    assert client.ended is None
    client.connect()
    assert len(client.told(AuthenticationFailed)) == 0
    assert client.messages[-1].startswith("PUSH_REPLY")


def test_another_session_with_a_bad_password_harms_nobody() -> None:
    options = server_options(access=PASSWORDS)
    client = SimClient(
        options,
        said=Said(username="user", password=b"good"),
        answer=lambda action: (
            Refused(reason="no")
            if isinstance(action, Authenticate) and action.login.password.reveal() != b"good"
            else usual(action, options)
        ),
    )
    client.connect()
    running = client.machine
    client.said.password = b"bad"
    client.connect()
    assert client.messages[-1] == "AUTH_FAILED,no"
    client.advance(6.0)
    assert client.machine is running
    client.said.password = b"good"
    client.connect()
    assert client.messages[-1].startswith("PUSH_REPLY")
    assert client.machine is running


def test_the_tls_session_before_is_freed_after_a_while() -> None:
    made: list[FakeTls] = []

    def make() -> FakeTls:
        made.append(FakeTls(Side.SERVER, len(made) + 1))
        return made[-1]

    duo = Duo(server=server_options(tls=TlsOptions(reneg_sec=200)), server_tls=make)
    duo.connect()
    duo.until(lambda: len(made) == 2, 250.0)
    closed = [made[0].closed]
    duo.advance(62.0)
    assert [*closed, made[0].closed, made[1].closed] == [False, True, False]
    duo.advance(1000.0)
    assert duo.keys_match


def undecided_guest(*, lose_session: bool) -> SimClient:
    """A client that runs, and a session at its address whose login nobody has judged yet."""
    options = server_options(access=PASSWORDS)
    client = SimClient(
        options,
        said=Said(username="user", password=b"good"),
        answer=lambda action: (
            None
            if isinstance(action, AnswerChallenge)
            or (isinstance(action, Authenticate) and action.login.password.reveal() != b"good")
            else usual(action, options)
        ),
    )
    client.connect()
    if lose_session:
        client.soft_reset()
        client.write(b"nonsense")
        assert client.machine is not None, "its key serves on"
        client.advance(31.0)
    client.messages.clear()
    client.said = Said(username="user", password=b"bad", peer_info="IV_PROTO=2\nIV_PLAT=other\n")
    client.connect()
    return client


@pytest.mark.parametrize("lose_session", [False, True])
def test_a_session_that_is_not_let_in_gets_nothing(lose_session: bool) -> None:
    client = undecided_guest(lose_session=lose_session)
    client.say("PUSH_REQUEST")
    client.say("EXIT")
    assert client.messages == []
    client.advance(8.0)
    assert client.ended is None
    client.complete(client.asked(Authenticate)[-1], Refused(reason="no"))
    assert client.messages == ["AUTH_FAILED,no"]
    client.advance(10.0)
    assert client.ended is None
    client.said = Said(username="user", password=b"good")
    client.connect()
    assert client.messages[-1].startswith("PUSH_REPLY")


@pytest.mark.parametrize("lose_session", [False, True])
def test_what_a_session_says_is_not_the_clients_before_it_is_let_in(lose_session: bool) -> None:
    client = undecided_guest(lose_session=lose_session)
    before = client.server.facts
    (asked,) = client.asked(Authenticate)[1:]
    assert isinstance(asked, Authenticate)
    assert before.peer_info[0] == ("IV_VER", "2.6.14")
    assert asked.client.peer_info == (("IV_PROTO", "2"), ("IV_PLAT", "other"))
    assert asked.client.key_number > before.key_number
    client.complete(asked, Admitted())
    assert client.server.facts.peer_info == asked.client.peer_info
    assert client.server.facts.key_number == asked.client.key_number


@pytest.mark.parametrize("lose_session", [False, True])
def test_an_answer_is_that_of_the_session_it_came_over(lose_session: bool) -> None:
    client = undecided_guest(lose_session=lose_session)
    (judged,) = client.asked(Authenticate)[1:]
    assert isinstance(judged, Authenticate)
    client.say("CR_RESPONSE,YQ==")
    (answer,) = client.asked(AnswerChallenge)
    assert isinstance(answer, AnswerChallenge)
    assert answer.client.key_number == judged.client.key_number
    client.complete(answer, Failed(reason="wrong"))
    assert client.messages == ["AUTH_FAILED"]
    client.complete(judged, Admitted())  # too late
    client.advance(10.0)
    assert client.ended is None
    assert client.server.facts.key_number < judged.client.key_number


def test_a_session_that_is_not_judged_answers_nothing() -> None:
    client = undecided_guest(lose_session=False)
    client.complete(client.asked(Authenticate)[-1], Refused(reason="no"))
    client.say("CR_RESPONSE,YQ==")
    assert client.asked(AnswerChallenge) == []
