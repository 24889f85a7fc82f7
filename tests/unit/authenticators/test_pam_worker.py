"""The process that asks PAM: its protocol, with PAM itself replaced."""

import json
import os
import threading
from base64 import b64encode
from typing import Any

import pytest

from ginnel.authenticators import pam_worker
from ginnel.authenticators.pam_worker import MAX_REQUEST, Worker


def exchange(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> list[dict[str, Any]]:
    def check_login(service: str, user: bytes, password: bytes, host: bytes) -> str:
        if user == b"broken":
            raise OSError("libpam is missing")
        return "" if (user, password, host) == (b"ada", b"pw", b"") else f"{service} says no"

    monkeypatch.setattr(pam_worker, "check_login", check_login)
    requests, feed = os.pipe()
    results, answers = os.pipe()
    worker = Worker("office", 5, requests, answers)
    serving = threading.Thread(target=worker.run)
    serving.start()
    os.write(feed, sent)
    wanted = sent.count(b"\n")
    received = b""
    while received.count(b"\n") < wanted:
        received += os.read(results, 4096)
    os.close(feed)
    serving.join()
    for fd in (requests, results, answers):
        os.close(fd)
    return sorted((json.loads(line) for line in received.splitlines()), key=lambda one: one["id"])


def request(number: int, user: str) -> bytes:
    fields = {"user": user, "password": "pw", "host": ""}
    encoded = {name: b64encode(value.encode()).decode() for name, value in fields.items()}
    return json.dumps({"id": number, **encoded}).encode() + b"\n"


def test_each_request_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = request(1, "ada") + request(2, "bob") + request(3, "broken")
    assert exchange(monkeypatch, sent) == [
        {"id": 1, "good": True, "why": ""},
        {"id": 2, "good": False, "why": "office says no"},
        {"id": 3, "good": False, "why": "libpam is missing"},
    ]


def test_input_without_an_end_of_line_ends_the_process() -> None:
    requests, feed = os.pipe()
    os.set_blocking(feed, False)
    worker = Worker("office", 5, requests, -1)
    serving = threading.Thread(target=worker.run)
    serving.start()
    sent = 0
    while sent <= MAX_REQUEST and serving.is_alive():
        try:
            sent += os.write(feed, b"x" * 4096)
        except BlockingIOError:
            continue
    serving.join()
    os.close(requests)
    os.close(feed)
