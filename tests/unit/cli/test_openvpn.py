"""From a command line to a running client, and what happens around it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ginnel.cli import openvpn
from ginnel.cli.lean_imports import LATE
from ginnel.core.errors import HostError
from ginnel.options.actions import RunClient, RunServer
from ginnel.options.errors import ConfigError
from ginnel.shell import client, early_helper, server
from tests.unit.cli.certificates import TestPki, make_pki

Reload = Callable[[], RunClient]


def working_directory() -> str:
    """Where this process is, also when that was removed."""
    return str(Path("/proc/self/cwd").readlink())


class FakeShell:
    """Stands for ``shell.client``: remembers what it was given and where it ran."""

    def __init__(self) -> None:
        self.requests: list[RunClient] = []
        self.directories: list[str] = []
        self.status = 0
        self.during: Callable[[Reload], None] | None = None

    def run_client(
        self, request: RunClient, reload: Reload, make_frontend: client.MakeFrontend, helper: str
    ) -> int:
        assert helper == "helper"
        self.requests.append(request)
        self.directories.append(working_directory())
        if self.during is not None:
            self.during(reload)
        return self.status


@pytest.fixture(autouse=True)
def helper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is forked here."""
    monkeypatch.setattr(early_helper, "early_helper", lambda _process: "helper")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> FakeShell:
    fake = FakeShell()
    monkeypatch.setattr(client, "run_client", fake.run_client)
    return fake


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return make_pki(tmp_path_factory.mktemp("pki"))


def write_config(path: Path, pki: TestPki, *lines: str) -> None:
    words = pki.options("client")
    files = [f"{words[at][2:]} {words[at + 1]}" for at in range(0, len(words), 2)]
    text = ["client", "dev tun", "remote 192.0.2.1", *files, *lines]
    path.write_text("\n".join([*text, ""]))


def test_a_configuration_runs_a_client_and_its_status_is_ours(
    shell: FakeShell, pki: TestPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "x.ovpn", pki)
    for status in (0, 1):
        shell.status = status
        assert openvpn.run(["x.ovpn"]) == status
    (profile,) = shell.requests[0].options.profiles
    assert (profile.host, profile.port) == ("192.0.2.1", "1194")
    assert shell.directories == [str(tmp_path)] * 2


@pytest.mark.parametrize("absolute", [True, False])
def test_the_client_runs_in_the_directory_of_cd_and_reload_starts_where_we_did(
    shell: FakeShell,
    pki: TestPki,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    absolute: bool,
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "x.conf", pki, f"cd {inner if absolute else 'inner'}", "verb 3")
    after: list[tuple[int, str]] = []

    def reload_twice(reload: Reload) -> None:
        for verb in (5, 6):
            text = (tmp_path / "x.conf").read_text()
            (tmp_path / "x.conf").write_text(f"{text}verb {verb}\n")
            after.append((reload().options.process.verb, working_directory()))

    shell.during = reload_twice
    assert openvpn.run(["--config", "x.conf"]) == 0
    assert shell.directories == [str(inner)]
    assert shell.requests[0].options.process.verb == 3
    assert after == [(5, str(inner)), (6, str(inner))]


def test_a_servers_configuration_runs_a_server_until_it_is_none_any_more(
    pki: TestPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.conf"
    words = pki.options("server")
    files = [f"{words[at][2:]} {words[at + 1]}" for at in range(0, len(words), 2)]
    path.write_text("\n".join(["server 10.8.0.0 255.255.255.0", "dev tun", *files, ""]))
    seen: list[object] = []

    def run_server(
        request: RunServer,
        reload: Callable[[], RunServer],
        make: server.MakeServerFrontend,
        helper: str,
    ) -> int:
        assert helper == "helper"
        seen.append(request.options.listeners[0].port)
        path.write_text(path.read_text() + "port 1195\n")
        seen.append(reload().options.listeners[0].port)
        write_config(path, pki)
        with pytest.raises(ConfigError, match="no longer that of a server"):
            reload()
        return 3

    monkeypatch.setattr(server, "run_server", run_server)
    assert openvpn.run([str(path)]) == 3
    assert seen == ["1194", "1195"]


def test_reload_of_a_broken_configuration_is_a_configuration_error(
    shell: FakeShell, pki: TestPki, tmp_path: Path
) -> None:
    path = tmp_path / "x.conf"
    write_config(path, pki)
    errors: list[str] = []

    def break_and_reload(reload: Reload) -> None:
        for line in ("nonsense", "show-ciphers"):
            write_config(path, pki, line)
            with pytest.raises(ConfigError) as caught:
                reload()
            errors.append(str(caught.value))

    shell.during = break_and_reload
    assert openvpn.run([str(path)]) == 0
    assert "nonsense" in errors[0]
    assert errors[1] == "the configuration no longer asks for a connection"


def test_a_directory_that_is_not_there(
    shell: FakeShell, pki: TestPki, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_config(tmp_path / "x.conf", pki, "cd /nonexistent/directory")
    assert openvpn.run([str(tmp_path / "x.conf")]) == 1
    out = capfd.readouterr().out
    assert "Options error: " in out
    assert "/nonexistent/directory" in out
    assert shell.requests == []


def test_starting_in_a_removed_directory(
    shell: FakeShell, pki: TestPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(tmp_path / "x.conf", pki)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert openvpn.run([str(tmp_path / "x.conf")]) == 0
    assert shell.directories == [f"{gone} (deleted)"]
    os.chdir(tmp_path)  # so that pytest can go back


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ConfigError("ca: no good", option="ca"), "Options error: ca: no good"),
        (HostError("open device", 1, "not permitted"), "open device: not permitted"),
    ],
)
def test_errors_of_a_started_client_are_added_to_its_log(
    shell: FakeShell,
    pki: TestPki,
    tmp_path: Path,
    error: ConfigError | HostError,
    shown: str,
) -> None:
    log = tmp_path / "log"
    write_config(tmp_path / "x.conf", pki)

    def fail(reload: Reload) -> None:
        log.write_text("begun\n")
        raise error

    shell.during = fail
    saved = [os.dup(fd) for fd in (1, 2)]
    try:
        words = ["--config", str(tmp_path / "x.conf"), "--log", str(log), "--suppress-timestamps"]
        assert openvpn.run(words) == 1
    finally:
        for fd, kept in zip((1, 2), saved, strict=True):
            os.dup2(kept, fd)
            os.close(kept)
    lines = log.read_text().splitlines()
    assert lines[:2] == ["begun", shown]


def test_a_client_loads_nothing_that_only_others_need(pki: TestPki, tmp_path: Path) -> None:
    """Connect time begins with imports. The start ends where its key is not its certificate's."""
    config = tmp_path / "client.conf"
    write_config(config, pki)
    program = (
        "import sys\nfrom ginnel.cli.main import main\nstatus = main(['ginnel', *sys.argv[1:]])\n"
        "print(status, *sys.modules, sep='\\n', file=sys.stderr)\n"
        "import ssl\nssl.create_default_context()  # for whoever asks for it later"
    )
    arguments = ["openvpn", "--config", str(config), "--cert", str(pki.directory / "server.crt")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "GINNEL_RUNTIME_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    status, *loaded = done.stderr.splitlines()
    assert status == "1", done.stdout
    assert "ginnel.core.tls_wheel" in loaded, done.stdout
    heavy = {
        "cryptography.hazmat.bindings.openssl.binding",
        "cryptography.hazmat.primitives.serialization",
        "base64",
        "cryptography.x509",
        "dataclasses",
        "datetime",
        "email",
        "hashlib",
        "hmac",
        "ntpath",
        "pathlib",
        "ssl",
        "urllib",
        "encodings.idna",
        *LATE,
        "ginnel.compat.certificate_text",
        "ginnel.core.proxy_http",
        "ginnel.core.proxy_socks",
        "ginnel.core.server_actions",
        "ginnel.core.server_notices",
        "ginnel.core.static_peer",
        "ginnel.dataplane.formats",
        "ginnel.management.frontend",
        "ginnel.options.apply_server",
        "ginnel.options.resolve_server",
        "ginnel.options.rows.server",
        "ginnel.options.server_draft",
        "ginnel.options.server_model",
        "ginnel.shell.proxy",
        "ginnel.shell.server",
        "ginnel.shell.tcp",
        "termios",
    }
    assert not heavy & set(loaded)
