"""A management client of our own says every command to Debian's daemon and to ginnel.

Both are asked in the same order while they hold, while they are connected and while they wait for a
login; replies and real-time lines are compared as they come. The words of ``help`` are left out:
each has its own.
"""

import re
from collections.abc import Callable, Sequence
from difflib import unified_diff

import pytest

from tests.interop.lab import Lab
from tests.interop.lab.management import Gui, socket_path
from tests.interop.lab.openvpn import OPENVPN, client_program

EVERYWHERE = (
    "",
    "# a comment",
    "version",
    "version 3",
    "pid",
    "pid and more",
    "status",
    "status 2",
    "status 9",
    "load-stats",
    "nclients",
    "state",
    "state 2",
    "state all",
    "state x",
    "state off",
    "state on 1",
    "state off",
    "log",
    "log x",
    "log off",
    "echo",
    "echo on",
    "echo all",
    "echo off",
    "echo 5",
    "bytecount",
    "bytecount 3",
    "bytecount 0",
    "bytecount -3",
    "hold",
    "hold on",
    "hold",
    "hold maybe",
    "signal",
    "signal SIGKILL",
    "verb",
    "verb 4",
    "verb",
    "verb 3",
    "verb 99",
    "mute",
    "mute 20",
    "mute",
    "mute 0",
    "mute -1",
    "auth-retry",
    "auth-retry interact",
    "auth-retry",
    "auth-retry none",
    "auth-retry sometimes",
    "username",
    "username Auth",
    "username Auth ada",
    "password",
    "password Auth secret",
    'password "Private Key" secret',
    "needok token ok",
    "needstr name text",
    "forget-passwords",
    "cr-response",
    "cr-response NDI=",
    "remote",
    "remote ACCEPT",
    "remote-entry-count",
    "remote-entry-get",
    "remote-entry-get 0",
    "remote-entry-get 0 9",
    "remote-entry-get 7",
    "remote-entry-get all",
    "proxy",
    "proxy NONE",
    "kill",
    "kill someone",
    "kill 192.0.2.7:1194",
    "client-auth 1",
    "client-auth-nt 1",
    "client-deny 1",
    'client-deny 1 1 "no"',
    "client-pending-auth 1 1 WEB_AUTH::x",
    "client-pending-auth 1 1 WEB_AUTH::x 30",
    "client-kill",
    "client-kill 1",
    "client-pf 1",
    "env-filter",
    "env-filter 2",
    "env-filter 0",
    "pkcs11-id-get",
    "net",
    "test",
    "test 3",
    "test 0",
    "push-update-broad x",
    "unknown",
    "unknown words here",
    'pid "half a quote',
    "pid \\q",
    "HELP",
    "x" * 300,
)

BODIES = (
    "client-auth 1 1\npush x\nEND",
    "client-auth-nt 1 1",
    "rsa-sig\nAAAA\nEND",
    "pk-sig\nAAAA\nEND",
    "certificate\nAAAA\nEND",
)

ANSWERS = {"username Auth ada", "password Auth secret", "hold on", "forget-passwords"}
"""What changes a question for a login, so that what follows depends on who is quicker."""

LOGIN = (
    "username Other ada",
    "password Other secret",
    "needok Auth ok",
    "needstr Auth text",
    "hold release",
)


def _plain(line: str) -> str:
    """Takes out what differs from run to run and from program to program."""
    line = re.sub(r"\b1\d{9}\b", "TIME", line)
    line = re.sub(r"OpenVPN 2\.6\.14 .*", "TITLE", line)
    line = re.sub(r"(?<=bytesin=)\d+|(?<=bytesout=)\d+|(?<= bytes,)\d+", "N", line)
    line = re.sub(r"Updated,.*", "Updated,WHEN", line)
    line = re.sub(r"10\.10\.112\.\d+", "ADDRESS", line)
    line = re.sub(r"fd00:10:112::[0-9a-f]+", "ADDRESS6", line)
    line = re.sub(r"(Bad backslash \('.'\) usage in TCP:0): .*", r"\1", line)
    return re.sub(r"pid=\d+", "pid=N", line)


def _walk(gui: Gui, commands: Sequence[str]) -> list[str]:
    """Says each command, and behind it one whose reply cannot be mistaken."""
    heard: list[str] = []
    for number, command in enumerate(commands):
        end = f"ERROR: signal 'FENCE{number}' is not a known signal type\r\n"
        text = gui.say(f"{command}\nsignal FENCE{number}", rf"(?s)\A.*?{re.escape(end)}")
        heard.append(f"-- {command[:60]}")
        heard += [_plain(line) for line in text.removesuffix(end).splitlines()]
    return heard


def _states(text: str) -> list[str]:
    return [_plain(line) for line in text.splitlines() if line.startswith((">STATE", ">HOLD"))]


def _life(lab: Lab, program: Sequence[str]) -> list[str]:
    """Held, connected, restarted, ended."""
    management = f"management {socket_path(lab)} unix"
    setup = lab.client_setup(lines=[management, "management-hold", "echo hello there"])
    client = lab.client_process(setup, program=program)
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">HOLD:Waiting for hold release:0\r\n")
        heard = _walk(gui, (*EVERYWHERE, *BODIES))
        gui.say("hold release")
        client.wait_connected()
        gui.heard = ""
        heard += _walk(gui, (*EVERYWHERE, *BODIES, "signal SIGUSR2"))
        gui.say("state on")
        gui.say("signal SIGUSR1")
        heard += _states(gui.hear(r"(?s)\A.*?>HOLD:[^\r]*\r\n"))
        mark = client.mark()
        gui.say("hold release")
        client.wait_connected(since=mark)
        heard += _states(gui.hear(r"(?s)\A.*?,CONNECTED,[^\r]*\r\n"))
        gui.say("signal SIGTERM")
        heard += _states(gui.wait_closed())
    return [*heard, f"status {client.process.wait_exit(20.0)}"]


def _login(lab: Lab, program: Sequence[str]) -> list[str]:
    """While user name and password are asked for."""
    management = f"management {socket_path(lab)} unix"
    asks = ["auth-user-pass", "management-query-passwords", "static-challenge Code? 1"]
    client = lab.client_process(lab.client_setup(lines=[management, *asks]), program=program)
    with Gui(socket_path(lab)) as gui:
        heard = [_plain(gui.hear(r">PASSWORD:Need 'Auth'[^\r]*\r\n"))]
        harmless = [command for command in EVERYWHERE if command not in ANSWERS]
        heard += _walk(gui, (*harmless, *LOGIN))
        gui.say("signal SIGTERM")
        gui.wait_closed()
    client.process.wait_exit(20.0)
    return heard


@pytest.mark.parametrize("conversation", [_life, _login], ids=["life", "login"])
def test_every_command_is_answered_alike(
    lab: Lab, conversation: Callable[[Lab, Sequence[str]], list[str]]
) -> None:
    lab.start_server()
    theirs = conversation(lab, (OPENVPN,))
    ours = conversation(lab, client_program())
    different = list(unified_diff(theirs, ours, "openvpn", "ginnel", n=2, lineterm=""))
    assert not different, "\n".join(different)
    assert len(theirs) > len(EVERYWHERE) // 2
