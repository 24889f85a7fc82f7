"""Two client machines without pull against each other: one is TLS client, the other TLS server."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from random import Random

import pytest

from ginnel.core.actions import Done
from ginnel.core.client import ClientMachine
from ginnel.core.data_key import DataKey
from ginnel.core.notices import Connected, Ended, Notice, Outcome
from ginnel.core.peer_info import LocalFacts
from ginnel.core.types import Endpoint, Instant, Side
from ginnel.options.model import ClientOptions, ControlWrapping, KeyDirection, TlsAuth, TlsCrypt
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import (
    CAPABILITIES,
    STATIC_KEY,
    UNIX_TIME,
    HeldKeys,
    client_options,
    profile,
    with_tls,
)
from tests.sim.wire import Faults, Wire

PLACES = {
    Side.CLIENT: Endpoint(ip_address("192.0.2.10"), 1194),
    Side.SERVER: Endpoint(ip_address("192.0.2.1"), 1194),
}
ANYBODY = Endpoint(ip_address("0.0.0.0"), 0)


def peer_options(side: Side, wrapping: ControlWrapping | None = None) -> ClientOptions:
    options = replace(client_options(replace(profile(wrapping), float=True)), pull=False)
    return with_tls(options, tls_server=side is Side.SERVER)


@dataclass
class End:
    """One peer and what its data plane holds."""

    side: Side
    machine: ClientMachine
    wire: Wire
    keys: HeldKeys = field(default_factory=HeldKeys)
    notices: list[Notice] = field(default_factory=list)

    @property
    def key(self) -> DataKey | None:
        return self.keys.sending

    @property
    def ended(self) -> Ended | None:
        last = self.notices[-1] if self.notices else None
        return last if isinstance(last, Ended) else None

    def drain(self, now: Instant) -> None:
        busy = True
        while busy:
            busy = False
            while (transmit := self.machine.poll_transmit()) is not None:
                assert transmit.destination == PLACES[self.side.other]
                self.wire.send(transmit.payload, now)
                busy = True
            while (notice := self.machine.poll_notice()) is not None:
                self.notices.append(notice)
                busy = True
            while (action := self.machine.poll_action()) is not None:
                self.keys.apply(action, now)
                self.machine.complete(action.id, Done(), now)
                busy = True


class PeerPair:
    """Both peers under a virtual clock."""

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        seed: int = 1,
        wrapping: Callable[[Side], ControlWrapping | None] = lambda side: None,
        waits: bool = False,
        change: Callable[[ClientOptions], ClientOptions] = lambda options: options,
    ) -> None:
        self.now = Instant(1000.0)
        self._draw = Random(seed)
        self._sessions = 0
        self._change = change
        self._wrapping = wrapping
        self._waits = waits
        self.ends = {
            side: End(side, self._machine(side), Wire(seed + number, faults or Faults()))
            for number, side in enumerate(Side)
        }

    def _machine(self, side: Side) -> ClientMachine:
        options = self._change(peer_options(side, self._wrapping(side)))
        waiting = self._waits and side is Side.SERVER
        return ClientMachine(
            options=options,
            profile=options.profiles[0],
            remote=ANYBODY if waiting else PLACES[side.other],
            tls=lambda: self._fake(side),
            entropy=self._draw.randbytes,
            unix_time=UNIX_TIME + int(self.now),
            capabilities=CAPABILITIES,
            facts=LocalFacts(version="2.6.14"),
        )

    def _fake(self, side: Side) -> FakeTls:
        self._sessions += 1
        return FakeTls(side, self._sessions)

    def start(self, *sides: Side) -> None:
        for side in sides or tuple(Side):
            self.ends[side].machine.start(self.now)
            self.ends[side].drain(self.now)

    def restart(self, side: Side) -> None:
        """One program is started anew; it knows nothing of the session."""
        end = self.ends[side]
        end.machine, end.keys, end.notices = self._machine(side), HeldKeys(), []
        self.start(side)

    def advance(self, seconds: float) -> None:
        deadline = Instant(self.now + seconds)
        while self.now < deadline:
            times = [end.machine.poll_timeout() for end in self.ends.values()]
            times += [end.wire.next_arrival() for end in self.ends.values()]
            soonest = min((time for time in times if time is not None), default=deadline)
            self.now = max(self.now, min(soonest, deadline))
            for side, end in self.ends.items():
                for packet in self.ends[side.other].wire.arrived(self.now):
                    end.machine.receive(packet, PLACES[side.other], self.now)
                end.machine.handle_timeout(self.now)
                end.drain(self.now)
                if end.ended is not None and end.ended.outcome is Outcome.RESTART:
                    self.restart(side)

    def connected(self) -> bool:
        """Whether both carry data under keys that fit."""
        one, other = self.ends[Side.CLIENT], self.ends[Side.SERVER]
        told = all(
            any(isinstance(notice, Connected) for notice in end.notices) for end in (one, other)
        )
        return told and fits(one.key, other.key)


def fits(one: DataKey | None, other: DataKey | None) -> bool:
    if one is None or other is None:
        return False
    return (one.key_id, one.send, one.receive) == (other.key_id, other.receive, other.send)


def tls_auth(side: Side) -> ControlWrapping:
    direction = KeyDirection.INVERSE if side is Side.CLIENT else KeyDirection.NORMAL
    return TlsAuth(key=STATIC_KEY, direction=direction, digest="SHA256")


WRAPPINGS: dict[str, Callable[[Side], ControlWrapping | None]] = {
    "plain": lambda side: None,
    "tls-auth": tls_auth,
    "tls-crypt": lambda side: TlsCrypt(key=STATIC_KEY),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS.values(), ids=WRAPPINGS.keys())
@pytest.mark.parametrize("first", [Side.CLIENT, Side.SERVER])
def test_either_peer_may_be_there_first(
    wrapping: Callable[[Side], ControlWrapping | None], first: Side
) -> None:
    pair = PeerPair(wrapping=wrapping)
    pair.start(first)
    pair.advance(5)
    pair.start(first.other)
    pair.advance(20)
    assert pair.connected()


@pytest.mark.parametrize("seed", range(8))
def test_peers_meet_over_a_bad_wire(seed: int) -> None:
    faults = Faults(loss=0.1, duplicate=0.1, corrupt=0.02, jitter=0.3)
    pair = PeerPair(faults=faults, seed=seed, wrapping=WRAPPINGS["tls-crypt"])
    pair.start()
    pair.advance(55)
    assert pair.connected()


def test_a_peer_without_remote_waits_as_long_as_it_takes() -> None:
    pair = PeerPair(waits=True)
    pair.start(Side.SERVER)
    pair.advance(100_000)
    assert not pair.ends[Side.SERVER].wire.sent
    assert pair.ends[Side.SERVER].ended is None
    pair.start(Side.CLIENT)
    pair.advance(10)
    assert pair.connected()


@pytest.mark.parametrize("side", list(Side))
def test_either_peer_may_ask_for_new_keys(side: Side) -> None:
    def change(options: ClientOptions) -> ClientOptions:
        quick = options.tls.tls_server is (side is Side.SERVER)
        return with_tls(options, reneg_sec=100 if quick else 0)

    pair = PeerPair(change=change)
    pair.start()
    pair.advance(1000)
    assert pair.connected()
    assert len([what for _, what in pair.ends[side].keys.history if what == "swap"]) >= 8


@pytest.mark.parametrize("name", WRAPPINGS.keys())
@pytest.mark.parametrize("side", list(Side))
def test_a_peer_that_begins_anew_is_followed(side: Side, name: str) -> None:
    pair = PeerPair(wrapping=WRAPPINGS[name])
    pair.start()
    pair.advance(100)
    pair.restart(side)
    pair.advance(30)
    assert pair.connected()


def test_peers_derive_the_same_keys_without_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    from ginnel.core import negotiate
    from ginnel.core.peer_info import ProtocolFlag

    offered = negotiate.offered_flags
    monkeypatch.setattr(
        negotiate,
        "offered_flags",
        lambda *args, **kwargs: offered(*args, **kwargs) & ~ProtocolFlag.TLS_KEY_EXPORT,
    )
    pair = PeerPair()
    pair.start()
    pair.advance(20)
    assert pair.connected()


def test_a_farewell_reaches_the_other_peer() -> None:
    def change(options: ClientOptions) -> ClientOptions:
        (connection,) = options.profiles
        return replace(options, profiles=(replace(connection, explicit_exit_notify=2),))

    pair = PeerPair(change=change)
    pair.start()
    pair.advance(20)
    leaving, other = pair.ends[Side.SERVER], pair.ends[Side.CLIENT]
    leaving.machine.close("SIGTERM", pair.now)
    leaving.drain(pair.now)
    while other.ended is None:
        pair.now = Instant(pair.now + 0.1)
        for packet in leaving.wire.arrived(pair.now):
            other.machine.receive(packet, PLACES[Side.SERVER], pair.now)
        other.drain(pair.now)
    assert (other.ended.outcome, other.ended.signal_text) == (Outcome.RESTART, "remote-exit")
