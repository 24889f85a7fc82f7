"""Every command as a real openvpn answers it: the recorded conversations, replayed."""

import json
import re
from pathlib import Path
from typing import TypedDict

import pytest

from ginnel.management.board import RemoteEntry
from ginnel.management.queries import (
    HoldQuery,
    LoginQuery,
    ProxyQuery,
    Query,
    RemoteQuery,
)
from ginnel.management.state import StateRecord
from ginnel.options.model import StaticChallenge
from ginnel.options.values import Secret
from tests.unit.management.fakes import PID, TITLE, WHEN, Rig

VECTORS = Path(__file__).parents[2] / "vectors" / "management" / "conversations.json"


class Step(TypedDict):
    say: str
    hear: str


class Conversation(TypedDict):
    name: str
    options: list[str]
    greeting: str
    steps: list[Step]


def load() -> list[Conversation]:
    conversations: list[Conversation] = json.loads(VECTORS.read_text())["conversations"]
    return conversations


OWN_WORDS = re.compile(r"(?s)ERROR: Options warning: Bad backslash.*")

REMOTES = [
    RemoteEntry(host="127.0.0.1", port="1195", protocol="udp"),
    RemoteEntry(host="v.example", port="1196", protocol="tcp-client"),
    RemoteEntry(host="127.0.0.3", port="1194", protocol="udp6"),
]

QUERIES: dict[str, Query] = {
    "held": HoldQuery(),
    "framing": HoldQuery(),
    "login": LoginQuery(type_name="Auth"),
    "static-challenge": LoginQuery(
        type_name="Auth", challenge=StaticChallenge(text="Your PIN?", echo=True)
    ),
    "remote": RemoteQuery(host="127.0.0.1", port="1195", protocol="udp"),
    "proxy": ProxyQuery(index=1, transport="UDP", host="127.0.0.1"),
    "reconnect": HoldQuery(),
    "password": HoldQuery(),
}


def prepared(conversation: Conversation) -> Rig:
    """Puts a session where the daemon was when the conversation began."""
    name = conversation["name"]
    held = "--management-hold" in conversation["options"]
    password = Secret(b"secret") if "PASSWORD" in conversation["options"] else None
    rig = Rig(hold=held, password=password)
    rig.daemon.entries = REMOTES
    rig.session.state_entered(StateRecord(when=WHEN, name="CONNECTING"))
    if name in QUERIES:
        rig.session.ask(QUERIES[name])
    if name == "running":
        rig.session.begin()
        rig.session.state_entered(StateRecord(when=WHEN, name="WAIT"))
    return rig


def normalized(heard: str) -> str:
    text = heard.replace(TITLE, "{title}").replace(f"pid={PID}", "pid={pid}")
    text = re.sub(r"(?m)^(>STATE:|>LOG:|)\d{10},", r"\1{time},", text)
    text = re.sub(r"Updated,\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "Updated,{time}", text)
    text = re.sub(r"(TCP/UDP (?:read|write) bytes),\d+", r"\1,{bytes}", text)
    return re.sub(r"bytesin=\d+,bytesout=\d+", "bytesin={bytes},bytesout={bytes}", text)


def after(text: str) -> str:
    """Leaves out what only a daemon on its way to a server says after an answer."""
    return re.sub(r"(?m)^(>STATE:\{time\},WAIT,+|>REMOTE:.*|>PROXY:.*)\r\n", "", text)


@pytest.mark.parametrize("conversation", load(), ids=lambda each: each["name"])
def test_like_openvpn(conversation: Conversation) -> None:
    rig = prepared(conversation)
    assert normalized(rig.connect()) == conversation["greeting"]
    for step in conversation["steps"]:
        if step["say"] == "<reconnect>":
            rig.session.disconnect()
            heard = rig.connect()
        else:
            heard = rig.say(step["say"])
        if rig.session.finished:
            rig.session.disconnect()
        assert after(normalized(heard)) == after(step["hear"]), step["say"]


def test_the_recordings_cover_every_command() -> None:
    """A command without a recorded answer would be a guess."""
    from ginnel.management.commands import _GRAMMAR

    said = {
        step["say"].split(" ")[0]
        for each in load()
        for step in each["steps"]
        if step["say"].strip()
    }
    # help differs in words; both pkcs11 commands end openvpn 2.6.14; push-update is of 2.7; the
    # others only leave.
    unrecorded = {"help", "pkcs11-id-count", "pkcs11-id-get", "push-update-cid", "exit", "quit"}
    assert set(_GRAMMAR) - said == unrecorded
