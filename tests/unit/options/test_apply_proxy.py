"""The proxy options: all forms, in blocks and outside, and what does not fit."""

import pytest

from ginnel.options.apply_proxy import MAX_HEADERS
from ginnel.options.errors import ConfigError
from ginnel.options.model import (
    AddressFamily,
    ConnectionProfile,
    HttpProxy,
    ProxyLogin,
    SocksProxy,
)
from tests.unit.options.memory_files import run_config

HEAD = "client\nca ca.crt\nauth-user-pass login\n"
TCP = HEAD + "remote a 443 tcp\n"


def profiles(text: str) -> tuple[ConnectionProfile, ...]:
    return run_config(text).options.profiles


def http(text: str) -> HttpProxy:
    (profile,) = profiles(TCP + text)
    assert isinstance(profile.proxy, HttpProxy)
    return profile.proxy


def socks(text: str) -> SocksProxy:
    (profile,) = profiles(TCP + text)
    assert isinstance(profile.proxy, SocksProxy)
    return profile.proxy


@pytest.mark.parametrize(
    ("words", "login", "has_file"),
    [
        ("", ProxyLogin.NONE, False),
        ("auto", ProxyLogin.AUTO, False),
        ("auto-nct", ProxyLogin.AUTO_NO_CLEARTEXT, False),
        ("login", ProxyLogin.BASIC, True),
        ("login basic", ProxyLogin.BASIC, True),
        ("login none", ProxyLogin.NONE, False),
        ("stdin basic", ProxyLogin.BASIC, False),
    ],
)
def test_every_form_of_http_proxy(words: str, login: ProxyLogin, has_file: bool) -> None:
    proxy = http(f"http-proxy p.example 3128 {words}\n")
    assert (proxy.host, proxy.port, proxy.login) == ("p.example", "3128", login)
    assert (proxy.credentials is not None) is has_file
    assert (proxy.version, proxy.agent, proxy.headers) == ("1.0", None, ())


def test_the_login_may_stand_in_a_file_or_block_of_its_own() -> None:
    proxy = http("http-proxy p 1 auto\nhttp-proxy-user-pass login\n")
    assert proxy.credentials is not None
    assert proxy.credentials.content.reveal() == b"alice\nsecret\n"
    block = "<http-proxy-user-pass>\nbob\nhidden\n</http-proxy-user-pass>\n"
    proxy = http(f"{block}http-proxy p 1 auto\nhttp-proxy-user-pass [inline]\n")
    assert proxy.credentials is not None
    assert proxy.credentials.content.reveal().splitlines() == [b"bob", b"hidden"]
    assert http("http-proxy p 1 auto\nhttp-proxy-user-pass stdin\n").credentials is None


def test_details_of_the_request() -> None:
    proxy = http(
        "http-proxy-option VERSION 1.1\nhttp-proxy-option AGENT Some/1\n"
        "http-proxy-option EXT1 X-One 1\nhttp-proxy-option CUSTOM-HEADER 'Host: h'\n"
        "http-proxy p 1\n"
    )
    assert (proxy.version, proxy.agent) == ("1.1", "Some/1")
    assert proxy.headers == (("X-One", "1"), ("Host: h", None))


def test_headers_have_a_limit_and_no_control_characters() -> None:
    line = "http-proxy-option EXT1 X y\n"
    assert len(http("http-proxy p 1\n" + line * MAX_HEADERS).headers) == MAX_HEADERS
    with pytest.raises(ConfigError, match="Cannot use more than 10"):
        http("http-proxy p 1\n" + line * (MAX_HEADERS + 1))
    with pytest.raises(ConfigError, match="control characters"):
        http('http-proxy p 1\nhttp-proxy-option AGENT "a\tb"\n')


@pytest.mark.parametrize("option", ["VERSION 1.0 x", "AGENT a b"])
def test_a_detail_takes_one_word(option: str) -> None:
    with pytest.raises(ConfigError, match="Bad http-proxy-option or missing or extra parameter"):
        http(f"http-proxy p 1\nhttp-proxy-option {option}\n")


@pytest.mark.parametrize("method", ["ntlm", "ntlm2"])
def test_ntlm_is_refused_by_name(method: str) -> None:
    with pytest.raises(ConfigError, match="NTLM authentication is not supported"):
        http(f"http-proxy p 1 login {method}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("remote a 1 udp\nhttp-proxy p 1\n", "MUST be used in TCP Client mode"),
        ("remote a 1 tcp\nhttp-proxy-option AGENT x\n", "--http-proxy not specified but other"),
        ("remote a 1 tcp\nhttp-proxy p 1\nsocks-proxy p\n", "can not be used together"),
        ("remote a 1 tcp\nhttp-proxy p 1 nowhere\n", "--http-proxy fails with 'nowhere'"),
        ("remote a 1 tcp\nhttp-proxy 'p q' 1\n", "host name or address"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        profiles(HEAD + text)


def test_every_form_of_socks_proxy() -> None:
    assert socks("socks-proxy p\n") == SocksProxy(host="p", port="1080")
    assert socks("socks-proxy p 9050\n").port == "9050"
    asked = socks("socks-proxy p 9050 stdin\n")
    assert (asked.with_login, asked.credentials) == (True, None)
    known = socks("socks-proxy p 9050 login\n")
    assert known.with_login
    assert known.credentials is not None


def test_datagrams_through_socks_go_to_ipv4_unless_ipv6_is_asked_for() -> None:
    one, two, three = profiles(
        f"{HEAD}remote a 1 udp\nremote b 1 udp6\nremote c 1 tcp\nsocks-proxy p\n"
    )
    families = [one.family, two.family, three.family]
    assert families == [AddressFamily.IPV4, AddressFamily.IPV6, AddressFamily.ANY]


def test_each_block_has_its_own_proxy() -> None:
    one, two, three = profiles(
        HEAD + "<connection>\nremote a 1 tcp\nhttp-proxy p 1 auto\n</connection>\n"
        "<connection>\nremote b 1 udp\nsocks-proxy q\n</connection>\n"
        "<connection>\nremote c 1 udp\n</connection>\n"
    )
    assert isinstance(one.proxy, HttpProxy)
    assert isinstance(two.proxy, SocksProxy)
    assert three.proxy is None


def test_a_login_outside_serves_the_proxy_in_a_block() -> None:
    block = "<connection>\nremote a 1 tcp\nhttp-proxy p 1 auto\n</connection>\n"
    for text in (
        f"http-proxy q 2\nhttp-proxy-user-pass login\n{block}",
        f"{block}http-proxy-user-pass login\nhttp-proxy q 2\n",
    ):
        (profile,) = profiles(HEAD + text)
        assert isinstance(profile.proxy, HttpProxy)
        assert profile.proxy.host == "p"
        assert profile.proxy.credentials is not None


def test_override_takes_the_tcp_remotes_and_rules_the_others_out() -> None:
    one, two = profiles(
        f"{HEAD}remote a 1 udp\nremote b 1 tcp\nsocks-proxy q\nhttp-proxy-override p 3128 nct\n"
    )
    assert (one.enabled, two.enabled) == (False, True)
    assert two.proxy == HttpProxy(
        host="p",
        port="3128",
        login=ProxyLogin.AUTO_NO_CLEARTEXT,
        agent="OpenVPN-Autoproxy/1.0",
    )


def test_override_without_a_tcp_remote_is_only_a_note() -> None:
    resolved = run_config(f"{HEAD}remote a 1 udp\nhttp-proxy-override p 3128\n")
    (profile,) = resolved.options.profiles
    assert (profile.enabled, profile.proxy) == (True, None)
    assert any("http-proxy-override ignored" in note.text for note in resolved.notes)


@pytest.mark.parametrize(
    "line", ["http-proxy-retry", "socks-proxy-retry 5", "http-proxy-timeout 5"]
)
def test_old_words_are_without_effect(line: str) -> None:
    resolved = run_config(f"{TCP}{line}\n")
    assert any("has no effect" in note.text for note in resolved.notes)
