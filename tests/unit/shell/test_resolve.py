"""Names of remotes: answers, refusals, patience, and resolvers that hang."""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.options.model import (
    AddressFamily,
    ConnectionProfile,
    HttpProxy,
    LinkOptions,
    SocksProxy,
)
from ginnel.shell import resolve
from ginnel.shell.resolve import MAX_ADDRESSES, Resolver, Target, port_number, server_of, target_of
from tests.unit.shell.loops import run, until
from tests.unit.shell.remotes import tcp_profile, udp_profile

Entry = tuple[int, int, int, str, tuple[str, int]]


def answering(monkeypatch: pytest.MonkeyPatch, *answers: list[str] | OSError) -> list[object]:
    """Stands in for the system's resolver; the last answer repeats. Returns what was asked."""
    asked: list[object] = []
    rest = list(answers)

    def lookup(host: bytes, port: str, family: int, kind: int) -> list[Entry]:
        asked.append((host.decode(), port, family, kind))
        answer = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(answer, OSError):
            raise answer
        return [(family, kind, 17, "", (address, int(port))) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


async def resolve_profile(
    profile: ConnectionProfile,
    patience: float,
    on_failure: Callable[[str], None],
    *,
    random_hostname: bool = False,
) -> tuple[Endpoint, ...]:
    """Resolves a profile's server by rules of its own."""
    resolver = Resolver(
        LinkOptions(resolv_retry=patience, remote_random_hostname=random_hostname),
        entropy=lambda count: b"\xab" * count,
        on_failure=lambda _target, cause: on_failure(cause),
    )
    return await resolver.resolve(server_of(profile))


def failed(_cause: str) -> None:
    pytest.fail("nothing fails here")


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_an_address_needs_no_resolver(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    asked = answering(monkeypatch, OSError("nobody is asked"))
    found = run(resolve_profile(udp_profile(address, 443), 0.0, failed))
    assert found == (Endpoint(ip_address(address), 443),)
    assert asked == []


@pytest.mark.parametrize(
    ("host", "port", "family"),
    [
        ("192.0.2.7", "443", AddressFamily.IPV6),
        ("2001:db8::7", "443", AddressFamily.IPV4),
        ("fe80::7%eth0", "443", AddressFamily.ANY),
        ("192.0.2.7", "https", AddressFamily.ANY),
        ("192.0.2.7", "65536", AddressFamily.ANY),
        ("192.0.2", "443", AddressFamily.ANY),
    ],
)
def test_the_system_reads_what_is_not_plain(
    monkeypatch: pytest.MonkeyPatch, host: str, port: str, family: AddressFamily
) -> None:
    refusal = socket.gaierror(socket.EAI_NONAME, "in the system's words")
    asked = answering(monkeypatch, refusal)
    causes: list[str] = []
    profile = replace(udp_profile(host), port=port, family=family)
    with pytest.raises(LinkError):
        run(resolve_profile(profile, 0.0, causes.append))
    assert causes == ["in the system's words"]
    assert len(asked) == 1


def test_doubles_go_and_too_many_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    many = ["192.0.2.1", "192.0.2.1", *(f"198.51.100.{n}" for n in range(200))]
    asked = answering(monkeypatch, many)
    profile = replace(udp_profile("vpn.example"), family=AddressFamily.IPV4)
    found = run(resolve_profile(profile, 0.0, failed))
    assert len(found) == MAX_ADDRESSES - 1
    assert asked == [("vpn.example", "1194", socket.AF_INET, socket.SOCK_DGRAM)]


@pytest.mark.parametrize(
    "error",
    [socket.gaierror(-2, "Name or service not known"), OSError(24, "Too many open files")],
    ids=["no-name", "system"],
)
def test_without_patience_the_first_failure_counts(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    answering(monkeypatch, error)
    causes: list[str] = []
    with pytest.raises(LinkError, match=r"vpn\.example:1194: "):
        run(resolve_profile(udp_profile("vpn.example"), 0.0, causes.append))
    assert causes == [error.strerror]


def test_a_name_that_cannot_be_a_name_is_a_failure() -> None:
    causes: list[str] = []
    with pytest.raises(LinkError):
        run(resolve_profile(udp_profile("a" * 64 + ".example"), 0.0, causes.append))
    assert len(causes) == 1


def test_patience_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "RETRY_INTERVAL", 0.001)
    again = socket.gaierror(-3, "Temporary failure in name resolution")
    answering(monkeypatch, again, again, ["192.0.2.1"])
    causes: list[str] = []
    found = run(resolve_profile(udp_profile("vpn.example"), float("inf"), causes.append))
    assert [str(endpoint.address) for endpoint in found] == ["192.0.2.1"]
    assert len(causes) == 2


def test_a_hanging_resolver_holds_up_neither_a_signal_nor_the_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    entered = threading.Event()
    answered: list[str] = []

    def hang(*_: object) -> list[Entry]:
        entered.set()
        release.wait(40)
        answered.append("late")
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            job = tasks.create_task(resolve_profile(udp_profile("vpn.example"), 0.0, failed))
            await until(entered.is_set, "the resolver's start")
            job.cancel()
        assert job.cancelled()

    try:
        run(work())  # the loop closes although the thread still waits
        assert answered == []
    finally:
        release.set()
    for thread in threading.enumerate():
        if thread.name == "resolver":
            thread.join(40)
    assert answered == ["late"]


def test_random_letters_come_before_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, ["192.0.2.1"])
    for host in ("vpn.example", "192.0.2"):
        run(resolve_profile(udp_profile(host), 0.0, failed, random_hostname=True))
    names = [entry[0] for entry in asked]  # type: ignore[index]
    assert names == [f"abababababab.{host}" for host in ("vpn.example", "192.0.2")]
    found = run(resolve_profile(udp_profile("192.0.2.1"), 0.0, failed, random_hostname=True))
    assert str(found[0].address) == "192.0.2.1"


def test_names_resolved_in_advance_are_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = socket.gaierror(-2, "Name or service not known")
    asked = answering(monkeypatch, ["192.0.2.1"], gone, ["192.0.2.2"])
    causes: list[str] = []
    resolver = Resolver(
        LinkOptions(), entropy=bytes, on_failure=lambda target, _cause: causes.append(target.host)
    )
    targets = [server_of(udp_profile(host)) for host in ("a.example", "b.example", "192.0.2.9")]

    async def work() -> list[str]:
        await resolver.resolve_all([*targets, targets[0]])
        found = [await resolver.resolve(target) for target in targets[:2]]
        return [str(addresses[0].address) for addresses in found]

    assert run(work()) == ["192.0.2.1", "192.0.2.2"]
    assert causes == ["b.example"]
    assert len(asked) == 3


def test_a_proxy_is_resolved_in_place_of_the_server() -> None:
    plain = replace(tcp_profile("vpn.example"), family=AddressFamily.IPV6)
    assert target_of(plain) == server_of(plain)
    http = replace(plain, proxy=HttpProxy(host="proxy.example", port="3128"))
    assert target_of(http) == Target(
        host="proxy.example", port="3128", family=AddressFamily.IPV6, kind=socket.SOCK_STREAM
    )
    relayed = replace(
        udp_profile("vpn.example"),
        family=AddressFamily.IPV6,
        proxy=SocksProxy(host="192.0.2.3", port="1080"),
    )
    assert target_of(relayed) == Target(
        host="192.0.2.3", port="1080", family=AddressFamily.ANY, kind=socket.SOCK_STREAM
    )


def test_a_port_may_be_a_service() -> None:
    assert port_number(tcp_profile(port=443)) == 443
    assert port_number(tcp_profile(port="https")) == 443
    with pytest.raises(OSError, match="not found"):
        port_number(tcp_profile(port="no-such-service"))


def test_a_failure_names_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As openvpn 2.6.14 does with remote-random-hostname."""
    answering(monkeypatch, socket.gaierror(-2, "Name or service not known"))
    with pytest.raises(LinkError, match=r"abababababab\.vpn\.example:1194"):
        run(
            resolve_profile(
                udp_profile("vpn.example"), 0.0, lambda _cause: None, random_hostname=True
            )
        )
