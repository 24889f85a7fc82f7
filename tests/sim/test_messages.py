"""Text messages of the server, and how a connection ends by them or by timers."""

from dataclasses import replace

import pytest

from ginnel.core.actions import AskCredentials, OpenTunnel, SendInner
from ginnel.core.events import (
    DataPlaneEvent,
    DecryptFailed,
    Inactive,
    LinkLost,
    OccReceived,
    PeerSilent,
    TunLost,
)
from ginnel.core.notices import (
    Advance,
    ControlMessage,
    Ended,
    LoginPending,
    ManagementState,
    OptionsImported,
    Outcome,
    PushOptionRefused,
    PushReceived,
    StateEntered,
    Warned,
)
from ginnel.core.occ import OCC_MAGIC, exit_payload
from ginnel.options.model import (
    AuthRetry,
    ClientOptions,
    LoginOptions,
    PullFilter,
    PullVerdict,
)
from tests.sim.pair import SimPair, client_options, credentials, profile
from tests.sim.server import ServerScript


def login_options(retry: AuthRetry) -> ClientOptions:
    return replace(
        client_options(profile()), login=LoginOptions(auth_user_pass=True, auth_retry=retry)
    )


def refused(text: str, retry: AuthRetry = AuthRetry.NONE) -> SimPair:
    """A pair whose server answers the login with ``text``."""
    pair = SimPair(
        options=login_options(retry),
        credentials=credentials(),
        script=ServerScript(after_exchange=[text], silent_to_push=True),
    )
    pair.start()
    pair.until(lambda: pair.ended is not None, within=10.0)
    return pair


@pytest.mark.parametrize(
    ("retry", "outcome", "forget"),
    [
        (AuthRetry.NONE, Outcome.TERMINATE, False),
        (AuthRetry.NOINTERACT, Outcome.RESTART, False),
        (AuthRetry.INTERACT, Outcome.RESTART, True),
    ],
)
def test_refused_login_follows_auth_retry(retry: AuthRetry, outcome: Outcome, forget: bool) -> None:
    ended = refused("AUTH_FAILED,wrong password", retry).ended
    assert ended is not None
    assert ended.outcome is outcome
    assert ended.signal_text == "auth-failure"
    assert ended.auth_failed == "wrong password"
    assert ended.forget_credentials is forget
    assert ended.advance is Advance.SAME


@pytest.mark.parametrize(
    ("text", "advance", "backoff"),
    [
        ("AUTH_FAILED,TEMP", Advance.SAME, None),
        ("AUTH_FAILED,TEMP[backoff 42,advance addr]:later", Advance.NEXT_ADDRESS, 42.0),
        ("AUTH_FAILED,TEMP[advance remote]", Advance.NEXT_REMOTE, None),
        ("AUTH_FAILED,TEMP[backoff 999999,advance no]:x", Advance.SAME, 300.0),
    ],
)
def test_temporary_refusal_restarts(text: str, advance: Advance, backoff: float | None) -> None:
    ended = refused(text).ended
    assert ended is not None
    assert ended.outcome is Outcome.RESTART
    assert ended.signal_text == "auth-temp-failure (server temporary reject)"
    assert ended.advance is advance
    assert ended.backoff == backoff
    assert not ended.forget_credentials


def test_refusal_of_a_token_is_told_apart() -> None:
    push = (
        "PUSH_REPLY,ifconfig 10.8.0.2 255.255.255.0,topology subnet,peer-id 0,"
        "auth-token SESS_ID_AT_xyz,protocol-flags tls-ekm"
    )
    pair = SimPair(
        options=login_options(AuthRetry.NONE),
        credentials=credentials(),
        script=ServerScript(push=[push], dynamic_crypt=False),
    )
    pair.connect()
    received = [notice.text for notice in pair.notices if isinstance(notice, PushReceived)]
    assert "SESS_ID_AT_xyz" not in "".join(received)
    pair.server_acts(pair.server.soft_reset)
    pair.until(lambda: len(pair.server.logins) == 2, within=5.0)
    assert pair.server.logins[1] == ("user", b"SESS_ID_AT_xyz")
    pair.server_acts(lambda now: pair.server.say("AUTH_FAILED,SESSION: expired", now))
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "auth-failure (auth-token)"
    assert pair.ended.outcome is Outcome.RESTART


def test_a_token_serves_the_next_connection_until_it_is_refused() -> None:
    push = "PUSH_REPLY,ifconfig 10.8.0.2 10.8.0.1,peer-id 0,auth-token SESS_ID_AT_xyz"
    first = SimPair(
        options=login_options(AuthRetry.NONE),
        credentials=credentials(),
        script=ServerScript(push=[push], ekm=False, dynamic_crypt=False),
    )
    first.connect()
    first.server_says("RESTART,[P]")
    first.until(lambda: first.ended is not None, within=5.0)
    token = first.client.token
    assert token == credentials(password=b"SESS_ID_AT_xyz")
    second = SimPair(
        options=login_options(AuthRetry.NONE),
        token=token,
        script=ServerScript(after_exchange=["AUTH_FAILED,SESSION: expired"], silent_to_push=True),
    )
    second.start()
    second.until(lambda: second.ended is not None, within=5.0)
    assert second.server.logins == [("user", b"SESS_ID_AT_xyz")]
    assert second.ended is not None
    assert second.ended.signal_text == "auth-failure (auth-token)"
    assert second.client.token is None


def test_a_restart_that_forgets_the_password_keeps_the_token() -> None:
    """A server that goes tells all its clients so; the token stands in for the password."""
    pair = SimPair(options=login_options(AuthRetry.NONE), token=credentials())
    pair.connect()
    pair.server_says("RESTART")
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.client.token == credentials()


@pytest.mark.parametrize("text", ["RESTART", "HALT,go", "AUTH_FAILED"])
def test_peers_without_pull_give_no_orders(text: str) -> None:
    info = "IV_VER=2.6.14\nIV_CIPHERS=AES-256-GCM\nIV_PROTO=42\n"
    pair = SimPair(
        options=replace(client_options(profile()), pull=False),
        script=ServerScript(peer_info=info, silent_to_push=True, dynamic_crypt=False),
    )
    pair.connect()
    pair.server_says(text)
    pair.advance(1.0)
    assert pair.ended is None


def test_auth_pending_over_and_over_does_not_wait_for_ever() -> None:
    pair = SimPair(script=ServerScript(silent_to_push=True))
    pair.start()
    for _ in range(200):
        pair.advance(10.0)
        if pair.ended is not None:
            break
        pair.server_says("AUTH_PENDING,timeout 60")
    assert pair.ended is not None
    assert pair.ended.signal_text == "no-push-reply"
    assert pair.now - 1000.0 == pytest.approx(1800.0, abs=15.0)


def test_a_token_keeps_the_user_name_that_auth_nocache_forgets() -> None:
    push = (
        "PUSH_REPLY,ifconfig 10.8.0.2 255.255.255.0,topology subnet,peer-id 0,"
        "auth-token SESS_ID_AT_xyz,protocol-flags tls-ekm"
    )
    options = login_options(AuthRetry.NONE)
    options = replace(options, login=replace(options.login, auth_nocache=True))
    pair = SimPair(
        options=options,
        credentials=credentials(),
        script=ServerScript(push=[push], dynamic_crypt=False),
    )
    pair.connect()
    pair.server_acts(pair.server.soft_reset)
    pair.until(lambda: len(pair.server.logins) == 2, within=5.0)
    assert pair.server.logins[1] == ("user", b"SESS_ID_AT_xyz")


def test_a_forgotten_password_is_asked_for_at_the_next_key() -> None:
    pair = SimPair(options=login_options(AuthRetry.NONE), credentials=credentials())
    pair.connect()
    pair.client.forget_login()
    pair.server_acts(pair.server.soft_reset)
    pair.until(lambda: any(isinstance(a, AskCredentials) for a in pair.actions), within=5.0)


def test_an_answer_to_the_server_goes_out_once_there_is_a_session() -> None:
    pair = SimPair(script=ServerScript(after_exchange=["AUTH_PENDING,timeout 60"]))
    assert not pair.client.respond("eA==", pair.now)
    pair.start()
    states = pair.notices
    pair.until(lambda: any(isinstance(notice, LoginPending) for notice in states), within=5.0)
    assert pair.client.respond("eA==", pair.now)
    pair.until(lambda: "CR_RESPONSE,eA==" in pair.server.messages, within=5.0)
    pair.close()
    assert not pair.client.respond("eA==", pair.now)


def test_auth_pending_extends_the_wait() -> None:
    script = ServerScript(after_exchange=["AUTH_PENDING,timeout 300"], silent_to_push=True)
    pair = SimPair(script=script)
    pair.start()
    pair.advance(250.0)
    assert pair.ended is None
    states = [notice.state for notice in pair.notices if isinstance(notice, StateEntered)]
    assert ManagementState.AUTH_PENDING in states
    # The server may still decide in favour.
    pair.server_acts(lambda now: pair.server.say("PUSH_REPLY,ifconfig 10.8.0.2 10.8.0.1", now))
    pair.until(lambda: pair.is_connected, within=5.0)


def test_auth_pending_is_capped() -> None:
    script = ServerScript(after_exchange=["AUTH_PENDING,timeout 900000"], silent_to_push=True)
    pair = SimPair(script=script)
    pair.start()
    pair.until(lambda: pair.ended is not None, within=1802.0)  # half of reneg-sec
    assert pair.ended is not None
    assert pair.ended.signal_text == "no-push-reply"


@pytest.mark.parametrize(
    ("text", "signal", "outcome", "advance", "forget"),
    [
        ("RESTART", "server-pushed-connection-reset", Outcome.RESTART, Advance.SAME, True),
        (
            "RESTART,[N]bye",
            "server-pushed-connection-reset",
            Outcome.RESTART,
            Advance.NEXT_REMOTE,
            True,
        ),
        ("RESTART,[P]", "server-pushed-connection-reset", Outcome.RESTART, Advance.SAME, False),
        ("HALT,go away", "server-pushed-halt", Outcome.TERMINATE, Advance.SAME, True),
        ("EXIT", "remote-exit", Outcome.RESTART, Advance.NEXT_ADDRESS, False),
    ],
)
def test_server_ends_the_connection(
    text: str, signal: str, outcome: Outcome, advance: Advance, forget: bool
) -> None:
    pair = SimPair()
    pair.connect()
    pair.server_says(text)
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert (pair.ended.signal_text, pair.ended.outcome) == (signal, outcome)
    assert (pair.ended.advance, pair.ended.forget_credentials) == (advance, forget)


def test_info_and_unknown_messages_are_passed_on() -> None:
    pair = SimPair()
    pair.connect()
    for text in ("INFO,hello", "INFO_PRE,CR_TEXT:R:code?", "ACC,foo,1,A,x"):
        pair.server_says(text)
    pair.advance(1.0)
    told = [(n.keyword, n.text) for n in pair.notices if isinstance(n, ControlMessage)]
    assert ("INFO", "hello") in told
    assert ("INFO_PRE", "CR_TEXT:R:code?") in told
    assert ("ACC", "foo,1,A,x") in told
    assert pair.ended is None


def test_continued_push_is_put_together() -> None:
    parts = [
        "PUSH_REPLY,route 10.1.0.0 255.255.0.0,push-continuation 2",
        "PUSH_REPLY,route 10.2.0.0 255.255.0.0,push-continuation 2",
        "PUSH_REPLY,ifconfig 10.8.0.2 255.255.255.0,topology subnet,peer-id 0,"
        "protocol-flags tls-ekm,push-continuation 1",
    ]
    pair = SimPair(script=ServerScript(push=parts, dynamic_crypt=False))
    pair.connect()
    imported = [n.options for n in pair.notices if isinstance(n, OptionsImported)]
    assert len(imported) == 1
    assert [str(route.network) for route in imported[0].routes.routes] == [
        "10.1.0.0/16",
        "10.2.0.0/16",
    ]


def test_pushed_nonsense_is_refused_one_by_one() -> None:
    push = "PUSH_REPLY,up /bin/evil,route nonsense,ifconfig 10.8.0.2 10.8.0.1,peer-id 0"
    pair = SimPair(script=ServerScript(push=[push], ekm=False, dynamic_crypt=False))
    pair.connect()
    assert len(pair.told(PushOptionRefused)) == 2


def test_pull_filter_reject_ends_the_attempt() -> None:
    options = replace(
        client_options(profile()),
        pull_filters=(PullFilter(verdict=PullVerdict.REJECT, prefix="route-gateway"),),
    )
    pair = SimPair(options=options)
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "process-push-msg-failed"
    assert "route-gateway" in pair.ended.explanation


@pytest.mark.parametrize(
    ("pushed", "why"),
    [
        ("topology subnet,ifconfig 10.8.0.6 10.8.0.5", "must be a netmask"),
        ("ifconfig 192.0.2.1 10.8.0.5", "its own address 192.0.2.1 as ours"),
        ("ifconfig 0.0.0.0 10.8.0.5", "cannot be the address of a tunnel"),
    ],
)
def test_addresses_that_cannot_be_end_the_attempt_before_the_host_is_touched(
    pushed: str, why: str
) -> None:
    push = f"PUSH_REPLY,{pushed},peer-id 0,protocol-flags tls-ekm"
    pair = SimPair(script=ServerScript(push=[push], dynamic_crypt=False))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "process-push-msg-failed"
    assert why in pair.ended.explanation
    assert not [action for action in pair.actions if isinstance(action, OpenTunnel)]


def test_cipher_that_is_not_allowed_ends_the_attempt() -> None:
    push = "PUSH_REPLY,ifconfig 10.8.0.2 10.8.0.1,peer-id 0,cipher BF-CBC"
    pair = SimPair(script=ServerScript(push=[push]))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "process-push-msg-failed"
    assert "BF-CBC" in pair.ended.explanation
    assert "data-ciphers" in pair.ended.explanation


@pytest.mark.parametrize(
    ("event", "signal", "outcome"),
    [
        (PeerSilent(), "ping-restart", Outcome.RESTART),
        (Inactive(), "inactive", Outcome.TERMINATE),
        (TunLost(errno=19), "tun-stop", Outcome.RESTART),
        (DecryptFailed(), "decryption-error", Outcome.RESTART),
        (
            OccReceived(payload=exit_payload()),
            "remote-exit",
            Outcome.RESTART,
        ),
    ],
)
def test_reports_of_the_data_plane_end_the_connection(
    event: DataPlaneEvent, signal: str, outcome: Outcome
) -> None:
    pair = SimPair()
    pair.connect()
    pair.report(event)
    assert pair.ended is not None
    assert (pair.ended.signal_text, pair.ended.outcome) == (signal, outcome)


def test_link_errors_on_udp_are_told_once_and_end_nothing() -> None:
    pair = SimPair()
    pair.connect()
    for errno in (111, 111, 101, 113):
        pair.report(LinkLost(errno=errno))
    assert pair.ended is None
    (warned,) = pair.told(Warned)
    assert "[ECONNREFUSED]" in str(warned)


@pytest.mark.parametrize("errno", [101, 99])
def test_no_way_to_the_remote_moves_on_at_once(errno: int) -> None:
    """Only before the server was heard: later the tunnel waits for the network to come back."""
    pair = SimPair()
    pair.start()
    pair.report(LinkLost(errno=111))
    assert pair.told(Ended) == []
    pair.report(LinkLost(errno=errno))
    assert pair.ended is not None
    assert (pair.ended.signal_text, pair.ended.outcome) == ("network-unreachable", Outcome.RESTART)
    assert pair.ended.advance is Advance.NEXT_ADDRESS
    assert "this machine has no" in pair.ended.explanation


def test_a_refusal_is_shown_as_it_was_sent() -> None:
    pair = refused("AUTH_FAILED,TEMP[backoff 1,advance no]:come back later")
    shown = [(n.keyword, n.text) for n in pair.notices if isinstance(n, ControlMessage)]
    assert shown == [("AUTH_FAILED", "TEMP[backoff 1,advance no]:come back later")]


def test_occ_request_is_answered_inside_the_tunnel() -> None:
    pair = SimPair()
    pair.connect()
    pair.report(OccReceived(payload=OCC_MAGIC + b"\x00"))
    sent = [action.payload for action in pair.actions if isinstance(action, SendInner)]
    assert len(sent) == 1
    assert sent[0].startswith(OCC_MAGIC + b"\x01V4,dev-type tun,")
    pair.report(OccReceived(payload=OCC_MAGIC))
    pair.report(OccReceived(payload=b""))
    pair.report(OccReceived(payload=OCC_MAGIC + b"\xff"))
    assert pair.client.drops["occ"] == 3


def test_session_timeout_ends_the_connection() -> None:
    options = client_options(profile())
    options = replace(options, link=replace(options.link, session_timeout=500))
    pair = SimPair(options=options)
    pair.connect()
    began = pair.now
    pair.until(lambda: pair.ended is not None, within=501.0)
    assert pair.now - began == pytest.approx(500.0, abs=0.1)
    assert pair.ended is not None
    assert pair.ended.signal_text == "session-timeout"


def test_silence_before_the_tunnel_counts_too() -> None:
    connection = profile()
    options = client_options(connection)
    options = replace(options, link=replace(options.link, ping_restart=20))
    pair = SimPair(connection=connection, options=options, script=ServerScript(silent=True))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=21.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "ping-restart"


def notifying(count: int) -> SimPair:
    connection = replace(profile(), explicit_exit_notify=count)
    return SimPair(connection=connection, script=ServerScript())


def test_leaving_says_exit_on_the_control_channel() -> None:
    pair = notifying(1)
    pair.connect()
    pair.close()
    pair.until(lambda: pair.ended is not None, within=2.0)
    assert pair.ended is not None
    assert pair.ended.signal_text == "exit-with-notification"
    assert pair.server.messages[-1] == "EXIT"


def test_leaving_does_not_wait_for_a_server_that_is_gone() -> None:
    pair = notifying(3)
    pair.connect()
    pair.up.cut = True
    pair.close()
    began = pair.now
    pair.until(lambda: pair.ended is not None, within=4.0)
    assert pair.now - began == pytest.approx(3.0, abs=0.1)


def test_leaving_without_cc_exit_sends_occ_exit_each_second() -> None:
    connection = replace(profile(), explicit_exit_notify=2)
    push = "PUSH_REPLY,ifconfig 10.8.0.2 10.8.0.1,peer-id 0,cipher AES-256-GCM"
    pair = SimPair(connection=connection, script=ServerScript(push=[push], ekm=False))
    pair.connect()
    began = pair.now
    pair.close()
    pair.until(lambda: pair.ended is not None, within=3.0)
    sent = [action.payload for action in pair.actions if isinstance(action, SendInner)]
    assert sent == [exit_payload()] * 2
    assert pair.now - began == pytest.approx(2.0, abs=0.1)


def test_leaving_without_notice_is_immediate() -> None:
    pair = SimPair()
    pair.connect()
    pair.close("SIGTERM")
    assert pair.ended is not None
    assert pair.ended.signal_text == "SIGTERM"
    assert pair.ended.explanation == ""


def test_restart_by_the_user_says_nothing_to_the_server() -> None:
    pair = notifying(1)
    pair.connect()
    pair.client.close("SIGUSR1", pair.now, outcome=Outcome.RESTART)
    pair.advance(1.0)
    assert pair.ended is not None
    assert pair.ended.outcome is Outcome.RESTART
    assert "EXIT" not in pair.server.messages
