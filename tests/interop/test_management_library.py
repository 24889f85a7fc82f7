"""A management library from PyPI talks to ginnel, unmodified, as it does to Debian's daemon.

It is ``openvpn-management-api``; its calls run in a program of their own inside the laptop, over a
unix socket and over TCP.
"""

import json
import sys
from collections.abc import Sequence

import pytest

from tests.interop.lab import Lab
from tests.interop.lab.openvpn import OPENVPN, client_program

TCP_PORT = 7505

_CALLS = """
import json, sys
from openvpn_management_api import VPN

where = json.loads(sys.argv[1])
vpn = VPN(**where)
seen = {}
vpn.connect()
seen["type"] = vpn.type.value
seen["version"] = vpn.version
seen["release begins"] = vpn.release[:15]
state = vpn.get_state()
seen["state"] = [
    state.state_name, state.desc_string, str(state.local_virtual_v4_addr),
    state.remote_addr, state.remote_port, state.local_addr, state.local_port, state.mode,
]
stats = vpn.get_stats()
seen["stats"] = [stats.client_count, stats.bytes_in > 0, stats.bytes_out > 0]
seen["pid"] = vpn.send_command("pid").startswith("SUCCESS: pid=")
seen["verb"] = vpn.send_command("verb").strip()
try:
    seen["status"] = str(vpn.get_status())
except Exception as refused:  # made for servers
    seen["status"] = type(refused).__name__
# Not by its own call, which may fail when the daemon is quicker to close than the library.
seen["end"] = vpn.send_command("signal SIGTERM").strip()
print(json.dumps(seen, default=str))
"""


def _talk(lab: Lab, program: Sequence[str], *, tcp: bool) -> dict[str, object]:
    """Runs the calls on one daemon, which they end."""
    path = lab.directory / "gui.sock"
    option = f"management 127.0.0.1 {TCP_PORT}" if tcp else f"management {path} unix"
    client = lab.client_process(lab.client_setup(lines=[option]), program=program)
    client.wait_connected()
    where: dict[str, object] = {"unix_socket": str(path)}
    if tcp:
        where = {"host": "127.0.0.1", "port": TCP_PORT}
    calls = [sys.executable, "-c", _CALLS, json.dumps(where)]
    seen: dict[str, object] = json.loads(lab.laptop.run(calls).output)
    assert client.process.wait_exit(20.0) == 0
    return seen


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_the_library_sees_no_difference(lab: Lab, tcp: bool) -> None:
    lab.start_server()
    theirs = _talk(lab, (OPENVPN,), tcp=tcp)
    ours = _talk(lab, client_program(), tcp=tcp)
    assert ours == theirs
    assert ours["version"] == "2.6.14"
    state = ours["state"]
    assert isinstance(state, list)
    assert state[0] == "CONNECTED"
