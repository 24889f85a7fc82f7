"""Packets of peers older than AEAD, assembled step by step for ``make_data_vectors``.

As there, nothing of ginnel is imported. The cipher is that of the ``cryptography`` package.
"""

import hashlib
import hmac

from cryptography.hazmat.decrepit.ciphers import algorithms as old
from cryptography.hazmat.decrepit.ciphers import modes as old_modes
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, algorithms, modes

Case = dict[str, str | int]

BLOCK = {"AES": 16, "CAMELLIA": 16, "BF": 8, "CAST5": 8, "DES": 8}
KEY_LENGTH = {
    "AES-128-CBC": 16,
    "AES-192-CBC": 24,
    "AES-256-CBC": 32,
    "AES-128-CFB": 16,
    "AES-192-CFB": 24,
    "AES-256-CFB": 32,
    "AES-128-OFB": 16,
    "AES-192-OFB": 24,
    "AES-256-OFB": 32,
    "CAMELLIA-128-CBC": 16,
    "CAMELLIA-192-CBC": 24,
    "CAMELLIA-256-CBC": 32,
    "BF-CBC": 16,
    "CAST5-CBC": 16,
    "DES-CBC": 8,
    "DES-EDE-CBC": 16,
    "DES-EDE3-CBC": 24,
    "none": 0,
}
DIGESTS = {
    "MD5": "md5",
    "SHA1": "sha1",
    "SHA224": "sha224",
    "SHA256": "sha256",
    "SHA384": "sha384",
    "SHA512": "sha512",
    "SHA512-224": "sha512_224",
    "SHA512-256": "sha512_256",
    "SHA3-224": "sha3_224",
    "SHA3-256": "sha3_256",
    "SHA3-384": "sha3_384",
    "SHA3-512": "sha3_512",
    "BLAKE2b512": "blake2b",
    "BLAKE2s256": "blake2s",
    "RIPEMD160": "ripemd160",
    "none": "",
}
PING = bytes.fromhex("2a187bf3641eb4cb07ed2d0a981fc748")
TIME = 0x67748580


def stretch(label: str, length: int) -> bytes:
    return hashlib.shake_256(f"ginnel old data vector: {label}".encode()).digest(length)


def algorithm(cipher: str, key: bytes) -> CipherAlgorithm:
    match cipher.split("-", maxsplit=1)[0]:
        case "AES":
            return algorithms.AES(key)
        case "CAMELLIA":
            return old.Camellia(key)
        case "BF":
            return old.Blowfish(key)
        case "CAST5":
            return old.CAST5(key)
        case _:
            return old.TripleDES({8: key * 3, 16: key + key[:8], 24: key}[len(key)])


def encrypt(cipher: str, key: bytes, iv: bytes, text: bytes) -> bytes:
    mode: modes.CBC | old_modes.CFB | old_modes.OFB
    match cipher[-3:]:
        case "CBC":
            mode = modes.CBC(iv)
        case "CFB":
            mode = old_modes.CFB(iv)
        case _:
            mode = old_modes.OFB(iv)
    context = Cipher(algorithm(cipher, key), mode).encryptor()
    return context.update(text) + context.finalize()


def header(case: Case) -> bytes:
    key_id, peer_id = int(case["key_id"]), int(case["peer_id"])
    match case["format"]:
        case "static":
            return b""
        case "v1":
            return bytes((6 << 3 | key_id,))
        case _:
            return bytes((9 << 3 | key_id,)) + peer_id.to_bytes(3, "big")


def tag(case: Case, covered: bytes) -> bytes:
    digest = DIGESTS[str(case["digest"])]
    return hmac.digest(bytes.fromhex(str(case["hmac_key"])), covered, digest) if digest else b""


def seal(case: Case, plaintext: bytes, *, padding: bytes | None = None) -> bytes:
    """The packet of a case; ``padding`` replaces the right one."""
    cipher, key = str(case["cipher"]), bytes.fromhex(str(case["cipher_key"]))
    number = int(case["packet_id"]).to_bytes(4, "big")
    long_number = number + int(case["packet_time"]).to_bytes(4, "big")
    inner = long_number if case["format"] == "static" else number
    if cipher == "none":
        covered = inner + plaintext
    elif cipher.endswith("CBC"):
        iv = bytes.fromhex(str(case["iv"]))
        text = inner + plaintext
        missing = len(iv) - len(text) % len(iv)
        text += bytes((missing,)) * missing if padding is None else padding
        covered = iv + encrypt(cipher, key, iv, text)
    else:
        iv = long_number.ljust(BLOCK[cipher.split("-", maxsplit=1)[0]], b"\x00")
        covered = iv + encrypt(cipher, key, iv, plaintext)
    return header(case) + tag(case, covered) + covered


def make_case(
    name: str,
    layout: str,
    cipher: str,
    digest: str,
    plaintext: bytes,
    *,
    packet_id: int = 1,
    key_length: int | None = None,
) -> Case:
    """One finished case; its keys depend on cipher and digest."""
    length = KEY_LENGTH[cipher] if key_length is None else key_length
    size = hashlib.new(DIGESTS[digest]).digest_size if digest != "none" else 0
    is_long = layout == "static" or cipher.endswith(("CFB", "OFB"))
    iv = BLOCK[cipher.split("-", maxsplit=1)[0]] if cipher.endswith("CBC") else 0
    case: Case = {
        "name": f"{layout} {cipher} {digest} {name}",
        "format": layout,
        "cipher": cipher,
        "digest": digest,
        "key_id": 0 if layout == "static" else 3,
        "peer_id": 0x010203 if layout == "v2" else 0,
        "cipher_key": stretch(f"{cipher} key", length).hex(),
        "hmac_key": stretch(f"{digest} key", size).hex(),
        "iv": stretch(f"{name} iv", iv).hex(),
        "packet_id": packet_id,
        "packet_time": TIME if is_long else 0,
        "plaintext": plaintext.hex(),
    }
    case["packet"] = seal(case, plaintext).hex()
    return case


def positive() -> list[Case]:
    """Every cipher, every digest, every layout, every length around a block."""
    cases = [make_case("ping", "v2", cipher, "SHA1", PING) for cipher in KEY_LENGTH]
    cases += [make_case("ping", "v1", "AES-256-CBC", digest, PING) for digest in DIGESTS]
    cases += [make_case("ping", "v2", "none", digest, PING) for digest in DIGESTS]
    for length in (1, 7, 8, 11, 12, 13, 27, 28, 1400):
        for layout in ("v1", "v2", "static"):
            for cipher in ("AES-128-CBC", "BF-CBC", "none"):
                text = stretch(f"length {length}", length)
                cases.append(make_case(f"{length} bytes", layout, cipher, "SHA256", text))
        for cipher in ("AES-128-CFB", "AES-256-OFB"):
            text = stretch(f"length {length}", length)
            cases.append(make_case(f"{length} bytes", "v2", cipher, "SHA256", text))
    cases += [
        make_case("ping", "static", cipher, "SHA1", PING)
        for cipher in KEY_LENGTH
        if not cipher.endswith(("CFB", "OFB"))
    ]
    for packet_id in (0x01020304, 0xFF000000, 0xFFFFFFFF):
        name = f"packet-id {packet_id:#x}"
        cases.append(make_case(name, "v2", "AES-256-CBC", "SHA512", PING, packet_id=packet_id))
    for key_length in (4, 32, 56):
        name = f"key of {key_length} bytes"
        cases.append(make_case(name, "v1", "BF-CBC", "SHA1", PING, key_length=key_length))
    name = "key of 10 bytes"
    cases.append(make_case(name, "v1", "CAST5-CBC", "SHA1", PING, key_length=10))
    return cases


def negative() -> list[Case]:
    """Packets a receiver must refuse, with the reason it counts them under."""
    cases: list[Case] = []

    def refuse(good: Case, name: str, packet: bytes, reason: str) -> None:
        label = f"{good['name']}: {name}"
        cases.append(good | {"name": label, "packet": packet.hex(), "reason": reason})

    for layout in ("v1", "v2", "static"):
        for cipher in ("AES-256-CBC", "DES-EDE3-CBC", "none"):
            good = make_case("victim", layout, cipher, "SHA256", stretch("victim", 40), packet_id=7)
            packet = bytes.fromhex(str(good["packet"]))
            start = len(header(good))
            iv_length = len(str(good["iv"])) // 2
            for name, at in (("tag", start), ("behind the tag", start + 32), ("end", -1)):
                changed = bytearray(packet)
                changed[at] ^= 1
                refuse(good, f"bit in the {name}", bytes(changed), "auth")
            refuse(good, "one byte short", packet[:-1], "auth")
            refuse(good, "one byte long", packet + b"\x00", "auth")
            refuse(good, "nothing behind IV", packet[: start + 32 + iv_length], "malformed")
            refuse(good, "half a tag", packet[: start + 16], "malformed")
            empty = good | {"plaintext": ""}
            refuse(good, "empty plaintext", seal(empty, b""), "malformed")
            zero = good | {"packet_id": 0}
            refuse(zero, "packet-id 0", seal(zero, PING), "replay")
    for cipher, block in (("AES-256-CBC", 16), ("BF-CBC", 8)):
        good = make_case("padded", "v2", cipher, "SHA1", b"", packet_id=7)
        text = stretch("padded", 2 * block - 5)  # with the packet-id, one byte is missing
        for name, padding in (
            ("padding of 0", b"\x00"),
            ("padding longer than a block", bytes((block + 1,))),
            ("padding of 255", b"\xff"),
            ("padding that differs", b"\x01" * block + b"\x02"),
        ):
            refuse(good, name, seal(good, text, padding=padding), "malformed")
        iv = bytes.fromhex(str(good["iv"]))
        covered = iv + stretch("part of a block", block + 3)
        packet = header(good) + tag(good, covered) + covered
        refuse(good, "no whole number of blocks", packet, "malformed")
        only = iv + encrypt(
            cipher, bytes.fromhex(str(good["cipher_key"])), iv, bytes((block,)) * block
        )
        refuse(good, "padding alone", header(good) + tag(good, only) + only, "malformed")
    for cipher in ("AES-256-CFB", "AES-128-OFB"):
        good = make_case("victim", "v2", cipher, "SHA256", PING, packet_id=7)
        packet = bytes.fromhex(str(good["packet"]))
        refuse(good, "one byte short", packet[:-1], "auth")
        refuse(good, "IV alone", packet[: 4 + 32 + 16], "malformed")
        zero = good | {"packet_id": 0}
        refuse(zero, "packet-id 0", seal(zero, PING), "replay")
    for case in cases:
        del case["plaintext"]
    return cases
