"""A management client says every command to Debian's server and to ginnel's, and compares.

Both are asked in the same order: while they hold, while they wait for clients, while a client is
being judged and while one is connected. The words of ``help`` are left out.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import unified_diff

from tests.interop.lab import Lab, ServerSetup
from tests.interop.lab.management import Gui, socket_path
from tests.interop.test_server_management import CONNECT, ESTABLISHED, GONE, come

COMMON = (
    "version",
    "version 3",
    "pid",
    "status",
    "status 1",
    "status 2",
    "status 3",
    "status 9",
    "status x",
    "load-stats",
    "nclients",
    "nclients x",
    "state",
    "state all",
    "log",
    "log x",
    "log off",
    "echo",
    "echo all",
    "bytecount",
    "bytecount 0",
    "bytecount -3",
    "hold",
    "hold maybe",
    "signal",
    "signal SIGKILL",
    "verb",
    "verb 4",
    "verb 3",
    "mute",
    "mute 5",
    "mute 0",
    "auth-retry",
    "auth-retry interact",
    "auth-retry none",
    "username Auth x",
    "password Auth x",
    "needok x ok",
    "needstr x y",
    "forget-passwords",
    "cr-response",
    "cr-response abc",
    "remote",
    "remote ACCEPT",
    "remote-entry-count",
    "remote-entry-get 0",
    "proxy",
    "proxy NONE",
    "kill",
    "kill foo",
    "kill 192.0.2.7:1194",
    "kill 192.0.2.7",
    "kill :1194",
    "kill 192.0.2.7:x",
    "kill 192.0.2.777:5",
    'kill "two words"',
    "client-auth 7",
    "client-auth 7 2\nEND",
    "client-auth x 2\nEND",
    "client-auth-nt 7 2",
    "client-auth-nt 7 x",
    "client-deny 7",
    "client-deny 7 2 no",
    "client-deny 7 2 no why",
    "client-deny x 2 no",
    "client-kill",
    "client-kill 7",
    "client-kill x",
    "client-kill 7 HALT",
    "client-pending-auth 7 2 x",
    "client-pending-auth 7 2 x 5",
    "client-pending-auth 7 2 x y",
    "client-pf 7",
    "client-pf 7\nEND",
    "env-filter",
    "env-filter 2",
    "env-filter 0",
    "rsa-sig",
    "pk-sig\nEND",
    "certificate\nEND",
    "net",
    "test 2",
    "foo",
    "END",
)

JUDGED = (
    "status 1",
    "status 2",
    "status 3",
    "nclients",
    "client-auth 0 7\nEND",
    "client-deny 0 7 no",
    "client-pending-auth 0 7 WEB_AUTH::https://login.example 30",
    "client-pending-auth 0 1 WEB_AUTH::https://login.example 30",
    'client-auth 0 1\npush "route 10.77.0.0 255.255.0.0"\niroute 192.168.7.0 255.255.255.0\nEND',
)

OWN_VALUES = (
    r"(?:un)?trusted_port|daemon_\w+|config|session_id|time_\w+|bytes_\w+|tls_(?:id|serial|digest)"
    r"\w*|IV_PLAT_VER|IV_SSL|X509_\w+"
)


def _plain(line: str) -> str:
    """Takes out what differs from run to run and from program to program."""
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", line)
    line = re.sub(r"\b1[789]\d{8}\b", "TIME", line)
    line = re.sub(r"OpenVPN 2\.6\.14 .*", "TITLE", line)
    line = re.sub(r"(?<=bytesin=)\d+|(?<=bytesout=)\d+", "N", line)
    line = re.sub(r"(?<=queue length.)\d+", "N", line)
    line = re.sub(r"(192\.0\.2\.10):\d+", r"\1:PORT", line)
    line = re.sub(r"([,\t])\d{3,}([,\t])\d{3,}(?=[,\t]WHEN)", r"\1N\2N", line)
    line = re.sub(rf"(ENV,(?:{OWN_VALUES}))=.*", r"\1", line)
    return re.sub(r"pid=\d+", "pid=N", line)


def _block(text: str) -> list[str]:
    return [_plain(line) for line in text.splitlines()]


def _walk(gui: Gui, commands: Iterable[str]) -> list[str]:
    """Says each command, and behind it one whose reply cannot be mistaken."""
    heard: list[str] = []
    for number, command in enumerate(commands):
        end = f"ERROR: signal 'FENCE{number}' is not a known signal type\r\n"
        text = gui.say(f"{command}\nsignal FENCE{number}", rf"(?s)\A.*?{re.escape(end)}")
        lines = [_plain(line) for line in text.removesuffix(end).splitlines()]
        if command.startswith("status"):
            lines.sort()  # routes come in the order of a hash table
        heard += [f"-- {command[:60]}", *lines]
    return heard


def _life(lab: Lab, program: str) -> list[str]:
    """Held, waiting for clients, judging one, serving it, killing it, ended."""
    management = f"management {socket_path(lab)} unix"
    lines = [
        management,
        "management-client-auth",
        "management-hold",
        "auth-gen-token",
        "echo hello",
    ]
    server = lab.server_process(ServerSetup(program=program, lines=lines, verb=3))
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">HOLD:Waiting for hold release:0\r\n")
        heard = _walk(gui, COMMON)
        gui.say("hold release")
        server.wait_connected()
        gui.heard = ""
        heard += _walk(gui, COMMON)
        client = come(lab, "explicit-exit-notify")
        heard += _block(gui.hear(CONNECT))
        heard += _walk(gui, JUDGED[:-1])
        gui.say(JUDGED[-1])
        heard += _block(gui.hear(ESTABLISHED.replace("(?s)", r"(?s)\A.*?")))
        client.wait_connected()
        heard += _walk(gui, ("status 1", "status 2", "status 3", "nclients", *COMMON))
        gui.send("kill laptop\n")
        killed = r"(?s)\A(?=.*SUCCESS: common name 'laptop' found, 1 client\(s\) killed\r\n)"
        ended = gui.hear(rf"{killed}(?=.*ENV,END\r\n).*\r\n")
        heard += sorted(_plain(line) for line in ended.splitlines())
        heard += _walk(gui, ("nclients", "status 2"))
        gui.say("state on")
        gui.say("signal SIGTERM")
        heard += [_plain(line) for line in gui.wait_closed().splitlines() if "STATE" in line]
    client.stop(expect=None)
    return [*heard, f"status {server.process.wait_exit(20.0)}"]


def _left(lab: Lab, program: str) -> list[str]:
    """A client that comes and goes as it likes."""
    management = f"management {socket_path(lab)} unix"
    lines = [management, "management-client-auth", "reneg-sec 0", "local 192.0.2.1"]
    server = lab.start_server(ServerSetup(program=program, lines=lines, verb=3))
    with Gui(socket_path(lab)) as gui:
        heard = _walk(gui, ("state all", "env-filter 1"))
        client = come(lab, "explicit-exit-notify")
        heard += _block(gui.hear(CONNECT))
        gui.say("env-filter 0")
        gui.say("client-auth-nt 0 1")
        client.wait_connected()
        heard += _block(gui.hear(ESTABLISHED.replace("(?s)", r"(?s)\A.*?")))
        client.stop()
        heard += gui.hear(r">NOTIFY:[^\r]*\r\n").splitlines()
        heard += _block(gui.hear(GONE))
        heard += _walk(gui, ("nclients", "status 2"))
    server.stop()
    return heard


def _restarts(lab: Lab, program: str) -> list[str]:
    """Held at each start, with routes, and told when the tunnel comes and goes."""
    management = f"management {socket_path(lab)} unix"
    lines = [
        management,
        "management-hold",
        "management-up-down",
        "route 192.168.99.0 255.255.255.0",
    ]
    server = lab.server_process(ServerSetup(program=program, lines=lines, verb=3))
    heard = ""
    replies: list[str] = []
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">HOLD:Waiting for hold release:0\r\n")
        gui.say("state on")
        for signal in ("SIGUSR1", "SIGHUP", "SIGTERM"):
            gui.say("hold release")
            heard += gui.hear(r"(?s)\A.*?,CONNECTED,[^\r]*\r\n")
            gui.say(f"signal {signal}")
            if signal != "SIGTERM":
                heard += gui.hear(r"(?s)\A.*?>HOLD:[^\r]*\r\n")
                replies += _walk(gui, ("status", "nclients", "load-stats", "kill x", "state"))
        heard += gui.wait_closed()
    events = [_plain(line) for line in heard.splitlines() if ":ENV," not in line]
    names = [line.partition("=")[0] for line in heard.splitlines() if ":ENV," in line]
    # A gateway of 0.0.0.0, where the host has none, is told by OpenVPN alone.
    names = [name for name in names if name != ">UPDOWN:ENV,route_net_gateway"]
    return [*replies, *events, *names, f"status {server.process.wait_exit(20.0)}"]


def _compare(lab: Lab, theirs: Sequence[str], ours: Sequence[str]) -> None:
    different = list(unified_diff(theirs, ours, "openvpn", "ginnel", n=2, lineterm=""))
    assert not different, "\n".join(different)


def test_every_command_is_answered_alike(lab: Lab) -> None:
    theirs = _life(lab, "openvpn")
    _compare(lab, theirs, _life(lab, "ginnel"))
    assert len(theirs) > 3 * len(COMMON)


def test_a_client_that_leaves_is_told_alike(lab: Lab) -> None:
    _compare(lab, _left(lab, "openvpn"), _left(lab, "ginnel"))


def test_restarts_are_told_alike(lab: Lab) -> None:
    _compare(lab, _restarts(lab, "openvpn"), _restarts(lab, "ginnel"))
