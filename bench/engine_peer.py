"""One end of a tunnel of two bare engines: fixed keys, no control channel.

Started by ``bench.engines`` inside a namespace; prints ``ready`` and runs until SIGTERM. The keys
are known to everyone: this is for measuring only.
"""

import argparse
import hashlib
import os
import select
import signal
import socket
import sys
from ipaddress import ip_address, ip_network

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, DirectionKey, KeySlot
from ginnel.core.types import Endpoint, KeyId, PeerId, Transport
from ginnel.dataplane.api import DataPlane, Link, PeerConfig, TunDevice
from ginnel.dataplane.choose import open_data_plane
from ginnel.host.tun import DeviceRequest, open_device
from ginnel.options.values import Secret

PEER = PeerId(0)
MTU = 1500
MSS = 1400
SOCKET_BUFFER = 4 << 20


def half(label: str, cipher: DataCipher) -> DirectionKey:
    material = hashlib.shake_256(f"ginnel bench {label}".encode()).digest(cipher.key_length + 8)
    return DirectionKey(cipher_key=Secret(material[:-8]), implicit_iv=Secret(material[-8:]))


def fixed_key(cipher: DataCipher, *, is_server: bool) -> DataKey:
    up, down = half("up", cipher), half("down", cipher)
    return DataKey(
        key_id=KeyId(0),
        cipher=cipher,
        format=DataFormat.V2,
        send=down if is_server else up,
        receive=up if is_server else down,
    )


def open_link(port: int) -> socket.socket:
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        link.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
    link.bind(("0.0.0.0", port))
    link.setblocking(False)
    return link


def serve(plane: DataPlane) -> None:
    """Does what the shell does, for a tunnel without a control channel."""
    poller = select.poll()
    poller.register(plane.fileno(), select.POLLIN)
    while True:
        poller.poll()
        for report in plane.notifications():
            print(report, flush=True)
        plane.recv_control(64)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One end of a tunnel with fixed keys.")
    parser.add_argument("--engine", choices=["rust", "python"], required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--remote", required=True, help="address of the other end, same port")
    parser.add_argument("--cipher", default="AES-256-GCM")
    parser.add_argument("--server", action="store_true")
    return parser.parse_args()


def main() -> int:
    given = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    fd, name = open_device(DeviceRequest(name=given.device, vnet_header=True))
    plane, reasons = open_data_plane(
        TunDevice(fd=fd, name=name, mtu=MTU, vnet_header=True), engine=given.engine
    )
    os.close(fd)
    remote = Endpoint(ip_address(given.remote), given.port)
    with open_link(given.port) as link:
        try:
            plane.attach(Link(fd=link.fileno(), transport=Transport.UDP))
            plane.new_peer(PeerConfig(peer_id=PEER, send_peer_id=PEER, remote=remote, mss_ipv4=MSS))
            plane.add_iroute(PEER, ip_network("0.0.0.0/0"))
            key = fixed_key(DataCipher(given.cipher), is_server=given.server)
            plane.new_key(PEER, KeySlot.PRIMARY, key)
            print(*reasons, sorted(plane.capabilities.offloads), "ready", sep="\n", flush=True)
            serve(plane)
        finally:
            print(plane.stats(PEER), flush=True)
            plane.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
