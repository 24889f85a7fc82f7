"""Calls that wait for an answer in the middle."""

import threading

import pytest

from ginnel.core.signing import Ask, Scheme, SignatureRequest
from ginnel.shell.parking import ThreadStacks

REQUEST = SignatureRequest(scheme=Scheme.ECDSA, hash_name="SHA256", message=b"m", key_bytes=72)


def test_a_call_without_a_question_just_runs() -> None:
    seen: list[str] = []
    assert ThreadStacks().run(lambda _ask: seen.append("ran")) is None
    assert seen == ["ran"]


def test_a_question_suspends_and_its_answer_resumes() -> None:
    answers: list[bytes | None] = []

    def work(ask: Ask) -> None:
        answers.append(ask(REQUEST))
        answers.append(ask(REQUEST))

    first = ThreadStacks().run(work)
    assert first is not None
    assert first.request is REQUEST
    assert answers == []
    second = first.resume(b"one")
    assert second is not None
    assert second.resume(None) is None
    assert answers == [b"one", None]


def test_what_the_call_raises_comes_out_where_it_is_driven() -> None:
    def at_once(_ask: Ask) -> None:
        raise ValueError("at once")

    def later(ask: Ask) -> None:
        ask(REQUEST)
        raise ValueError("later")

    with pytest.raises(ValueError, match="at once"):
        ThreadStacks().run(at_once)
    suspended = ThreadStacks().run(later)
    assert suspended is not None
    with pytest.raises(ValueError, match="later"):
        suspended.resume(b"")


def test_no_thread_outlives_its_call() -> None:
    before = threading.active_count()

    def work(ask: Ask) -> None:
        ask(REQUEST)

    suspended = ThreadStacks().run(work)
    assert suspended is not None
    assert threading.active_count() == before + 1
    suspended.resume(b"x")
    for thread in threading.enumerate():
        if thread.name == "signing":
            thread.join(40)
    assert threading.active_count() == before
