"""The dialogue with an HTTP proxy, on one connection and on the next."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.actions import Credentials
from ginnel.core.errors import LocalMisuse
from ginnel.core.proxy_http import MAX_HEADERS, MAX_LINE, MAX_ROUNDS, HttpProxyClient
from ginnel.core.proxy_notices import (
    AnotherConnection,
    ChallengeReceived,
    Complaint,
    HttpStep,
    LineReceived,
    LineSent,
    LoginRefused,
    Opened,
    ProxyNotice,
    Unusable,
)
from ginnel.options.model import HttpProxy, ProxyLogin
from ginnel.options.values import Secret

LOGIN = Credentials(username="u", password=Secret(b"p"))
WANTED = b"HTTP/1.1 407 Proxy Authentication Required\r\n"
BASIC = b'Proxy-Authenticate: Basic realm="r"\r\n\r\n'
DIGEST = b'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n\r\n'
STALE = b'Proxy-Authenticate: Digest realm="r", nonce="m", qop="auth", stale=true\r\n\r\n'


def client(host: str = "vpn.example.net", **changes: object) -> HttpProxyClient:
    proxy = HttpProxy(host="proxy", port="3128", **changes)  # type: ignore[arg-type]
    return HttpProxyClient(proxy, host, "443", entropy=bytes)


def notices(proxy: HttpProxyClient) -> list[ProxyNotice]:
    found = []
    while (notice := proxy.poll_notice()) is not None:
        found.append(notice)
    return found


def ask(proxy: HttpProxyClient, answer: bytes, login: Credentials | None = None) -> bytes:
    """One connection: returns what was sent."""
    proxy.begin(login)
    sent = proxy.poll_transmit()
    proxy.receive(answer)
    return sent


def complaint(proxy: HttpProxyClient) -> str:
    assert isinstance(proxy.end, Unusable)
    (text,) = [notice.text for notice in notices(proxy) if isinstance(notice, Complaint)]
    return text


def test_a_plain_request_is_the_one_of_openvpn() -> None:
    proxy = client()
    sent = ask(proxy, b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n\0\x0edata")
    assert sent == b"CONNECT vpn.example.net:443 HTTP/1.0\r\nHost: vpn.example.net\r\n\r\n"
    assert proxy.end == Opened(unread=b"\0\x0edata")
    assert notices(proxy) == [
        LineSent("CONNECT vpn.example.net:443 HTTP/1.0"),
        LineSent("Host: vpn.example.net"),
        LineReceived("HTTP/1.1 200 Connection established"),
    ]


def test_version_agent_and_headers_are_sent_in_order() -> None:
    headers = (("X-One", "1"), ("host: other", None))
    sent = ask(client(version="1.1", agent="Some/1", headers=headers), b"")
    assert sent.split(b"\r\n") == [
        b"CONNECT vpn.example.net:443 HTTP/1.1",
        b"X-One: 1",
        b"host: other",
        b"User-Agent: Some/1",
        b"",
        b"",
    ]


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert ask(client("2001:db8::1"), b"").startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.0\r\n")


def test_an_answer_may_come_byte_by_byte_and_with_bare_line_feeds() -> None:
    proxy = client()
    proxy.begin(None)
    for byte in b"HTTP/1.0 200 OK\nA: b\n\nrest":
        proxy.receive(bytes((byte,)))
    assert proxy.end == Opened(unread=b"")


def test_basic_is_sent_at_once_when_configured() -> None:
    proxy = client(login=ProxyLogin.BASIC)
    assert proxy.needs_login
    assert b"Proxy-Authorization: Basic dTpw\r\n\r\n" in ask(proxy, WANTED + BASIC, LOGIN)
    assert isinstance(proxy.end, LoginRefused)
    assert notices(proxy)[2:] == [
        HttpStep.BASIC_ATTEMPT,
        LineReceived("HTTP/1.1 407 Proxy Authentication Required"),
        HttpStep.LOGIN_WANTED,
        HttpStep.LOGIN_WANTED,
    ]


def test_no_login_is_made_up_where_none_is_configured() -> None:
    proxy = client()
    ask(proxy, WANTED + BASIC)
    assert isinstance(proxy.end, Unusable)
    assert notices(proxy)[-2:] == [HttpStep.LOGIN_WANTED, HttpStep.NO_LOGIN]


def test_auto_logs_in_as_the_proxy_asks() -> None:
    proxy = client(login=ProxyLogin.AUTO)
    ask(proxy, WANTED + BASIC)
    assert isinstance(proxy.end, AnotherConnection)
    assert notices(proxy)[-2:] == [
        HttpStep.LOGIN_WANTED,
        ChallengeReceived("basic", 'realm="r"'),
    ]
    assert proxy.needs_login
    assert b"Basic dTpw" in ask(proxy, b"HTTP/1.0 200 OK\r\n\r\n", LOGIN)
    assert isinstance(proxy.end, Opened)


def test_auto_answers_a_digest_and_says_nothing_of_it_in_the_log() -> None:
    proxy = client(login=ProxyLogin.AUTO)
    ask(proxy, WANTED + DIGEST)
    notices(proxy)
    sent = ask(proxy, b"HTTP/1.0 200 OK\r\n\r\n", LOGIN)
    assert b'Proxy-Authorization: Digest username="u", realm="r", nonce="n"' in sent
    assert notices(proxy) == [
        HttpStep.LOGIN_WANTED,
        LineSent("CONNECT vpn.example.net:443 HTTP/1.0"),
        LineSent("Host: vpn.example.net"),
        HttpStep.DIGEST_ATTEMPT,
        LineReceived("HTTP/1.0 200 OK"),
    ]


def test_a_stale_nonce_is_no_wrong_login() -> None:
    proxy = client(login=ProxyLogin.AUTO)
    ask(proxy, WANTED + DIGEST)
    ask(proxy, WANTED + STALE, LOGIN)
    assert isinstance(proxy.end, AnotherConnection)
    assert b'nonce="m"' in ask(proxy, WANTED + DIGEST, LOGIN)
    assert isinstance(proxy.end, LoginRefused)


def test_nonces_that_are_always_stale_end_the_attempt() -> None:
    proxy = client(login=ProxyLogin.AUTO)
    ask(proxy, WANTED + DIGEST)
    for _ in range(MAX_ROUNDS):
        notices(proxy)
        ask(proxy, WANTED + STALE, LOGIN)
    assert complaint(proxy) == "HTTP proxy: it asks for the login again and again"


def test_auto_nct_refuses_basic_but_takes_a_digest_beside_it() -> None:
    proxy = client(login=ProxyLogin.AUTO_NO_CLEARTEXT)
    ask(proxy, WANTED + BASIC)
    assert isinstance(proxy.end, Unusable)
    assert notices(proxy)[-1] is HttpStep.CLEARTEXT_REFUSED
    proxy = client(login=ProxyLogin.AUTO_NO_CLEARTEXT)
    ask(proxy, WANTED + BASIC.removesuffix(b"\r\n") + DIGEST)
    assert isinstance(proxy.end, AnotherConnection)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (b"Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n", "ntlm, negotiate"),
        (b"\r\n", "nothing"),
    ],
)
def test_ntlm_is_named_as_not_supported(headers: bytes, expected: str) -> None:
    proxy = client(login=ProxyLogin.AUTO)
    ask(proxy, WANTED + headers)
    assert complaint(proxy) == (
        f"HTTP proxy: it offers {expected}; Basic and Digest are supported, NTLM is not"
    )


def test_a_digest_challenge_without_nonce_cannot_be_answered() -> None:
    proxy = client(login=ProxyLogin.AUTO)
    ask(proxy, WANTED + b'Proxy-Authenticate: Digest realm="r"\r\n\r\n')
    assert "realm= or nonce= missing" in complaint(proxy)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x05\xff\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1\r\n",
        b"\n",
    ],
)
def test_any_other_answer_is_a_bad_status(answer: bytes) -> None:
    proxy = client()
    ask(proxy, answer)
    assert complaint(proxy) == "HTTP proxy returned bad status"


def test_an_early_end_is_an_error() -> None:
    proxy = client()
    ask(proxy, b"HTTP/1.1 200 OK\r\n")
    proxy.receive_end()
    assert "closed the connection" in complaint(proxy)
    proxy.receive_end()  # nothing more to say
    assert notices(proxy) == []


def feed_until_end(proxy: HttpProxyClient, pieces: Sequence[bytes]) -> int:
    total = 0
    for piece in pieces:
        if proxy.end is not None:
            break
        proxy.receive(piece)
        total += len(piece)
    return total


def test_a_line_without_end_is_given_up() -> None:
    proxy = client()
    proxy.begin(None)
    assert feed_until_end(proxy, [b"x" * 1000] * 100) <= MAX_LINE + 1000
    assert "longer than" in complaint(proxy)


def test_headers_without_end_are_given_up() -> None:
    proxy = client()
    ask(proxy, b"HTTP/1.1 200 OK\r\n")
    assert feed_until_end(proxy, [b"A: " + b"b" * 997 + b"\r\n"] * 100) <= MAX_HEADERS + 2000
    assert "longer than" in complaint(proxy)


def test_a_long_line_at_once_is_given_up_too() -> None:
    proxy = client()
    ask(proxy, b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_LINE + b"\r\n\r\n")
    assert "longer than" in complaint(proxy)


def test_a_login_that_is_needed_must_be_there() -> None:
    with pytest.raises(LocalMisuse):
        client(login=ProxyLogin.BASIC).begin(None)


@given(st.lists(st.binary(max_size=300), max_size=20), st.sampled_from(list(ProxyLogin)))
def test_no_answer_raises(pieces: list[bytes], login: ProxyLogin) -> None:
    proxy = client(login=login)
    proxy.begin(LOGIN)
    for piece in pieces:
        proxy.receive(piece)
    proxy.receive_end()
    assert proxy.end is not None


@given(st.lists(st.sampled_from([WANTED, BASIC, DIGEST, STALE, b"\r\n", b"HTTP/1.1 200 OK\r\n"])))
def test_no_mixture_of_answers_raises_or_goes_on_for_ever(pieces: list[bytes]) -> None:
    proxy = client(login=ProxyLogin.AUTO)
    for _ in range(4):
        ask(proxy, b"".join(pieces), LOGIN)
        proxy.receive_end()
        assert proxy.end is not None
        if isinstance(proxy.end, Opened | Unusable):
            break
