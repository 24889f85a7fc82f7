"""The simulations' server behind a real UDP socket on the loopback, in the test's own loop."""

import asyncio
import os
import socket
import time
from collections.abc import Callable

from ginnel.core.tls import TlsChannel
from ginnel.core.types import Instant, Side
from ginnel.core.wrap.plain import PlainControl
from tests.sim.fake_tls import FakeTls
from tests.sim.server import ServerScript, SimServer

REFRESH = 0.02


class LoopbackServer:
    """Answers one client at a time. ``host`` and ``port`` say where; use inside a loop."""

    def __init__(self, script: ServerScript | None = None) -> None:
        self._fakes = 0
        self.server = SimServer(
            wrapping=PlainControl,
            tls=lambda: self.channel(Side.SERVER),
            entropy=os.urandom,
            script=script,
        )
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(("127.0.0.1", 0))
        self.packets = 0
        self._client: tuple[str, int] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def channel(self, side: Side) -> TlsChannel:
        """One end of a handshake; ends find each other by what they say."""
        self._fakes += 1
        return FakeTls(side, self._fakes)

    def client_channel(self) -> TlsChannel:
        return self.channel(Side.CLIENT)

    def __enter__(self) -> "LoopbackServer":
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._read)
        self._tick()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()

    def act(self, act: Callable[[Instant], None]) -> None:
        """The server does something of its own."""
        act(self._now())
        self._flush()

    def say(self, text: str) -> None:
        self.act(lambda now: self.server.say(text, now))

    def _now(self) -> Instant:
        return Instant(time.monotonic())

    def _tick(self) -> None:
        self._flush()
        self._timer = asyncio.get_running_loop().call_later(REFRESH, self._tick)

    def _read(self) -> None:
        packet, self._client = self.socket.recvfrom(65536)
        self.packets += 1
        if packet[0] >> 3 in {6, 9}:
            return  # data
        self.server.receive(packet, self._now())
        self._flush()

    def _flush(self) -> None:
        if self._client is None:
            return
        for packet in self.server.outgoing(self._now()):
            self.socket.sendto(packet, self._client)
