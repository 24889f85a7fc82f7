"""From options to a wrapping."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError, Malformed
from ginnel.core.types import KeyId, SessionId, Side
from ginnel.core.wire import ControlHeader, Opcode
from ginnel.core.wrap import wrapping_for
from ginnel.options.model import (
    ControlWrapping,
    KeyDirection,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
)
from ginnel.options.values import FileContent, Origin, Secret

VECTORS = Path(__file__).parents[3] / "vectors" / "control"
HEADER = ControlHeader(Opcode.CONTROL_V1, KeyId(0), SessionId(bytes(range(1, 9))))


def key_file(name: str) -> FileContent:
    text = json.loads((VECTORS / f"{name}.json").read_text())["key_file"]
    return FileContent(
        option=name, origin=Origin("c.ovpn", 3), path="k", content=Secret(text.encode())
    )


def auth(direction: KeyDirection, digest: str = "SHA256") -> TlsAuth:
    return TlsAuth(key=key_file("tls-auth-sha1"), direction=direction, digest=digest)


@pytest.mark.parametrize(
    ("client", "server", "overhead"),
    [
        (PlainWrapping(), PlainWrapping(), 0),
        (auth(KeyDirection.INVERSE), auth(KeyDirection.NORMAL), 40),
        (auth(KeyDirection.NONE, "SHA1"), auth(KeyDirection.NONE, "SHA1"), 28),
        (TlsCrypt(key=key_file("tls-crypt")), TlsCrypt(key=key_file("tls-crypt")), 40),
        (TlsCryptV2(key=key_file("tls-crypt-v2")), TlsCryptV2(key=key_file("tls-crypt-v2")), 40),
    ],
)
def test_both_sides_of_each_option_fit(
    client: ControlWrapping, server: ControlWrapping, overhead: int
) -> None:
    ours = wrapping_for(client, Side.CLIENT, 1000)
    theirs = wrapping_for(server, Side.SERVER, 1000)
    assert ours.overhead == theirs.overhead == overhead
    assert theirs.open(ours.seal(HEADER, b"there")) == (HEADER, b"there")
    assert ours.open(theirs.seal(HEADER, b"back")) == (HEADER, b"back")
    assert (ours.static_key is None) == isinstance(client, PlainWrapping)


def test_the_replay_window_is_the_options() -> None:
    option = TlsCrypt(key=key_file("tls-crypt"))
    sender = wrapping_for(option, Side.CLIENT, 1000)
    strict = wrapping_for(option, Side.SERVER, 1000, 0)
    packets = [sender.seal(HEADER, b"body") for _ in range(3)]
    strict.open(packets[0])
    with pytest.raises(Malformed, match="replay"):
        strict.open(packets[2])


def test_a_bad_key_or_digest_names_the_option() -> None:
    with pytest.raises(ConfigError, match="tls-crypt-v2 client key") as caught:
        wrapping_for(TlsCryptV2(key=key_file("tls-crypt")), Side.CLIENT, 1000)
    assert caught.value.option == "tls-crypt"
    with pytest.raises(ConfigError, match="SHA0") as caught:
        wrapping_for(auth(KeyDirection.NONE, "SHA0"), Side.CLIENT, 1000)
    assert caught.value.option == "auth"


def test_importing_the_package_does_not_load_cryptography() -> None:
    program = "import sys, ginnel.core.wrap; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
