"""What each end leads to, and the sentences for a server that says nothing."""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core import client_end as end
from ginnel.core.messages import AuthFailed, DynamicChallenge, Restart
from ginnel.core.notices import Outcome
from ginnel.core.types import Endpoint
from ginnel.options.model import (
    ControlWrapping,
    KeyDirection,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
    TlsOptions,
)
from tests.sim.pair import STATIC_KEY, client_options, profile

REMOTE = Endpoint(ip_address("192.0.2.1"), 1194)


def test_tls_errors_follow_tls_exit() -> None:
    options = client_options(profile())
    assert end.tls_error(options, "x").outcome is Outcome.RESTART
    strict = replace(options, tls=TlsOptions(tls_exit=True))
    stopped = end.tls_error(strict, "x")
    assert (stopped.outcome, stopped.signal_text) == (Outcome.TERMINATE, "tls-error")
    assert not stopped.hard_error  # a real client exits with status 0 here


def test_challenge_is_kept_for_the_next_login() -> None:
    challenge = DynamicChallenge(
        echo=True, response_required=True, state_id="id", username="u", text="code?"
    )
    text = "CRV1:R,E:id:dQ==:code?"
    message = AuthFailed(reason=text, challenge=challenge, text=text)
    ended = end.auth_failed(message, client_options(profile()), profile(), token_in_use=False)
    assert (ended.auth_failed, ended.challenge) == (text, challenge)
    assert "--auth-retry interact" in ended.explanation
    assert ended.outcome is Outcome.TERMINATE  # auth-retry none


def test_a_restart_forgets_the_password_and_keeps_the_token() -> None:
    """As OpenVPN does: its server sends RESTART to everybody when it goes."""
    ended = end.told_to_restart(Restart())
    assert ended.forget_credentials
    assert not end.voids_token(ended)
    refused = AuthFailed(reason="no", text="no")
    options = client_options(profile())
    assert end.voids_token(end.auth_failed(refused, options, profile(), token_in_use=True))


@pytest.mark.parametrize(
    ("wrapping", "word"),
    [
        (TlsAuth(key=STATIC_KEY, direction=KeyDirection.NONE, digest="SHA1"), "tls-auth key"),
        (TlsCrypt(key=STATIC_KEY), "tls-crypt key"),
        (TlsCryptV2(key=STATIC_KEY), "tls-crypt-v2 key"),
        (PlainWrapping(), "which this profile does not have"),
    ],
)
def test_silence_names_the_likely_causes(wrapping: ControlWrapping, word: str) -> None:
    said = end.explain_silence(REMOTE, wrapping, 60, Counter())
    assert word in said
    assert "[AF_INET]192.0.2.1:1194" in said
    assert "60 seconds" in said


def test_what_was_dropped_says_more_than_silence() -> None:
    wrapping = TlsCrypt(key=STATIC_KEY)
    said = end.explain_silence(REMOTE, wrapping, 60, Counter(hmac=3))
    assert "3 packets" in said
    assert "another tls-crypt key" in said
    assert "clocks" in end.explain_silence(REMOTE, wrapping, 60, Counter(replay=1))


def test_link_errors_are_named() -> None:
    said = end.explain_link_error(REMOTE, 111)
    assert said.startswith("read UDPv4 [ECONNREFUSED]: Connection refused")
    assert end.explain_link_error(REMOTE, 9999).endswith("(code=9999)")
