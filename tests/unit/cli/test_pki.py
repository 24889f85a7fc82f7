"""``ginnel pki`` as it is typed."""

from pathlib import Path

import pytest

from ginnel.cli import main, pki


@pytest.fixture
def there(tmp_path: Path) -> list[str]:
    return ["--directory", str(tmp_path / "pki")]


def test_from_nothing_to_a_revoked_client(
    tmp_path: Path, there: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["ginnel", "pki", "init", *there, "--name", "office"]) == 0
    assert "Next: ginnel pki server NAME HOST" in capsys.readouterr().out
    words = ["--network", "10.9.0.0/24", "--network-ipv6", "fd00::/64", "--port", "443"]
    assert pki.run(["server", "vpn", "vpn.example", *words, *there]) == 0
    assert f"{tmp_path}/pki/vpn.conf" in capsys.readouterr().out
    assert "server-ipv6 fd00::/64" in (tmp_path / "pki" / "vpn.conf").read_text()
    assert pki.run(["client", "alice", *there]) == 0
    assert f"{tmp_path}/pki/alice.ovpn" in capsys.readouterr().out
    assert pki.run(["revoke", "alice", *there]) == 0
    assert "crl.pem to the server" in capsys.readouterr().out
    assert pki.run(["list", *there]) == 0
    head, alice, vpn = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "ROLE", "UNTIL", "SERIAL"]
    assert alice.split()[:2] == ["alice", "client"]
    assert "revoked 20" in alice
    assert vpn.split()[:2] == ["vpn", "server"]
    assert "revoked" not in vpn


def test_what_cannot_be_done_is_said_on_one_line(
    there: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert pki.run(["client", "alice", *there]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ginnel pki: ")
    assert error.count("\n") == 1


def test_what_the_system_refuses_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert pki.run(["init", "--directory", "/proc/pki"]) == 1
    assert capsys.readouterr().err.startswith("ginnel pki: /proc/pki: ")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["unknown"],
        ["server", "vpn"],
        ["server", "vpn", "host", "--port", "0"],
        ["server", "vpn", "host", "--port", "x"],
        ["server", "vpn", "host", "--protocol", "sctp"],
        ["server", "vpn", "host", "--network", "10.0.0.0/8"],
        ["server", "vpn", "host", "--network", "10.0.0.1/24"],
        ["server", "vpn", "host", "--network-ipv6", "fd00::/48"],
        ["server", "vpn", "host", "--network-ipv6", "x"],
        ["client", "alice", "--days", "99999"],
    ],
)
def test_what_cannot_be_understood_ends_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert pki.run(words) == 2
    assert "usage: ginnel pki" in capsys.readouterr().err


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert pki.run(["--help"]) == 0
    assert "ready to use" in capsys.readouterr().out
