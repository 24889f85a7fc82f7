"""Where an attempt goes: questions to a frontend, proxies in place of servers, names."""

import socket

import pytest

from ginnel.compat.log_lines import LogLine
from ginnel.core.errors import LinkError
from ginnel.dataclass import replace
from ginnel.options.model import ConnectionProfile, HttpProxy, LinkOptions, Proxy
from ginnel.shell.destination import RESOLVE_FAILURE, Destinations
from ginnel.shell.frontend import Unattended
from ginnel.shell.link import LinkUnavailable
from tests.unit.shell.loops import run
from tests.unit.shell.remotes import tcp_profile

PROXY = HttpProxy(host="192.0.2.3", port="3128")


class Chooser(Unattended):
    """Answers as told, and hears states."""

    def __init__(self, remote: tuple[str, str] | None, proxy: Proxy | None = None) -> None:
        self.asks_remotes = True
        self.asks_proxies = True
        self.answer, self.answered_proxy = remote, proxy
        self.numbers: list[int] = []
        self.states: list[str] = []

    async def remote(self, profile: ConnectionProfile) -> tuple[str, str] | None:
        return self.answer

    async def proxy(self, profile: ConnectionProfile, number: int) -> Proxy | None:
        self.numbers.append(number)
        return self.answered_proxy

    def state(self, name: str, detail: str = "") -> None:
        self.states.append(name)


def destinations(
    frontend: Unattended, lines: list[LogLine] | None = None, *, preresolve: bool = False
) -> Destinations:
    heard = [] if lines is None else lines
    options = LinkOptions(resolv_retry=0.0, preresolve=preresolve)
    return Destinations(options, frontend=frontend, log=heard.append, entropy=bytes)


def test_nobody_is_asked_without_a_frontend() -> None:
    profile = tcp_profile()
    assert run(destinations(Unattended()).choose(profile, 1)) is profile


def test_a_frontend_may_change_the_remote_and_name_a_proxy() -> None:
    frontend = Chooser(("other.example", "99"), PROXY)
    chosen = run(destinations(frontend).choose(tcp_profile(), 3))
    assert chosen == replace(tcp_profile("other.example", "99"), proxy=PROXY)
    assert frontend.numbers == [3]


def test_a_skipped_remote_needs_no_proxy() -> None:
    frontend = Chooser(None)
    assert run(destinations(frontend).choose(tcp_profile(), 1)) is None
    assert frontend.numbers == []


def test_no_answer_about_a_proxy_keeps_the_configured_one() -> None:
    profile = replace(tcp_profile("a", "1"), proxy=PROXY)
    assert run(destinations(Chooser(("a", "1"))).choose(profile, 1)) == profile


def test_the_proxy_is_connected_to_and_only_names_are_a_state() -> None:
    frontend = Chooser(None)
    made = destinations(frontend)
    profile = replace(tcp_profile("unknown.invalid"), proxy=PROXY)
    (address,) = run(made.addresses(profile))
    assert (str(address.address), address.port) == ("192.0.2.3", 3128)
    assert frontend.states == []


def test_a_name_that_fails_is_logged_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    lines: list[LogLine] = []
    frontend = Chooser(None)
    made = destinations(frontend, lines)
    with pytest.raises(LinkError):
        run(made.addresses(tcp_profile("vpn.example", 1)))
    with pytest.raises(LinkUnavailable) as caught:
        run(made.server(tcp_profile("vpn.example", 1)))
    assert caught.value.reason == RESOLVE_FAILURE
    assert frontend.states == ["RESOLVE", "RESOLVE"]
    assert "Cannot resolve host address: vpn.example:1" in lines[0].text


@pytest.mark.parametrize(("preresolve", "asked"), [(True, 2), (False, 0)])
def test_names_are_resolved_in_advance_on_request(
    monkeypatch: pytest.MonkeyPatch, preresolve: bool, asked: int
) -> None:
    hosts: list[bytes] = []

    def lookup(host: bytes, *_: object) -> list[object]:
        hosts.append(host)
        return [(2, 1, 6, "", ("192.0.2.9", 1))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    named = replace(PROXY, host="proxy.example")
    profiles = [
        replace(tcp_profile("vpn.example"), proxy=named),
        replace(tcp_profile("off.example"), enabled=False),
    ]
    run(destinations(Unattended(), preresolve=preresolve).prepare(profiles))
    assert len(hosts) == asked
