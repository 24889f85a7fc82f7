"""Every command of a server as a real openvpn answers it: the recorded conversations, replayed."""

import asyncio
import json
import re
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.compat.server_status import ClientRow, RouteRow
from ginnel.core.server_actions import ClientId
from ginnel.core.types import Endpoint, Transport
from ginnel.management.queries import HoldQuery
from ginnel.management.state import StateRecord
from ginnel.shell.server_frontend import Allowed, Denied, LoadStats
from tests.unit.management.fakes import PID, TITLE, WHEN
from tests.unit.management.server_fakes import REMOTE, WHEN_TEXT, ServerRig, facts
from tests.unit.shell.loops import run

VECTORS = Path(__file__).parents[2] / "vectors" / "management" / "server.json"


class Step(TypedDict, total=False):
    say: str
    client: list[str]
    respond: str
    end: bool
    hear: str


class Conversation(TypedDict):
    name: str
    options: list[str]
    greeting: str
    steps: list[Step]


def load() -> dict[str, Conversation]:
    conversations: list[Conversation] = json.loads(VECTORS.read_text())["conversations"]
    return {each["name"]: each for each in conversations}


OWN_ANSWERS = {
    "help x",
    # Of OpenVPN 2.7.
    "push-update-broad x",
    "push-update-cid 1 x",
    "kill tcp:192.0.2.7:1194",
    # 2.6 has no form for them.
    "kill [::1]:5",
}

EVENTS = re.compile(r"(?m)^>(CLIENT:|BYTECOUNT_CLI:|NOTIFY:).*\r\n")

IPV4 = "10.10.112.2"
IPV6 = "fd00:10:112::1000"


def normalized(heard: str) -> str:
    text = heard.replace(TITLE, "{title}").replace(f"pid={PID}", "pid={pid}")
    text = text.replace(WHEN_TEXT, "{when}").replace(str(WHEN), "{time}")
    text = text.replace(f":{REMOTE.port}", ":{port}")
    return re.sub(r"(bytesin|bytesout)=[1-9]\d*", r"\1={bytes}", text).replace("4206", "{bytes}")


def prepared(conversation: Conversation) -> ServerRig:
    held = "management-hold" in conversation["options"]
    rig = ServerRig(hold=held)
    rig.session.state_entered(StateRecord(when=WHEN, name="CONNECTING"))
    if held:
        rig.session.ask(HoldQuery())
        return rig
    rig.begin()
    assigned = {"tun_ip4": "10.10.112.1", "tun_ip6": "fd00:10:112::1"}
    rig.session.state_entered(StateRecord(when=WHEN, name="ASSIGN_IP", **assigned))
    rig.session.state_entered(
        StateRecord(when=WHEN, name="CONNECTED", detail="SUCCESS", **assigned)
    )
    return rig


@pytest.mark.parametrize("name", ["held", "idle"])
def test_like_openvpn(name: str) -> None:
    conversation = load()[name]
    rig = prepared(conversation)
    assert normalized(rig.connect()) == conversation["greeting"]
    for step in conversation["steps"]:
        heard = rig.say(step["say"])
        if step["say"] not in OWN_ANSWERS:
            assert normalized(heard) == step["hear"], step["say"]


def test_the_recordings_cover_every_command_of_servers() -> None:
    from ginnel.management.commands import _GRAMMAR

    said = {step["say"].split(" ")[0] for step in load()["idle"]["steps"]}
    assert {"kill", "nclients", *(name for name in _GRAMMAR if name.startswith("client-"))} <= said


def rows(rig: ServerRig, *, in_tunnel: bool) -> None:
    """The one client of the recording, before and after it was let in."""
    rig.control.present = {ClientId(0): facts()}
    rig.control.stats = LoadStats(clients=int(in_tunnel), bytes_in=4206, bytes_out=4206)
    rig.control.client_rows = [
        ClientRow(
            common_name="laptop",
            real_address="192.0.2.10:35810",
            virtual_ip4=IPV4 if in_tunnel else "",
            virtual_ip6=IPV6 if in_tunnel else "",
            received=4206,
            sent=4206,
            since=WHEN,
            username="ada",
            client_id=0,
            peer_id=0,
            cipher="AES-256-GCM" if in_tunnel else "BF-CBC",
        )
    ]
    inner = (IPV6, "192.168.7.0/24", "fd00:7::/64", IPV4) if in_tunnel else ()
    rig.control.route_rows = [
        RouteRow(
            address=address,
            common_name="laptop",
            real_address="192.0.2.10:35810",
            last_used=WHEN,
        )
        for address in inner
    ]


def _lines(text: str) -> list[str]:
    """The lines of a reply; OpenVPN's routes come in the order of its hash table."""
    plain = [line for line in text.splitlines() if not line.startswith(("fd00:", "10.10."))]
    routes = [line for line in text.splitlines() if line.startswith(("fd00:", "10.10."))]
    return sorted(plain) + sorted(routes)


def test_a_client_is_let_in_like_by_openvpn() -> None:
    """All that was said about one client, from its question to its end."""

    async def converse() -> Allowed | Denied:
        rig = prepared(load()["allowed"])
        rig.connect()
        pended: list[tuple[int, str]] = []

        def pend(timeout: int, extra: str) -> bool:
            pended.append((timeout, extra))
            return True

        rows(rig, in_tunnel=False)
        judging = asyncio.ensure_future(rig.desk.judge(facts(), pend, lambda: None))
        await asyncio.sleep(0)
        for step in load()["allowed"]["steps"]:
            say = step.get("say")
            if say is None or say == "client-pending-auth 0 1 x 30":
                continue  # 2.6 lets a client wait that is in already, to no end
            heard = normalized(rig.say(say))
            expected = EVENTS.sub("", step["hear"])
            assert _lines(heard) == _lines(expected), say
            if say.startswith("client-auth 0 1"):
                await asyncio.sleep(0)
                rows(rig, in_tunnel=True)
            if say == "kill laptop":
                rig.control.stats = LoadStats()
        assert [timeout for timeout, _ in pended] == [30, 30]
        return await judging

    assert run(converse()) == Allowed(
        config=(
            'push "route 10.77.0.0 255.255.0.0"',
            "iroute 192.168.7.0 255.255.255.0",
            "iroute-ipv6 fd00:7::/64",
        )
    )


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("denied", Denied(reason="not today", client_reason="come back tomorrow")),
        ("denied without words", Denied(reason="")),
    ],
)
def test_a_client_is_kept_out_like_by_openvpn(name: str, verdict: Denied) -> None:
    async def converse() -> Allowed | Denied:
        rig = prepared(load()[name])
        rig.connect()
        judging = asyncio.ensure_future(rig.desk.judge(facts(), _patient, lambda: None))
        await asyncio.sleep(0)
        _client, step = load()[name]["steps"]
        assert rig.say(step["say"]) == step["hear"]
        return await judging

    assert run(converse()) == verdict


def _patient(timeout: int, extra: str) -> bool:
    return True


def test_a_client_that_nobody_asked_about_can_be_thrown_out() -> None:
    rig = prepared(load()["not judged"])
    rig.connect()
    rows(rig, in_tunnel=True)
    for step in load()["not judged"]["steps"][1:]:
        say = step["say"].replace("{address}", "192.0.2.10:35810")
        assert normalized(rig.say(say)) == EVENTS.sub("", step["hear"]), say
    assert rig.control.done == [
        ("refuse", ClientId(0), ""),
        ("kill", REMOTE, None),
    ]
    assert rig.logged[-1].text == "MANAGEMENT: CMD 'kill 192.0.2.10:35810'"
    assert "MULTI: connection rejected: no, CLI:[NULL]" in [line.text for line in rig.logged]


def test_clients_are_found_by_transport_and_in_brackets() -> None:
    rig = prepared(load()["idle"])
    rig.connect()
    rows(rig, in_tunnel=True)
    assert rig.say("kill udp:192.0.2.10:35810") == (
        "SUCCESS: 1 client(s) at address udp:192.0.2.10:35810 killed\r\n"
    )
    rig.say("kill tcp:[2001:db8::7]:1194")
    (_, remote, transport) = rig.control.done[-1]
    assert isinstance(remote, Endpoint)
    assert (str(remote), transport) == ("[AF_INET6]2001:db8::7:1194", Transport.TCP)


def test_updates_go_to_one_or_to_all() -> None:
    rig = prepared(load()["idle"])
    rig.connect()
    rows(rig, in_tunnel=True)
    worked = "SUCCESS: 1 client(s) updated\r\nSUCCESS: push-update command succeeded\r\n"
    failed = "ERROR: push-update command failed\r\n"
    options = '"route 10.9.0.0 255.255.0.0, -dns"'
    assert rig.say(f"push-update-broad {options}") == worked
    assert rig.say(f"push-update-cid 0 {options}") == worked
    assert rig.say(f"push-update-cid 7 {options}") == failed
    assert rig.say('push-update-broad ","') == failed
    assert rig.say("push-update-cid x y") == "ERROR: cannot parse CID\r\n"
    parts = ("route 10.9.0.0 255.255.0.0", "-dns")
    assert rig.control.done == [
        ("update", parts),
        ("update", ClientId(0), parts),
        ("update", ClientId(7), parts),
    ]


VOCABULARY = """status load-stats nclients kill client-auth client-auth-nt client-deny client-kill
client-pending-auth push-update-broad push-update-cid bytecount env-filter state help version END
0 1 -1 99999999999999999999 x laptop 192.0.2.10:35810 tcp:[::1]:1 : [ HALT,x '' " \\"""
CHATTER = st.lists(
    st.one_of(
        st.lists(st.sampled_from(VOCABULARY.split()), max_size=6).map(
            lambda words: " ".join(words).encode() + b"\n"
        ),
        st.binary(max_size=40),
        st.sampled_from([b"\n", b"END\n", b"x" * 1500]),
    ),
    max_size=30,
)


@given(CHATTER, st.booleans())
def test_no_management_client_can_break_it(chatter: list[bytes], begun: bool) -> None:
    rig = ServerRig()
    if begun:
        rig.begin()
        rows(rig, in_tunnel=True)
    rig.connect()
    for part in chatter:
        heard = rig.send(part)
        assert heard.endswith("\r\n") or not heard
    rig.session.disconnect()
    rig.connect()
    assert rig.say("pid") == f"SUCCESS: pid={PID}\r\n"


def test_configuration_without_end_is_bounded_and_refused() -> None:
    async def converse() -> None:
        rig = prepared(load()["idle"])
        rig.connect()
        judging = asyncio.ensure_future(rig.desk.judge(facts(), _patient, lambda: None))
        await asyncio.sleep(0)
        rig.say("client-auth 0 1")
        for _ in range(100):
            rig.say("push " + "x" * 900)
        assert rig.say("END") == "ERROR: client-auth command failed\r\n"
        assert not judging.done()
        judging.cancel()

    run(converse())
