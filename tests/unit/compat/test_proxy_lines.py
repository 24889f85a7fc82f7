"""Lines about proxies, as OpenVPN 2.6.14 logged them where it has such lines."""

from ipaddress import ip_address

import pytest

from ginnel.compat import proxy_lines
from ginnel.compat.log_lines import Category, LogLine, Severity
from ginnel.core.proxy_notices import (
    ChallengeReceived,
    Complaint,
    HttpStep,
    LineReceived,
    LineSent,
    ProxyNotice,
    RelayNamed,
)
from ginnel.core.types import Endpoint
from ginnel.options.model import HttpProxy, SocksProxy

PROXY = Endpoint(ip_address("192.0.2.1"), 1080)


@pytest.mark.parametrize(
    ("notice", "texts"),
    [
        (LineSent("Host: vpn.example"), ["Send to HTTP proxy: 'Host: vpn.example'"]),
        (LineReceived("HTTP/1.1 200 OK"), ["HTTP proxy returned: 'HTTP/1.1 200 OK'"]),
        (HttpStep.LOGIN_WANTED, ["Proxy requires authentication"]),
        (
            ChallengeReceived("basic", 'realm="r"'),
            [
                "PROXY AUTH BASIC: 'Proxy-Authenticate: Basic realm=\"r\"'",
                "HTTP proxy authenticate 'realm=\"r\"'",
            ],
        ),
        (RelayNamed(PROXY), ["SOCKS proxy wants us to send UDP to [AF_INET]192.0.2.1:1080"]),
        (Complaint("HTTP proxy returned bad status"), ["HTTP proxy returned bad status"]),
    ],
)
def test_notices_are_worded_as_openvpn_does(notice: ProxyNotice, texts: list[str]) -> None:
    assert [line.text for line in proxy_lines.render(notice)] == texts


def test_flags_are_those_of_openvpn() -> None:
    (sent,) = proxy_lines.render(LineSent("x"))
    assert (sent.verb, sent.severity, sent.category) == (2, Severity.INFO, Category.PROXY)
    (bad,) = proxy_lines.render(Complaint("x"))
    assert (bad.verb, bad.severity, bad.category) == (1, Severity.ERROR, Category.LINK_ERROR)


def test_what_a_proxy_says_cannot_break_the_log() -> None:
    (line,) = proxy_lines.render(LineReceived("\x1b[2J\n" + "x" * 9000))
    assert line.text.isprintable()
    assert len(line.text) < 600


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (proxy_lines.login_refused(HttpProxy(host="p", port="1")), "HTTP proxy: user name"),
        (proxy_lines.login_refused(SocksProxy(host="p", port="1")), "SOCKS proxy: user name"),
        (proxy_lines.silent(PROXY), "recv_line: TCP port read timeout expired"),
        (proxy_lines.lost(PROXY, "Connection reset by peer"), "broke: Connection reset by peer"),
        (proxy_lines.association_ended("gone"), "ended the relaying of UDP: gone"),
        (proxy_lines.unknown_port("odd"), "Cannot convert odd to port number"),
    ],
)
def test_failures_are_errors_in_one_line(line: LogLine, words: str) -> None:
    assert words in line.text
    assert line.severity is Severity.ERROR
