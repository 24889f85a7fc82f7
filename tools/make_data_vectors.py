"""Writes the data-channel vectors that the Python and the Rust engine are both tested with.

The packets are assembled here step by step from the description of the formats (protocol-facts 9)
and an AEAD; nothing of ginnel is imported, so the vectors can disagree with either engine. All
inputs derive from labels: two runs write the same bytes. Run it from the repository's root:

    python -m tools.make_data_vectors [--check]
"""

import argparse
import hashlib
import hmac
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tools import make_old_vectors

COMMAND = "python -m tools.make_data_vectors"
ORIGIN = f"written by `{COMMAND}` from the packet layouts in protocol-facts 9 and 10"
TARGET = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "data"

KEY_LENGTH = {
    "AES-128-GCM": 16,
    "AES-192-GCM": 24,
    "AES-256-GCM": 32,
    "CHACHA20-POLY1305": 32,
}
TAG = 16
PING = bytes.fromhex("2a187bf3641eb4cb07ed2d0a981fc748")
OCC_EXIT = bytes.fromhex("287f346bd4ef7a812d56b8d3afc5459c") + b"\x06"

Case = dict[str, str | int]
Document = dict[str, object]


def stretch(label: str, length: int) -> bytes:
    """Bytes that look random and depend on the label only."""
    return hashlib.shake_256(f"ginnel data vector: {label}".encode()).digest(length)


def aead(cipher: str, key: bytes) -> AESGCM | ChaCha20Poly1305:
    return ChaCha20Poly1305(key) if cipher == "CHACHA20-POLY1305" else AESGCM(key)


def expand_label(secret: bytes, label: str, length: int) -> bytes:
    """OVPN-Expand-Label with an empty context: one or more HKDF-Expand blocks of SHA-256."""
    name = b"ovpn " + label.encode()
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\x00"
    blocks, last = b"", b""
    counter = 1
    while len(blocks) < length:
        last = hmac.digest(secret, last + info + bytes([counter]), "sha256")
        blocks += last
        counter += 1
    return blocks[:length]


def epoch_material(first: bytes, epoch: int, key_length: int) -> tuple[bytes, bytes]:
    """Cipher key and 12-byte IV of an epoch, walking the chain from epoch 1."""
    chain = first
    for _ in range(epoch - 1):
        chain = expand_label(chain, "datakey upd", 32)
    return expand_label(chain, "data_key", key_length), expand_label(chain, "data_iv", 12)


def seal_v1(case: Case, plaintext: bytes) -> bytes:
    packet_id = int(case["packet_id"]).to_bytes(4, "big")
    nonce = packet_id + bytes.fromhex(str(case["implicit_iv"]))
    key = bytes.fromhex(str(case["cipher_key"]))
    sealed = aead(str(case["cipher"]), key).encrypt(nonce, plaintext, packet_id)
    first = bytes([6 << 3 | int(case["key_id"])])
    return first + packet_id + sealed[-TAG:] + sealed[:-TAG]


def seal_v2(case: Case, plaintext: bytes) -> bytes:
    header = bytes([9 << 3 | int(case["key_id"])]) + int(case["peer_id"]).to_bytes(3, "big")
    packet_id = int(case["packet_id"]).to_bytes(4, "big")
    nonce = packet_id + bytes.fromhex(str(case["implicit_iv"]))
    key = bytes.fromhex(str(case["cipher_key"]))
    sealed = aead(str(case["cipher"]), key).encrypt(nonce, plaintext, header + packet_id)
    return header + packet_id + sealed[-TAG:] + sealed[:-TAG]


def seal_epoch(case: Case, plaintext: bytes) -> bytes:
    cipher = str(case["cipher"])
    header = bytes([9 << 3 | int(case["key_id"])]) + int(case["peer_id"]).to_bytes(3, "big")
    number = int(case["epoch"]).to_bytes(2, "big") + int(case["packet_id"]).to_bytes(6, "big")
    first = bytes.fromhex(str(case["cipher_key"]))
    key, iv = epoch_material(first, int(case["epoch"]), KEY_LENGTH[cipher])
    padded = number + bytes(4)
    nonce = bytes(a ^ b for a, b in zip(iv, padded, strict=True))
    return header + number + aead(cipher, key).encrypt(nonce, plaintext, header + number)


SEAL = {"v1": seal_v1, "v2": seal_v2, "epoch": seal_epoch}


def make_case(
    name: str,
    layout: str,
    cipher: str,
    *,
    packet_id: int,
    plaintext: bytes,
    key_id: int = 0,
    peer_id: int = 0,
    epoch: int = 1,
) -> Case:
    """One finished case; its key depends on layout and cipher, not on its name."""
    length = 32 if layout == "epoch" else KEY_LENGTH[cipher]
    iv = b"" if layout == "epoch" else stretch(f"{layout} {cipher} iv", 8)
    case: Case = {
        "name": name,
        "format": layout,
        "cipher": cipher,
        "key_id": key_id,
        "peer_id": peer_id,
        "cipher_key": stretch(f"{layout} {cipher} key", length).hex(),
        "implicit_iv": iv.hex(),
        "packet_id": packet_id,
    }
    if layout == "epoch":
        case["epoch"] = epoch
    case["plaintext"] = plaintext.hex()
    case["packet"] = SEAL[layout](case, plaintext).hex()
    return case


def payloads() -> Iterator[tuple[str, bytes]]:
    yield "ping", PING
    yield "occ-exit", OCC_EXIT
    yield "one-byte", b"\x45"
    yield "block", stretch("block", 16)
    yield "block-and-one", stretch("block and one", 17)
    yield "full-size", stretch("full size", 1400)


def positive(layout: str) -> list[Case]:
    """Every cipher with every payload, then the edges of the header's numbers."""
    cases: list[Case] = []
    for cipher in KEY_LENGTH:
        for number, (label, plaintext) in enumerate(payloads(), start=1):
            cases.append(
                make_case(
                    f"{cipher} {label}",
                    layout,
                    cipher,
                    packet_id=number,
                    plaintext=plaintext,
                    key_id=number % 8,
                    peer_id=0 if layout == "v1" else number * 0x010203,
                )
            )
    largest = 2**48 - 1 if layout == "epoch" else 2**32 - 1
    for packet_id in (0xFF, 0x01020304, 0xFEFFFFFF, 0xFF000000, largest):
        name = f"packet-id {packet_id:#x}"
        cases.append(make_case(name, layout, "AES-256-GCM", packet_id=packet_id, plaintext=PING))
    if layout != "v1":
        for peer_id in (0, 1, 0xABCDEF, 0xFFFFFF):
            name = f"peer-id {peer_id:#x}"
            cases.append(
                make_case(name, layout, "AES-128-GCM", packet_id=1, peer_id=peer_id, plaintext=PING)
            )
    if layout == "epoch":
        for epoch in (2, 3, 16, 17, 18, 300, 0xF000, 0xFFFF):
            for cipher in ("AES-256-GCM", "CHACHA20-POLY1305"):
                name = f"{cipher} epoch {epoch:#x}"
                cases.append(
                    make_case(name, layout, cipher, packet_id=1, epoch=epoch, plaintext=PING)
                )
    return cases


def spoil(packet: bytes, offset: int, mask: int = 0x01) -> bytes:
    changed = bytearray(packet)
    changed[offset] ^= mask
    return bytes(changed)


def negative(layout: str) -> list[Case]:
    """Packets a receiver must refuse, with the reason it counts them under."""
    cipher = "AES-256-GCM"
    good = make_case("", layout, cipher, packet_id=7, plaintext=stretch("victim", 40), peer_id=5)
    packet = bytes.fromhex(str(good["packet"]))
    header = 1 if layout == "v1" else 4
    number_length = 8 if layout == "epoch" else 4
    minimum = header + number_length + TAG
    spoiled: list[tuple[str, bytes, str]] = [
        ("last bit", spoil(packet, len(packet) - 1), "auth"),
        ("last bit of the packet-id", spoil(packet, header + number_length - 1), "auth"),
        ("first byte after the packet-id", spoil(packet, header + number_length), "auth"),
        ("middle", spoil(packet, minimum + 5, 0x80), "auth"),
        ("one byte short", packet[:-1], "auth"),
        ("one byte long", packet + b"\x00", "auth"),
        ("no room for the tag", packet[: minimum - 1], "malformed"),
        ("header only", packet[:header], "malformed"),
        ("first byte only", packet[:1], "malformed"),
    ]
    if layout != "v1":
        spoiled.append(("peer-id", spoil(packet, 3), "auth"))
    cases: list[Case] = [
        good | {"name": name, "packet": raw.hex(), "reason": reason}
        for name, raw, reason in spoiled
    ]
    empty = make_case("empty plaintext", layout, cipher, packet_id=7, plaintext=b"")
    cases.append(empty | {"reason": "malformed"})
    zero = make_case("packet-id 0", layout, cipher, packet_id=0, plaintext=PING)
    cases.append(zero | {"reason": "replay"})
    if layout == "epoch":
        far = make_case("epoch 18, past the future keys", layout, cipher, packet_id=1, epoch=18,
                        plaintext=PING)  # fmt: skip
        cases.append(far | {"reason": "no-key"})
        null = spoil(bytes.fromhex(str(zero["packet"])), 5)
        cases.append(zero | {"name": "epoch 0", "packet": null.hex(), "reason": "no-key"})
    for case in cases:
        del case["plaintext"]
    return cases


def chain() -> list[Case]:
    """The epoch key chain itself: key and IV of some epochs."""
    first = stretch("chain", 32)
    cases: list[Case] = []
    for cipher, length in KEY_LENGTH.items():
        for epoch in (1, 2, 3, 17, 1000):
            key, iv = epoch_material(first, epoch, length)
            cases.append(
                {
                    "name": f"{cipher} epoch {epoch}",
                    "cipher": cipher,
                    "first": first.hex(),
                    "epoch": epoch,
                    "data_key": key.hex(),
                    "data_iv": iv.hex(),
                }
            )
    return cases


def step(at: float, number: int, accept: bool) -> dict[str, float | int | bool]:
    return {"at": at, "id": number, "accept": accept}


def replay() -> list[dict[str, object]]:
    """Arrivals of packet-ids and whether each must pass (protocol-facts 10)."""
    ordered = [step(0.0, number, True) for number in range(1, 8)]
    return [
        {"name": "in order", "window": 64, "time": 15, "steps": ordered},
        {
            "name": "each id once",
            "window": 64,
            "time": 15,
            "steps": [step(0, 1, True), step(0, 1, False), step(0, 2, True), step(0, 2, False),
                      step(0, 1, False)],
        },
        {"name": "id 0", "window": 64, "time": 15, "steps": [step(0, 0, False), step(0, 1, True)]},
        {
            "name": "reordered inside the window",
            "window": 64,
            "time": 15,
            "steps": [step(0, 10, True), step(0, 3, True), step(0, 9, True), step(0, 3, False),
                      step(0, 1, True), step(0, 11, True)],
        },
        {
            "name": "edges of the window: 64 ids with the highest",
            "window": 64,
            "time": 15,
            "steps": [step(0, 100, True), step(0, 36, False), step(0, 37, True),
                      step(0, 37, False), step(0, 101, True), step(0, 38, True)],
        },
        {
            "name": "a leap forgets what lies behind",
            "window": 64,
            "time": 15,
            "steps": [step(0, 5, True), step(0, 4294967295, True), step(0, 6, False),
                      step(0, 4294967294, True), step(0, 4294967294, False)],
        },
        {
            "name": "window of 1 takes only newer",
            "window": 1,
            "time": 15,
            "steps": [step(0, 3, True), step(0, 2, False), step(0, 5, True), step(0, 4, False)],
        },
        {
            "name": "window of 0 takes the next one only",
            "window": 0,
            "time": 15,
            "steps": [step(0, 1, True), step(0, 3, False), step(0, 2, True), step(0, 2, False),
                      step(0, 1, False), step(0, 3, True)],
        },
        {
            "name": "a gap closes when what follows it grows old",
            "window": 64,
            "time": 15,
            "steps": [step(0, 1, True), step(0, 4, True), step(10, 3, True), step(40, 2, False),
                      step(40, 5, True)],
        },
        {
            "name": "a gap stays open without a time limit",
            "window": 64,
            "time": 0,
            "steps": [step(0, 1, True), step(0, 4, True), step(4000, 2, True)],
        },
        {
            "name": "a young gap stays open",
            "window": 64,
            "time": 15,
            "steps": [step(0, 1, True), step(30, 5, True), step(36, 4, True), step(36, 3, True)],
        },
    ]  # fmt: skip


def documents() -> dict[str, Document]:
    """File name below ``tests/vectors/data`` to content."""
    files: dict[str, Document] = {
        "old.json": {"origin": ORIGIN, "cases": make_old_vectors.positive()},
        "negative/old.json": {"origin": ORIGIN, "cases": make_old_vectors.negative()},
    }
    for layout in SEAL:
        files[f"{layout}.json"] = {"origin": ORIGIN, "cases": positive(layout)}
        files[f"negative/{layout}.json"] = {"origin": ORIGIN, "cases": negative(layout)}
    files["chain/epoch.json"] = {"origin": ORIGIN, "cases": chain()}
    files["replay/window.json"] = {"origin": ORIGIN, "cases": replay()}
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the data-channel vectors.")
    parser.add_argument("--check", action="store_true", help="only compare with what is there")
    options = parser.parse_args()
    stale = []
    for name, document in documents().items():
        text = json.dumps(document, indent=1) + "\n"
        path = TARGET / name
        if options.check:
            if not path.exists() or path.read_text() != text:
                stale.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if stale:
        print("differ from what the tool writes:", ", ".join(stale))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
