"""A file system in memory, and files of the right shape to put into it."""

import base64
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

from ginnel.options.actions import Resolved, RunClient, RunServer
from ginnel.options.resolve import resolve_argv


def pem(label: str, body: bytes = b"\x30\x03\x02\x01\x01") -> bytes:
    """Returns a PEM block around some DER."""
    text = base64.b64encode(body).decode()
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n".encode()


CA = pem("CERTIFICATE")
CERT = pem("CERTIFICATE")
KEY = pem("PRIVATE KEY")
CRL = pem("X509 CRL")
STATIC_KEY = (
    "#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN OpenVPN Static key V1-----\n"
    + "\n".join(["0123456789abcdef" * 2] * 16)
    + "\n-----END OpenVPN Static key V1-----\n"
).encode()
CLIENT_KEY = pem("OpenVPN tls-crypt-v2 client key", bytes(range(256)) * 2)
SERVER_KEY = pem("OpenVPN tls-crypt-v2 server key", bytes(128))
FINGERPRINT = ":".join(f"{number:02X}" for number in range(32))

STANDARD: Mapping[str, bytes | None] = {
    "ca.crt": CA,
    "me.crt": CERT,
    "me.key": KEY,
    "list.crl": CRL,
    "ta.key": STATIC_KEY,
    "v2.key": CLIENT_KEY,
    "v2-server.key": SERVER_KEY,
    "dh.pem": pem("DH PARAMETERS"),
    "token.key": pem("OpenVPN auth-token server key", bytes(128)),
    "login": b"alice\nsecret\n",
    "dir": None,
    **{f"/bin/{name}": b"#!" for name in ("true", "x", "d", "r")},
}


class MemoryFiles:
    """Satisfies ``FileReader``; a value of None is a directory."""

    def __init__(self, files: Mapping[str, bytes | None]) -> None:
        self.files = dict(files)
        self.asked: list[str] = []

    def read(self, path: str) -> bytes:
        self.asked.append(path)
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        content = self.files[path]
        if content is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return content


BASE = ("--client", "--remote", "192.0.2.1", "--ca", "ca.crt", "--auth-user-pass", "login")


def run(*words: str, files: Mapping[str, bytes | None] | None = None) -> RunClient:
    """Resolves the smallest working client plus ``words``, which must ask for a run."""
    resolved = resolve_words(*BASE, *words, files=files)
    assert isinstance(resolved, RunClient)
    return resolved


SERVER = (
    *("--dev", "tun", "--ca", "ca.crt", "--cert", "me.crt", "--key", "me.key", "--dh", "none"),
    *("--keepalive", "10", "60"),
)


def serve(*words: str, files: Mapping[str, bytes | None] | None = None) -> RunServer:
    """Resolves the smallest server with identity plus ``words``, which must ask for a run."""
    resolved = resolve_words(*SERVER, *words, files=files)
    assert isinstance(resolved, RunServer)
    return resolved


VECTORS = json.loads((Path(__file__).parents[2] / "vectors/options/server.json").read_text())
VECTOR_HEAD = "ca ca.crt\ncert me.crt\nkey me.key\ndh none\ndev tun\n"


def resolve_case(lines: str) -> RunServer:
    """Resolves the lines of a case of server.json behind what stands before all of them."""
    text = VECTOR_HEAD + lines.replace(";", "\n").replace("crypt ta", "crypt ta.key") + "\n"
    text = text.replace("tls-auth ta\n", "tls-auth ta.key\n")
    resolved = resolve_words("c", files={**STANDARD, "c": text.encode(), "/tmp": None})
    assert isinstance(resolved, RunServer)
    return resolved


NET = ("--server", "10.8.0.0", "255.255.255.0")


def run_config(text: str, **files: bytes | None) -> RunClient:
    """Resolves a configuration file, which must ask for a run."""
    everything = {**STANDARD, **files, "c.ovpn": text.encode()}
    resolved = resolve_words("c.ovpn", files=everything)
    assert isinstance(resolved, RunClient)
    return resolved


def resolve_words(*words: str, files: Mapping[str, bytes | None] | None = None) -> Resolved:
    """Resolves a command line over the standard files."""
    return resolve_argv(words, MemoryFiles({**STANDARD, **(files or {})}))
