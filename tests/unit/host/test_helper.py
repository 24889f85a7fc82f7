"""The helper's answers to requests, hostile ones too, over a socket and without any rights."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ginnel.core.errors import HostError
from ginnel.host import helper
from ginnel.host.helper import Helper
from ginnel.host.netlink import Netlink

Reply = dict[str, object]
_PLAIN = {"vnet_header": False}


class Wire:
    """The main process's end of a helper that runs in a thread."""

    def __init__(self, runtime: Path) -> None:
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.settimeout(40)
        self._thread = threading.Thread(target=self._serve, args=(theirs, runtime))
        self._thread.start()
        self._number = 0

    @staticmethod
    def _serve(theirs: socket.socket, runtime: Path) -> None:
        with theirs, Netlink() as netlink:
            Helper(theirs, netlink, runtime).serve()

    def ask(self, **request: object) -> Reply:
        self._number += 1
        self.ours.send(json.dumps({"id": self._number, **request}).encode())
        reply: Reply = json.loads(self.ours.recv(1 << 17))
        assert reply["id"] == self._number
        return reply

    def close(self) -> None:
        self.ours.close()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    made = Wire(tmp_path / "run")
    yield made
    made.close()


def refusal(reply: Reply) -> str:
    error = reply["error"]
    assert isinstance(error, dict)
    return f"{error['step']}: {error['detail']}"


def test_hello_comes_first_and_once(wire: Wire) -> None:
    assert "hello comes first" in refusal(wire.ask(op="undo-all"))
    assert wire.ask(op="hello", pid=1)["ok"] == {"recovered": []}
    assert "hello comes once" in refusal(wire.ask(op="hello", pid=1))


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"op": "run", "command": "id"},
        {"op": 7},
        {"op": "hello"},
        {"op": "hello", "pid": "1"},
        {"op": "open-tun", "device": None},
        {"op": "open-tun", "device": {"name": "../x", "kind": "tun", "node": "/dev/null"}},
        {"op": "open-tun", "device": {"name": "tun7", "kind": "tun", "node": "/dev/\0", **_PLAIN}},
        {
            "op": "open-tun",
            "device": {"name": "tun7", "kind": "tun", "node": "/dev/\ud800", **_PLAIN},
        },
        {"op": "open-tun", "device": {"name": "\ud800", "kind": "tun", "node": "/dev/x", **_PLAIN}},
        {"op": "apply", "changes": 7, "continued": False},
        {"op": "apply", "changes": [{}] * 129, "continued": False},
        {"op": "apply", "changes": [{"do": {"kind": "add-route"}}], "continued": False},
        {
            "op": "apply",
            "changes": [{"do": {"kind": "remove-route", "network": "10.0.0.0/8"}}],
            "continued": False,
        },
        {"op": "underlay", "server": "everywhere"},
        {"op": "close-tun", "name": 7},
    ],
)
def test_odd_request_is_refused_by_value(wire: Wire, request_: Reply) -> None:
    assert refusal(wire.ask(**request_)).startswith("privileged helper: request refused: ")
    assert wire.ask(op="hello", pid=1)["ok"] == {"recovered": []}


def test_what_is_no_request_is_passed_over(wire: Wire) -> None:
    for junk in (b"\xff", b"[]", b"{}", b'{"id":-1,"op":"hello"}', b"[" * 5000, b"x" * 140_000):
        wire.ours.send(junk)
    assert wire.ask(op="hello", pid=1)["ok"] == {"recovered": []}


def test_device_that_is_not_ours_is_not_touched(wire: Wire) -> None:
    wire.ask(op="hello", pid=1)
    step = {"device": "lo", "index": 1}
    link = {"kind": "set-link", **step, "mtu": 1400, "txqueuelen": None, "up": False}
    address = {"kind": "add-address", **step, "local": "192.0.2.1", "prefix": 32, "peer": None}
    for each in (link, address):
        reply = wire.ask(op="apply", changes=[{"do": each}], continued=False)
        assert "not a device of this tunnel" in refusal(reply)


def test_nothing_done_is_nothing_undone(wire: Wire) -> None:
    wire.ask(op="hello", pid=1)
    for request in ({"op": "undo-routes"}, {"op": "undo-all"}, {"op": "close-tun", "name": "tun0"}):
        assert wire.ask(**request)["ok"] == {"total": 0, "results": []}


def test_underlay_is_told(wire: Wire) -> None:
    wire.ask(op="hello", pid=1)
    told = wire.ask(op="underlay", server="127.0.0.1")["ok"]
    assert isinstance(told, dict)
    assert told["server"] is None


def test_device_is_not_kept_when_the_underlay_cannot_be_read(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``lo`` plays the device, which is not removed, since it is of another kind."""

    def refuse(*_: object, **__: object) -> None:
        raise HostError("listing", 0, "not now")

    null = os.open(os.devnull, os.O_RDONLY)
    monkeypatch.setattr(helper, "open_device", lambda _request: (null, "lo"))
    monkeypatch.setattr(helper, "take_snapshot", refuse)
    wire.ask(op="hello", pid=1)
    device = {"name": "tun", "kind": "tun", "node": "/dev/null", "lladdr": "", **_PLAIN}
    assert "not now" in refusal(wire.ask(op="open-tun", device=device, server=None))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(null)
    assert list((tmp_path / "run").iterdir()) == [], "nothing is left to undo"
    link = {"kind": "set-link", "device": "lo", "index": 1, "mtu": 1400, "txqueuelen": None}
    reply = wire.ask(op="apply", changes=[{"do": {**link, "up": False}}], continued=False)
    assert "not a device of this tunnel" in refusal(reply)


def test_helper_that_cannot_be_confined_serves_nobody_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise HostError("prctl", 1, "not here")

    lines: list[str] = []
    monkeypatch.setattr(helper, "_detach", lambda _channel: None)
    monkeypatch.setattr(helper, "confine_helper", refuse)
    monkeypatch.setattr("syslog.openlog", lambda *_words: None)
    monkeypatch.setattr("syslog.syslog", lambda _priority, line: lines.append(line))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(b'{"id":1,"op":"hello","pid":1}')
        with pytest.raises(HostError, match="prctl"):
            helper.run_helper(theirs, tmp_path)
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
    assert "not here" in "".join(lines)
