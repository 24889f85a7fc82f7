"""The order of variables is that of the recorded events of openvpn 2.6.14."""

import json
import random
from pathlib import Path

import pytest

from ginnel.compat.env_order import client_order, tunnel_order

VECTORS = Path(__file__).parents[2] / "vectors" / "management" / "server.json"


def recorded(conversation: str, event: str) -> list[str]:
    """Names of an event's variables as they were shown, but for ``n_clients``."""
    (chosen,) = (
        each
        for each in json.loads(VECTORS.read_text())["conversations"]
        if each["name"] == conversation
    )
    names: list[str] = []
    for step in chosen["steps"]:
        inside = False
        for line in step["hear"].splitlines():
            inside = inside or line.startswith(f">CLIENT:{event}")
            if line == ">CLIENT:ENV,END":
                inside = False
            if inside and line.startswith(">CLIENT:ENV,"):
                names.append(line.removeprefix(">CLIENT:ENV,").partition("=")[0])
    return [name for name in names if name != "n_clients"]


@pytest.mark.parametrize("event", ["CONNECT", "ESTABLISHED", "DISCONNECT"])
def test_events_are_ordered_like_openvpn_s(event: str) -> None:
    """Whatever the order in which the variables were set, but for what clients told."""
    shown = recorded("allowed", event)
    assert len(shown) > 30
    fixed = [name for name in shown if name.startswith(("IV_", "X509_"))]
    others = [name for name in shown if name not in fixed]
    random.Random(7).shuffle(others)
    set_order = [*others, *reversed(fixed)]
    assert [name for name, _ in client_order(event, dict.fromkeys(set_order, ""))] == shown


def test_the_tunnel_s_own_are_shown_from_the_last() -> None:
    names = ["proto_1", "dev", "route_network_2", "route_network_1", "route_gateway_1", "config"]
    shown = [name for name, _ in tunnel_order(dict.fromkeys(names, ""))]
    assert shown == [
        "dev",
        "route_network_2",
        "route_gateway_1",
        "route_network_1",
        "config",
        "proto_1",
    ]


def test_names_that_nobody_knows_are_kept() -> None:
    names = ["OPENVPN_x", "X509_", "tls_id_99999999999", "route_network_", "_1", "username"]
    assert {name for name, _ in client_order("CONNECT", dict.fromkeys(names, ""))} == set(names)
