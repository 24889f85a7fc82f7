"""Writes conversations.json: what a real openvpn answers to every command of a client's interface.

Run by hand as root with openvpn 2.6 on the PATH; the result is committed. The daemon runs in a
network namespace of its own, without a server that answers, so the conversations need no tunnel.
Numbers of processes, times and the program's name are replaced by ``{pid}``, ``{time}``,
``{title}``. ``pkcs11-id-count`` and ``pkcs11-id-get`` are left out: 2.6.14 ends with a failed
assertion on both when it was not given a provider.
"""

import json
import re
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).with_name("conversations.json")
NAMESPACE = "gm-vectors"
QUIET = 0.3

RECONNECT = "<reconnect>"

HELD = """version|version 3|version x|version 1 2|pid|pid x|status|status 3|load-stats|nclients|
state|state all|state 1|state on|state on all|state off|state off all|state x|state on x|state x 2|
state -1|state 0|state 1 2|state on off|state on all all|log|log xyz|log off|log 0|echo|echo all|
echo on all|echo off|bytecount|bytecount x|bytecount 0|hold|hold on|hold off|hold|hold on|hold bad|
hold show|signal|signal SIGFOO|signal sigterm|signal SIGUSR1|signal SIGHUP|verb|verb 4|verb x|
verb 99|verb -1|verb 3|mute|mute 5|mute x|mute -1|auth-retry|auth-retry interact|auth-retry bad|
auth-retry none|username Auth x|username|username Auth|password Auth|password Auth x|needok x ok|
needok x|needstr x y|needstr x|forget-passwords|cr-response abc|cr-response|remote ACCEPT|remote|
remote-entry-count|remote-entry-get 0|remote-entry-get|proxy NONE|proxy|kill foo|kill|
client-auth 1|client-auth-nt 1|client-auth-nt 1 2|client-deny 1 2 x|client-deny 1|
client-pending-auth 1 2 x 5|client-pending-auth 1|client-kill 1|client-kill|client-pf 1|env-filter|
env-filter 2|env-filter 5|env-filter x|rsa-sig|pk-sig|pk-sig 1|certificate|push-update-broad x|net|
test 3|test|test x|test -1|foo|foo bar|"foo|'foo|"quoted cmd" x||   pid|#pid|;pid|pid # x|
state "on"|'state' 'off'|hold release x|hold release|END""".replace("\n", "").split("|")

RUNNING = """status|status 2|status x|status 1 2|load-stats|remote-entry-count|remote-entry-get 0|
remote-entry-get 0 1|remote-entry-get 0 2|remote-entry-get 0 9|remote-entry-get 1|
remote-entry-get 5|remote-entry-get 1 0|remote-entry-get 1 1|remote-entry-get x|
remote-entry-get -1|remote-entry-get all|remote-entry-get all 1|remote ACCEPT|remote SKIP|
proxy NONE|hold release|hold|username Auth x""".replace("\n", "").split("|")

LOGIN = """version 4|username Auth joe|username Foo joe|username Auth|password Foo x|
password "Auth" "a b\\\\\\\"c"|username Auth joe""".replace("\n", "").split("|")

FRAMING = [
    *(f"pid {'x' * (length - 4)}" for length in (200, 255, 259, 260, 300, 1023, 1024, 1025, 1026)),
    f"pid {'x' * 1996}",
    f"pid {'x' * 2996}",
    "pid\r",
    "pi\x01d",
    "state\tall",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
    "client-auth 1 2\nline\nEND",
    "client-auth 1 2\nEND",
    "pid\nhold\npid",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A daemon's options after the common ones, and what is said to it."""

    name: str
    options: Sequence[str]
    lines: Sequence[str]


CONVERSATIONS = (
    Conversation(name="held", options=["--management-hold"], lines=HELD),
    Conversation(name="framing", options=["--management-hold"], lines=FRAMING),
    Conversation(
        name="running",
        options=["--remote", "v.example", "1196", "tcp-client", "--remote", "127.0.0.3", "1194",
                 "udp6"],
        lines=RUNNING,
    ),
    Conversation(
        name="login",
        options=["--management-query-passwords", "--auth-user-pass"],
        lines=LOGIN,
    ),
    Conversation(
        name="static-challenge",
        options=["--management-query-passwords", "--auth-user-pass", "--static-challenge",
                 "Your PIN?", "1"],
        lines=["username Auth joe", RECONNECT, "password Auth x"],
    ),
    Conversation(
        name="remote",
        options=["--management-query-remote"],
        lines=["remote BAD", "remote MOD a", "remote MOD", "remote ACCEPT x"],
    ),
    Conversation(
        name="proxy",
        options=["--management-query-proxy"],
        lines=["proxy BAD", "proxy HTTP", "proxy SOCKS a", "proxy HTTP 127.0.0.1 3128"],
    ),
    Conversation(
        name="reconnect",
        options=["--management-hold"],
        lines=["state on", "hold off", "env-filter 2", RECONNECT, "hold", "env-filter",
               "hold release"],
    ),
    Conversation(
        name="password",
        options=["--management-hold", "PASSWORD"],
        lines=["wrong", "worse", "worst", RECONNECT, "secret", "pid"],
    ),
)  # fmt: skip


class Client:
    """A management client that reads until the daemon has been silent for a moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + 10
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(str(self._path))
            except OSError:
                sock.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return sock

    def reconnect(self) -> None:
        self._socket.close()
        time.sleep(QUIET)
        self._socket = self._connect()

    def say(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def read(self) -> bytes:
        received = b""
        while select.select([self._socket], [], [], QUIET)[0]:
            part = self._socket.recv(65536)
            if not part:
                break
            received += part
        return received


def normalized(received: bytes, pid: int, title: str) -> str:
    text = received.decode("utf-8", "surrogateescape")
    text = text.replace(title, "{title}").replace(f"pid={pid}", "pid={pid}")
    text = re.sub(r"(?m)^(>STATE:|>LOG:|)\d{10},", r"\1{time},", text)
    text = re.sub(r"Updated,\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "Updated,{time}", text)
    text = re.sub(r"(TCP/UDP (?:read|write) bytes),\d+", r"\1,{bytes}", text)
    return re.sub(r"bytesin=\d+,bytesout=\d+", "bytesin={bytes},bytesout={bytes}", text)


def record(conversation: Conversation, directory: Path, title: str) -> dict[str, object]:
    path = directory / "m.sock"
    password = directory / "password"
    password.write_text("secret\n")
    command = [
        "ip", "netns", "exec", NAMESPACE, "openvpn", "--client", "--dev", "null", "--nobind",
        "--verb", "3", "--ca", str(directory / "c.pem"), "--cert", str(directory / "c.pem"),
        "--key", str(directory / "k.pem"), "--remote", "127.0.0.1", "1195",
    ]  # fmt: skip
    options = [option for option in conversation.options if option != "PASSWORD"]
    management = ["--management", str(path), "unix"]
    management += [str(password)] if "PASSWORD" in conversation.options else []
    daemon = subprocess.Popen([*command, *management, *options], stdout=subprocess.DEVNULL)
    steps: list[dict[str, str]] = []
    try:
        client = Client(path)
        greeting = normalized(client.read(), daemon.pid, title)
        for line in conversation.lines:
            if line == RECONNECT:
                client.reconnect()
            else:
                client.say(line)
            steps.append({"say": line, "hear": normalized(client.read(), daemon.pid, title)})
    finally:
        daemon.terminate()
        daemon.wait()
    shown = [str(option) for option in conversation.options]
    return {"name": conversation.name, "options": shown, "greeting": greeting, "steps": steps}


def main() -> None:
    version = subprocess.run(["openvpn", "--version"], capture_output=True, check=False).stdout
    title = version.decode().split("\n", 1)[0]
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    # Somebody has to hold the port: a refusal would restart the daemon in the middle.
    quiet = "import socket as s,time;k=s.socket(s.AF_INET,s.SOCK_DGRAM);"
    quiet += "k.bind(('127.0.0.1',1195));time.sleep(900)"
    try:
        subprocess.run(["ip", "-n", NAMESPACE, "link", "set", "lo", "up"], check=True)
        server = subprocess.Popen(["ip", "netns", "exec", NAMESPACE, "python3", "-c", quiet])
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                 "-keyout", str(directory / "k.pem"), "-out", str(directory / "c.pem")],
                check=True, capture_output=True,
            )  # fmt: skip
            recorded = [record(each, directory, title) for each in CONVERSATIONS]
        server.terminate()
        server.wait()
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)
    document = {
        "origin": "tests/vectors/management/make_management_vectors.py",
        "tool": title.split(" [", 1)[0],
        "command": "openvpn --client --dev null --verb 3 --remote 127.0.0.1 1195 "
        "--management FILE unix OPTIONS",
        "conversations": recorded,
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
