"""Login, token and hook inside a fresh TLS session."""

from dataclasses import replace

from ginnel.core.actions import AskCredentials, Credentials, Done, Failed, VerifyCertificates
from ginnel.core.client_exchange import introduce
from ginnel.core.client_outbox import Outbox
from ginnel.core.client_talk import ClientTalk, failure_of
from ginnel.core.key_session import KeySession
from ginnel.core.negotiation import AwaitHook, AwaitLogin, AwaitPeer, Negotiation
from ginnel.core.notices import CertificateRejected, ControlChannelReady, LoginSent
from ginnel.core.peer_info import LocalFacts
from ginnel.core.types import Instant, KeyId, Side
from ginnel.core.wire import Opcode
from ginnel.options.model import ClientOptions, LoginOptions, TlsOptions
from ginnel.options.values import Secret
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import CAPABILITIES, client_options, credentials, profile

NOW = Instant(3.0)
WITH_LOGIN = replace(client_options(profile()), login=LoginOptions(auth_user_pass=True))


def talk(options: ClientOptions, *, known: bool = False) -> tuple[ClientTalk, Outbox]:
    outbox = Outbox()
    made = ClientTalk(
        options=options,
        introduction=introduce(options, profile(), CAPABILITIES, LocalFacts(version="2.6.14")),
        entropy=bytes,
        login=credentials() if known else None,
        outbox=outbox,
    )
    return made, outbox


def negotiation() -> Negotiation:
    key = KeySession(
        key_id=KeyId(0),
        tls=FakeTls(Side.CLIENT, 1),
        side=Side.CLIENT,
        started=NOW,
        reset=Opcode.CONTROL_HARD_RESET_CLIENT_V2,
        timeout=2.0,
    )
    return Negotiation(key=key)


def test_without_hook_and_login_the_message_goes_out_at_once() -> None:
    made, outbox = talk(client_options(profile()))
    started = negotiation()
    assert made.tls_established(started, NOW) is None
    assert isinstance(started.phase, AwaitPeer)
    assert made.common_name == "fake"
    assert [type(notice) for notice in outbox.notices] == [ControlChannelReady]
    assert not outbox.actions


def test_hook_comes_first() -> None:
    options = replace(client_options(profile()), tls=TlsOptions(tls_verify=("/bin/check",)))
    made, outbox = talk(options)
    started = negotiation()
    made.tls_established(started, NOW)
    asked = outbox.actions.popleft()
    assert isinstance(asked, VerifyCertificates)
    assert started.phase == AwaitHook(asked.id)
    assert made.hook_allows(Done())
    assert not made.hook_allows(Failed(reason="exit status 1"))
    last = outbox.notices.pop()
    assert isinstance(last, CertificateRejected)
    assert last.hint == "exit status 1"


def test_login_is_asked_for_when_it_is_not_known() -> None:
    made, outbox = talk(WITH_LOGIN)
    wanted = [made.needs_login]
    started = negotiation()
    made.log_in(started, NOW)
    asked = outbox.actions.popleft()
    assert isinstance(asked, AskCredentials)
    assert started.phase == AwaitLogin(asked.id)
    assert made.take_login(credentials()) is None
    wanted.append(made.needs_login)
    assert wanted == [True, False]
    refused = made.take_login(Failed(reason="cancelled"))
    assert refused is not None
    assert "cancelled" in refused.explanation


def test_login_is_forgotten_with_auth_nocache() -> None:
    login = LoginOptions(auth_user_pass=True, auth_nocache=True)
    made, _ = talk(replace(WITH_LOGIN, login=login), known=True)
    wanted = [made.needs_login]
    made.log_in(negotiation(), NOW)
    wanted.append(made.needs_login)
    assert wanted == [False, True]
    kept, _ = talk(WITH_LOGIN, known=True)
    kept.log_in(negotiation(), NOW)
    assert not kept.needs_login


def test_token_takes_the_passwords_place() -> None:
    made, _ = talk(WITH_LOGIN, known=True)
    made.take_token(WITH_LOGIN)
    login = replace(WITH_LOGIN.login, auth_token=Secret(b"token"))
    made.take_token(replace(WITH_LOGIN, login=login))
    assert made.token == Credentials(username="user", password=Secret(b"token"))
    assert not made.needs_login
    made.drop_token()
    assert made.token is None


def test_login_that_cannot_be_sent_ends_the_connection() -> None:
    made, _ = talk(WITH_LOGIN)
    made.take_login(credentials("name\0hidden"))
    ended = made.log_in(negotiation(), NOW)
    assert ended is not None
    assert ended.hard_error


def test_failures_are_named() -> None:
    assert failure_of(Failed(reason="why")) == "why"
    assert failure_of(Done()) == "unexpected answer"


def test_that_a_login_was_sent_is_told() -> None:
    made, outbox = talk(WITH_LOGIN, known=True)
    made.log_in(negotiation(), NOW)
    assert list(outbox.notices) == [LoginSent()]
    silent, outbox = talk(client_options(profile()))
    silent.log_in(negotiation(), NOW)
    assert not outbox.notices


def test_forgotten_login_is_asked_for_at_the_next_key() -> None:
    made, outbox = talk(WITH_LOGIN, known=True)
    made.forget_login()
    made.log_in(negotiation(), NOW)
    assert isinstance(outbox.actions.popleft(), AskCredentials)


def test_token_of_the_configuration_is_no_pushed_one() -> None:
    login = replace(WITH_LOGIN.login, auth_token=Secret(b"configured"))
    options = replace(WITH_LOGIN, login=login)
    made, _ = talk(options, known=True)
    made.take_token(options)
    assert made.token is None
    made.take_token(replace(options, login=replace(login, auth_token=Secret(b"pushed"))))
    assert made.token is not None
