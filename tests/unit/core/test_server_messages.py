"""What clients say, and what is said to them beside pushes."""

from ginnel.core.actions import Done, Failed
from ginnel.core.notices import ControlMessage
from ginnel.core.server_actions import Admitted, AnswerChallenge, Authenticate, ConnectClient
from ginnel.core.server_notices import PushSent
from tests.sim.client import NEW, Said, SimClient, usual
from tests.sim.duo import server_options
from tests.unit.core.test_server_login import PASSWORDS

OPTIONS = server_options(access=PASSWORDS)


def waiting(peer_info: str = NEW) -> SimClient:
    """A client whose login nobody has judged yet."""
    client = SimClient(
        OPTIONS,
        said=Said(username="user", password=b"x", peer_info=peer_info),
        answer=lambda action: None if isinstance(action, Authenticate) else usual(action, OPTIONS),
    )
    client.connect()
    return client


def test_a_client_that_says_exit_is_gone_five_seconds_later() -> None:
    client = SimClient()
    client.connect()
    client.say("EXIT")
    assert client.told(ControlMessage) == [ControlMessage(keyword="EXIT", text="")]
    client.advance(4.0)
    assert client.machine is not None
    client.advance(1.0)
    assert client.ended is not None
    assert client.ended.signal_text == "delayed-exit"


def test_other_words_are_shown_or_dropped() -> None:
    client = SimClient()
    client.connect()
    client.say("ACC,what,ever")
    client.say("INFO,hello")
    client.say("PUSH_REPLY,route 0.0.0.0 0.0.0.0")
    client.say("AUTH_FAILED")
    client.say("RESTART")
    assert client.told(ControlMessage) == [
        ControlMessage(keyword="ACC", text="what,ever"),
        ControlMessage(keyword="INFO", text="hello"),
    ]
    assert client.server.drops["message"] == 3
    assert client.ended is None


def test_a_client_is_asked_to_wait() -> None:
    client = waiting()
    assert client.act(lambda machine, now: machine.pend(180, "WEB_AUTH::https://a.example", now))
    assert client.messages == [
        "AUTH_PENDING,timeout 180",
        "INFO_PRE,WEB_AUTH::https://a.example",
    ]
    client.advance(170.0)
    (action,) = client.asked(Authenticate)
    client.complete(action, Admitted())
    assert client.messages[-1].startswith("PUSH_REPLY")


def test_patience_has_a_bound() -> None:
    client = waiting(NEW.replace("478", "6"))
    assert client.act(lambda machine, now: machine.pend(10**9, "", now))
    assert client.messages == ["AUTH_PENDING"]
    client.advance(1801.0)
    assert client.messages[-1] == "RESTART,[P]"  # it knows no temporary refusal


def test_only_a_client_that_waits_is_asked_to_wait() -> None:
    client = SimClient()
    client.connect()
    assert not client.act(lambda machine, now: machine.pend(10, "", now))
    client = waiting()
    assert not client.act(lambda machine, now: machine.pend(10, "x" * 2000, now))


def test_a_client_may_be_asked_to_wait_for_its_terms() -> None:
    client = SimClient(
        answer=lambda action: (
            None if isinstance(action, ConnectClient) else usual(action, server_options())
        )
    )
    client.connect()
    assert client.act(lambda machine, now: machine.pend(100, "", now))


def test_an_answer_is_passed_on_one_at_a_time() -> None:
    client = SimClient(
        answer=lambda action: (
            None if isinstance(action, AnswerChallenge) else usual(action, server_options())
        )
    )
    client.connect()
    client.say("CR_RESPONSE,YQ==")
    client.say("CR_RESPONSE,Yg==")
    (action,) = client.asked(AnswerChallenge)
    assert isinstance(action, AnswerChallenge)
    assert action.response == "YQ=="
    client.complete(action, Done())
    client.say("CR_RESPONSE,Yg==")
    second = client.asked(AnswerChallenge)[-1]
    client.complete(second, Failed(reason="wrong"))
    assert client.messages[-1] == "AUTH_FAILED"


def test_any_message_can_be_said() -> None:
    client = SimClient()
    assert client.machine is None
    client.begin()
    assert not client.act(lambda machine, now: machine.say("INFO,early", now))
    client.introduce()
    assert client.act(lambda machine, now: machine.say("INFO,hel\0lo", now))
    assert client.messages[-1] == "INFO,hello"


def test_a_client_is_told_to_come_again() -> None:
    client = SimClient()
    client.connect()
    client.act(lambda machine, now: machine.restart_client("RESTART,[N]maintenance", now))
    assert client.messages[-1] == "RESTART,[N]maintenance"
    said = PushSent(common_name="fake", text="RESTART,[N]maintenance")
    assert client.told(PushSent)[-1] == said
    client.advance(2.0)
    assert client.ended is not None


def test_answers_do_not_run_scripts_all_the_time() -> None:
    client = SimClient()
    client.connect()
    for _ in range(50):
        client.say("CR_RESPONSE,YQ==")
    assert len(client.asked(AnswerChallenge)) == 10
    assert client.server.drops["message"] == 40
