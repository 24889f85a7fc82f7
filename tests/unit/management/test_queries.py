"""Lines that ask and words that answer."""

from ginnel.management.commands import BodyKind, ProxyKind, QueryAnswer
from ginnel.management.queries import (
    AcceptRemote,
    CertificateQuery,
    HoldQuery,
    LoginQuery,
    ModifyRemote,
    NeedOkQuery,
    NeedStrQuery,
    PasswordQuery,
    SignQuery,
    SkipRemote,
    UseProxy,
    proxy_answer,
    remote_answer,
    render_query,
    wanted_body,
    wanted_type,
)
from ginnel.options.model import StaticChallenge


def test_static_challenges_tell_their_flags() -> None:
    def line(*, echo: bool, concatenate: bool) -> str:
        challenge = StaticChallenge(text="PIN?", echo=echo, concatenate=concatenate)
        return render_query(LoginQuery(type_name="Auth", challenge=challenge), 1)

    start = ">PASSWORD:Need 'Auth' username/password SC:"
    assert line(echo=False, concatenate=False) == f"{start}0,PIN?"
    assert line(echo=True, concatenate=False) == f"{start}1,PIN?"
    assert line(echo=False, concatenate=True) == f"{start}2,PIN?"
    assert line(echo=True, concatenate=True) == f"{start}3,PIN?"


def test_the_client_version_decides_how_a_signature_is_asked_for() -> None:
    query = SignQuery(content="QUJD", algorithm="ECDSA")
    assert [render_query(query, version) for version in (1, 2, 3, 5)] == [
        ">RSA_SIGN:QUJD",
        ">PK_SIGN:QUJD",
        ">PK_SIGN:QUJD,ECDSA",
        ">PK_SIGN:QUJD,ECDSA",
    ]


def test_who_answers_what() -> None:
    login = LoginQuery(type_name="Auth")
    key = PasswordQuery(type_name="Private Key")
    assert wanted_type(login, QueryAnswer.USERNAME) == "Auth"
    assert wanted_type(login, QueryAnswer.PASSWORD) == "Auth"
    assert wanted_type(login, QueryAnswer.NEED_OK) is None
    assert wanted_type(key, QueryAnswer.PASSWORD) == "Private Key"
    assert wanted_type(key, QueryAnswer.USERNAME) is None
    assert wanted_type(NeedOkQuery(type_name="a", text="b"), QueryAnswer.NEED_OK) == "a"
    assert wanted_type(NeedStrQuery(type_name="a", text="b"), QueryAnswer.NEED_STR) == "a"
    assert wanted_type(NeedStrQuery(type_name="a", text="b"), QueryAnswer.NEED_OK) is None
    assert wanted_type(HoldQuery(), QueryAnswer.PASSWORD) is None
    assert wanted_type(None, QueryAnswer.PASSWORD) is None


def test_bodies_belong_to_their_queries() -> None:
    sign = SignQuery(content="", algorithm="")
    assert wanted_body(sign) == (BodyKind.PK_SIGNATURE, BodyKind.RSA_SIGNATURE)
    assert wanted_body(CertificateQuery(hint="x")) == (BodyKind.CERTIFICATE,)
    assert wanted_body(HoldQuery()) == ()
    assert wanted_body(None) == ()


def test_answers_about_remotes() -> None:
    assert remote_answer(("ACCEPT", "extra")) == AcceptRemote()
    assert remote_answer(("SKIP", "2")) == SkipRemote()
    assert remote_answer(("MOD", "2001:db8::1", "443")) == ModifyRemote(
        host="2001:db8::1", port="443"
    )
    for words in (("accept",), ("MOD",), ("MOD", "h"), ("MOD", "h", "70000"), ("MOD", "a\nb", "1")):
        assert remote_answer(words) is None


def test_answers_about_proxies() -> None:
    assert proxy_answer(("NONE",), "UDP") == UseProxy(kind=ProxyKind.NONE)
    assert proxy_answer(("HTTP", "p", "3128"), "UDP") is None
    assert proxy_answer(("HTTP", "p", "3128"), "TCP") == UseProxy(
        kind=ProxyKind.HTTP, host="p", port="3128"
    )
    assert proxy_answer(("HTTP", "p", "3128", "nct"), "TCP") == UseProxy(
        kind=ProxyKind.HTTP, host="p", port="3128", allow_cleartext=False
    )
    assert proxy_answer(("SOCKS", "p", "1080"), "UDP") == UseProxy(
        kind=ProxyKind.SOCKS, host="p", port="1080"
    )
    assert proxy_answer(("SOCKS", "p", "0"), "UDP") is None
    assert proxy_answer(("SOCKS", "p"), "UDP") is None
