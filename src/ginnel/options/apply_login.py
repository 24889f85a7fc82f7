"""What the options of user name and password do. Rows in ``rows.tls``."""

import binascii

from ginnel.dataclass import replace
from ginnel.options.draft import Draft, Handler, LoginDraft, Use
from ginnel.options.files import INLINE_WORD, FileRef
from ginnel.options.model import AuthRetry, StaticChallenge
from ginnel.options.values import Secret

MAX_TOKEN_BYTES = 4096
USERNAME_ONLY = "username-only"


def _auth_user_pass(draft: Draft, use: Use) -> None:
    draft.set_field("login.auth_user_pass", True)
    word = use.text(0)
    login = LoginDraft(username_only=word == USERNAME_ONLY)
    if use.inline is not None or (use.words and word not in {USERNAME_ONLY, "stdin"}):
        path = None if use.inline is not None else word
        ref = FileRef(option=use.row.name, origin=use.origin, path=path, inline=use.inline)
        login = LoginDraft(file=ref)
        earlier = draft.profile.login if draft.in_block else draft.login
        if word == INLINE_WORD and earlier is not None and earlier.file is not None:
            login = earlier if earlier.file.inline is not None else login
    if draft.in_block:
        draft.profile = replace(draft.profile, login=login)
    else:
        draft.login = login


def _auth_retry(draft: Draft, use: Use) -> None:
    draft.set_field("login.auth_retry", AuthRetry(use.text(0)))


def _auth_token(draft: Draft, use: Use) -> None:
    token = use.text(0).encode("utf-8", "surrogateescape")
    if not 1 <= len(token) <= MAX_TOKEN_BYTES:
        raise use.wrong(f"expected a token of at most {MAX_TOKEN_BYTES} bytes")
    draft.set_field("login.auth_token", Secret(token))


def _auth_token_user(draft: Draft, use: Use) -> None:
    try:
        name = binascii.a2b_base64(use.text(0).encode(), strict_mode=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise use.wrong("expected a user name in base64") from error
    if not 1 <= len(name) <= 1024 or not name.isprintable():
        raise use.wrong("expected a printable user name in base64")
    draft.set_field("login.auth_token_user", name)


def _static_challenge(draft: Draft, use: Use) -> None:
    text = use.text(0)
    if not text or not text.isprintable():
        raise use.wrong("expected a question of printable characters")
    challenge = StaticChallenge(
        text=text, echo=use.text(1) == "1", concatenate=use.text(2) == "concat"
    )
    draft.set_field("login.static_challenge", challenge)


HANDLERS: dict[str, Handler] = {
    "auth-user-pass": _auth_user_pass,
    "auth-retry": _auth_retry,
    "auth-token": _auth_token,
    "auth-token-user": _auth_token_user,
    "static-challenge": _static_challenge,
}
