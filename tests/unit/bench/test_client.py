from dataclasses import replace

from bench.aspects import KINDS, USUAL, Lengths
from bench.client import Plan
from bench.pairs import SYSTEMS
from bench.server import Sizes

PLAN = Plan(
    rounds=3,
    systems=SYSTEMS,
    kinds=list(KINDS.values()),
    parts=None,
    lengths=Lengths(),
    sizes=Sizes(),
)


def test_what_has_goals_is_measured_in_every_round() -> None:
    for system in ("ginnel", "openvpn"):
        later = PLAN.parts_of(system, 2)
        assert {"streams", "packets", "trips", "reconnect", "start", "handshakes"} <= later
        assert PLAN.parts_of(system, 0) - later == {"idle"}


def test_other_systems_take_less_time() -> None:
    assert "packets" in PLAN.parts_of("ginnel to openvpn", 0)
    assert "packets" not in PLAN.parts_of("ginnel to openvpn", 1)
    assert PLAN.parts_of("ginnel-python", 0) == {"streams"}
    assert not PLAN.has("bare", KINDS["tcp"])
    assert PLAN.has("bare", USUAL)


def test_other_kinds_of_tunnel_carry_streams_only() -> None:
    assert PLAN.parts_of("ginnel", 0, KINDS["chacha"]) == {"streams"}


def test_parts_that_were_asked_for_are_measured_of_every_system() -> None:
    asked = replace(PLAN, parts=frozenset({"trips", "idle"}))
    assert asked.parts_of("ginnel-python", 0) == {"trips", "idle"}
    assert asked.parts_of("ginnel-python", 1) == {"trips"}
    assert asked.parts_of("ginnel", 0, KINDS["tcp"]) == frozenset()
