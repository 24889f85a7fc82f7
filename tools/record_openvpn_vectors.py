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

from ginnel.core.data_key import DataCipher, DataFormat, DataKey, KeySlot
from ginnel.core.digests import digest_named
from ginnel.core.key_derivation import KeyShape
from ginnel.core.key_files import parse_static_key
from ginnel.core.types import KeyId, PeerId
from ginnel.dataplane import choose, formats, old_formats
from ginnel.dataplane.api import DataPlane, TunDevice
from ginnel.dataplane.old_formats import OldKeys, OldSuite
from ginnel.dataplane.reference import PythonDataPlane
from ginnel.options.model import KeyDirection
from ginnel.options.values import FileContent, Origin, Secret
from tests.deadlines import wait_until
from tests.interop.lab.capture import UDP, read_pcap, start_capture
from tests.interop.lab.openvpn import DATA_CIPHERS, OPENVPN, PORT, TUNNEL_SERVER, ServerSetup
from tests.interop.lab.topology import TWO, Lab

COMMAND = "python -m tools.record_openvpn_vectors"
FOLDER = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "data"
OLD_SUITES = (
    ("AES-256-CBC", "SHA256"),
    ("BF-CBC", "SHA1"),
    ("DES-EDE3-CBC", "MD5"),
    ("CAMELLIA-128-CBC", "SHA512"),
    ("AES-128-CFB", "SHA384"),
    ("AES-192-OFB", "SHA224"),
    ("none", "RIPEMD160"),
)
STATIC_SUITES = (("AES-256-CBC", "SHA1"), ("BF-CBC", "SHA256"), ("none", "SHA512"))
STATIC_PORT = 5555
KEY_LOG = "GINNEL_RECORDED_KEYS"
UDP_HEADER = 8
CASES_EACH = 3

Case = dict[str, str | int]


class RecordingDataPlane(PythonDataPlane):
    """Notes each key before it is installed."""

    def new_key(self, peer_id: PeerId, slot: KeySlot, key: DataKey) -> None:
        """Appends the receiving half to the log, then does what every data plane does."""
        entry: dict[str, str | int] = {
            "format": key.format.value,
            "cipher": key.cipher.value,
            "key_id": key.key_id,
            "cipher_key": key.receive.cipher_key.reveal().hex(),
        }
        if key.cipher.is_aead:
            entry["implicit_iv"] = key.receive.implicit_iv.reveal().hex()
        else:
            entry["digest"] = "none" if key.digest is None else key.digest.name
            entry["hmac_key"] = key.receive.hmac_key.reveal().hex()
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


def record(lab: Lab, cipher: str, auth: str = "SHA1") -> list[Case]:
    """Connects with one cipher and returns the first packets of the server that open."""
    lines = ("providers legacy default", f"auth {auth}")
    keys = lab.directory / f"keys-{cipher}"
    os.environ[KEY_LOG] = str(keys)
    # Packets that lie before the first ping are what the kernel sends of its own accord.
    capture = start_capture(lab.laptop, "wlan0", f"udp and src port {PORT}", f"wire-{cipher}")
    server = lab.start_server(ServerSetup(ciphers=(cipher,), keepalive="1 10", lines=lines))
    program = (sys.executable, "-m", "tools.record_openvpn_vectors", "--client")
    setup = lab.client_setup(ciphers=(cipher,), lines=lines)
    client = lab.start_client(setup, program=program)
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


def record_static(lab: Lab, cipher: str, auth: str) -> list[Case]:
    """Has an end of a static key tunnel talk to nobody and returns its first packets."""
    path = lab.pki.static_key()
    capture = start_capture(lab.office, "lo", f"udp and dst port {STATIC_PORT}", f"static-{cipher}")
    options = (
        f"--dev tun9 --dev-type tun --ifconfig 10.9.0.1 10.9.0.2 --secret {path} 0 --ping 1 "
        f"--cipher {cipher} --auth {auth} --providers legacy default --lport 0 "
        f"--remote 127.0.0.1 {STATIC_PORT}"
    )
    process = lab.office.spawn([OPENVPN, *options.split()], name=f"static-{cipher}")
    origin = Origin(COMMAND, 1)
    content = FileContent(
        option="secret", origin=origin, path=None, content=Secret(path.read_bytes())
    )
    digest = None if auth == "none" else digest_named(auth)
    shape = KeyShape(cipher=DataCipher(cipher), format=DataFormat.STATIC, digest=digest)
    halves = parse_static_key(content).by_direction(KeyDirection.NORMAL)
    half = shape.cut(*halves, key_id=KeyId(0)).send
    key: Case = {
        "format": DataFormat.STATIC.value,
        "cipher": cipher,
        "key_id": 0,
        "cipher_key": half.cipher_key.reveal().hex(),
        "digest": auth,
        "hmac_key": half.hmac_key.reveal().hex(),
    }

    def packets() -> list[bytes]:
        return [packet.payload[UDP_HEADER:] for packet in read_pcap(capture.path)]

    wait_until(lambda: len(packets()) >= CASES_EACH, timeout=15, what="packets of a static key")
    process.stop()
    capture.stop()
    return [open_old(key, formats.NO_HEADER, packet) for packet in packets()[:CASES_EACH]]


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
            opener = open_aead if "implicit_iv" in key else open_old
            cases.append(opener(key, header, packet))
    return cases


def open_aead(key: Case, header: formats.DataHeader, packet: bytes) -> Case:
    aead = formats.new_aead(DataCipher(key["cipher"]), bytes.fromhex(str(key["cipher_key"])))
    number = formats.decode_classic_id(packet, header)
    iv = bytes.fromhex(str(key["implicit_iv"]))
    return case_of(key, header, packet, number, formats.open_classic(aead, iv, header, packet))


def open_old(key: Case, header: formats.DataHeader, packet: bytes) -> Case:
    digest = None if key["digest"] == "none" else digest_named(str(key["digest"]))
    is_static = key["format"] == DataFormat.STATIC.value
    suite = OldSuite(cipher=DataCipher(key["cipher"]), digest=digest, long_ids=is_static)
    keys = OldKeys(bytes.fromhex(str(key["cipher_key"])), bytes.fromhex(str(key["hmac_key"])))
    body = packet[header.length :]
    number, plaintext = old_formats.open_packet(suite, keys, body)
    start = suite.tag_length
    iv = b"" if suite.id_is_iv else body[start : start + suite.iv_length]
    more: Case = {"iv": iv.hex(), "packet_time": number.time}
    return case_of(key | more, header, packet, number.number, plaintext)


def case_of(
    key: Case, header: formats.DataHeader, packet: bytes, number: int, plaintext: bytes
) -> Case:
    name = f"openvpn {key['format']} {key['cipher']} packet {number}"
    numbers: Case = {"peer_id": header.peer_id or 0, "packet_id": number}
    texts: Case = {"plaintext": plaintext.hex(), "packet": packet.hex()}
    return {"name": name} | key | numbers | texts


def write(name: str, cases: list[Case]) -> None:
    version = subprocess.run([OPENVPN, "--version"], capture_output=True, text=True, check=False)
    product = " ".join(version.stdout.split()[:2])
    origin = f"packets of a server of {product}, recorded with `{COMMAND}`"
    target = FOLDER / name
    target.write_text(json.dumps({"origin": origin, "cases": cases}, indent=1) + "\n")
    print(f"{len(cases)} cases: {target}")


def main() -> int:
    if sys.argv[1:2] == ["--client"]:
        return run_client(sys.argv[2:])
    cases: list[Case] = []
    for cipher in DATA_CIPHERS:
        with Lab(TWO) as lab:
            cases += record(lab, cipher)
    write("openvpn.json", cases)
    cases = []
    for cipher, auth in OLD_SUITES:
        with Lab(TWO) as lab:
            cases += record(lab, cipher, auth)
    for cipher, auth in STATIC_SUITES:
        with Lab(TWO) as lab:
            cases += record_static(lab, cipher, auth)
    write("openvpn-old.json", cases)
    return 0


if __name__ == "__main__":
    sys.exit(main())
