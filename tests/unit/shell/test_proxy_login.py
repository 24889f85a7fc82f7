"""Logins for proxies: where they come from, and when they are forgotten."""

import pytest

from ginnel.core.actions import Credentials
from ginnel.core.errors import ConfigError
from ginnel.options.model import HttpProxy, Proxy, SocksProxy
from ginnel.options.values import FileContent, Secret
from ginnel.shell import prompt
from ginnel.shell.frontend import Unattended
from ginnel.shell.proxy_login import ProxyLogins, type_of
from tests.unit.shell.loops import run
from tests.unit.shell.remotes import ORIGIN

HTTP = HttpProxy(host="p", port="1")
SOCKS = SocksProxy(host="q", port="2", with_login=True)


class Asked(Unattended):
    """A frontend that has an answer for each kind of proxy."""

    asks_passwords = True

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.failed: list[str] = []

    async def login(self, type_name: str, *_: object, **__: object) -> tuple[str, Secret]:
        self.questions.append(type_name)
        return "user", Secret(str(len(self.questions)).encode())

    def verification_failed(self, type_name: str, *_: object) -> None:
        self.failed.append(type_name)


def with_file(content: bytes) -> HttpProxy:
    file = FileContent(option="http-proxy", origin=ORIGIN, path="f", content=Secret(content))
    return HttpProxy(host="p", port="1", credentials=file)


def ask(logins: ProxyLogins, proxy: Proxy) -> Credentials:
    return run(logins.get(proxy))


def test_a_file_needs_no_question() -> None:
    frontend = Asked()
    logins = ProxyLogins(frontend, nocache=False)
    found = ask(logins, with_file(b" anna \r\nopen sesame\r\nmore\n"))
    assert found == Credentials(username="anna", password=Secret(b"open sesame"))
    assert frontend.questions == []


def test_each_kind_is_asked_for_once() -> None:
    frontend = Asked()
    logins = ProxyLogins(frontend, nocache=False)
    for proxy in (HTTP, SOCKS, HTTP, SOCKS):
        ask(logins, proxy)
    assert frontend.questions == ["HTTP Proxy", "SOCKS Proxy"]
    assert type_of(HTTP) == "HTTP Proxy"


def test_a_refused_login_is_asked_for_again_and_a_file_is_not() -> None:
    frontend = Asked()
    logins = ProxyLogins(frontend, nocache=False)
    first = ask(logins, HTTP)
    assert logins.refuse(HTTP)
    assert frontend.failed == ["HTTP Proxy"]
    assert first.password.reveal() == b""
    assert ask(logins, HTTP).password.reveal() == b"2"
    assert not logins.refuse(with_file(b"a\nb\n"))
    assert frontend.failed == ["HTTP Proxy"]


@pytest.mark.parametrize(("nocache", "questions"), [(False, 2), (True, 3)])
def test_nocache_forgets_after_a_start(nocache: bool, questions: int) -> None:
    frontend = Asked()
    logins = ProxyLogins(frontend, nocache=nocache)
    ask(logins, SOCKS)
    logins.connected()
    ask(logins, SOCKS)
    logins.forget_all()
    ask(logins, SOCKS)
    assert len(frontend.questions) == questions


class Terminal:
    """Answers both questions."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []

    async def ask(self, question: str, *, echo: bool) -> Secret:
        self.asked.append((question, echo))
        return Secret(b" anna " if echo else b" open sesame ")

    def close(self) -> None:
        self.asked.append(("closed", False))


def test_without_a_frontend_the_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(prompt, "find_console", lambda: terminal)
    found = ask(ProxyLogins(Unattended(), nocache=False), SOCKS)
    assert found == Credentials(username="anna", password=Secret(b" open sesame "))
    assert terminal.asked == [
        ("Enter SOCKS Proxy Username:", True),
        ("Enter SOCKS Proxy Password:", False),
        ("closed", False),
    ]


def test_without_anybody_to_ask_the_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, "find_console", lambda: None)
    with pytest.raises(ConfigError, match="give 'http-proxy-user-pass FILE'"):
        ask(ProxyLogins(Unattended(), nocache=False), HTTP)
