"""``ginnel check``: what it says of good and bad files."""

from pathlib import Path

import pytest

from ginnel.cli import main
from tests.unit.cli.certificates import TestPki, make_pki

SERVER = ["dev tun", "topology subnet", "server 10.8.0.0 255.255.255.0", "keepalive 10 60"]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return make_pki(tmp_path_factory.mktemp("pki"))


def check(path: Path, pki: TestPki, *lines: str) -> int:
    words = pki.options("server")
    files = [f"{words[at][2:]} {words[at + 1]}" for at in range(0, len(words), 2)]
    path.write_text("\n".join([*files, *lines, ""]))
    return main.main(["ginnel", "check", str(path)])


def test_a_good_server(tmp_path: Path, pki: TestPki, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "c", pki, *SERVER, "local * 443 tcp", "local 192.0.2.1") == 0
    assert capsys.readouterr().out == "Good: a server, TCP * port 443, UDP 192.0.2.1 port 1194\n"


def test_what_is_worth_knowing_is_said(
    tmp_path: Path, pki: TestPki, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path / "c", pki, *SERVER, "persist-key") == 0
    note, good = capsys.readouterr().out.splitlines()
    assert note.startswith("--persist-key has no effect here")
    assert good.startswith("Good")


def test_a_good_client_and_a_good_peer(
    tmp_path: Path, pki: TestPki, capsys: pytest.CaptureFixture[str]
) -> None:
    safe = "remote-cert-tls server"
    assert check(tmp_path / "c", pki, "client", "remote vpn.example", "remote b 443", safe) == 0
    assert capsys.readouterr().out == "Good: a client of vpn.example:1194, b:443\n"
    assert check(tmp_path / "c", pki, "tls-server", "dev tun") == 0
    assert capsys.readouterr().out.endswith("Good: a peer of anybody:1194\n")


def test_a_mistake_has_its_place(
    tmp_path: Path, pki: TestPki, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path / "c", pki, *SERVER, "ccd-exclusive") == 1
    error = capsys.readouterr().err
    assert "--ccd-exclusive must be used with --client-config-dir" in error
    assert "--help" not in error


def test_an_action_is_neither(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["ginnel", "check", "--show-digests"]) == 1
    assert "no connection and no server" in capsys.readouterr().err
