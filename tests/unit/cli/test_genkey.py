"""Keys made here are private and taken by the real OpenVPN; its keys are taken here."""

import base64
import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ginnel.cli import genkey
from ginnel.core.key_files import (
    parse_auth_token_key,
    parse_static_key,
    parse_v2_client_key,
    parse_v2_server_key,
)
from ginnel.core.wrap.crypt_v2 import (
    METADATA_TIMESTAMP,
    METADATA_USER,
    UnwrappedClientKey,
    unwrap_client_key,
)
from ginnel.options.actions import GenKey, GenKeyKind
from ginnel.options.errors import ConfigError
from ginnel.options.model import ProcessOptions
from ginnel.options.values import FileContent, Origin, Secret
from tests.deadlines import wait_until
from tests.unit.cli.certificates import TestPki, make_pki

ORIGIN = Origin("[CMD-LINE]", 1)
NOW = 1_795_349_442


def content(text: str) -> FileContent:
    return FileContent(option="x", origin=ORIGIN, path="x", content=Secret(text.encode()))


def make(kind: GenKeyKind, *, metadata: str | None = None, server_key: str | None = None) -> str:
    action = GenKey(
        kind=kind,
        path=None,
        metadata=metadata,
        server_key=None if server_key is None else content(server_key),
    )
    return genkey.make_key(action, unix_time=NOW)


def openvpn(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["openvpn", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


STATIC = [GenKeyKind.SECRET, GenKeyKind.TLS_AUTH, GenKeyKind.TLS_CRYPT]


@pytest.mark.parametrize("kind", STATIC)
def test_static_keys_have_the_form_of_the_real_ones(kind: GenKeyKind) -> None:
    ours = make(kind).splitlines()
    real = openvpn("--genkey", kind.value).stdout.rstrip("\n").splitlines()
    keys = slice(4, 20)
    assert [line for line in ours if line not in ours[keys]] == [
        line for line in real if line not in real[keys]
    ]
    assert [len(line) for line in ours] == [len(line) for line in real]
    assert len(parse_static_key(content(make(kind))).material) == 256


@pytest.mark.parametrize("kind", list(GenKeyKind))
def test_no_key_comes_twice(kind: GenKeyKind) -> None:
    server_key = make(GenKeyKind.TLS_CRYPT_V2_SERVER)
    assert make(kind, server_key=server_key) != make(kind, server_key=server_key)


def test_openvpn_takes_our_static_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    genkey.write_private(str(path), make(GenKeyKind.SECRET))
    done = openvpn("--test-crypto", "--secret", str(path), "--cipher", "AES-256-CBC")
    assert done.returncode == 0
    assert "self-test mode SUCCEEDED" in done.stdout
    path.write_text(make(GenKeyKind.SECRET).replace("-----END", "-----FOO"))
    assert openvpn("--test-crypto", "--secret", str(path), "--cipher", "AES-256-CBC").returncode


def test_openvpn_seals_client_keys_with_our_server_key(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    text = make(GenKeyKind.TLS_CRYPT_V2_SERVER)
    genkey.write_private(str(path), text)
    metadata = base64.b64encode(b"laptop 7").decode()
    client = str(tmp_path / "client.key")
    done = openvpn("--tls-crypt-v2", str(path), "--genkey", "tls-crypt-v2-client", client, metadata)
    assert (done.returncode, done.stdout) == (0, "")
    key = parse_v2_client_key(content(Path(client).read_text()))
    opened = unwrap_client_key(parse_v2_server_key(content(text)), key.wrapped)
    assert opened == UnwrappedClientKey(
        key=key.key, metadata_type=METADATA_USER, metadata=b"laptop 7"
    )


def test_we_seal_client_keys_with_openvpns_server_key() -> None:
    server_key = openvpn("--genkey", "tls-crypt-v2-server").stdout
    key = parse_v2_client_key(content(make(GenKeyKind.TLS_CRYPT_V2_CLIENT, server_key=server_key)))
    opened = unwrap_client_key(parse_v2_server_key(content(server_key)), key.wrapped)
    assert opened.key == key.key
    assert (opened.metadata_type, opened.metadata) == (METADATA_TIMESTAMP, NOW.to_bytes(8, "big"))


def test_metadata_up_to_the_limit_of_the_format() -> None:
    server_key = make(GenKeyKind.TLS_CRYPT_V2_SERVER)
    longest = base64.b64encode(bytes(733)).decode()
    text = make(GenKeyKind.TLS_CRYPT_V2_CLIENT, metadata=longest, server_key=server_key)
    assert len(parse_v2_client_key(content(text)).wrapped) == 1024
    with pytest.raises(ConfigError, match="metadata has 734 bytes, at most 733"):
        make(
            GenKeyKind.TLS_CRYPT_V2_CLIENT,
            metadata=base64.b64encode(bytes(734)).decode(),
            server_key=server_key,
        )


def test_what_cannot_be_sealed_is_a_clear_error() -> None:
    kind = GenKeyKind.TLS_CRYPT_V2_CLIENT
    with pytest.raises(ConfigError, match="requires a server key to be set via --tls-crypt-v2"):
        make(kind)
    server_key = make(GenKeyKind.TLS_CRYPT_V2_SERVER)
    with pytest.raises(ConfigError, match="is not base64"):
        make(kind, metadata="@@", server_key=server_key)
    with pytest.raises(ConfigError, match="OpenVPN tls-crypt-v2 server key"):
        make(kind, server_key=make(GenKeyKind.SECRET))


def test_auth_token_keys_are_exchangeable(tmp_path: Path, pki: TestPki) -> None:
    real = openvpn("--genkey", "auth-token").stdout
    ours = make(GenKeyKind.AUTH_TOKEN)
    assert len(parse_auth_token_key(content(real))) == 128
    assert [len(line) for line in ours.splitlines()] == [len(line) for line in real.splitlines()]
    path = tmp_path / "token.key"
    genkey.write_private(str(path), ours)
    assert "Initialization Sequence Completed" in server_log_with_token_key(path, pki)
    path.write_text(make(GenKeyKind.TLS_CRYPT_V2_SERVER))
    assert "Initialization Sequence Completed" not in server_log_with_token_key(path, pki)


def server_log_with_token_key(path: Path, pki: TestPki) -> str:
    """Starts a server in a network of its own until it is up or has given up; returns its log."""
    log = path.with_suffix(".log")
    log.unlink(missing_ok=True)
    words = [
        *("unshare", "--net", "openvpn", "--dev", "tun", "--mode", "server", "--tls-server"),
        *("--dh", "none", "--proto", "udp4", "--auth-gen-token", "0"),
        *("--auth-gen-token-secret", str(path), "--log", str(log), *pki.options("server")),
        *("--script-security", "2", "--auth-user-pass-verify", "/bin/true", "via-file"),
    ]
    with running(words) as process:
        wait_until(
            lambda: (
                log.exists()
                and (
                    "Initialization Sequence Completed" in log.read_text()
                    or process.poll() is not None
                )
            ),
            timeout=30,
            what="the server to come up or to give up",
        )
    return log.read_text()


@contextlib.contextmanager
def running(words: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a program and ends it."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize("metadata", [None, base64.b64encode(b"who").decode()])
def test_openvpn_connects_with_our_client_key_to_our_server_key(
    tmp_path: Path, pki: TestPki, metadata: str | None
) -> None:
    server_key = tmp_path / "v2.server"
    client_key = tmp_path / "v2.client"
    genkey.write_private(str(server_key), make(GenKeyKind.TLS_CRYPT_V2_SERVER))
    genkey.write_private(
        str(client_key),
        make(GenKeyKind.TLS_CRYPT_V2_CLIENT, metadata=metadata, server_key=server_key.read_text()),
    )
    port = free_port()
    log = tmp_path / "client.log"
    server = [
        *("openvpn", "--dev", "null", "--tls-server", "--dh", "none", "--proto", "udp4"),
        *("--local", "127.0.0.1", "--port", port, "--tls-crypt-v2", str(server_key)),
        *pki.options("server"),
    ]
    client = [
        *("openvpn", "--dev", "null", "--tls-client", "--nobind", "--log", str(log)),
        *("--remote", "127.0.0.1", port, "--tls-crypt-v2", str(client_key)),
        *pki.options("client"),
    ]
    with running(server), running(client):
        wait_until(
            lambda: log.exists() and "Peer Connection Initiated" in log.read_text(),
            timeout=60,
            what="two OpenVPNs to connect with our keys",
        )


def free_port() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_files_are_private_even_where_a_shared_one_stood(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old, longer than the new one" * 100)
    path.chmod(0o644)
    action = GenKey(kind=GenKeyKind.SECRET, path=str(path))
    assert genkey.run(action, ProcessOptions()) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text()) == 636


def test_standard_output_and_devices(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert genkey.run(GenKey(kind=GenKeyKind.SECRET, path=None), ProcessOptions()) == 0
    first = capfd.readouterr().out
    genkey.write_private("/dev/null", first)
    assert Path("/dev/null").stat().st_mode & 0o777 == 0o666
    assert parse_static_key(content(first))


def test_a_file_that_cannot_be_written(capfd: pytest.CaptureFixture[str]) -> None:
    action = GenKey(kind=GenKeyKind.SECRET, path="/nonexistent/x")
    assert genkey.run(action, ProcessOptions(suppress_timestamps=True)) == 1
    # The lines of openvpn 2.6.14 --genkey secret /nonexistent/x.
    assert capfd.readouterr().out.splitlines() == [
        "Cannot open file '/nonexistent/x' for write: No such file or directory (errno=2)",
        "Failed to write key file",
        "Exiting due to fatal error",
    ]
