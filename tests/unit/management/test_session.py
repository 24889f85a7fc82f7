"""The session over its life: clients in turn, slow ones, queries, notices, secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.compat.log_lines import LogLine
from ginnel.core.types import Instant
from ginnel.management.board import RemoteEntry
from ginnel.management.executor import MAX_BODY_BYTES
from ginnel.management.intents import (
    Answered,
    AuthRetrySet,
    ChallengeAnswered,
    ClientLeft,
    PasswordsForgotten,
    SignalThrown,
)
from ginnel.management.outbox import DROP_BYTES, PAUSE_BYTES
from ginnel.management.queries import (
    AcceptRemote,
    BodyAnswer,
    CertificateQuery,
    HoldQuery,
    LoginAnswer,
    LoginQuery,
    ModifyRemote,
    NeedOkQuery,
    NeedStrQuery,
    PasswordQuery,
    ProxyQuery,
    Query,
    Released,
    RemoteQuery,
    SignQuery,
    SkipRemote,
    TextAnswer,
)
from ginnel.management.session import GREETING, ManagementSession
from ginnel.management.state import StateRecord
from ginnel.options.model import AuthRetry
from ginnel.options.values import Secret
from tests.unit.management.fakes import WHEN, FakeDaemon, Rig

LOGIN = LoginQuery(type_name="Auth")
REMOTE = RemoteQuery(host="vpn.example", port="1194", protocol="udp4")


def connected(rig: Rig) -> Rig:
    rig.connect()
    return rig


def answer_of(rig: Rig) -> object:
    (answered,) = [each for each in rig.intents if isinstance(each, Answered)]
    return answered.answer


def test_commands_sent_together_are_answered_in_their_order() -> None:
    """The log shows each command, and what the log shows may send what waits for the client."""
    heard = bytearray()

    def log(line: LogLine) -> None:
        output = session.peek_output(65536)
        heard.extend(output)
        session.sent(len(output), Instant(0.0))

    session = ManagementSession(
        daemon=FakeDaemon(), log=log, password=None, hold=False, log_cache=10
    )
    session.connect()
    session.receive(b"pid\nverb\nmute\nhold\nauth-retry\n", Instant(0.0))
    heard += session.peek_output(65536)
    replies = heard.decode().splitlines()[1:]
    words = [reply.removeprefix("SUCCESS: ").partition("=")[0] for reply in replies]
    assert words == ["pid", "verb", "mute", "hold", "auth-retry"]


# --- clients in turn ---------------------------------------------------------------------------


def test_a_second_client_finds_the_history_and_the_open_question_but_no_flags() -> None:
    rig = connected(Rig(hold=True))
    rig.session.ask(HoldQuery(wait=3))
    rig.say("state on")
    rig.say("bytecount 1")
    rig.session.state_entered(StateRecord(when=WHEN, name="CONNECTING"))
    assert ">STATE:" in rig.read()
    rig.session.disconnect()
    heard = rig.connect()
    assert heard == f"{GREETING}\r\n>HOLD:Waiting for hold release:3\r\n"
    rig.session.state_entered(StateRecord(when=WHEN, name="WAIT"))
    assert rig.read() == ""
    assert rig.session.poll_timeout() is None
    assert rig.say("state all").splitlines() == [
        f"{WHEN},CONNECTING,,,,,,",
        f"{WHEN},WAIT,,,,,,",
        "END",
    ]


def test_half_an_answer_of_a_client_that_left_does_not_count() -> None:
    rig = connected(Rig())
    rig.session.ask(LOGIN)
    rig.say("username Auth mallory")
    rig.session.disconnect()
    rig.connect()
    rig.say("password Auth secret")
    assert not [each for each in rig.intents if isinstance(each, Answered)]
    rig.say("username Auth joe")
    assert answer_of(rig) == LoginAnswer(username="joe", password=Secret(b"secret"))


def test_half_a_line_of_a_client_that_left_does_not_count() -> None:
    rig = connected(Rig())
    rig.send(b"signal SIGT")
    rig.session.disconnect()
    rig.connect()
    assert "unknown command" in rig.send(b"ERM\n")
    assert not [each for each in rig.intents if isinstance(each, SignalThrown)]


def test_who_leaves_is_told_once_and_only_when_admitted() -> None:
    rig = Rig(password=Secret(b"secret"))
    rig.connect()
    rig.session.disconnect()
    assert rig.session.poll_intent() is None
    rig.connect()
    rig.say("secret")
    rig.session.disconnect()
    assert rig.session.poll_intent() == ClientLeft()
    assert rig.session.poll_intent() is None


def test_exit_leaves_the_rest_of_the_input_alone() -> None:
    rig = connected(Rig())
    rig.send(b"exit\nsignal SIGTERM\n")
    assert rig.session.finished
    assert not rig.intents


# --- the password ------------------------------------------------------------------------------


def test_nothing_is_told_before_the_password() -> None:
    rig = Rig(password=Secret(b"secret"))
    assert rig.connect() == "ENTER PASSWORD:"
    rig.session.ask(LOGIN)
    rig.session.fatal("x")
    rig.session.info_message("x")
    rig.session.up_down(up=True, environment={"a": "b"})
    rig.session.state_entered(StateRecord(when=WHEN, name="WAIT"))
    assert rig.read() == ""
    assert rig.send(b"secret\nsignal SIGTERM\n").startswith("SUCCESS: password is correct\r\n>INFO")
    assert [type(each) for each in rig.intents] == [SignalThrown]


def test_wrong_passwords_end_the_connection_and_are_not_logged() -> None:
    rig = Rig(password=Secret(b"secret"))
    rig.connect()
    for guess in ("hunter2", "", "secre"):
        assert not rig.session.finished
        rig.say(guess)
    assert rig.session.finished
    assert rig.say("secret") == ""
    assert [line.text for line in rig.logged] == [
        "MAN: client connection rejected after 3 failed password attempts"
    ]


# --- slow clients ------------------------------------------------------------------------------


def test_commands_wait_for_a_client_that_does_not_read() -> None:
    rig = connected(Rig())
    rig.session.receive(b"test 1000\n" * 40, rig.now)
    assert not rig.session.wants_input
    assert len(rig.session.peek_output(10**9)) < 3 * PAUSE_BYTES
    heard = rig.read()
    assert heard.count("[999] ") == 40
    assert rig.session.wants_input


def test_a_flood_of_log_lines_is_dropped_not_kept() -> None:
    rig = connected(Rig())
    rig.say("log on")
    for _ in range(20000):
        rig.session.log_line(rig.logged[0], WHEN)
    assert len(rig.session.peek_output(10**9)) < DROP_BYTES + 4096
    assert not rig.session.overflowed


def test_a_client_that_misses_what_it_must_not_miss_has_to_go() -> None:
    rig = connected(Rig())
    environment = {f"name_{number}": "x" * 1000 for number in range(2000)}
    rig.session.up_down(up=True, environment=environment)
    assert rig.session.overflowed


def test_test_is_bounded() -> None:
    rig = connected(Rig())
    assert rig.say("test 2000000000").count("\r\n") == 1000


# --- questions ---------------------------------------------------------------------------------


def test_both_halves_in_any_order() -> None:
    rig = connected(Rig())
    rig.session.ask(LOGIN)
    assert rig.read() == ">PASSWORD:Need 'Auth' username/password\r\n"
    rig.say('password Auth "p w\\"\\\\"')
    rig.say("username Auth 'joe doe'")
    assert answer_of(rig) == LoginAnswer(username="joe doe", password=Secret(b'p w"\\'))
    assert rig.session.query is None


def test_a_password_alone() -> None:
    rig = connected(Rig())
    rig.session.ask(PasswordQuery(type_name="Private Key"))
    assert "no username is currently needed" in rig.say("username 'Private Key' joe")
    rig.say("password 'Private Key' [[BLANK]]")
    assert answer_of(rig) == LoginAnswer(username="", password=Secret(b""))


def test_passwords_stay_out_of_the_log() -> None:
    rig = connected(Rig())
    rig.session.ask(LOGIN)
    for line in ('password Auth "hunter2', " password Auth hunter2", "'password' Auth hunter2",
                 '"password" Auth hunter2', "cr-response hunter2",
                 "needstr x hunter2"):  # fmt: skip
        rig.say(line)
    assert "hunter2" not in "".join(line.text for line in rig.logged)
    assert "hunter2" not in rig.say("log all")
    assert any(line.text == "MANAGEMENT: CMD 'password [...]'" for line in rig.logged)


def test_words_of_a_password_line_that_is_split_stay_out_of_the_log() -> None:
    """An overlong line loses its head; what is left must not be shown as a command."""
    rig = connected(Rig())
    rig.session.ask(LOGIN)
    rig.send(b"password Auth " + b"hunter2" * 200 + b"\n")
    assert "hunter2" not in "".join(line.text for line in rig.logged)


def test_confirmations_and_texts() -> None:
    rig = connected(Rig())
    rig.session.ask(NeedOkQuery(type_name="token-insertion-request", text="Please insert"))
    assert rig.read() == (
        ">NEED-OK:Need 'token-insertion-request' confirmation MSG:Please insert\r\n"
    )
    assert rig.say("needok token-insertion-request ok") == (
        "SUCCESS: 'token-insertion-request' needok-confirmation entered, but not yet verified\r\n"
    )
    assert answer_of(rig) == TextAnswer(text="ok")
    rig.intents.clear()
    rig.session.ask(NeedStrQuery(type_name="name", text="What is your name?"))
    assert rig.read() == ">NEED-STR:Need 'name' string MSG:What is your name?\r\n"
    rig.say("needstr name 'John Doe'")
    assert answer_of(rig) == TextAnswer(text="John Doe")


def test_remote_is_answered_in_three_ways() -> None:
    for line, expected in (
        ("remote ACCEPT", AcceptRemote()),
        ("remote SKIP", SkipRemote()),
        ("remote MOD other.example 443", ModifyRemote(host="other.example", port="443")),
    ):
        rig = connected(Rig())
        rig.session.ask(REMOTE)
        assert rig.read() == ">REMOTE:vpn.example,1194,udp4\r\n"
        assert rig.say(line) == "SUCCESS: remote command succeeded\r\n"
        assert answer_of(rig) == expected


def test_remote_refuses_what_is_no_address() -> None:
    rig = connected(Rig())
    rig.session.ask(REMOTE)
    rig.read()
    for line in ("remote MOD x 0", "remote MOD x 65536", "remote MOD x 1e3", "remote MOD '' 1194"):
        assert rig.say(line) == "ERROR: remote command failed\r\n"
    assert rig.session.query == REMOTE


def test_a_proxy_for_tcp() -> None:
    rig = connected(Rig())
    rig.session.ask(ProxyQuery(index=2, transport="TCP", host="vpn.example"))
    assert rig.read() == ">PROXY:2,TCP,vpn.example\r\n"
    assert rig.say("proxy HTTP proxy.example 3128 nct") == "SUCCESS: proxy command succeeded\r\n"


@pytest.mark.parametrize(
    ("line", "logged"),
    [
        ("proxy FOO", "Bad proxy command"),
        ("proxy HTTP p", "Bad proxy command"),
        ("proxy HTTP p 3128", "HTTP proxy support only works for TCP based connections"),
    ],
)
def test_a_proxy_that_cannot_be_is_named_and_asked_for_still(line: str, logged: str) -> None:
    """Openvpn 2.6.14 goes on without a proxy after a bad command."""
    rig = connected(Rig())
    query = ProxyQuery(index=1, transport="UDP", host="vpn.example")
    rig.session.ask(query)
    rig.read()
    assert rig.say(line) == "ERROR: proxy command failed\r\n"
    assert rig.logged[-1].text == logged
    assert rig.session.query == query


def test_signatures_come_in_several_lines() -> None:
    rig = connected(Rig())
    rig.say("version 3")
    rig.session.ask(SignQuery(content="QUJD", algorithm="RSA_PKCS1_PADDING"))
    assert rig.read() == ">PK_SIGN:QUJD,RSA_PKCS1_PADDING\r\n"
    assert rig.send(b"pk-sig\nAAAA\nBB") == ""
    assert rig.send(b"BB\nEND\n") == "SUCCESS: pk-sign command succeeded\r\n"
    assert answer_of(rig) == BodyAnswer(text="AAAABBBB")


def test_an_old_client_is_asked_in_the_old_way() -> None:
    rig = connected(Rig())
    rig.session.ask(SignQuery(content="QUJD", algorithm="RSA_PKCS1_PADDING"))
    assert rig.read() == ">RSA_SIGN:QUJD\r\n"


def test_a_body_without_end_does_not_grow() -> None:
    rig = connected(Rig())
    rig.session.ask(CertificateQuery(hint="macos-keychain:x"))
    assert rig.read() == ">NEED-CERTIFICATE:macos-keychain:x\r\n"
    rig.say("certificate")
    for _ in range(200):
        rig.say("A" * 1000)
    assert rig.say("END") == "ERROR: certificate command failed\r\n"
    assert rig.say("pid").startswith("SUCCESS")


def test_empty_lines_count_towards_the_size_of_a_body() -> None:
    rig = connected(Rig())
    rig.session.ask(CertificateQuery(hint="macos-keychain:x"))
    rig.read()
    rig.say("certificate")
    rig.send(b"\n" * MAX_BODY_BYTES)
    assert rig.send(b"QUJD\nEND\n") == "ERROR: certificate command failed\r\n"


def test_an_answer_nobody_waits_for_any_more_is_refused() -> None:
    rig = connected(Rig())
    rig.session.ask(LOGIN)
    rig.session.withdraw()
    assert "no password is currently needed" in rig.say("password Auth x")


# --- wishes ------------------------------------------------------------------------------------


def test_restarts_are_refused_while_a_start_is_held_but_the_end_is_not() -> None:
    rig = connected(Rig(hold=True))
    rig.session.ask(HoldQuery())
    assert "currently ignored" in rig.say("signal SIGUSR1")
    assert rig.say("signal SIGTERM") == "SUCCESS: signal SIGTERM thrown\r\n"
    rig.say("hold release")
    assert rig.say("signal SIGUSR1") == "SUCCESS: signal SIGUSR1 thrown\r\n"
    assert [type(each) for each in rig.intents] == [SignalThrown, Answered, SignalThrown]
    assert answer_of(rig) == Released()


def test_settings_and_passwords() -> None:
    rig = connected(Rig())
    rig.say("auth-retry interact")
    rig.say("forget-passwords")
    assert rig.intents == [AuthRetrySet(mode=AuthRetry.INTERACT), PasswordsForgotten()]
    assert rig.say("auth-retry") == "SUCCESS: auth-retry=interact\r\n"


def test_a_challenge_is_answered_only_into_a_session() -> None:
    rig = connected(Rig())
    rig.session.begin()
    assert rig.say("cr-response QUJD") == "SUCCESS: command succeeded\r\n"
    assert rig.intents == [ChallengeAnswered(response=Secret(b"QUJD"))]
    rig.daemon.in_session = False
    assert rig.say("cr-response QUJD") == "ERROR: command failed\r\n"


# --- notices -----------------------------------------------------------------------------------


def test_states_follow_as_they_come_and_are_logged() -> None:
    rig = connected(Rig())
    rig.say("state on")
    rig.session.state_entered(StateRecord(when=WHEN, name="EXITING", detail="SIGTERM"))
    assert rig.read() == f">STATE:{WHEN},EXITING,SIGTERM,,,,,\r\n"
    assert rig.logged[-1].text == f"MANAGEMENT: >STATE:{WHEN},EXITING,SIGTERM,,,,,"


def test_a_command_is_in_the_log_before_its_reply() -> None:
    rig = connected(Rig())
    rig.say("log on")
    assert rig.say("pid").splitlines()[0] == f">LOG:{WHEN},D,MANAGEMENT: CMD 'pid'"


def test_traffic_is_told_when_it_is_due() -> None:
    rig = connected(Rig())
    rig.daemon.bytes = (1234, 567)
    rig.say("bytecount 5")
    assert rig.session.poll_timeout() == Instant(rig.now + 5)
    rig.session.handle_timeout(Instant(rig.now + 4))
    assert rig.read() == ""
    rig.session.handle_timeout(Instant(rig.now + 5))
    assert rig.read() == ">BYTECOUNT:1234,567\r\n"
    assert rig.session.poll_timeout() == Instant(rig.now + 10)
    rig.say("bytecount 0")
    assert rig.session.poll_timeout() is None


def test_texts_of_a_peer_stay_in_their_line() -> None:
    rig = connected(Rig())
    evil = "x\r\n>HOLD:Waiting\r\n" + "y" * 9999
    rig.session.info_message(evil)
    rig.session.verification_failed("Auth", evil)
    rig.session.notification("info", "server-pushed-connection-reset", evil)
    rig.session.fatal(evil)
    rig.session.echo(evil, WHEN)
    rig.session.up_down(up=True, environment={"name": evil})
    lines = rig.read().split("\r\n")
    assert [line.split(":")[0] for line in lines] == [
        ">INFOMSG", ">PASSWORD", ">NOTIFY", ">FATAL", ">UPDOWN", ">UPDOWN", ">UPDOWN", "",
    ]  # fmt: skip
    assert max(map(len, lines)) < 8300


def test_verification_failed_carries_a_challenge() -> None:
    rig = connected(Rig())
    rig.session.verification_failed("Auth", "CRV1:R,E:state123:am9l:Enter pin")
    rig.session.verification_failed("Private Key")
    assert rig.read() == (
        ">PASSWORD:Verification Failed: 'Auth' ['CRV1:R,E:state123:am9l:Enter pin']\r\n"
        ">PASSWORD:Verification Failed: 'Private Key'\r\n"
    )


def test_the_environment_is_shown_as_far_as_it_was_asked_for() -> None:
    environment = {"dev": "tun0", "tls_serial_0": "1", "X509_0_CN": "a", "X509_0_O": "b", "z": "1"}
    shown = {
        0: ["dev", "tls_serial_0", "X509_0_CN", "X509_0_O", "z"],
        1: ["dev", "tls_serial_0", "X509_0_CN", "X509_0_O"],
        2: ["dev", "tls_serial_0", "X509_0_CN"],
        3: [],
    }
    for level, names in shown.items():
        rig = connected(Rig())
        rig.say(f"env-filter {level}")
        rig.session.client_event("DISCONNECT,0", environment)
        first, *rest = rig.read().splitlines()
        assert first == ">CLIENT:DISCONNECT,0"
        assert rest.pop() == ">CLIENT:ENV,END"
        shown_names = [line.removeprefix(">CLIENT:ENV,").partition("=")[0] for line in rest]
        assert sorted(shown_names) == sorted(names)
        rig.session.up_down(up=False, environment=environment)
        first, *rest = rig.read().splitlines()
        assert first == ">UPDOWN:DOWN"
        assert len(rest) == len(environment) + 1


# --- anything at all ---------------------------------------------------------------------------

VOCABULARY = """help version pid exit status load-stats state log echo bytecount hold signal verb
mute auth-retry username password needok needstr forget-passwords cr-response remote
remote-entry-count remote-entry-get proxy client-auth env-filter rsa-sig pk-sig certificate test END
on off all release ACCEPT SKIP MOD HTTP SOCKS Auth 1 -1 99999999999 SIGTERM '' " \\"""
WORDS = st.sampled_from(VOCABULARY.split())
CHATTER = st.lists(
    st.one_of(
        st.lists(WORDS, max_size=6).map(lambda words: " ".join(words).encode() + b"\n"),
        st.binary(max_size=40),
        st.sampled_from([b"\n", b"END\n", b"x" * 1500, b"\r\n"]),
    ),
    max_size=30,
)
QUERIES = st.sampled_from(
    [
        None,
        HoldQuery(),
        LOGIN,
        PasswordQuery(type_name="Auth"),
        NeedOkQuery(type_name="Auth", text="x"),
        REMOTE,
        ProxyQuery(index=1, transport="TCP", host="x"),
        SignQuery(content="", algorithm=""),
        CertificateQuery(hint="x"),
    ]
)


@given(CHATTER, QUERIES, st.booleans(), st.booleans())
def test_no_client_can_break_it(
    chatter: list[bytes], query: Query | None, started: bool, locked: bool
) -> None:
    rig = Rig(password=Secret(b"END") if locked else None)
    rig.daemon.entries = [RemoteEntry(host="x", port="1", protocol="udp")] * 3
    if started:
        rig.session.begin()
    if query is not None:
        rig.session.ask(query)
    rig.connect()
    for part in chatter:
        heard = rig.send(part)
        assert heard.endswith(("\r\n", "ENTER PASSWORD:")) or not heard
    assert rig.session.query in {None, query}
    rig.session.disconnect()
    if not locked:
        assert rig.connect().startswith(GREETING)
        assert rig.say("pid") == "SUCCESS: pid=4711\r\n"


ENTERED = "SUCCESS: 'Auth' password entered, but not yet verified"


def name_only(version: str) -> Rig:
    """A client of a version that is asked for a name alone."""
    rig = connected(Rig())
    rig.say(version)
    rig.session.ask(LoginQuery(type_name="Auth", username_only=True))
    return rig


def test_clients_of_version_4_are_asked_for_a_name_alone() -> None:
    rig = name_only("version 4")
    assert rig.read() == ">PASSWORD:Need 'Auth' username\r\n"
    rig.say('username "Auth" "[[BLANK]]"')
    (answered,) = answers(rig)
    assert answered == LoginAnswer(username="[[BLANK]]", password=Secret(b""))


def test_older_clients_give_a_password_as_well() -> None:
    rig = name_only("version 3")
    assert rig.read() == ">PASSWORD:Need 'Auth' username/password\r\n"
    rig.say('username "Auth" "ada"')
    assert answers(rig) == []
    rig.say('password "Auth" "[[BLANK]]"')
    assert answers(rig) == [LoginAnswer(username="ada", password=Secret(b""))]


@pytest.mark.parametrize(
    ("lines", "reply", "password"),
    [
        (["bMO2dmVs", "YWNl"], ENTERED, "lövelace"),
        (["!!"], "ERROR: password command failed", None),
        ([], "ERROR: password command failed", None),
        (["eA=="] * 5000, "ERROR: password command failed", None),
    ],
)  # fmt: skip
def test_clients_of_version_5_may_send_a_password_in_base64(
    lines: list[str], reply: str, password: str | None
) -> None:
    rig = connected(Rig())
    rig.say("version 5")
    rig.session.ask(LoginQuery(type_name="Auth"))
    rig.say('username "Auth" "ada"')
    heard = [rig.say(line) for line in ('password "Auth"', *lines, "END")]
    assert "".join(heard) == f"{reply}\r\n"
    expected = [] if password is None else [Secret(password.encode())]
    assert [answer.password for answer in answers(rig)] == expected


def test_password_without_a_value_is_incomplete_for_older_clients() -> None:
    rig = connected(Rig())
    rig.session.ask(LoginQuery(type_name="Auth"))
    rig.read()
    for line in ('password "Auth"', "password"):
        assert rig.say(line) == "ERROR: the 'password' command requires 2 parameters\r\n"


def answers(rig: Rig) -> list[LoginAnswer]:
    """The logins that the client has given so far."""
    return [
        intent.answer
        for intent in rig.intents
        if isinstance(intent, Answered) and isinstance(intent.answer, LoginAnswer)
    ]


def test_the_next_client_is_asked_in_the_words_of_the_one_before() -> None:
    rig = connected(Rig())
    rig.say("version 3")
    rig.session.ask(SignQuery(content="QUJD", algorithm="ECDSA"))
    rig.session.disconnect()
    rig.session.connect()
    assert rig.read().endswith(">PK_SIGN:QUJD,ECDSA\r\n")


def test_certificates_on_tokens_are_listed() -> None:
    """As openvpn 2.6.14 answers, also for an index that is none."""
    rig = connected(Rig())
    assert rig.say("pkcs11-id-count") == ">PKCS11ID-COUNT:0\r\n"
    rig.daemon.certificates = (("a/b/c/d/01", b"one"), ("a/b/c/d/02", b"two"))
    assert rig.say("pkcs11-id-count") == ">PKCS11ID-COUNT:2\r\n"
    entry = ">PKCS11ID-ENTRY:'1', ID:'a/b/c/d/02', BLOB:'dHdv'\r\n"
    assert rig.say("pkcs11-id-get 1") == entry
    assert rig.say("pkcs11-id-get 77") == ">PKCS11ID-ENTRY:'77'\r\n"
    assert rig.say("pkcs11-id-get x").startswith(">PKCS11ID-ENTRY:'0', ID:'a/b/c/d/01'")
