"""Profiles of ``ginnel pki`` as they are, in both programs; a revoked client stays out."""

import shutil
from pathlib import Path

import pytest

from ginnel.cli import pki
from tests.interop.lab import Lab
from tests.interop.lab.openvpn import Running, command_of


class Authority:
    """An authority in the lab's directory, and a copy of what its server was given."""

    def __init__(self, lab: Lab) -> None:
        self._directory = lab.directory / "authority"
        self.server = lab.directory / "given"
        self.server.mkdir()
        self.run("init")
        self.run("server", "vpn", lab.server)
        for name in ("alice", "mallory"):
            self.run("client", name)
        self.hand_over()

    def run(self, *words: str) -> None:
        assert pki.run([*words, "--directory", str(self._directory)]) == 0

    def hand_over(self) -> None:
        for name in ("vpn.conf", "crl.pem"):
            if (self._directory / name).exists():
                shutil.copy(self._directory / name, self.server / name)

    def profile(self, name: str, keep: Path) -> Path:
        return Path(shutil.copy(self._directory / f"{name}.ovpn", keep))


def serve(lab: Lab, authority: Authority, program: str) -> Running:
    argv = [*command_of(program), "--cd", str(authority.server), "--config", "vpn.conf"]
    process = lab.start_in_office(argv, label=program)
    running = Running(process=process, config=authority.server / "vpn.conf", label=program)
    running.wait_connected()
    return running


@pytest.mark.parametrize("program", ["openvpn", "ginnel"])
def test_from_nothing_to_a_revoked_client(lab: Lab, program: str) -> None:
    authority = Authority(lab)
    server = serve(lab, authority, program)
    alice = lab.run_client_file(authority.profile("alice", lab.directory))
    alice.wait_connected()
    assert lab.laptop.run(["ping", "-c", "1", "-W", "5", "10.8.0.1"]).status == 0
    server.wait_for("alice/")
    alice.stop()

    mallory = authority.profile("mallory", lab.directory)
    authority.run("revoke", "mallory")
    authority.hand_over()
    since = server.mark()
    thief = lab.run_client_file(mallory, label="thief")
    server.wait_for("VERIFY ERROR.*revoked", since=since)
    thief.stop(expect=None)
