"""The compressed payloads of ``tests/vectors/data/compressed.json``, which Rust reads too."""

import json
from dataclasses import dataclass
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "data" / "compressed.json"


@dataclass(frozen=True)
class Compressed:
    """A whole stream or block, and what its plain form is."""

    name: str
    compressed: bytes
    length: int
    sha256: str


def good(algorithm: str) -> list[Compressed]:
    """Those that a real compressor made."""
    return [
        Compressed(
            case["name"], bytes.fromhex(case["compressed"]), case["plain_length"], case["sha256"]
        )
        for case in json.loads(VECTORS.read_text())["cases"]
        if case["algorithm"] == algorithm
    ]


def malformed(algorithm: str) -> list[bytes]:
    """Those that no compressor makes."""
    return [
        bytes.fromhex(case["compressed"])
        for case in json.loads(VECTORS.read_text())["malformed"]
        if case["algorithm"] == algorithm
    ]
