"""A tunnel that is kept over a restart must not swallow the way to the next server."""

from tests.interop.checks import assert_carries
from tests.interop.lab import Lab, ServerSetup
from tests.interop.lab.openvpn import PORT

SECOND = "198.51.100.2"


def test_next_remote_is_reached_outside_a_kept_tunnel(wide_lab: Lab) -> None:
    """All is redirected into a tunnel whose server died; the other has an address of its own."""
    lab = wide_lab
    lab.office.ip("addr", "add", f"{SECOND}/24", "dev", "eth0")
    pushed = ['push "redirect-gateway def1"', 'push "persist-tun"']
    first = lab.start_server(ServerSetup(local=lab.server, keepalive="1 4", lines=pushed))
    setup = lab.client_setup(
        remotes=[f"{lab.server} {PORT}", f"{SECOND} {PORT}"],
        lines=["persist-tun", "connect-timeout 3"],
    )
    client = lab.start_client(setup)
    assert_carries(lab)
    lost = client.mark()
    first.process.kill()
    lab.start_server(ServerSetup(local=SECOND, keepalive="1 4", lines=pushed), label="second")
    client.wait_for(
        rf"Peer Connection Initiated with \[AF_INET\]{SECOND}:{PORT}", since=lost, timeout=40
    )
    client.wait_connected(since=lost)
    assert "Preserving previous TUN/TAP instance: tun0" in client.log()
    assert lab.laptop.route_to(SECOND)["dev"] == "wlan0"
    assert_carries(lab)
