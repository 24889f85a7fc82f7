"""Authenticators in Python: who is found, who is asked, and what becomes of their failures."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from ginnel.core.errors import ConfigError
from ginnel.core.server_actions import Refused
from ginnel.hooks import Allow, Authenticator, Decision, Deny, Login, Visit, Visitor
from ginnel.shell.authenticators import (
    Agreed,
    Authenticators,
    make_authenticators,
    visitor_of,
)
from tests.unit.shell.loops import run, until
from tests.unit.shell.server_scripts import Said, client, login, server_options


class Plain(Authenticator):
    """Does as it is told, and remembers."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = Allow() if answer is None else answer
        self.heard: list[str] = []

    async def authenticate(self, login: Login) -> Decision:
        self.heard.append(f"{login.username} {login.password} {login.is_first}")
        if isinstance(self.answer, BaseException):
            raise self.answer
        decision: Decision = self.answer  # or what it must not answer
        return decision

    async def connected(self, visitor: Visitor) -> None:
        self.heard.append(f"connected {visitor.number} {visitor.tunnel_ipv4}")

    async def address_learned(self, visitor: Visitor, address: str, *, added: bool) -> None:
        raise RuntimeError("a bug of others")

    async def disconnected(self, visitor: Visitor, visit: Visit) -> None:
        self.heard.append(f"gone {visit.received} {visit.sent}")

    def close(self) -> None:
        self.heard.append("closed")


def never(_seconds: int, _text: str) -> bool:
    return False


def judge(said: Said, *named: Authenticator, seconds: float = 5) -> Agreed | Refused:
    async def work() -> Agreed | Refused:
        pairs = [(f"a{number}", one) for number, one in enumerate(named)]
        made = Authenticators(pairs, said, seconds=seconds)
        return await made.judge(login(client()), never)

    return run(work())


def test_all_must_allow_and_what_they_say_is_put_together() -> None:
    first = Plain(Allow(options=("ping 5",)))
    second = Plain(Allow(username="ada@example", options=("ping 6",)))
    agreed = judge(Said(), first, second)
    assert agreed == Agreed(username="ada@example", options=("ping 5", "ping 6"))
    assert first.heard == ["ada secret word True"]


def test_the_first_refusal_counts_and_is_told() -> None:
    said, last = Said(), Plain()
    assert judge(said, Plain(Deny(reason="staff only")), last) == Refused(reason="staff only")
    assert last.heard == []
    assert said.texts == [
        "TLS Auth Error: a0 refused user name and password: staff only",
    ]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ValueError("boom"), "a0 failed: ValueError: boom ("),
        (True, "a0 failed: TypeError: it answered bool"),
        (OSError(5, "gone"), "a0 failed: OSError: [Errno 5] gone"),
    ],
)
def test_a_failing_authenticator_lets_nobody_in(answer: object, told: str) -> None:
    said = Said()
    assert judge(said, Plain(answer)) == Refused()
    assert said.has(told)
    assert not said.has("secret word")


class Slow(Authenticator):
    async def authenticate(self, login: Login) -> Decision:
        await asyncio.Event().wait()
        raise AssertionError


def test_one_that_never_answers_is_not_waited_for() -> None:
    said = Said()
    assert judge(said, Slow(), seconds=0.01) == Refused()
    assert said.has("--ginnel-authenticator a0: no answer came within 0.01 seconds")


class Asking(Authenticator):
    async def authenticate(self, login: Login) -> Decision:
        try:
            code = await login.ask("Code?", echo=False, seconds=5)
        except (LookupError, TimeoutError) as nobody:
            return Deny(reason=str(nobody))
        return Allow() if code == "123456" else Deny()


def answer_with(response: str, *, able: bool = True, waits: bool = True) -> Agreed | Refused:
    async def work() -> Agreed | Refused:
        asked: list[tuple[int, str]] = []

        def pend(seconds: int, text: str) -> bool:
            asked.append((seconds, text))
            return waits

        made = Authenticators([("otp", Asking())], Said(), seconds=0.01)
        facts = client(IV_SSO="openurl,crtext") if able else client()
        async with asyncio.TaskGroup() as tasks:
            judging = tasks.create_task(made.judge(login(facts), pend))
            await until(lambda: asked or judging.done(), "the question")
            if asked and waits:
                assert asked == [(5, "CR_TEXT:R:Code?")]
                assert made.answered(facts.client_id, "no base64") is False
                assert made.answered(facts.client_id, response)
        assert not made.answered(facts.client_id, response)
        return judging.result()

    return run(work())


def test_one_may_ask_the_user_something() -> None:
    assert answer_with(b64encode(b"123456").decode()) == Agreed()
    assert answer_with(b64encode(b"other").decode()) == Refused()
    unable = answer_with("", able=False)
    assert isinstance(unable, Refused)
    assert "IV_SSO lacks crtext" in unable.reason
    gone = answer_with("", waits=False)
    assert isinstance(gone, Refused)
    assert "does not wait" in gone.reason


def test_events_reach_all_and_failures_end_nobody() -> None:
    said, one, two = Said(), Plain(), Plain()

    async def work() -> None:
        made = Authenticators([("one", one), ("two", two)], said)
        facts = client()
        visitor = visitor_of(facts, tunnel_ipv4="10.8.0.4")
        await made.connected(visitor, facts)
        await made.address_learned(visitor, facts, "10.8.0.4", added=True)
        visit = Visit(received=1, sent=2, seconds=3.0, reason="sigterm")
        await made.disconnected(visitor, facts, visit)
        made.close()

    run(work())
    assert one.heard == two.heard == ["connected 1 10.8.0.4", "gone 1 2", "closed"]
    assert [text.split(" failed")[0] for text in said.texts] == [
        "WARNING: ginnel-authenticator one",
        "WARNING: ginnel-authenticator two",
    ]


def make_plain(words: Sequence[str]) -> Authenticator:
    if "bad" in words:
        raise ValueError("wants no words")
    return Plain()


def test_a_question_that_is_over_does_not_take_the_next_one_along() -> None:
    async def work() -> None:
        asked: list[str] = []

        def pend(seconds: int, text: str) -> bool:
            asked.append(text)
            return True

        made = Authenticators([("otp", Asking())], Said())
        facts = client(IV_SSO="crtext")
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(made.judge(login(facts), pend))
            await until(lambda: len(asked) == 1, "the question of the first session")
            second = tasks.create_task(made.judge(login(facts), pend))
            await until(lambda: len(asked) == 2, "that of the second")
            first.cancel()
            await until(first.done, "the end of the first")
            assert made.answered(facts.client_id, b64encode(b"123456").decode())
        assert second.result() == Agreed()

    run(work())


def test_others_are_found_by_their_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = "tests.unit.shell.test_authenticators"
    points = EntryPoints(
        [
            EntryPoint("office", f"{here}:make_plain", "ginnel.authenticators"),
            EntryPoint("broken", f"{here}:nothing_here", "ginnel.authenticators"),
        ]
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points.select(group=group))

    def made(*words: str) -> list[tuple[str, Authenticator]]:
        return make_authenticators(server_options(tmp_path, authenticators=(words,)))

    [(name, one)] = made("office", "word")
    assert (name, type(one).__name__) == ("office", "Plain")
    for words, told in (
        (("office", "bad"), "ginnel-authenticator office: wants no words"),
        (("broken",), "the package of 'broken' cannot be loaded"),
        (("nobody",), "no installed package provides 'nobody'; there are: broken, htpasswd, ldap"),
    ):
        with pytest.raises(ConfigError, match=told):
            made(*words)


def test_those_that_were_made_are_closed_when_another_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Plain()
    point = EntryPoint("one", "x:y", "ginnel.authenticators")
    monkeypatch.setattr(EntryPoint, "load", lambda _self: lambda _words: one)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: EntryPoints([point]))
    options = server_options(tmp_path, authenticators=(("one",), ("two",)))
    with pytest.raises(ConfigError, match="'two'"):
        make_authenticators(options)
    assert one.heard == ["closed"]
