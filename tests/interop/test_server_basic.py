"""The server's process: its sockets, its certificates, its configuration.

What only ginnel does, against Debian's client; the stories that both servers share are in the
other ``test_server`` files.
"""

import shutil
import signal
from dataclasses import replace

import pytest

from tests.interop.checks import addresses, assert_reaches
from tests.interop.lab import Fleet, ServerSetup
from tests.interop.lab.fleet import SERVER, variations
from tests.interop.lab.openvpn import PORT

OURS = ServerSetup(program="ginnel", keepalive="2 60", verb=3)


def test_first_connection(fleet: Fleet) -> None:
    """Over UDP and TCP at once, in one process with one pool."""
    server = fleet.start_server(
        replace(OURS, lines=[f"local {SERVER} {PORT} udp4", f"local {SERVER} {PORT} tcp4-server"])
    )
    links = {1: "udp4", 2: "tcp4-client", 3: "tcp4-client"}
    clients = [
        fleet.client_process(n, fleet.client_setup(n, protocol=protocol, program="openvpn"))
        for n, protocol in links.items()
    ]
    for client in clients:
        client.wait_connected()
    for number in links:
        assert_reaches(fleet.client(number))
    own = {addresses(fleet, where=fleet.client(number))["inet"].local for number in links}
    assert len(own) == len(links)
    server.send(signal.SIGUSR2)
    server.wait_for("GLOBAL STATS")
    assert all(address in server.log() for address in own)
    server.stop()


def test_new_certificates_for_new_sessions(fleet: Fleet) -> None:
    """The next client sees the new certificate; the one that is there notices nothing."""
    pki = fleet.pki
    cert, key = fleet.directory / "live.crt", fleet.directory / "live.key"
    shutil.copy(pki.server.cert, cert)
    shutil.copy(pki.server.key, key)
    key.chmod(0o600)
    server = fleet.start_server(
        replace(OURS, identity=replace(pki.server, cert=cert, key=key), lines=["verb 3"])
    )
    first = fleet.start_client(1, fleet.client_setup(1, program="openvpn"))
    mark = first.mark()
    shutil.copy(pki.expired_server.cert, cert)
    shutil.copy(pki.expired_server.key, key)
    server.wait_for("certificates were read again")
    late = fleet.client_process(2, fleet.client_setup(2, program="openvpn"))
    late.wait_for("certificate has expired")
    assert_reaches(fleet.client(1))
    assert "Initial packet" not in first.log(mark)
    server.stop()


@pytest.mark.parametrize("mistake", variations(["ca no-such-file.crt"], ["no-such-option"]))
def test_a_mistake_in_the_new_configuration(fleet: Fleet, mistake: str) -> None:
    """SIGHUP: the server says what is wrong and serves on as before; its clients come back."""
    setup = replace(OURS, lines=["explicit-exit-notify 1"])
    server = fleet.start_server(setup)
    client = fleet.start_client(1, fleet.client_setup(1, program="openvpn", retry="1 1"))
    mark, since = client.mark(), server.mark()
    wrong = replace(setup, lines=[*setup.lines, mistake])
    server.config.write_text(wrong.render(fleet.pki))
    server.send(signal.SIGHUP)
    server.wait_for("the one before stays in force", since=since)
    client.wait_connected(since=mark, timeout=40)
    assert_reaches(fleet.client(1))
    assert mistake.split(maxsplit=1)[0] in server.log(since)
    server.stop()
