"""The core's part of a handshake, client and server in one process: no sockets, no shell.

    python -m bench.handshakes [--count 500] [--profile]

CPU milliseconds of each side, packets, and what an idle client's machine keeps in memory. With
``--profile`` the server's side is shown function by function.
"""

import argparse
import cProfile
import gc
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from bench.server_lab import resident_kib
from ginnel.cli.openvpn import resolve_arguments
from ginnel.core import actions
from ginnel.core.client import ClientMachine
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.listener import Listener, Reply, Welcome
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.notices import Connected
from ginnel.core.peer_info import LocalFacts
from ginnel.core.server import ServerMachine
from ginnel.core.server_actions import (
    Admitted,
    Authenticate,
    ClientId,
    ClientTerms,
    ConnectClient,
    ServerAction,
    ServerActionResult,
)
from ginnel.core.tls import TlsChannel
from ginnel.core.tls_context import build_tls_context
from ginnel.core.types import Endpoint, Instant, PeerId, Side, Transport
from ginnel.options.actions import RunClient, RunServer
from ginnel.options.server_model import ClientConfig
from ginnel.shell.clock import unix_now
from tests.interop.lab.openvpn import ClientSetup, ServerSetup
from tests.interop.lab.pki import Pki

CLIENT = Endpoint(ip_address("192.0.2.10"), 40000)
SERVER = Endpoint(ip_address("192.0.2.1"), 1194)
CAPABILITIES = DataCapabilities(
    ciphers=frozenset({DataCipher.AES_256_GCM}), formats=frozenset({DataFormat.V1, DataFormat.V2})
)
NOW = Instant(1000.0)


class Bench:
    """Options and contexts for any number of handshakes."""

    def __init__(self, directory: Path) -> None:
        pki = Pki(directory / "pki")
        server_file, client_file = directory / "server.conf", directory / "client.ovpn"
        server_file.write_text(ServerSetup(ciphers=("AES-256-GCM",)).render(pki))
        setup = ClientSetup(remotes=("192.0.2.1 1194",), lines=("tls-groups X25519:P-256",))
        client_file.write_text(setup.render(pki))
        serving = resolve_arguments(["--config", str(server_file)])
        connecting = resolve_arguments(["--config", str(client_file)])
        assert isinstance(serving, RunServer)
        assert isinstance(connecting, RunClient)
        self.serving, self.connecting = serving.options, connecting.options
        self.server_tls = _context(self.serving.tls, Side.SERVER)
        self.client_tls = _context(self.connecting.tls, Side.CLIENT)
        self.listener = Listener(
            options=self.serving, secret=os.urandom(32), unix_time=unix_now(), now=NOW
        )
        self.profile: cProfile.Profile | None = None
        self.client_seconds = self.server_seconds = 0.0
        self.packets = 0

    def handshake(self, number: int) -> ServerMachine:
        """Runs one; what it cost is added up. Returns the server's machine, idle."""
        client = self._client()
        server: ServerMachine | None = None
        to_server: list[bytes] = []
        to_client: list[bytes] = []
        connected = False
        begun = time.process_time()
        client.start(NOW)
        client.handle_timeout(NOW)
        while True:
            while (action := client.poll_action()) is not None:
                client.complete(action.id, actions.Done(), NOW)
            while (transmit := client.poll_transmit()) is not None:
                to_server.append(transmit.payload)
            while (notice := client.poll_notice()) is not None:
                connected = connected or isinstance(notice, Connected)
            self.client_seconds += time.process_time() - begun
            if connected and not to_server:
                break
            assert to_server, "the handshake goes on"
            self.packets += len(to_server)
            begun = time.process_time()
            if self.profile is not None:
                self.profile.enable()
            for packet in to_server:
                server = self._serve(server, packet, number, to_client)
            if self.profile is not None:
                self.profile.disable()
            self.server_seconds += time.process_time() - begun
            self.packets += len(to_client)
            to_server.clear()
            begun = time.process_time()
            for index, packet in enumerate(to_client, start=1):
                client.receive(packet, SERVER, NOW, more=index < len(to_client))
            to_client.clear()
        assert server is not None
        return server

    def _client(self) -> ClientMachine:
        return ClientMachine(
            options=self.connecting,
            profile=self.connecting.profiles[0],
            remote=SERVER,
            tls=self.client_tls,
            entropy=os.urandom,
            unix_time=unix_now(),
            capabilities=CAPABILITIES,
            facts=LocalFacts(version="2.6.14"),
        )

    def _serve(
        self, server: ServerMachine | None, packet: bytes, number: int, answers: list[bytes]
    ) -> ServerMachine | None:
        if server is None:
            met = self.listener.meet(packet, CLIENT, NOW)
            if isinstance(met, Reply):
                answers.append(met.payload)
            if not isinstance(met, Welcome):
                return None
            server = ServerMachine(
                options=self.serving,
                keys=self.listener.keys,
                client_id=ClientId(number),
                peer_id=PeerId(number),
                remote=CLIENT,
                local=SERVER,
                transport=Transport.UDP,
                admission=met.admission,
                tls=self.server_tls,
                entropy=os.urandom,
                unix_time=unix_now(),
                capabilities=CAPABILITIES,
                tokens=None,
            )
            server.start(NOW)
        else:
            server.receive(packet, CLIENT, NOW)
        busy = True
        while busy:
            busy = False
            while (action := server.poll_action()) is not None:
                server.complete(action.id, _answer(action, number), NOW)
                busy = True
            while (transmit := server.poll_transmit()) is not None:
                answers.append(transmit.payload)
            while server.poll_notice() is not None:
                pass
        server.poll_timeout()
        return server


def _context(options: object, side: Side) -> Callable[[], TlsChannel]:
    from ginnel.options.model import TlsOptions

    assert isinstance(options, TlsOptions)
    return build_tls_context(options, side=side, unix_time=unix_now()).channel


def _answer(action: ServerAction, number: int) -> ServerActionResult:
    match action:
        case Authenticate():
            return Admitted()
        case ConnectClient():
            address = IPv4Address(0x0A0A7000 + 2 + number)
            return ClientTerms(
                config=ClientConfig(), ifconfig=(address, IPv4Address("255.255.240.0"))
            )
        case _:
            return actions.Done()


def main() -> None:
    parser = argparse.ArgumentParser(description="The core's part of a handshake.")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
    for number in range(20):
        bench.handshake(number)
    bench.client_seconds = bench.server_seconds = 0.0
    bench.packets = 0
    if given.profile:
        bench.profile = cProfile.Profile()
    gc.collect()
    gc.freeze()
    gc.disable()
    before = resident_kib(os.getpid())
    kept = [bench.handshake(number) for number in range(given.count)]
    gc.collect()
    grown = resident_kib(os.getpid()) - before
    count = len(kept)
    print(f"server {bench.server_seconds / count * 1000:.3f} ms CPU a handshake")
    print(f"client {bench.client_seconds / count * 1000:.3f} ms")
    print(f"packets {bench.packets / count:.1f}, both ways")
    print(f"memory {grown / count:.1f} KiB an idle client")
    if bench.profile is not None:
        pstats.Stats(bench.profile).sort_stats("tottime").print_stats(50)


if __name__ == "__main__":
    main()
