"""A management library from PyPI watches ginnel's server, unmodified, as it does Debian's.

It is ``openvpn-management-api``. Its call for the status fails on both alike: it loses the ends of
lines, and the parser it uses knows only the times of OpenVPN 2.4.
"""

import json
import sys

from tests.interop.lab import Lab, ServerSetup

_CALLS = """
import json, sys
from openvpn_management_api import VPN

def own_status(vpn):
    try:
        return str(vpn.get_status())
    except Exception as refused:
        return type(refused).__name__

vpn = VPN(unix_socket=sys.argv[1])
vpn.connect()
state, stats = vpn.get_state(), vpn.get_stats()
seen = {
    "version": vpn.version,
    "state": [state.state_name, state.desc_string, str(state.local_virtual_v4_addr), state.mode],
    "stats": [stats.client_count, stats.bytes_in > 1000, stats.bytes_out > 1000],
    "clients": vpn.send_command("nclients").strip(),
    "status": own_status(vpn),
}
seen["end"] = vpn.send_command("signal SIGTERM").strip()
print(json.dumps(seen))
"""


def _watched(lab: Lab, program: str) -> dict[str, object]:
    """Runs the calls on a server with one client, which they end."""
    path = lab.directory / "m.sock"
    server = lab.start_server(ServerSetup(program=program, lines=[f"management {path} unix"]))
    client = lab.start_client(lab.client_setup(program="openvpn", lines=["explicit-exit-notify"]))
    seen: dict[str, object] = json.loads(
        lab.office.run([sys.executable, "-c", _CALLS, str(path)]).output
    )
    assert server.process.wait_exit(20.0) == 0
    client.stop(expect=None)
    return seen


def test_the_library_sees_no_difference(lab: Lab) -> None:
    theirs = _watched(lab, "openvpn")
    ours = _watched(lab, "ginnel")
    assert ours == theirs
    assert ours["stats"] == [1, True, True]
    assert ours["clients"] == "SUCCESS: nclients=1"
