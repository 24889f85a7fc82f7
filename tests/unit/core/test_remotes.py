"""The walk over remotes and addresses, and its pauses."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.errors import LocalMisuse
from ginnel.core.notices import Advance, Ended, Outcome
from ginnel.core.remotes import GiveUp, Pause, RemoteCursor
from ginnel.core.types import Endpoint
from ginnel.options.model import (
    AuthRetry,
    ClientOptions,
    ConnectionProfile,
    LinkOptions,
    LoginOptions,
)
from tests.sim.pair import profile

ONE = Endpoint(ip_address("192.0.2.1"), 1194)
TWO = Endpoint(ip_address("192.0.2.2"), 1194)


def ended(
    advance: Advance = Advance.NEXT_ADDRESS,
    *,
    signal: str = "ping-restart",
    backoff: float | None = None,
    auth_failed: str | None = None,
) -> Ended:
    return Ended(
        auth_failed=auth_failed,
        outcome=Outcome.RESTART,
        signal_text=signal,
        advance=advance,
        explanation="",
        backoff=backoff,
    )


def remotes(*hosts: str) -> tuple[ConnectionProfile, ...]:
    return tuple(replace(profile(), host=host) for host in hosts)


def reverse(profiles: Sequence[ConnectionProfile]) -> Sequence[ConnectionProfile]:
    return list(reversed(profiles))


def cursor(options: ClientOptions) -> RemoteCursor:
    return RemoteCursor(options, shuffle=reverse)


def attempt(walk: RemoteCursor, end: Ended | None = None) -> Pause | GiveUp:
    """One failed attempt, resolved when need be."""
    if walk.needs_addresses:
        walk.resolved([ONE])
    gave_up = walk.begin()
    return gave_up or walk.after(end or ended())


def test_addresses_come_before_the_next_remote_and_the_list_wraps() -> None:
    walk = cursor(ClientOptions(profiles=remotes("a", "b")))
    seen = []
    for _ in range(5):
        if walk.needs_addresses:
            walk.resolved([ONE, TWO])
        seen.append((walk.profile.host, walk.address))
        walk.begin()
        walk.after(ended())
    assert seen == [("a", ONE), ("a", TWO), ("b", ONE), ("b", TWO), ("a", ONE)]


@pytest.mark.parametrize(
    ("advance", "host", "address"),
    [
        (Advance.SAME, "a", ONE),
        (Advance.NEXT_ADDRESS, "a", TWO),
        (Advance.NEXT_REMOTE, "b", None),
    ],
)
def test_the_end_says_where_to_go(advance: Advance, host: str, address: Endpoint | None) -> None:
    walk = cursor(ClientOptions(profiles=remotes("a", "b")))
    walk.resolved([ONE, TWO])
    walk.begin()
    walk.after(ended(advance))
    assert walk.profile.host == host
    assert walk.needs_addresses is (address is None)
    if address is not None:
        assert walk.address == address


def test_shuffle_is_asked_only_with_remote_random() -> None:
    profiles = remotes("a", "b", "c")
    plain = cursor(ClientOptions(profiles=profiles))
    assert [p.host for p in plain.profiles] == ["a", "b", "c"]
    random = cursor(ClientOptions(profiles=profiles, link=LinkOptions(remote_random=True)))
    assert [p.host for p in random.profiles] == ["c", "b", "a"]


def test_pause_doubles_after_five_tries_up_to_the_cap() -> None:
    walk = cursor(ClientOptions(profiles=remotes("a")))
    pauses = [attempt(walk) for _ in range(16)]
    assert pauses[:9] == [
        Pause(1.0),
        Pause(1.0),
        Pause(1.0),
        Pause(1.0),
        Pause(2.0),
        Pause(4.0),
        Pause(8.0),
        Pause(16.0),
        Pause(32.0),
    ]
    assert pauses[-1] == Pause(300.0)


def test_five_tries_are_counted_for_each_remote() -> None:
    walk = cursor(ClientOptions(profiles=remotes("a", "b")))
    pauses = [attempt(walk) for _ in range(11)]
    assert pauses[:9] == [Pause(1.0)] * 9
    assert pauses[9:] == [Pause(2.0), Pause(2.0)]


def test_success_starts_the_count_anew() -> None:
    walk = cursor(ClientOptions(profiles=remotes("a")))
    for _ in range(9):
        attempt(walk)
    walk.resolved([ONE])
    walk.begin()
    walk.connected()
    assert walk.after(ended()) == Pause(1.0)


def test_server_asked_backoff_is_honoured_within_the_cap() -> None:
    walk = cursor(ClientOptions(profiles=remotes("a")))
    assert attempt(walk, ended(backoff=42.0)) == Pause(42.0)
    assert attempt(walk, ended(backoff=9999.0)) == Pause(300.0)


def test_server_poll_has_no_pause() -> None:
    walk = cursor(ClientOptions(profiles=remotes("a")))
    assert attempt(walk, ended(signal="server_poll")) == Pause(0.0)


def test_nointeract_starts_at_ten_seconds() -> None:
    login = LoginOptions(auth_retry=AuthRetry.NOINTERACT)
    walk = cursor(ClientOptions(profiles=remotes("a"), login=login))
    assert attempt(walk) == Pause(10.0)


def test_connect_retry_max_gives_up_after_that_many_rounds() -> None:
    link = LinkOptions(connect_retry_max=2)
    walk = cursor(ClientOptions(profiles=remotes("a", "b"), link=link))
    outcomes = [attempt(walk) for _ in range(4)]
    assert [type(outcome) for outcome in outcomes] == [Pause, Pause, Pause, GiveUp]
    last = outcomes[-1]
    assert isinstance(last, GiveUp)
    assert "connect-retry-max (2)" in last.explanation
    assert isinstance(walk.begin(), GiveUp)


def test_names_that_do_not_resolve_count_and_move_on() -> None:
    link = LinkOptions(connect_retry_max=1)
    walk = cursor(ClientOptions(profiles=remotes("a", "b"), link=link))
    assert isinstance(walk.unresolvable(), Pause)
    assert walk.profile.host == "b"
    assert isinstance(walk.unresolvable(), Pause)
    assert isinstance(walk.unresolvable(), GiveUp)


def test_misuse_is_told() -> None:
    with pytest.raises(LocalMisuse):
        cursor(ClientOptions(profiles=()))
    walk = cursor(ClientOptions(profiles=remotes("a")))
    with pytest.raises(LocalMisuse):
        walk.address  # noqa: B018 -- asking is the mistake
    with pytest.raises(LocalMisuse):
        walk.resolved([])


def test_remotes_that_are_ruled_out_are_passed_over_and_keep_their_numbers() -> None:
    off = replace(profile(), host="off", enabled=False)
    one, two = remotes("a", "b")
    options = ClientOptions(profiles=(off, one, off, two), link=LinkOptions(connect_retry_max=1))
    walk = cursor(options)
    seen = []
    for _ in range(2):
        seen.append((walk.number, walk.profile.host))
        attempt(walk, ended(Advance.NEXT_REMOTE))
    assert seen == [(2, "a"), (4, "b")]
    assert isinstance(attempt(walk), GiveUp)
    with pytest.raises(LocalMisuse):
        cursor(ClientOptions(profiles=(off,)))


@pytest.mark.parametrize(
    "end",
    [
        ended(Advance.SAME, signal="auth-failure", auth_failed=""),
        ended(Advance.SAME, signal="server-pushed-connection-reset"),
    ],
)
def test_a_server_that_answers_is_asked_again_at_the_plain_pace(end: Ended) -> None:
    options = ClientOptions(profiles=remotes("a"), link=LinkOptions(connect_retry_max=3))
    walk = cursor(options)
    assert [attempt(walk, end) for _ in range(20)] == [Pause(1.0)] * 20
    assert isinstance([attempt(walk) for _ in range(4)][-1], GiveUp)
