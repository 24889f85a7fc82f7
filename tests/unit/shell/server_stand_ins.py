"""What the tests of the server's shell share: machines that do as told, a data plane that notes."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.events import DataPlaneEvent
from ginnel.core.negotiate import Agreement
from ginnel.core.notices import Advance, Ended, Outcome
from ginnel.core.payload import PayloadTerms
from ginnel.core.server_actions import (
    AgreedClient,
    ClientFacts,
    ClientId,
    ClientTerms,
    ServerAction,
    ServerActionResult,
)
from ginnel.core.server_notices import ServerNotice
from ginnel.core.types import (
    ActionId,
    Endpoint,
    Instant,
    PeerId,
    Transmit,
    Transport,
)
from ginnel.options.model import (
    AddressFamily,
    ConnectionProfile,
    LinkProtocol,
    Topology,
    TunOptions,
)
from ginnel.options.server_model import (
    ClientConfig,
    Listener,
    Pool4,
    PoolOptions,
    ServerOptions,
)
from ginnel.options.values import Origin

ORIGIN = Origin("server.conf", 1)
HOME = Endpoint(IPv4Address("192.0.2.7"), 40000)
ELSEWHERE = Endpoint(IPv4Address("198.51.100.9"), 40001)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> Instant:
        return Instant(self.now)


def facts(number: int = 0, remote: Endpoint = HOME, common_name: str = "") -> ClientFacts:
    return ClientFacts(
        client_id=ClientId(number),
        key_number=0,
        peer_id=PeerId(number),
        remote=remote,
        transport=Transport.UDP,
        common_name=common_name,
    )


@dataclass
class FakeMachine:
    """Notes its inputs; what it is to say is put into its queues."""

    facts: ClientFacts = field(default_factory=facts)
    inputs: list[object] = field(default_factory=list)
    actions: deque[ServerAction] = field(default_factory=deque)
    transmits: deque[Transmit] = field(default_factory=deque)
    notices: deque[ServerNotice] = field(default_factory=deque)
    due: Instant | None = None
    fails: Exception | None = None
    is_over: bool = False

    def start(self, now: Instant) -> None:
        self.inputs.append("start")

    def receive(
        self, packet: bytes, source: Endpoint | None, now: Instant, *, more: bool = False
    ) -> None:
        if self.fails is not None:
            raise self.fails
        self.inputs.append((packet, "more") if more else packet)

    def handle_timeout(self, now: Instant) -> None:
        self.due = None
        self.inputs.append("timeout")

    def complete(self, action_id: ActionId, result: ServerActionResult, now: Instant) -> None:
        self.inputs.append((action_id, result))

    def handle_data_plane(self, event: DataPlaneEvent, now: Instant) -> None:
        self.inputs.append(event)

    def report_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None:
        self.inputs.append((total_bytes, total_packets))

    def close(self, reason: str, now: Instant) -> None:
        self._end(reason)

    def restart_client(self, message: str, now: Instant) -> None:
        self.inputs.append(message)

    def refuse(self, reason: str, now: Instant) -> None:
        self.inputs.append(f"AUTH_FAILED,{reason}")

    def pend(self, timeout: int, extra: str, now: Instant) -> bool:
        self.inputs.append((timeout, extra))
        return True

    def say(self, text: str, now: Instant) -> bool:
        self.inputs.append(text)
        return True

    def update(self, items: Sequence[str], now: Instant) -> bool:
        self.inputs.append(tuple(items))
        return True

    def poll_transmit(self) -> Transmit | None:
        return self.transmits.popleft() if self.transmits else None

    def poll_notice(self) -> ServerNotice | None:
        return self.notices.popleft() if self.notices else None

    def poll_action(self) -> ServerAction | None:
        return self.actions.popleft() if self.actions else None

    def poll_timeout(self) -> Instant | None:
        return self.due

    def _end(self, reason: str) -> None:
        self.notices.append(ended(reason, Outcome.TERMINATE))


def ended(text: str, outcome: Outcome = Outcome.RESTART) -> Ended:
    return Ended(outcome=outcome, signal_text=text, advance=Advance.SAME, explanation="")


def agreed(
    client: ClientFacts | None = None, config: ClientConfig | None = None, host: int = 2
) -> AgreedClient:
    """What a client with an address of the pool has agreed to."""
    who = client or facts()
    return AgreedClient(
        client=who,
        terms=ClientTerms(
            config=config or ClientConfig(),
            ifconfig=(IPv4Network("10.8.0.0/24")[host], IPv4Address("255.255.255.0")),
        ),
        agreement=Agreement(
            cipher=DataCipher.AES_256_GCM,
            format=DataFormat.V2,
            send_peer_id=who.peer_id,
            tls_ekm=True,
            dyn_tls_crypt=False,
            cc_exit=True,
        ),
        send_peer_id=who.peer_id,
        ping_interval=10,
        ping_timeout=120,
        inactive=0,
        inactive_bytes=0,
        mss_ipv4=1400,
        mss_ipv6=1380,
        payload=PayloadTerms(),
        allow_float=True,
    )


def listener(
    protocol: LinkProtocol = LinkProtocol.UDP, local: str | None = "127.0.0.1", port: str = "0"
) -> Listener:
    """A socket on the loopback, at a port of the system's choice."""
    return Listener(
        protocol=protocol, family=AddressFamily.IPV4, local=local, port=port, origin=ORIGIN
    )


def server_options(*listeners: Listener) -> ServerOptions:
    """A server with three addresses for clients."""
    return ServerOptions(
        listeners=listeners or (listener(),),
        profile=ConnectionProfile(
            host="",
            port="1194",
            protocol=LinkProtocol.UDP,
            family=AddressFamily.IPV4,
            origin=ORIGIN,
        ),
        tun=TunOptions(
            topology=Topology.SUBNET,
            ifconfig=(IPv4Address("10.8.0.1"), IPv4Address("255.255.255.0")),
        ),
        pool=PoolOptions(
            ipv4=Pool4(
                first=IPv4Address("10.8.0.2"),
                last=IPv4Address("10.8.0.4"),
                netmask=IPv4Address("255.255.255.0"),
            )
        ),
        push=("topology subnet", "route-gateway 10.8.0.1"),
    )
