"""One client of the load generator: the project's own client machine on a UDP socket of its own.

It speaks the real protocol with real TLS, and keeps of the data channel only what pings need.
Responsible for one client's packets and answers; when it is called is ``load``'s business.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from ginnel.cli.openvpn import resolve_arguments
from ginnel.core import actions
from ginnel.core.client import ClientMachine
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.errors import LocalMisuse
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.notices import Connected, Ended
from ginnel.core.peer_info import LocalFacts
from ginnel.core.tls import TlsChannel
from ginnel.core.tls_context import build_tls_context
from ginnel.core.types import UNDEFINED_PEER_ID, Endpoint, Instant, PeerId, Side
from ginnel.dataplane.api import PING
from ginnel.dataplane.open_key import open_key
from ginnel.dataplane.reference_keys import PacketKey, UsageLimits
from ginnel.options.actions import RunClient
from ginnel.options.model import ClientOptions
from ginnel.shell.clock import monotonic_now, unix_now

MAX_PACKET = 2048
BATCH = 16
DATA_OPCODES = frozenset({6, 9})
CAPABILITIES = DataCapabilities(
    ciphers=frozenset({DataCipher.AES_256_GCM}), formats=frozenset({DataFormat.V1, DataFormat.V2})
)
LIMITS = UsageLimits()
PING_INTERVAL = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What all clients share: one configuration, one certificate, one TLS context."""

    options: ClientOptions
    remote: Endpoint
    tls: Callable[[], TlsChannel]


def read_subject(config: str, remote: Endpoint) -> Subject:
    """Reads a client's configuration file. Raises ConfigError."""
    request = resolve_arguments(["--config", config])
    if not isinstance(request, RunClient):
        raise LocalMisuse(f"{config} does not ask for a connection")
    context = build_tls_context(request.options.tls, side=Side.CLIENT, unix_time=unix_now())
    return Subject(options=request.options, remote=remote, tls=context.channel)


class LoadClient:
    """From its first packet on until ``close``. Times are those of ``monotonic_now``."""

    __slots__ = (
        "_key",
        "_machine",
        "_peer_id",
        "_socket",
        "armed_for",
        "connected_at",
        "ended",
        "ping_at",
        "started_at",
    )

    def __init__(self, subject: Subject, now: Instant) -> None:
        remote = subject.remote
        family = socket.AF_INET if remote.address.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.connect((str(remote.address), remote.port))
        self._key: PacketKey | None = None
        self._peer_id = UNDEFINED_PEER_ID
        self.started_at = now
        self.connected_at: Instant | None = None
        self.ping_at: Instant | None = None
        self.ended: Ended | None = None
        self.armed_for: Instant | None = None
        self._machine = ClientMachine(
            options=subject.options,
            profile=subject.options.profiles[0],
            remote=remote,
            tls=subject.tls,
            entropy=os.urandom,
            unix_time=unix_now(),
            capabilities=CAPABILITIES,
            facts=LocalFacts(version="2.6.14"),
        )
        self._machine.start(now)
        self._drain(now)

    @property
    def is_settled(self) -> bool:
        """Whether it is known how the attempt went."""
        return self.connected_at is not None or self.ended is not None

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self, remote: Endpoint) -> None:
        """Takes what has arrived; data packets prove that the server lives, and are not opened.

        As ``shell.drive`` does, it answers after the last packet.
        """
        taken = False
        for _ in range(BATCH):
            try:
                packet = self._socket.recv(MAX_PACKET)
            except BlockingIOError:
                break
            except OSError:  # refused: the server is not there, and the machine asks again
                continue
            if packet and packet[0] >> 3 not in DATA_OPCODES:
                now = monotonic_now()  # answers to what the last packet took long to work out
                self._machine.receive(packet, remote, now, more=True)
                self._drain(now)
                taken = True
        if taken:
            now = monotonic_now()
            self._machine.handle_timeout(now)
            self._drain(now)

    def handle_timeout(self, now: Instant) -> None:
        """Pings, and does what else is due."""
        if self.ping_at is not None and self.ping_at <= now:
            self._ping(PING)
            self.ping_at = Instant(now + PING_INTERVAL)
        self._machine.handle_timeout(now)
        self._drain(now)

    def next_timeout(self) -> Instant | None:
        """When to call ``handle_timeout``."""
        machine = self._machine.poll_timeout()
        if machine is None or self.ping_at is None:
            return self.ping_at if machine is None else machine
        return min(machine, self.ping_at)

    def leave(self, now: Instant) -> None:
        """Tells the server, if the configuration says so, and ends."""
        self._machine.close("SIGTERM", now)
        self._drain(now)

    def close(self) -> None:
        self._socket.close()

    def _drain(self, now: Instant) -> None:
        machine = self._machine
        busy = True
        while busy:
            busy = False
            while (action := machine.poll_action()) is not None:
                machine.complete(action.id, self._carry_out(action), now)
                busy = True
            while (transmit := machine.poll_transmit()) is not None:
                self._send(transmit.payload)
            while (notice := machine.poll_notice()) is not None:
                if isinstance(notice, Connected):
                    self.connected_at = now
                    # Spread over the interval by chance of arrival: no two thousand at once.
                    self.ping_at = Instant(now + PING_INTERVAL)
                elif isinstance(notice, Ended):
                    self.ended = notice
                    self.ping_at = None

    def _carry_out(self, action: actions.Action) -> actions.ActionResult:
        match action:
            case actions.OpenTunnel():
                self._peer_id = action.config.send_peer_id
            case actions.InstallKey():
                self._key = open_key(
                    action.key,
                    send_peer_id=PeerId(self._peer_id),
                    replay_window=1,
                    replay_time=15,
                    limits=LIMITS,
                )
            case actions.SendInner():
                self._ping(action.payload)
            case _:
                pass
        return actions.Done()

    def _ping(self, payload: bytes) -> None:
        if self._key is not None:
            self._send(self._key.seal(payload))

    def _send(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # a full queue, a server that is gone: sent again
            self._socket.send(packet)
