"""Tokens in place of passwords: what is issued is accepted, for as long as it shall be."""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from ginnel.core.auth_token import (
    PREFIX,
    SESSION_ID_LENGTH,
    JudgedToken,
    TokenIssuer,
    TokenSession,
    is_token,
)
from ginnel.core.errors import ConfigError
from ginnel.core.server_actions import TokenState
from ginnel.options.server_model import TokenOptions
from ginnel.options.values import FileContent, Origin, Secret

VECTORS = Path(__file__).parents[2] / "vectors" / "server_scripts"
NOW = 1_700_000_000
ENTROPY = bytes(range(SESSION_ID_LENGTH))


def issuer(
    *, lifetime: int = 0, renewal: int | None = None, process_key: bytes = bytes(128)
) -> TokenIssuer:
    options = TokenOptions(lifetime=lifetime, renewal=renewal)
    return TokenIssuer(options, reneg_sec=3600, hand_window=60, process_key=Secret(process_key))


def recorded(name: str) -> tuple[TokenIssuer, Secret, list[dict[str, str]]]:
    """A real server's key, its last token for ``ada`` and what its script was told each time."""
    vector = json.loads((VECTORS / f"{name}.json").read_text())
    secret = FileContent(
        option="auth-gen-token-secret",
        origin=Origin("server.conf", 1),
        path="token.key",
        content=Secret(vector["token_key"].encode()),
    )
    options = TokenOptions(renewal=200, secret=secret)
    made = TokenIssuer(options, reneg_sec=6, hand_window=60, process_key=Secret(b""))
    told = [call["environment"] for call in vector["calls"] if call["hook"] == "user-pass-verify"]
    return made, Secret(vector["tokens"][-1].encode()), told


@pytest.mark.parametrize("name", ["passwords-via-env", "passwords-via-file"])
def test_tokens_of_openvpn_are_accepted_and_made_alike(name: str) -> None:
    made, token, told = recorded(name)
    issued = int.from_bytes(b64decode(token.reveal()[len(PREFIX) :])[20:28], "big")
    judged = made.judge("ada", token, issued + 399)
    assert judged.is_good
    assert judged.session is not None
    assert judged.session.text == told[0]["session_id"]
    assert told[0]["session_state"] == TokenState.INITIAL.value
    assert made.issue("ada", judged.session, issued) == token
    assert made.judge("ada", token, issued + 400).state is TokenState.EXPIRED
    assert made.judge("bob", token, issued).state is TokenState.INVALID


def test_what_openvpn_called_a_good_token_is_one() -> None:
    made, _token, told = recorded("passwords-via-env")
    again = told[-1]
    assert again["session_state"] == TokenState.AUTHENTICATED.value
    token = Secret(again["password"].encode())
    issued = int.from_bytes(b64decode(token.reveal()[len(PREFIX) :])[20:28], "big")
    assert made.judge(again["username"], token, issued + 6).state is TokenState.AUTHENTICATED


def judged(
    made: TokenIssuer, token: Secret, later: int, known: TokenSession | None = None
) -> JudgedToken:
    return made.judge("ada", token, NOW + later, known)


def test_a_token_names_its_session_and_is_accepted_for_twice_the_renewal_time() -> None:
    made = issuer(renewal=600)
    token = made.issue("ada", made.begin(ENTROPY, NOW), NOW)
    assert is_token(token)
    assert len(token) == 91
    good = judged(made, token, 1199)
    assert good.is_good
    session = TokenSession(session_id=ENTROPY, began=NOW)
    assert good.session == session
    assert session.text.encode() == token.reveal()[len(PREFIX) :][:16]
    late = judged(made, token, 1200)
    assert late.state is TokenState.EXPIRED
    assert not late.is_good
    assert late.problem == "it was not renewed for 1200 seconds"


def test_a_renewed_token_lives_on_until_the_session_is_too_old() -> None:
    made = issuer(lifetime=2000, renewal=600)
    first = made.begin(ENTROPY, NOW)
    second = made.issue("ada", first, NOW + 1000)
    assert judged(made, second, 2000, first).session == first
    assert judged(made, second, 2000).is_good
    assert judged(made, second, 2001).problem == "its session is older than 2000 seconds"


def test_times_of_a_clock_that_was_changed_expire_a_token() -> None:
    made = issuer()
    session = made.begin(ENTROPY, NOW)
    assert judged(made, made.issue("ada", session, NOW + 5), 4).state is TokenState.EXPIRED
    assert judged(made, made.issue("ada", session, NOW - 5), 4).state is TokenState.EXPIRED


def test_a_token_is_of_one_user_one_key_and_one_session() -> None:
    made = issuer()
    session = made.begin(ENTROPY, NOW)
    token = made.issue("ada", session, NOW)
    assert made.judge("bob", token, NOW).state is TokenState.INVALID
    assert issuer(process_key=bytes(64) + b"x" * 64).judge("ada", token, NOW).session is None
    other = made.begin(bytes(SESSION_ID_LENGTH), NOW)
    assert judged(made, token, 0, other).problem == "it is of another session"
    assert judged(made, token, 0, session).is_good


def test_the_token_of_an_empty_name_says_that_the_name_is_not_to_be_trusted() -> None:
    made = issuer(renewal=600)
    session = TokenSession(session_id=ENTROPY, began=NOW, nobody=True)
    token = made.issue("ada", session, NOW)
    for name in ("ada", "bob"):
        fresh = made.judge(name, token, NOW)
        assert fresh.state is TokenState.EMPTY_USER
        assert fresh.session == session
        assert fresh.username_is_void
        assert not fresh.is_good
    assert made.judge("bob", token, NOW + 1200).state is TokenState.EXPIRED_EMPTY_USER
    # Who has no name sends it empty, and is then its owner.
    assert made.judge("", token, NOW).is_good


@pytest.mark.parametrize(
    "spoilt",
    [
        PREFIX,
        PREFIX + b"A" * 79,
        PREFIX + b"A" * 81,
        PREFIX + b"=" * 80,
        PREFIX + b"*" * 80,
        PREFIX + b"\xff" * 80,
        PREFIX + b"A" * 80,
        PREFIX + b"A" * 4000,
    ],
)
def test_nonsense_is_invalid(spoilt: bytes) -> None:
    assert is_token(Secret(spoilt))
    assert issuer().judge("ada", Secret(spoilt), NOW).state is TokenState.INVALID


def test_each_changed_byte_makes_a_token_invalid() -> None:
    made = issuer()
    token = made.issue("ada", made.begin(ENTROPY, NOW), NOW)
    body = bytearray(b64decode(token.reveal()[len(PREFIX) :]))
    for place in range(len(body)):
        changed = bytearray(body)
        changed[place] ^= 1
        forged = Secret(PREFIX + b64encode(bytes(changed)))
        assert made.judge("ada", forged, NOW).state is TokenState.INVALID


def test_passwords_are_no_tokens() -> None:
    for password in (b"", b"secret", b"SESS_ID", b"sess_id_at_"):
        assert not is_token(Secret(password))


def test_a_token_lasts_longer_than_a_negotiation_takes() -> None:
    assert issuer(renewal=5).renewal == 120
    assert issuer().renewal == 3600


def test_keys_and_entropy_of_the_wrong_size_are_refused() -> None:
    with pytest.raises(ValueError, match="128 bytes"):
        issuer(process_key=bytes(64))
    with pytest.raises(ValueError, match="12 bytes"):
        issuer().begin(b"short", NOW)
    secret = FileContent(
        option="auth-gen-token-secret",
        origin=Origin("server.conf", 3),
        path="token.key",
        content=Secret(b"nothing"),
    )
    with pytest.raises(ConfigError, match="lacks a 'OpenVPN auth-token server key' block"):
        TokenIssuer(
            TokenOptions(secret=secret),
            reneg_sec=3600,
            hand_window=60,
            process_key=Secret(bytes(128)),
        )
