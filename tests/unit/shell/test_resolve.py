"""Names of remotes: answers, refusals, patience, and resolvers that hang."""

import asyncio
import socket
import threading
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint
from ginnel.options.model import AddressFamily
from ginnel.shell import resolve
from ginnel.shell.resolve import MAX_ADDRESSES, resolve_profile
from tests.unit.shell.loops import run, until
from tests.unit.shell.remotes import udp_profile

Entry = tuple[int, int, int, str, tuple[str, int]]


def answering(monkeypatch: pytest.MonkeyPatch, *answers: list[str] | OSError) -> list[object]:
    """Stands in for the system's resolver; the last answer repeats. Returns what was asked."""
    asked: list[object] = []
    rest = list(answers)

    def lookup(host: str, port: str, family: int, kind: int) -> list[Entry]:
        asked.append((host, port, family, kind))
        answer = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(answer, OSError):
            raise answer
        return [(family, kind, 17, "", (address, int(port))) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def failed(_cause: str) -> None:
    pytest.fail("nothing fails here")


def test_an_address_needs_no_resolver() -> None:
    found = run(resolve_profile(udp_profile("192.0.2.7", 443), 0.0, failed))
    assert found == (Endpoint(ip_address("192.0.2.7"), 443),)


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
        release.wait(20)
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
            thread.join(10)
    assert answered == ["late"]
