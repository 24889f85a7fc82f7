"""Writes server.json: what a real openvpn server says on its management interface.

Run by hand as root from the top of the tree, with openvpn 2.6 on the PATH; the result is committed.
Server and clients are real ones in the namespaces of the interop lab. What differs from run to run
(times, numbers of processes, fingerprints, counters, the program's title) is replaced by names in
braces. A step is what was done and all that was heard until the server fell silent:

- ``say``: a line, or several with a body, of the management client;
- ``client``: a VPN client with these options began to connect;
- ``end``: the VPN client got SIGTERM;
- ``respond``: the VPN client's own management client said ``cr-response``.
"""

import json
import re
import select
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deadlines import wait_until
from tests.interop.lab import TWO, Lab, Running, ServerSetup
from tests.interop.lab.openvpn import OPENVPN

TARGET = Path(__file__).with_name("server.json")
QUIET = 0.4
LONGEST = 8.0
"""Seconds that are listened at most; traffic reports never fall silent."""

EVERY = """version|version 3|pid|status|status 1|status 2|status 3|status 9|status x|load-stats|
nclients|nclients x|state|state all|log|log x|echo|echo all|bytecount|bytecount 3|bytecount 0|
bytecount -3|hold|hold on|hold off|hold maybe|signal|signal SIGKILL|verb|verb 4|verb 3|mute|mute 5|
mute 0|auth-retry|auth-retry interact|auth-retry none|username Auth x|password Auth x|
password Auth|needok x ok|needstr x y|forget-passwords|cr-response|cr-response abc|remote|
remote ACCEPT|remote-entry-count|remote-entry-get 0|remote-entry-get all|proxy|proxy NONE|kill|
kill foo|kill 192.0.2.7:1194|kill 192.0.2.7|kill 192.0.2.7:|kill :1194|kill 192.0.2.7:x|
kill 192.0.2.7:99999|kill 192.0.2.777:5|kill tcp:192.0.2.7:1194|kill a:b|kill [::1]:5|
kill 2001:db8::1|kill localhost:5|kill "two words"|client-auth|client-auth 1|client-auth 1 2\\nEND|
client-auth x 2\\nEND|client-auth 1 x\\npush "route 10.0.0.0"\\nEND|client-auth-nt|client-auth-nt 1|
client-auth-nt 1 2|client-auth-nt x 2|client-auth-nt 1 x|client-deny 1|client-deny 1 2|
client-deny 1 2 no|client-deny 1 2 no why|client-deny x 2 no|client-deny 1 x no|client-kill|
client-kill 7|client-kill x|client-kill 7 HALT|client-kill -1|client-pending-auth 1 2 x|
client-pending-auth 1 2 x 5|client-pending-auth 1 2 x y|client-pending-auth x 2 y 5|
client-pending-auth 1 x y 5|client-pf 1|client-pf 1\\nEND|push-update-broad x|
push-update-cid 1 x|env-filter|env-filter 2|env-filter 0|rsa-sig|pk-sig|certificate|net|test 1|
foo|help x|END""".replace("\n", "").split("|")
"""``\\n`` stands for a new line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A VPN client to start; ``lines`` are its options besides the common ones."""

    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The VPN client gets SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """The user at the VPN client answers a question."""

    response: str


Step = str | Client | End | Respond


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    name: str
    options: Sequence[str]
    steps: Sequence[Step]


WAIT = "signal WAIT"
"""Listens for long, until something was said."""

LOGIN = Client(lines=["auth-user-pass {login}", "auth-retry nointeract"])

CONVERSATIONS = (
    Conversation(name="held", options=["management-hold"], steps=EVERY),
    Conversation(name="idle", options=[], steps=EVERY),
    Conversation(
        name="allowed",
        options=["management-client-auth", "auth-user-pass-optional", "auth-gen-token"],
        steps=[
            LOGIN,
            "nclients",
            "load-stats",
            "status 1",
            "status 2",
            "client-auth 0 7\nEND",
            "client-auth 9 1\nEND",
            "client-deny 0 7 no",
            "client-pending-auth 0 7 WEB_AUTH::https://login.example 30",
            "client-pending-auth 0 1 WEB_AUTH::https://login.example 30",
            f"client-pending-auth 0 1 {'x' * 250} 30",
            'client-auth 0 1\npush "route 10.77.0.0 255.255.0.0"\n'
            "iroute 192.168.7.0 255.255.255.0\niroute-ipv6 fd00:7::/64\nEND",
            WAIT,
            "nclients",
            "status 1",
            "status 2",
            "status 3",
            "client-auth 0 1\nEND",
            "client-auth-nt 0 1",
            "client-pending-auth 0 1 x 30",
            "kill laptop",
            "nclients",
        ],
    ),
    Conversation(
        name="denied",
        options=["management-client-auth"],
        steps=[
            Client(lines=["auth-user-pass {login}"]),
            'client-deny 0 1 "not today" "come back tomorrow"',
        ],
    ),
    Conversation(
        name="denied without words",
        options=["management-client-auth"],
        steps=[Client(lines=["auth-user-pass {login}"]), 'client-deny 0 1 ""'],
    ),
    Conversation(
        name="renegotiated",
        options=["management-client-auth", "reneg-sec 12"],
        steps=[
            Client(lines=["auth-user-pass {login}"]),
            "client-auth-nt 0 1",
            "env-filter 2",
            WAIT,
            "client-auth-nt 0 2",
            WAIT,
            "client-deny 0 3 late late",
        ],
    ),
    Conversation(
        name="challenged",
        options=["management-client-auth"],
        steps=[
            Client(
                lines=["auth-user-pass {login}", "setenv IV_SSO crtext", "management {socket} unix"]
            ),
            'client-pending-auth 0 1 "CR_TEXT:R,E:The code?" 30',
            "env-filter 2",
            Respond(response="NDI="),
            "client-auth-nt 0 1",
        ],
    ),
    Conversation(
        name="filtered",
        options=["management-client-auth"],
        steps=["env-filter 1", Client(lines=["auth-user-pass {login}"])],
    ),
    Conversation(name="bound", options=["local 192.0.2.1"], steps=["state all"]),
    Conversation(
        name="restarted",
        options=["management-client-auth"],
        steps=[
            Client(lines=["auth-user-pass {login}"]),
            "client-auth-nt 0 1",
            "client-kill 0 HALT,enough",
        ],
    ),
    Conversation(
        name="left",
        options=["management-client-auth", "explicit-exit-notify"],
        steps=[
            Client(lines=["auth-user-pass {login}"]),
            "env-filter 2",
            "client-auth-nt 0 1",
            "bytecount 1",
            "bytecount 0",
            "env-filter 1",
            End(),
        ],
    ),
    Conversation(
        name="not judged",
        options=[],
        steps=[Client(), "client-auth-nt 0 1", "client-deny 0 1 no", "kill {address}"],
    ),
)


class Listener:
    """A management client that reads until the server has been silent for a moment."""

    def __init__(self, path: Path) -> None:
        self._socket = wait_until(lambda: _connected(path), timeout=10.0, what=str(path))

    def say(self, lines: str) -> None:
        self._socket.sendall(lines.encode() + b"\n")

    def hear_event(self) -> str:
        """Reads until something happened to a client."""
        heard = ""
        give_up = time.monotonic() + 60.0
        while ">CLIENT" not in heard and time.monotonic() < give_up:
            heard += self.read()
        return heard

    def read(self, quiet: float = QUIET) -> str:
        received = b""
        give_up = time.monotonic() + LONGEST
        while time.monotonic() < give_up and select.select([self._socket], [], [], quiet)[0]:
            part = self._socket.recv(65536)
            if not part:
                break
            received += part
        return received.decode("utf-8", "surrogateescape")


def _connected(path: Path) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        return None
    return sock


PATTERNS = (
    (r"OpenVPN 2\.6\.14 [^\r\n]*", "{title}"),
    (r"pid=\d+", "pid={pid}"),
    (r"192\.0\.2\.10:\d+", "192.0.2.10:{port}"),
    (r"((?:un)?trusted_port)=\d+", r"\1={port}"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "{when}"),
    (r"\b1[789]\d{8}\b", "{time}"),
    (r"(bytesin|bytesout)=[1-9]\d*", r"\1={bytes}"),
    (r"(bytes_sent|bytes_received|time_duration)=\d+", r"\1={number}"),
    (r"(BYTECOUNT_CLI:\d+),\d+,\d+", r"\1,{bytes},{bytes}"),
    (r"([,\t])\d{3,}([,\t])\d{3,}([,\t]\{when\})", r"\1{bytes}\2{bytes}\3"),
    (r"(tls_(?:serial|digest)\w*)=[^\r\n]*", r"\1={certificate}"),
    (r"(daemon_pid|daemon_start_time|config|session_id|IV_PLAT_VER|IV_SSL)=[^\r\n]*", r"\1={own}"),
)


def normalized(text: str) -> str:
    for pattern, replacement in PATTERNS:
        text = re.sub(pattern, replacement, text)
    return text


def _perform(lab: Lab, listener: Listener, step: Step, client: Running | None) -> Running | None:
    match step:
        case str(text):
            if "{address}" in text:
                listener.say("status 2")
                found = re.search(r"192\.0\.2\.10:\d+", listener.read())
                assert found is not None, "there is a client"
                text = text.replace("{address}", found.group())
            listener.say(text.replace("\\n", "\n"))
        case Client(lines=lines):
            login = lab.directory / "login"
            login.write_text("ada\nlovelace\n")
            login.chmod(0o600)
            own = [line.format(login=login, socket=lab.directory / "own.sock") for line in lines]
            setup = lab.client_setup(lines=[*own, "explicit-exit-notify"], retry="300")
            return lab.client_process(setup, program=(OPENVPN,))
        case End():
            assert client is not None, "a client was started"
            client.send(signal.SIGTERM)
        case Respond(response=response):
            user = Listener(lab.directory / "own.sock")
            user.say(f"cr-response {response}")
            assert "SUCCESS" in user.read()
    return client


def _shown(step: Step) -> dict[str, object]:
    match step:
        case str(text):
            return {"say": text.replace("\\n", "\n")}
        case Client(lines=lines):
            return {"client": list(lines)}
        case End():
            return {"end": True}
        case Respond(response=response):
            return {"respond": response}


def record(lab: Lab, conversation: Conversation) -> dict[str, object]:
    path = lab.directory / "server.sock"
    lines = [f"management {path} unix", *conversation.options]
    lab.server_process(ServerSetup(verb=3, lines=lines))
    listener = Listener(path)
    held = "management-hold" in conversation.options
    greeting = normalized(listener.read(QUIET if held else 2.0))
    client: Running | None = None
    steps: list[dict[str, object]] = []
    for step in conversation.steps:
        client = _perform(lab, listener, step, client)
        slow = not isinstance(step, str) or step.startswith(("client-", "state", "bytecount 1"))
        quiet = 2.5 if slow and conversation.name not in {"held", "idle"} else QUIET
        heard = listener.hear_event() if step == WAIT else listener.read(quiet)
        steps.append({**_shown(step), "hear": normalized(heard)})
    lab.end_programs()
    return {
        "name": conversation.name,
        "options": list(conversation.options),
        "greeting": greeting,
        "steps": steps,
    }


def main() -> None:
    with Lab(TWO) as lab:
        recorded = [record(lab, each) for each in CONVERSATIONS]
    document = {
        "origin": "tests/vectors/management/make_server_vectors.py",
        "tool": "OpenVPN 2.6.14, as server and as client",
        "command": "the interop lab's server: --server 10.10.112.0 255.255.240.0 --topology subnet "
        "--server-ipv6 fd00:10:112::/64 --verb 3 --management FILE unix OPTIONS",
        "conversations": recorded,
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
