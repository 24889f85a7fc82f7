"""What the options about who may in do: scripts, tokens, authenticators.

Rows in ``rows.server``, ``rows.scripts`` and ``rows.log``.
"""

from ginnel.dataclass import replace
from ginnel.options.draft import Draft, Handler, Use
from ginnel.options.server_model import ScriptMethod, TokenOptions, VerifyClientCert

MAX_AUTHENTICATORS = 16
_EXTERNAL = "external-auth"


def _verify_client_cert(draft: Draft, use: Use) -> None:
    draft.set_field("access.verify_client_cert", VerifyClientCert(use.text(0, "require")))


def _user_pass_verify(draft: Draft, use: Use) -> None:
    command = use.values[0]
    access = replace(
        draft.server.access,
        auth_user_pass_verify=command if isinstance(command, tuple) else (str(command),),
        auth_user_pass_method=ScriptMethod(use.text(1)),
    )
    draft.server = replace(draft.server, access=access)


def _gen_token(draft: Draft, use: Use) -> None:
    """``[lifetime] [renewal] [external-auth]``: the renewal may be left out."""
    words = list(use.words[1:])
    external = bool(words) and words[-1] == _EXTERNAL
    if external:
        words.pop()
    renewal = None
    if words:
        if not words[0].isascii() or not words[0].isdecimal() or len(words[0]) > 10:
            raise use.wrong(f"expected seconds of renewal, or {_EXTERNAL}")
        renewal = int(words[0])
    if len(words) > 1:
        raise use.wrong(f"Invalid argument to auth-gen-token: expected {_EXTERNAL}")
    token = TokenOptions(lifetime=use.number(0), renewal=renewal or None, external=external)
    draft.set_field("access.token", token)


def _authenticator(draft: Draft, use: Use) -> None:
    earlier = draft.server.access.authenticators
    if len(earlier) >= MAX_AUTHENTICATORS:
        raise use.wrong(f"there are more than {MAX_AUTHENTICATORS} authenticators")
    draft.set_field("access.authenticators", (*earlier, use.words))


def _token_secret(draft: Draft, use: Use) -> None:
    draft.refer("server.token_secret", use, use.words[0] if use.words else None)


HANDLERS: dict[str, Handler] = {
    "verify-client-cert": _verify_client_cert,
    "auth-user-pass-verify": _user_pass_verify,
    "auth-gen-token": _gen_token,
    "auth-gen-token-secret": _token_secret,
    "ginnel-authenticator": _authenticator,
}
