"""Writes the control-channel vectors: packets, keys and messages of a real OpenVPN.

Usage: ``python -m tools.make_control_vectors [DIRECTORY]`` as root, with openvpn and openssl.
Everything runs on the loopback of a network namespace of its own, with keys made for the occasion.
Each file names its origin, tool version and command. A value that ginnel's own code computed is
never written down as an expectation.
"""

import argparse
import base64
import json
import secrets
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ginnel.core.key_derivation import DYNAMIC_CRYPT_LABEL, DYNAMIC_CRYPT_LENGTH
from ginnel.core.key_files import StaticKey, V2ClientKey, parse_v2_server_key, render_v2_client_key
from ginnel.core.types import Side
from ginnel.core.wrap import wrapping_for
from ginnel.core.wrap.crypt_v2 import METADATA_USER, wrap_client_key
from ginnel.options.model import ControlWrapping, PlainWrapping, TlsCrypt, TlsCryptV2
from ginnel.options.values import FileContent, Origin, Secret
from tools.mini_peer import MiniPeer

SERVER_PORT = 1194
RELAY_PORT = 1195
DEADLINE = 20.0
DEFAULT_DIRECTORY = Path(__file__).parent.parent / "tests" / "vectors" / "control"

SERVER = (
    "--ca ca.crt --cert server.crt --key server.key --dh none --dev null --dev-type tun "
    f"--local 127.0.0.1 --port {SERVER_PORT} --proto udp4 --mode server --tls-server "
    "--topology subnet --ifconfig-pool 10.8.0.2 10.8.0.9 255.255.255.0 --keepalive 1 30"
)
CLIENT = (
    "--ca ca.crt --cert client.crt --key client.key --dev null --nobind "
    f"--remote 127.0.0.1 {RELAY_PORT} udp4 --client --ping 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One wrapping as both sides are told about it."""

    name: str
    server: str
    client: str
    kind: str
    digest: str = ""
    client_direction: str = ""
    key_file: str = "static.key"


CASES = (
    Case(name="plain", server="", client="", kind="plain"),
    Case(
        name="tls-auth-sha1",
        server="--tls-auth static.key 0",
        client="--tls-auth static.key 1",
        kind="tls-auth",
        digest="SHA1",
        client_direction="1",
    ),
    Case(
        name="tls-auth-sha512-no-direction",
        server="--tls-auth static.key --auth SHA512",
        client="--tls-auth static.key --auth SHA512",
        kind="tls-auth",
        digest="SHA512",
        client_direction="none",
    ),
    Case(
        name="tls-auth-sha256-swapped",
        server="--tls-auth static.key 1 --auth SHA256",
        client="--tls-auth static.key 0 --auth SHA256",
        kind="tls-auth",
        digest="SHA256",
        client_direction="0",
    ),
    Case(
        name="tls-crypt",
        server="--tls-crypt static.key",
        client="--tls-crypt static.key",
        kind="tls-crypt",
    ),
    Case(
        name="tls-crypt-v2",
        server="--tls-crypt-v2 v2-server.key",
        client="--tls-crypt-v2 v2-client.key",
        kind="tls-crypt-v2",
        key_file="v2-client.key",
    ),
)


@dataclass(slots=True)
class Workshop:
    """A scratch directory with keys, and the processes running in it."""

    directory: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, command: str, *, check: bool = True) -> str:
        done = subprocess.run(
            command.split(" "), cwd=self.directory, capture_output=True, text=True, check=False
        )
        if check and done.returncode != 0:
            raise SystemExit(
                f"{command}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def start(self, command: str, log: str) -> subprocess.Popen[bytes]:
        with (self.directory / log).open("wb") as output:
            process = subprocess.Popen(
                command.split(), cwd=self.directory, stdout=output, stderr=subprocess.STDOUT
            )
        self.running.append(process)
        return process

    def stop_all(self) -> None:
        while self.running:
            process = self.running.pop()
            process.terminate()
            process.wait()

    def text(self, name: str) -> str:
        return (self.directory / name).read_text(encoding="utf-8", errors="replace")

    def content(self, option: str, name: str) -> FileContent:
        return FileContent(
            option=option,
            origin=Origin(name, 1),
            path=name,
            content=Secret((self.directory / name).read_bytes()),
        )

    def make_keys(self) -> None:
        self.run("openssl ecparam -name prime256v1 -genkey -noout -out ca.key")
        self.run("openssl req -x509 -new -key ca.key -subj /CN=vector-ca -days 3650 -out ca.crt")
        for name in ("server", "client"):
            self.run(
                "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                f"-keyout {name}.key -subj /CN={name} -out {name}.csr"
            )
            (self.directory / f"{name}.ext").write_text(f"extendedKeyUsage={name}Auth\n")
            self.run(
                f"openssl x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial "
                f"-days 3650 -extfile {name}.ext -out {name}.crt"
            )
        self.run("openvpn --genkey secret static.key")
        self.run("openvpn --genkey tls-crypt-v2-server v2-server.key")
        self.run("openvpn --tls-crypt-v2 v2-server.key --genkey tls-crypt-v2-client v2-client.key")


@dataclass(slots=True)
class Relay:
    """Passes datagrams between a client and the server, and keeps them all."""

    packets: list[tuple[str, bytes]] = field(default_factory=list)

    def run(self, until: Callable[[list[tuple[str, bytes]]], bool]) -> None:
        """Relays until the condition on the packets holds; fails at the deadline."""
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
        ):
            near.bind(("127.0.0.1", RELAY_PORT))
            far.bind(("127.0.0.1", 0))
            client: tuple[str, int] | None = None
            end = time.monotonic() + DEADLINE
            while not until(self.packets):
                ready, _, _ = select.select([near, far], [], [], max(0.0, end - time.monotonic()))
                if not ready:
                    raise SystemExit("the capture did not finish in time")
                if near in ready:
                    packet, client = near.recvfrom(65535)
                    self.packets.append(("client", packet))
                    far.sendto(packet, ("127.0.0.1", SERVER_PORT))
                if far in ready and client is not None:
                    packet = far.recv(65535)
                    self.packets.append(("server", packet))
                    near.sendto(packet, client)


def data_from_both(packets: list[tuple[str, bytes]]) -> bool:
    """Whether each side sent two data packets."""
    senders = [sender for sender, packet in packets if packet[0] >> 3 in (6, 9)]
    return senders.count("client") >= 2 and senders.count("server") >= 2


def capture(shop: Workshop, server: str, client: str) -> list[tuple[str, bytes]]:
    """Runs OpenVPN against itself through the relay."""
    relay = Relay()
    shop.start(f"openvpn {SERVER} {server}", "server.log")
    wait_for_line(shop, "server.log", "UDPv4 link local (bound)")
    shop.start(f"openvpn {CLIENT} {client}", "client.log")
    try:
        relay.run(data_from_both)
    finally:
        shop.stop_all()
    return relay.packets


def wait_for_line(shop: Workshop, log: str, words: str) -> None:
    """Waits until a log holds the words, looking again whenever half a tenth of a second passed."""
    end = time.monotonic() + DEADLINE
    while words not in shop.text(log):
        if time.monotonic() > end:
            raise SystemExit(f"no '{words}' in {log}:\n{shop.text(log)[-2000:]}")
        select.select([], [], [], 0.05)


def write(directory: Path, name: str, origin: str, command: str, **values: object) -> None:
    """Writes a vector file."""
    version = subprocess.run(["openvpn", "--version"], capture_output=True, text=True, check=False)
    record = {
        "origin": origin,
        "tool": version.stdout.splitlines()[0].split(" [")[0],
        "command": command,
        **values,
    }
    text = json.dumps(record, indent=1)
    (directory / f"{name}.json").write_text(text + "\n")
    print(f"{name}.json")


def wrappings(shop: Workshop, directory: Path) -> None:
    """Captures the control packets of one connection for every wrapping."""
    for case in CASES:
        packets = capture(shop, case.server, case.client)
        control = [(who, packet) for who, packet in packets if packet[0] >> 3 not in (6, 9)]
        write(
            directory,
            case.name,
            "control packets of one connection, captured between an OpenVPN client and server",
            f"openvpn {SERVER} {case.server}; openvpn {CLIENT} {case.client}",
            kind=case.kind,
            digest=case.digest,
            client_direction=case.client_direction,
            key_file="" if case.kind == "plain" else shop.text(case.key_file),
            server_key_file=shop.text("v2-server.key") if case.kind == "tls-crypt-v2" else "",
            packets=[{"from": who, "packet": packet.hex()} for who, packet in control],
        )


def wrapped_keys(shop: Workshop, directory: Path) -> None:
    """Has OpenVPN make wrapped client keys with several kinds of metadata."""
    keys = []
    for metadata in (None, b"x", b"site=leeds; serial=17", bytes(range(256)) * 2, b"m" * 733):
        encoded = "" if metadata is None else " " + base64.b64encode(metadata).decode()
        name = "made.key"
        before = int(time.time())
        shop.run(
            f"openvpn --tls-crypt-v2 v2-server.key --genkey tls-crypt-v2-client {name}{encoded}"
        )
        keys.append(
            {
                "client_key_file": shop.text(name),
                "metadata_type": 1 if metadata is None else 0,
                "metadata": "" if metadata is None else metadata.hex(),
                "made_between": [before, int(time.time())],
            }
        )
    shop.run("openvpn --genkey auth-token token.key")
    write(
        directory,
        "wrapped-client-keys",
        "client keys sealed by OpenVPN; metadata type 1 is the time of making",
        "openvpn --tls-crypt-v2 v2-server.key --genkey tls-crypt-v2-client made.key [METADATA]",
        server_key_file=shop.text("v2-server.key"),
        keys=keys,
        auth_token_key_file=shop.text("token.key"),
    )


def prf(directory: Path) -> None:
    """Has OpenSSL's own key derivation compute the TLS 1.0 PRF."""
    vectors = []
    for secret_length, seed_length, length in ((1, 4, 16), (5, 7, 33), (48, 80, 256), (47, 64, 48)):
        secret, seed = secrets.token_bytes(secret_length), secrets.token_bytes(seed_length)
        label = "OpenVPN key expansion"
        command = (
            f"openssl kdf -binary -keylen {length} -kdfopt digest:MD5-SHA1 "
            f"-kdfopt hexsecret:{secret.hex()} -kdfopt hexseed:{label.encode().hex()}{seed.hex()}"
        ).split()
        output = subprocess.run([*command, "TLS1-PRF"], capture_output=True, check=True).stdout
        vectors.append(
            {"secret": secret.hex(), "label": label, "seed": seed.hex(), "output": output.hex()}
        )
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True)
    write(
        directory,
        "tls1-prf",
        f"PRF outputs computed by {openssl.stdout.strip()}",
        "openssl kdf -keylen N -kdfopt digest:MD5-SHA1 -kdfopt hexsecret:S -kdfopt hexseed:L "
        "TLS1-PRF",
        vectors=vectors,
    )


def legacy_keys(shop: Workshop, directory: Path) -> None:
    """Captures a connection whose client derives its keys the old way and logs them."""
    extra = "--verb 9 --pull-filter ignore protocol-flags --pull-filter ignore key-derivation"
    packets = capture(shop, "", extra)
    log = shop.text("client.log")
    sources = {
        name: {
            part: _logged(log, f"{name.title()} {part}:")
            for part in ("pre_master", "random1", "random2")
        }
        for name in ("client", "server")
    }
    data = [packet for who, packet in packets if who == "client" and packet[0] >> 3 == 9]
    write(
        directory,
        "legacy-keys",
        "key sources and data keys logged by an OpenVPN client, its session's packets alongside",
        f"openvpn {SERVER}; openvpn {CLIENT} {extra}",
        sources=sources,
        client_session_id=_session_id(packets, "client"),
        server_session_id=_session_id(packets, "server"),
        cipher="AES-256-GCM",
        client_send_key=_logged(log, "Outgoing Data Channel: CIPHER KEY:"),
        client_receive_key=_logged(log, "Incoming Data Channel: CIPHER KEY:"),
        client_data_packets=[packet.hex() for packet in data],
        ping_payload="2a187bf3641eb4cb07ed2d0a981fc748",
    )


def _session_id(packets: Sequence[tuple[str, bytes]], sender: str) -> str:
    """Takes the session id of the last control packet: the one the keys were made in."""
    control = [packet for who, packet in packets if who == sender and packet[0] >> 3 in (4, 5)]
    return control[-1][1:9].hex()


def _logged(log: str, words: str) -> str:
    """Returns the hex words that a log line shows after ``words``."""
    line = next(line for line in log.splitlines() if words in line)
    return line.partition(words)[2].replace(" ", "")


OPTION_LINES = (
    "--client",
    "--client --cipher AES-256-GCM",
    "--client --cipher AES-128-GCM --proto tcp-client",
    "--client --cipher AES-192-GCM --data-ciphers AES-192-GCM:AES-256-GCM --auth SHA256",
    "--client --cipher CHACHA20-POLY1305",
    "--client --cipher AES-256-CBC --data-ciphers AES-256-CBC --auth SHA256",
    "--client --cipher AES-256-CBC --auth SHA256",
    "--client --cipher AES-256-CFB --data-ciphers AES-256-CFB",
    "--client --auth none",
    "--client --cipher none --data-ciphers none --auth none",
    "--client --cipher AES-256-GCM --tun-mtu 1400",
    "--client --cipher AES-256-GCM --dev-type tap",
    "--client --cipher AES-256-GCM --comp-lzo no",
    "--client --cipher AES-256-GCM --fragment 1300",
    "--client --tls-auth static.key 1 --auth SHA512",
    "--client --tls-auth static.key",
    "--tls-client --cipher AES-256-GCM --ifconfig 10.0.0.1 10.0.0.2",
    "--tls-client --cipher AES-256-GCM --topology subnet --ifconfig 10.0.0.1 255.255.255.0",
    "--tls-client --cipher AES-256-GCM --ifconfig-ipv6 fd00::1/64 fd00::2",
)


def option_strings(shop: Workshop, directory: Path) -> None:
    """Has OpenVPN log the compatibility strings for many settings."""
    vectors = []
    for line in OPTION_LINES:
        device = "--dev-type tun --dev tun" if "-type" not in line else "--dev tap"
        base = CLIENT.replace("--dev null", device).replace(" udp4 --client --ping 1", " --verb 7")
        process = shop.start(f"openvpn {base} --connect-retry-max 1 {line}", "options.log")
        wait_for_line(shop, "options.log", "Expected Remote Options String")
        process.terminate()
        process.wait()
        shop.stop_all()
        log = shop.text("options.log")
        vectors.append(
            {"options": line, "local": _quoted(log, "Local"), "expected": _quoted(log, "Expected")}
        )
    write(
        directory,
        "options-strings",
        "options compatibility strings logged by OpenVPN",
        f"openvpn {base} OPTIONS",
        vectors=vectors,
    )


def _quoted(log: str, first_word: str) -> str:
    line = next(
        line for line in log.splitlines() if f"{first_word} " in line and "(VER=V4)" in line
    )
    return line.split("'")[1]


def key_exchange(shop: Workshop, directory: Path) -> None:
    """Records what OpenVPN says inside TLS, by being its peer; also a dynamically wrapped reset."""
    crypt = TlsCrypt(key=shop.content("tls-crypt", "static.key"))
    server = f"openvpn {SERVER} --tls-crypt static.key --reneg-sec 4"
    shop.start(server, "server.log")
    wait_for_line(shop, "server.log", "UDPv4 link local (bound)")
    client = _mini(shop, Side.CLIENT, crypt)
    client.run(lambda peer: any(packet[0] & 7 == 1 for packet in peer.unopened), DEADLINE)
    shop.stop_all()
    reset = next(packet for packet in client.unopened if packet[0] & 7 == 1)
    exported = client.export(DYNAMIC_CRYPT_LABEL, DYNAMIC_CRYPT_LENGTH)
    write(
        directory,
        "dynamic-tls-crypt",
        "first packet of an OpenVPN server's renegotiation, and the exporter output behind its key",
        server,
        base_key_file=shop.text("static.key"),
        exported=exported.hex(),
        packet=reset.hex(),
    )

    mini_server = _mini(shop, Side.SERVER, PlainWrapping())
    command = f"openvpn {CLIENT.replace(str(RELAY_PORT), str(SERVER_PORT))} --verb 7"
    command += " --auth-user-pass login.txt"
    (shop.directory / "login.txt").write_text("ada\nlovelace\n")
    shop.start(command, "client.log")
    mini_server.run(lambda peer: b"PUSH_REQUEST\0" in peer.plaintext, DEADLINE)
    shop.stop_all()
    write(
        directory,
        "key-exchange",
        "what an OpenVPN server and client say inside TLS, one item a TLS record",
        f"{server}; {command}",
        server_records=[record.hex() for record in client.plaintext],
        client_records=[record.hex() for record in mini_server.plaintext],
        client_options_string=_quoted(shop.text("client.log"), "Local"),
    )


def our_wrapped_key(shop: Workshop) -> None:
    """Proves that an OpenVPN server takes a client key that we sealed, from ours and its client."""
    server_key = parse_v2_server_key(shop.content("tls-crypt-v2", "v2-server.key"))
    fresh = StaticKey(Secret(secrets.token_bytes(256)))
    ours: V2ClientKey = wrap_client_key(
        server_key, fresh, metadata_type=METADATA_USER, metadata=b"made by ginnel"
    )
    (shop.directory / "ours.key").write_text(render_v2_client_key(ours))
    shop.start(f"openvpn {SERVER} --tls-crypt-v2 v2-server.key --verb 5", "server.log")
    wait_for_line(shop, "server.log", "UDPv4 link local (bound)")
    mini = _mini(shop, Side.CLIENT, TlsCryptV2(key=shop.content("tls-crypt-v2", "ours.key")))
    mini.run(lambda peer: any(text.startswith(b"PUSH_REPLY") for text in peer.plaintext), DEADLINE)
    shop.stop_all()
    shop.start(f"openvpn {SERVER} --tls-crypt-v2 v2-server.key", "server.log")
    wait_for_line(shop, "server.log", "UDPv4 link local (bound)")
    direct = CLIENT.replace(str(RELAY_PORT), str(SERVER_PORT))
    shop.start(f"openvpn {direct} --tls-crypt-v2 ours.key", "client.log")
    wait_for_line(shop, "client.log", "Initialization Sequence Completed")
    shop.stop_all()
    print("OpenVPN accepts a client key sealed by us")


def _mini(shop: Workshop, side: Side, wrapping: ControlWrapping) -> MiniPeer:
    name = side.value
    return MiniPeer(
        side=side,
        wrapping=wrapping_for(wrapping, side, int(time.time())),
        certificates=(
            str(shop.directory / "ca.crt"),
            str(shop.directory / f"{name}.crt"),
            str(shop.directory / f"{name}.key"),
        ),
        port=SERVER_PORT,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the control-channel vectors.")
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT_DIRECTORY)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        script = [
            sys.executable,
            "-m",
            "tools.make_control_vectors",
            "--inside",
            str(arguments.directory.resolve()),
        ]
        return subprocess.run(["unshare", "--net", "--", *script], check=False).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="control-vectors-"))
    shop = Workshop(scratch)
    try:
        shop.make_keys()
        wrappings(shop, arguments.directory)
        wrapped_keys(shop, arguments.directory)
        prf(arguments.directory)
        legacy_keys(shop, arguments.directory)
        option_strings(shop, arguments.directory)
        key_exchange(shop, arguments.directory)
        our_wrapped_key(shop)
    finally:
        shop.stop_all()
        shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
