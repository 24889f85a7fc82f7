"""Records data packets of a real openvpn, with the keys that open them, as vectors.

A ginnel client connects to Debian's server in a lab; a data plane that notes its keys runs inside
it, and tcpdump sees the packets. The keys are of a session that lived for a second. Run it as root
from the repository's root:

    python -m tools.record_openvpn_vectors
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from ginnel.core.data_key import DataCipher, DataKey, KeySlot
from ginnel.core.types import PeerId
from ginnel.dataplane import choose, formats
from ginnel.dataplane.api import DataPlane, TunDevice
from ginnel.dataplane.reference import PythonDataPlane
from tests.deadlines import wait_until
from tests.interop.lab.capture import UDP, read_pcap, start_capture
from tests.interop.lab.openvpn import DATA_CIPHERS, OPENVPN, PORT, TUNNEL_SERVER, ServerSetup
from tests.interop.lab.topology import TWO, Lab

COMMAND = "python -m tools.record_openvpn_vectors"
TARGET = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "data" / "openvpn.json"
KEY_LOG = "GINNEL_RECORDED_KEYS"
UDP_HEADER = 8
CASES_EACH = 3

Case = dict[str, str | int]


class RecordingDataPlane(PythonDataPlane):
    """Notes each key before it is installed."""

    def new_key(self, peer_id: PeerId, slot: KeySlot, key: DataKey) -> None:
        """Appends the receiving half to the log, then does what every data plane does."""
        entry = {
            "format": key.format.value,
            "cipher": key.cipher.value,
            "key_id": key.key_id,
            "cipher_key": key.receive.cipher_key.reveal().hex(),
            "implicit_iv": key.receive.implicit_iv.reveal().hex(),
        }
        with Path(os.environ[KEY_LOG]).open("a") as log:
            log.write(json.dumps(entry) + "\n")
        super().new_key(peer_id, slot, key)


def run_client(arguments: list[str]) -> int:
    """Is the client process: ginnel with the recording data plane."""
    from ginnel.cli.main import main as ginnel

    def open_recording(engine: choose.Engine, tun: TunDevice | None) -> DataPlane:
        return RecordingDataPlane(tun)

    choose._open = open_recording
    return ginnel(["ginnel", "openvpn", *arguments])


def record(lab: Lab, cipher: str) -> list[Case]:
    """Connects with one cipher and returns the first packets of the server that open."""
    keys = lab.directory / f"keys-{cipher}"
    os.environ[KEY_LOG] = str(keys)
    # Packets that lie before the first ping are what the kernel sends of its own accord.
    capture = start_capture(lab.laptop, "wlan0", f"udp and src port {PORT}", f"wire-{cipher}")
    server = lab.start_server(ServerSetup(ciphers=(cipher,), keepalive="1 10"))
    program = (sys.executable, "-m", "tools.record_openvpn_vectors", "--client")
    client = lab.start_client(lab.client_setup(ciphers=(cipher,)), program=program)
    lab.laptop.wait_ping(TUNNEL_SERVER)
    found: list[Case] = []

    def enough() -> bool:
        found[:] = opened(capture.path, keys)
        return len(found) >= CASES_EACH

    wait_until(enough, timeout=15, what=f"{CASES_EACH} packets that open with {cipher}")
    client.stop()
    server.stop()
    capture.stop()
    return found[:CASES_EACH]


def opened(wire: Path, keys: Path) -> list[Case]:
    """Cases of all captured data packets that a logged key opens."""
    known = [json.loads(line) for line in keys.read_text().splitlines()] if keys.exists() else []
    cases: list[Case] = []
    for captured in read_pcap(wire):
        packet = captured.payload[UDP_HEADER:]
        if captured.protocol != UDP or not packet or packet[0] >> 3 != formats.OPCODE_DATA_V2:
            continue
        header = formats.decode_header(packet)
        for key in known:
            if key["key_id"] != header.key_id or header.peer_id is None:
                continue
            cipher = DataCipher(key["cipher"])
            aead = formats.new_aead(cipher, bytes.fromhex(key["cipher_key"]))
            iv = bytes.fromhex(key["implicit_iv"])
            number = formats.decode_classic_id(packet, header)
            plaintext = formats.open_classic(aead, iv, header, packet)
            numbers = {"peer_id": header.peer_id, "packet_id": number}
            texts = {"plaintext": plaintext.hex(), "packet": packet.hex()}
            name = f"openvpn {cipher.value} packet {number}"
            cases.append({"name": name} | key | numbers | texts)
    return cases


def main() -> int:
    if sys.argv[1:2] == ["--client"]:
        return run_client(sys.argv[2:])
    version = subprocess.run([OPENVPN, "--version"], capture_output=True, text=True, check=False)
    cases: list[Case] = []
    for cipher in DATA_CIPHERS:
        with Lab(TWO) as lab:
            cases += record(lab, cipher)
    product = " ".join(version.stdout.split()[:2])
    origin = f"packets of a server of {product}, recorded with `{COMMAND}`"
    TARGET.write_text(json.dumps({"origin": origin, "cases": cases}, indent=1) + "\n")
    print(f"{len(cases)} cases: {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
