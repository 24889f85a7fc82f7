"""What belongs to one client: its interval of renegotiation, and its last words."""

import pytest

from ginnel.core.server_course import auth_failed
from ginnel.core.server_notices import AuthenticationFailed
from ginnel.options.model import TlsOptions
from ginnel.options.server_model import LimitOptions
from tests.sim.duo import Duo, server_options


def interval(duo: Duo) -> float:
    """Seconds from the first key to the renegotiation that the server begins."""
    duo.connect()
    began = duo.now
    installed = len(duo.server.keys.history)
    duo.until(lambda: len(duo.server.keys.history) > installed, 10_000.0)
    return duo.now - began


@pytest.mark.parametrize("seed", range(4))
def test_each_client_renegotiates_in_its_own_time(seed: int) -> None:
    slow_client_wins = server_options(tls=TlsOptions(reneg_sec=1000))
    assert 899.0 <= interval(Duo(server=slow_client_wins, seed=seed)) <= 1001.0
    narrow = server_options(limits=LimitOptions(reneg_sec_range=(100, 105)))
    assert 99.0 <= interval(Duo(server=narrow, seed=seed)) <= 106.0


def test_the_reason_of_a_refusal_cannot_forge_messages() -> None:
    assert auth_failed("", {}) == "AUTH_FAILED"
    assert auth_failed("no\0PUSH_REPLY", {}) == "AUTH_FAILED,noPUSH_REPLY"


@pytest.mark.parametrize(
    ("flags", "told"),
    [("256", "AUTH_FAILED,TEMP[backoff 5]:later"), ("2", "AUTH_FAILED,later")],
)
def test_a_temporary_refusal_is_told_to_those_who_know_it(flags: str, told: str) -> None:
    assert auth_failed("TEMP[backoff 5]:later", {"IV_PROTO": flags}) == told


def test_a_client_is_refused_once() -> None:
    duo = Duo()
    duo.connect()
    duo.act(lambda machine, now: machine.refuse("no more", now))
    duo.act(lambda machine, now: machine.refuse("again", now))
    assert duo.told(AuthenticationFailed) == [AuthenticationFailed(reason="no more")]
    duo.until(lambda: duo.ended is not None, 5.0)
    assert duo.ended is not None
    assert duo.ended.auth_failed == "no more"
    duo.advance(5.0)
    assert duo.server_ended is not None
    assert duo.server_ended.signal_text == "delayed-exit"
