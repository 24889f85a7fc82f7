"""Hooks: when they run, with which arguments and environment, and what their failure means."""

from pathlib import Path

import pytest

from tests.interop.checks import assert_carries, wait_file
from tests.interop.lab import Lab, ServerSetup
from tests.interop.lab.openvpn import PORT, TUNNEL_SERVER, TUNNEL_SERVER_V6


def hook(lab: Lab, name: str, *, status: int = 0) -> Path:
    """Writes a hook that records its arguments and environment, in one step at its end."""
    script = lab.directory / f"{name}.sh"
    record = lab.directory / f"{name}.out"
    lines = [
        "#!/bin/sh",
        "{",
        'printf "args=%s\\n" "$*"',
        "env",
        f"}} >> {record}.$$",
        f"cat {record}.$$ >> {record}.all",
        f"mv {record}.$$ {record}",
        f"exit {status}",
    ]
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    return script


def environment(lab: Lab, name: str) -> dict[str, str]:
    """Reads what a hook recorded, waiting for it."""
    text = wait_file(lab.directory / f"{name}.out", containing="script_type=")
    return dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)


def ran(lab: Lab, name: str) -> int:
    """Counts how often a hook ran so far."""
    record = lab.directory / f"{name}.out.all"
    return record.read_text().count("args=") if record.exists() else 0


def test_up_down_and_route_hooks(lab: Lab) -> None:
    lab.start_server(ServerSetup(lines=['push "dhcp-option DNS 10.11.0.53"']))
    names = ("up", "down", "route-up", "route-pre-down")
    lines = ["script-security 2", "setenv LAB_MARK seventeen"]
    lines += [f"{name} {hook(lab, name)}" for name in names]
    client = lab.start_client(lab.client_setup(lines=lines))
    assert_carries(lab)
    up = environment(lab, "up")
    assert up["args"] == "tun0 1500 0 10.10.112.2 255.255.240.0 init"
    expected = {
        "script_type": "up",
        "script_context": "init",
        "dev": "tun0",
        "dev_type": "tun",
        "tun_mtu": "1500",
        "ifconfig_local": "10.10.112.2",
        "ifconfig_netmask": "255.255.240.0",
        "ifconfig_ipv6_local": "fd00:10:112::1000",
        "ifconfig_ipv6_netbits": "64",
        "ifconfig_ipv6_remote": TUNNEL_SERVER_V6,
        "route_vpn_gateway": TUNNEL_SERVER,
        "route_net_gateway": lab.plan.gateway,
        "route_network_1": "10.11.0.0",
        "route_netmask_1": "255.255.0.0",
        "route_gateway_1": TUNNEL_SERVER,
        "route_ipv6_network_1": "fd00:11::/48",
        "route_ipv6_gateway_1": TUNNEL_SERVER_V6,
        "trusted_ip": lab.server,
        "trusted_port": str(PORT),
        "untrusted_ip": lab.server,
        "remote_1": lab.server,
        "remote_port_1": str(PORT),
        "proto_1": "udp",
        "foreign_option_1": "dhcp-option DNS 10.11.0.53",
        "common_name": "vpn.office.example",
        "X509_0_CN": "vpn.office.example",
        "X509_1_CN": "Lab CA",
        "verb": "3",
        "daemon": "0",
        "LAB_MARK": "seventeen",
        "config": str(client.config),
    }
    assert {name: up.get(name) for name in expected} == expected
    route_up = environment(lab, "route-up")
    assert route_up["script_type"] == "route-up"
    assert route_up["args"] == ""
    assert ran(lab, "down") == 0
    client.stop(expect=0)
    down = environment(lab, "down")
    assert down["args"] == "tun0 1500 0 10.10.112.2 255.255.240.0 init"
    assert down["script_type"] == "down"
    assert down["signal"] == "sigterm"
    assert environment(lab, "route-pre-down")["script_type"] == "route-pre-down"
    assert [ran(lab, name) for name in names] == [1, 1, 1, 1]


def test_hooks_with_own_arguments(lab: Lab) -> None:
    lab.start_server()
    lines = ["script-security 2", f"up \"{hook(lab, 'up')} one 'two words'\""]
    lab.start_client(lab.client_setup(lines=lines))
    args = environment(lab, "up")["args"]
    assert args == "one two words tun0 1500 0 10.10.112.2 255.255.240.0 init"


def test_up_restart(lab: Lab) -> None:
    """With persist-tun and up-restart the hooks run at a restart too, and are told so."""
    server = lab.start_server(ServerSetup(keepalive="1 4"))
    lines = ["script-security 2", "persist-tun", "up-restart"]
    lines += [f"{name} {hook(lab, name)}" for name in ("up", "down")]
    client = lab.start_client(lab.client_setup(lines=lines))
    mark = client.mark()
    server.process.kill()
    lab.start_server(ServerSetup(keepalive="1 4"), label="server-again")
    client.wait_connected(since=mark, timeout=40)
    assert (ran(lab, "up"), ran(lab, "down")) == (2, 1)
    up = environment(lab, "up")
    assert up["args"].endswith(" restart")
    assert up["script_context"] == "restart"


def test_ipchange_and_tls_verify(lab: Lab) -> None:
    lab.start_server()
    lines = ["script-security 2"]
    lines += [f"{name} {hook(lab, name)}" for name in ("ipchange", "tls-verify")]
    lab.start_client(lab.client_setup(lines=lines))
    ipchange = environment(lab, "ipchange")
    assert ipchange["args"] == f"[AF_INET]{lab.server} {PORT}"
    assert environment(lab, "tls-verify")["args"] == "0 C=GB, O=Example, CN=vpn.office.example"
    assert ran(lab, "tls-verify") == 2  # the CA first, then the server


def test_tls_verify_may_refuse(lab: Lab) -> None:
    lab.start_server()
    lines = ["script-security 2", f"tls-verify {hook(lab, 'tls-verify', status=1)}"]
    client = lab.client_process(lab.client_setup(lines=[*lines, "hand-window 4"]))
    client.wait_for(r"VERIFY SCRIPT ERROR: depth=1")
    client.wait_for(r"SIGUSR1\[soft,tls-error\] received, process restarting")
    assert "tun0" not in lab.laptop.devices()


@pytest.mark.parametrize("level", ["0", "1"])
def test_script_security_forbids_hooks(lab: Lab, level: str) -> None:
    """A hook that may not run is an error, as OpenVPN has it, and the host is as before."""
    before = lab.snapshot()
    lab.start_server()
    lines = [f"script-security {level}", f"up {hook(lab, 'up')}"]
    client = lab.client_process(lab.client_setup(lines=lines))
    assert client.process.wait_exit(20) == 1
    assert "script-security" in client.log()
    assert ran(lab, "up") == 0
    assert before.difference(lab.snapshot()) == []


def test_missing_hook_is_found_at_start(lab: Lab) -> None:
    lines = ["script-security 2", f"up {lab.directory}/no-such-file"]
    client = lab.client_process(lab.client_setup(lines=lines))
    assert client.process.wait_exit(10) == 1
    assert "no-such-file" in client.log()
    assert "No such file or directory" in client.log()
