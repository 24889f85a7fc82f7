"""What the options about who may in set."""

import pytest

from ginnel.options import apply_access
from ginnel.options.errors import ConfigError
from ginnel.options.server_model import ScriptMethod, VerifyClientCert
from tests.unit.options.memory_files import NET, serve


def test_a_script_judges_passwords() -> None:
    access = serve(*NET, "--auth-user-pass-verify", "/bin/x 'a b'", "via-env").options.access
    assert access.auth_user_pass_verify == ("/bin/x", "a b")
    assert access.auth_user_pass_method is ScriptMethod.VIA_ENV
    assert access.asks_password


@pytest.mark.parametrize(
    ("words", "lifetime", "renewal", "external"),
    [
        ((), 0, None, False),
        (("3600",), 3600, None, False),
        (("3600", "600"), 3600, 600, False),
        (("3600", "external-auth"), 3600, None, True),
        (("0", "600", "external-auth"), 0, 600, True),
    ],
)
def test_forms_of_tokens(
    words: tuple[str, ...], lifetime: int, renewal: int | None, external: bool
) -> None:
    token = serve(*NET, "--auth-gen-token", *words).options.access.token
    assert token is not None
    assert (token.lifetime, token.renewal, token.external) == (lifetime, renewal, external)


@pytest.mark.parametrize("words", [("1", "x"), ("1", "2", "x"), ("1", "600", "600"), ("x",)])
def test_other_forms_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="auth-gen-token"):
        serve(*NET, "--auth-gen-token", *words)


def test_certificates_can_be_left_to_choice() -> None:
    words = ("--ginnel-authenticator", "pam", "--verify-client-cert")
    assert serve(*NET, *words).options.access.verify_client_cert is VerifyClientCert.REQUIRE
    access = serve(*NET, *words, "optional").options.access
    assert access.verify_client_cert is VerifyClientCert.OPTIONAL


def test_authenticators_come_in_order_and_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--ginnel-authenticator", "pam", "login", "--ginnel-authenticator", "htpasswd", "f")
    access = serve(*NET, *words).options.access
    assert access.authenticators == (("pam", "login"), ("htpasswd", "f"))
    monkeypatch.setattr(apply_access, "MAX_AUTHENTICATORS", 1)
    with pytest.raises(ConfigError, match="more than 1 authenticators"):
        serve(*NET, *words)
