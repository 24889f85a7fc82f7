"""Who is let in: by certificate, password, token; and that a client stays who it is."""

from dataclasses import replace

import pytest

from ginnel.core import server_actions
from ginnel.core.actions import Credentials, Failed
from ginnel.core.auth_token import TokenIssuer, TokenSession
from ginnel.core.server_actions import Admitted, Authenticate, Refused, TokenState
from ginnel.core.server_notices import AuthenticationFailed, ClientConnected, PushSent
from ginnel.options.model import LoginOptions, TlsOptions
from ginnel.options.server_model import AccessOptions, ServerOptions, TokenOptions
from ginnel.options.values import Secret
from tests.sim.client import Said, SimClient, usual
from tests.sim.duo import Duo, server_options
from tests.sim.pair import UNIX_TIME, client_options, credentials, profile

PASSWORDS = AccessOptions(auth_user_pass_verify=("/check",))


def with_login() -> dict[str, object]:
    return {
        "client": replace(client_options(profile()), login=LoginOptions(auth_user_pass=True)),
        "credentials": credentials(),
    }


def issuer(external: bool = False, lifetime: int = 0) -> TokenIssuer:
    return TokenIssuer(
        TokenOptions(external=external, lifetime=lifetime, renewal=3600),
        reneg_sec=3600,
        hand_window=60,
        process_key=Secret(bytes(range(128))),
    )


def password_duo(**more: object) -> Duo:
    arguments = with_login() | {"server": server_options(access=PASSWORDS)} | more
    return Duo(**arguments)  # type: ignore[arg-type]  # names are the test's


def first_login(duo: Duo) -> Authenticate:
    (action,) = duo.asked(Authenticate)
    assert isinstance(action, Authenticate)
    return action


def test_without_anybody_who_judges_passwords_none_is_judged() -> None:
    access = AccessOptions(token=TokenOptions())
    duo = password_duo(server=server_options(access=access), tokens=issuer())
    duo.connect()
    assert duo.asked(Authenticate) == []
    assert duo.machine.facts.username == ""
    assert duo.client.token is None


def test_a_password_is_judged() -> None:
    duo = password_duo()
    duo.connect()
    action = first_login(duo)
    assert action.login == credentials()
    assert action.is_first
    assert (action.session_id, action.session_state) == ("", None)
    assert action.client.common_name == "fake"
    assert duo.machine.facts.username == "user"


def test_whoever_judges_may_rename_the_user() -> None:
    duo = password_duo(
        server=server_options(access=replace(PASSWORDS, username_as_common_name=True)),
        answer=lambda action: (
            Admitted(username="alice")
            if isinstance(action, Authenticate)
            else usual(action, server_options())
        ),
    )
    duo.connect()
    assert duo.machine.facts.username == "alice"
    assert duo.machine.facts.common_name == "alice"


@pytest.mark.parametrize("result", [Refused(reason="no"), Refused(), Failed(reason="broken")])
def test_a_bad_password_is_told(result: server_actions.ServerActionResult) -> None:
    duo = password_duo(answer=lambda action: result if isinstance(action, Authenticate) else None)
    duo.start()
    duo.until(lambda: duo.ended is not None, 10.0)
    assert duo.ended is not None
    assert duo.ended.auth_failed == ("no" if result == Refused(reason="no") else "")
    assert len(duo.told(AuthenticationFailed)) == 1
    assert duo.asked(server_actions.ConnectClient) == []


def test_no_password_is_no_way_in() -> None:
    client = SimClient(server_options(access=PASSWORDS))
    client.connect()
    assert client.messages == ["AUTH_FAILED"]
    assert client.asked(Authenticate) == []
    client.advance(5.0)
    assert client.ended is not None


def test_an_optional_password_is_judged_all_the_same() -> None:
    client = SimClient(server_options(access=replace(PASSWORDS, auth_user_pass_optional=True)))
    client.connect()
    (action,) = client.asked(Authenticate)
    assert isinstance(action, Authenticate)
    assert action.login.username == ""


def test_a_name_has_no_control_characters_from_the_first_question_on() -> None:
    access = replace(PASSWORDS, username_as_common_name=True)
    client = SimClient(server_options(access=access), said=Said(username="al\nice", password=b"x"))
    client.connect()
    (action,) = client.asked(Authenticate)
    assert isinstance(action, Authenticate)
    assert action.login.username == action.client.username == "al_ice"
    assert (client.server.facts.username, client.server.facts.common_name) == ("al_ice", "al_ice")


# --- the same client -----------------------------------------------------------------------------


def test_a_renegotiation_under_another_name_is_the_end() -> None:
    client = SimClient(server_options(access=PASSWORDS), said=Said(username="alice", password=b"x"))
    client.connect()
    client.said.username = "bob"
    client.soft_reset()
    client.introduce()
    assert "AUTH_FAILED" in client.messages
    client.advance(5.0)
    assert client.ended is not None


def test_a_renegotiation_is_judged_again() -> None:
    client = SimClient(server_options(access=PASSWORDS), said=Said(username="alice", password=b"x"))
    client.connect()
    client.soft_reset()
    client.introduce()
    first, second = client.asked(Authenticate)
    assert isinstance(first, Authenticate)
    assert isinstance(second, Authenticate)
    assert [first.is_first, second.is_first] == [True, False]
    assert second.client.key_number == first.client.key_number + 1
    assert client.ended is None


def test_nobody_renews_a_login_that_is_still_being_judged() -> None:
    options = server_options(access=PASSWORDS)
    client = SimClient(
        options,
        said=Said(username="alice", password=b"x"),
        answer=lambda action: None if isinstance(action, Authenticate) else usual(action, options),
    )
    client.connect()
    client.connect()  # another session, while somebody is asked for the first one's second factor
    first, second = client.asked(Authenticate)
    assert isinstance(first, Authenticate)
    assert isinstance(second, Authenticate)
    assert [first.is_first, second.is_first] == [True, True]
    assert second.client.common_name == "fake"
    client.complete(second, Admitted())
    client.soft_reset()
    client.introduce()
    third = client.asked(Authenticate)[-1]
    assert isinstance(third, Authenticate)
    assert not third.is_first


# --- tokens --------------------------------------------------------------------------------------


def token_server(**more: object) -> ServerOptions:
    return server_options(access=replace(PASSWORDS, token=TokenOptions()), **more)


def test_a_token_takes_the_passwords_place() -> None:
    duo = password_duo(server=token_server(), tokens=issuer())
    duo.connect()
    action = first_login(duo)
    assert action.session_state is TokenState.INITIAL
    assert len(action.session_id) == 16
    (push,) = duo.told(PushSent)
    assert isinstance(push, PushSent)
    assert "auth-token [secret]" in push.text
    token = duo.client.token
    assert token is not None
    assert token.password.reveal().startswith(b"SESS_ID_AT_")
    duo.leave()
    duo.advance(10.0)
    duo.restart_client(token=token)
    duo.until(lambda: duo.is_connected, 30.0)
    assert len(duo.asked(Authenticate)) == 1  # nobody was asked again
    assert duo.machine.facts.username == "user"


def test_a_renegotiation_brings_a_fresh_token() -> None:
    options = token_server(tls=TlsOptions(reneg_sec=100))
    duo = password_duo(server=options, tokens=issuer())
    duo.connect()
    before = duo.client.token
    duo.advance(150.0)
    after = duo.client.token
    assert before is not None
    assert after is not None
    assert before.password.reveal() != after.password.reveal()
    assert len(duo.asked(Authenticate)) == 1


def test_a_connected_client_gets_a_fresh_token_in_time() -> None:
    duo = password_duo(server=token_server(tls=TlsOptions(reneg_sec=0)), tokens=issuer())
    duo.connect()
    before = duo.client.token
    duo.advance(3601.0)
    assert before is not None
    assert duo.client.token is not None
    assert duo.client.token.password.reveal() != before.password.reveal()


@pytest.mark.parametrize(
    ("password", "reason"),
    [(b"SESS_ID_AT_" + b"A" * 80, ""), (b"SESS_ID_AT_", "")],
)
def test_a_forged_token_is_no_way_in(password: bytes, reason: str) -> None:
    duo = password_duo(
        server=token_server(),
        tokens=issuer(),
        credentials=Credentials(username="user", password=Secret(password)),
    )
    duo.start()
    duo.until(lambda: duo.ended is not None, 10.0)
    assert duo.ended is not None
    assert duo.ended.auth_failed == reason
    assert duo.asked(Authenticate) == []


def test_an_old_token_says_that_it_expired() -> None:
    tokens = issuer()
    session = tokens.begin(bytes(range(12)), 1_700_000_000)
    old = tokens.issue("user", session, 1_700_000_000)
    duo = password_duo(
        server=token_server(),
        tokens=tokens,
        credentials=Credentials(username="user", password=old),
    )
    duo.start()
    duo.until(lambda: duo.ended is not None, 10.0)
    assert duo.ended is not None
    assert duo.ended.auth_failed == "SESSION: token expired"


def test_with_external_auth_others_judge_tokens_as_well() -> None:
    tokens = issuer(external=True)
    duo = password_duo(
        server=server_options(access=replace(PASSWORDS, token=TokenOptions(external=True))),
        tokens=tokens,
        credentials=Credentials(username="user", password=Secret(b"SESS_ID_AT_" + b"A" * 80)),
    )
    duo.connect()
    assert first_login(duo).session_state is TokenState.INVALID
    assert len(duo.told(ClientConnected)) == 1


def test_a_renamed_user_gets_its_token_under_the_new_name() -> None:
    def answer(action: server_actions.ServerAction) -> server_actions.ServerActionResult:
        if isinstance(action, Authenticate):
            return Admitted(username="alice")
        return usual(action, server_options())

    options = token_server(tls=TlsOptions(reneg_sec=100))
    duo = password_duo(server=options, tokens=issuer(), answer=answer)
    duo.connect()
    token = duo.client.token
    assert token is not None
    assert token.username == "alice"
    assert len(duo.asked(Authenticate)) == 1
    duo.advance(150.0)
    assert len(duo.told(PushSent)) == 2
    assert len(duo.asked(Authenticate)) == 1
    assert duo.machine.facts.username == "alice"


def test_a_token_of_nobody_vouches_for_no_name() -> None:
    made = issuer(external=True)
    session = TokenSession(session_id=bytes(12), began=UNIX_TIME, nobody=True)
    token = made.issue("", session, UNIX_TIME)
    duo = password_duo(
        server=server_options(access=replace(PASSWORDS, token=TokenOptions(external=True))),
        tokens=made,
        credentials=Credentials(username="root", password=token),
    )
    duo.connect()
    action = first_login(duo)
    assert action.session_state is TokenState.EMPTY_USER
    assert action.login.username == action.client.username == ""
    assert duo.machine.facts.username == ""
