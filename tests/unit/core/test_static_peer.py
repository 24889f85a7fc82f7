"""The machine of a static-key tunnel: from the key to the peer's first packet and to the end."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core import events
from ginnel.core.actions import (
    Action,
    ActionResult,
    Done,
    Failed,
    InstallKey,
    OpenTunnel,
    SendInner,
)
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.errors import LocalMisuse
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.notices import (
    Connected,
    Ended,
    Notice,
    Outcome,
    PathNarrowed,
    PeerConnected,
    Warned,
)
from ginnel.core.occ import exit_payload, request_payload
from ginnel.core.options_string import client_terms, expected_from_peer, options_string
from ginnel.core.static_peer import OCC_INTERVAL, OCC_TRIES, StaticPeerMachine
from ginnel.core.types import Endpoint, Instant
from ginnel.options.model import ClientOptions, KeyDirection
from tests.sim.pair import STATIC_KEY, UNIX_TIME, client_options, profile

PEER = Endpoint(ip_address("192.0.2.1"), 1194)
ANYBODY = Endpoint(ip_address("0.0.0.0"), 0)
EVERYTHING = DataCapabilities(ciphers=frozenset(DataCipher), formats=frozenset(DataFormat))
MAGIC = exit_payload()[:-1]


def options(**data: object) -> ClientOptions:
    base = client_options(replace(profile(), explicit_exit_notify=2))
    chosen: dict[str, object] = {
        "static_key": STATIC_KEY,
        "static_key_direction": KeyDirection.INVERSE,
        "configured_cipher": "AES-256-CBC",
        "data_ciphers_fallback": "AES-256-CBC",
        **data,
    }
    return replace(base, pull=False, data=replace(base.data, **chosen))  # type: ignore[arg-type]  # names are the test's


class Rig:
    """Plays the shell: answers what touches the host, keeps the rest."""

    def __init__(
        self,
        chosen: ClientOptions | None = None,
        *,
        remote: Endpoint = PEER,
        refuse: type[Action] | None = None,
    ) -> None:
        self.options = options() if chosen is None else chosen
        self.now = Instant(100.0)
        self.notices: list[Notice] = []
        self.actions: list[Action] = []
        self._refuse = refuse
        self.machine = StaticPeerMachine(
            options=self.options,
            profile=self.options.profiles[0],
            remote=remote,
            unix_time=UNIX_TIME,
            capabilities=EVERYTHING,
        )

    def start(self) -> "Rig":
        self.machine.start(self.now)
        self.drain()
        return self

    def drain(self) -> None:
        while (action := self.machine.poll_action()) is not None:
            self.actions.append(action)
            refused = self._refuse is not None and isinstance(action, self._refuse)
            result: ActionResult = Failed(reason="told to") if refused else Done()
            self.machine.complete(action.id, result, self.now)
        while (notice := self.machine.poll_notice()) is not None:
            self.notices.append(notice)
        assert self.machine.poll_transmit() is None

    def report(self, event: events.DataPlaneEvent) -> None:
        self.machine.handle_data_plane(event, self.now)
        self.drain()

    def close(self, outcome: Outcome = Outcome.TERMINATE) -> None:
        self.machine.close("SIGTERM", self.now, outcome=outcome)
        self.drain()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.machine.poll_timeout()) is not None and due <= end:
            self.now = due
            self.machine.handle_timeout(self.now)
            self.drain()
        self.now = Instant(end)

    def sent(self) -> list[bytes]:
        return [action.payload for action in self.actions if isinstance(action, SendInner)]

    @property
    def ended(self) -> Ended:
        (last,) = [notice for notice in self.notices if isinstance(notice, Ended)]
        return last

    def told(self, kind: type[Notice]) -> list[Notice]:
        return [notice for notice in self.notices if isinstance(notice, kind)]


def test_the_key_is_installed_at_once_and_cut_by_direction() -> None:
    rig = Rig().start()
    opened, installed = rig.actions[:2]
    assert isinstance(opened, OpenTunnel)
    assert opened.await_peer
    assert isinstance(installed, InstallKey)
    key = installed.key
    assert (key.cipher, key.format) == (DataCipher.AES_256_CBC, DataFormat.STATIC)
    assert key.packet_time == UNIX_TIME
    # Direction 1 sends with key 1, whose cipher slice begins at byte 128.
    assert key.send.cipher_key.reveal() == bytes(range(128, 160))
    assert key.receive.cipher_key.reveal() == bytes(range(32))
    assert key.digest is not None
    assert (key.digest.name, len(key.send.hmac_key)) == ("SHA1", 20)
    assert not rig.told(Connected)


def test_the_first_packet_of_the_peer_completes_the_start_once() -> None:
    rig = Rig(remote=ANYBODY).start()
    rig.report(events.Floated(remote=PEER))
    rig.report(events.PeerHeard())
    rig.report(events.PeerHeard())
    assert rig.told(PeerConnected) == [PeerConnected(common_name="", remote=PEER)]
    assert len(rig.told(Connected)) == 1


def test_the_peers_options_are_asked_for_and_compared() -> None:
    rig = Rig().start()
    rig.advance(OCC_INTERVAL)
    assert rig.sent() == [request_payload()] * 2
    terms = client_terms(rig.options, rig.options.profiles[0])
    text = options_string(replace(expected_from_peer(terms), dev_type="tap"))
    rig.report(events.OccReceived(payload=MAGIC + b"\x01" + text.encode() + b"\0"))
    assert any("dev-type" in str(notice) for notice in rig.told(Warned))
    rig.advance(1000)
    assert len(rig.sent()) == 2


def test_a_matching_peer_is_not_warned_about() -> None:
    rig = Rig().start()
    terms = client_terms(rig.options, rig.options.profiles[0])
    text = options_string(expected_from_peer(terms))
    assert text.endswith(",secret")
    rig.report(events.OccReceived(payload=MAGIC + b"\x01" + text.encode() + b"\0"))
    assert rig.told(Warned) == []


def test_a_silent_peer_is_not_asked_for_ever() -> None:
    rig = Rig().start()
    rig.advance(10_000)
    assert rig.sent() == [request_payload()] * OCC_TRIES
    assert rig.machine.poll_timeout() is None


def test_requests_are_answered_and_nonsense_is_counted() -> None:
    rig = Rig().start()
    rig.report(events.OccReceived(payload=request_payload()))
    reply = rig.sent()[-1]
    assert reply.startswith(MAGIC + b"\x01V4,dev-type tun,link-mtu 1560,")
    for payload in (MAGIC, MAGIC + b"\xee", b"", MAGIC + b"\x01" + b"\xff" * 2000):
        rig.report(events.OccReceived(payload=payload))
    assert rig.machine.drops["occ"] == 3


def test_a_peer_that_leaves_ends_the_connection() -> None:
    rig = Rig().start()
    rig.report(events.OccReceived(payload=exit_payload()))
    assert (rig.ended.outcome, rig.ended.signal_text) == (Outcome.RESTART, "remote-exit")


@pytest.mark.parametrize(
    ("event", "text", "outcome"),
    [
        (events.PeerSilent(), "ping-restart", Outcome.RESTART),
        (events.Inactive(), "inactive", Outcome.TERMINATE),
        (events.TunLost(errno=19), "tun-stop", Outcome.RESTART),
        (events.KeyExhausted(key_id=0), "tls-error", Outcome.RESTART),  # type: ignore[arg-type]  # any number
        (events.DecryptFailed(), "decryption-error", Outcome.RESTART),
    ],
)
def test_reports_that_end_it(event: events.DataPlaneEvent, text: str, outcome: Outcome) -> None:
    rig = Rig().start()
    rig.report(event)
    assert (rig.ended.outcome, rig.ended.signal_text) == (outcome, text)
    rig.report(event)
    rig.advance(100)
    assert rig.machine.poll_action() is None


def test_ping_exit_ends_the_program() -> None:
    chosen = options()
    rig = Rig(replace(chosen, link=replace(chosen.link, ping_exit=5))).start()
    rig.report(events.PeerSilent())
    assert (rig.ended.outcome, rig.ended.signal_text) == (Outcome.TERMINATE, "ping-exit")


def test_a_link_error_is_only_a_hint_on_udp() -> None:
    rig = Rig().start()
    rig.report(events.LinkLost(errno=111))
    rig.report(events.LinkLost(errno=111))
    assert len(rig.told(Warned)) == 1


def test_a_path_that_got_narrow_is_told_once() -> None:
    rig = Rig()
    rig.report(events.PathMtuFound(mtu=1300))
    rig.start()
    assert not rig.told(PathNarrowed)
    for _ in range(2):
        rig.report(events.PathMtuFound(mtu=1300))
    assert len(rig.told(PathNarrowed)) == 1


def test_the_peer_is_told_of_the_end_as_often_as_asked() -> None:
    rig = Rig().start()
    rig.report(events.PeerHeard())
    rig.close()
    rig.advance(10)
    assert rig.sent()[-2:] == [exit_payload()] * 2
    assert rig.ended.signal_text == "exit-with-notification"


def test_a_restart_tells_nobody() -> None:
    rig = Rig().start()
    rig.close(Outcome.RESTART)
    assert exit_payload() not in rig.sent()
    assert rig.ended.outcome is Outcome.RESTART


@pytest.mark.parametrize("refuse", [OpenTunnel, InstallKey])
def test_a_host_that_refuses_ends_the_program(refuse: type[Action]) -> None:
    rig = Rig(refuse=refuse).start()
    assert rig.ended.hard_error
    assert "told to" in rig.ended.explanation


def test_a_cipher_that_is_not_there_ends_the_program() -> None:
    rig = Rig(options(configured_cipher="IDEA-CBC", data_ciphers_fallback=None)).start()
    assert rig.ended.hard_error


def test_session_timeout_ends_the_program() -> None:
    chosen = options()
    rig = Rig(replace(chosen, link=replace(chosen.link, session_timeout=50))).start()
    rig.report(events.PeerHeard())
    rig.advance(60)
    assert rig.ended.signal_text == "session-timeout"


def test_control_packets_mean_nothing() -> None:
    rig = Rig().start()
    rig.machine.receive(b"\x38" + bytes(13), PEER, rig.now)
    assert rig.machine.drops["state"] == 1
    rig.machine.report_traffic(1 << 40, 1 << 30, rig.now)
    assert rig.machine.token is None


def test_misuse_is_our_bug() -> None:
    rig = Rig().start()
    with pytest.raises(LocalMisuse):
        rig.machine.start(rig.now)
    with pytest.raises(LocalMisuse):
        Rig(options(static_key=None))
