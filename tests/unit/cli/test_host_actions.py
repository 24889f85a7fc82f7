"""Gateways and persistent devices, in network namespaces of their own."""

import re
import subprocess
import sys

import pytest

GINNEL = f"{sys.executable} -m ginnel openvpn --suppress-timestamps"
REAL = "openvpn --suppress-timestamps"


def in_namespace(script: str) -> "subprocess.CompletedProcess[str]":
    """Runs a shell script in a new network namespace, which goes away with it."""
    return subprocess.run(
        ["unshare", "--net", "sh", "-ec", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


NETWORK = """
ip link set lo up
ip link add va type veth peer name vb
ip link set va address 02:00:5e:00:53:01
ip link set vb up
ip link set va up
ip address add 192.0.2.10/24 dev va
ip address add 2001:db8::10/64 dev va nodad
ip route add default via 192.0.2.1
ip route add 198.51.100.0/24 via 192.0.2.254
ip -6 route add default via 2001:db8::1
"""
DEFAULT4 = "ROUTE_GATEWAY 192.0.2.1/255.255.255.0 IFACE=va HWADDR=02:00:5e:00:53:01"


def test_show_gateway_prints_what_openvpn_prints() -> None:
    ours = in_namespace(f"{NETWORK}{GINNEL} --show-gateway")
    real = in_namespace(f"{NETWORK}{REAL} --show-gateway")
    assert (ours.returncode, ours.stderr) == (0, "")
    assert ours.stdout.splitlines() == [DEFAULT4, "ROUTE6_GATEWAY 2001:db8::1 IFACE=va"]
    assert ours.stdout == real.stdout


def test_show_gateway_without_a_network_prints_nothing() -> None:
    done = in_namespace(f"ip link set lo up\n{GINNEL} --show-gateway")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_show_gateway_towards_an_address() -> None:
    done = in_namespace(f"{NETWORK}{GINNEL} --show-gateway 198.51.100.7")
    assert done.stdout.splitlines()[0].startswith("ROUTE_GATEWAY 192.0.2.254/255.255.255.0 ")
    done = in_namespace(f"{NETWORK}{GINNEL} --show-gateway 2001:db8:1::7")
    assert "ROUTE6_GATEWAY 2001:db8::1 IFACE=va" in done.stdout.splitlines()
    done = in_namespace(f"{NETWORK}{GINNEL} --show-gateway nonsense")
    assert done.returncode == 1


@pytest.mark.parametrize("program", [GINNEL, REAL], ids=["ginnel", "openvpn"])
def test_persistent_devices_come_and_go(program: str) -> None:
    done = in_namespace(
        f"""
        {program} --mktun --dev tun7 --user nobody
        ip -d link show tun7
        {program} --rmtun --dev tun7
        ip link show tun7 && exit 9
        exit 0
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tun type tun pi off vnet_hdr off persist on user nobody" in done.stdout
    lines = [line for line in done.stdout.splitlines() if not line.startswith("Note:")]
    assert lines[:2] == ["TUN/TAP device tun7 opened", "Persist state set to: ON"]
    assert lines[-2:] == ["TUN/TAP device tun7 opened", "Persist state set to: OFF"]


def test_each_makes_devices_that_the_other_removes() -> None:
    done = in_namespace(
        f"""
        {GINNEL} --mktun --dev tun7
        {REAL} --rmtun --dev tun7
        {REAL} --mktun --dev mine --dev-type tun
        {GINNEL} --rmtun --dev mine --dev-type tun
        ip -br link
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^lo ", done.stdout, re.MULTILINE)
    assert not re.search(r"^(tun7|mine) ", done.stdout, re.MULTILINE)


def test_a_device_that_cannot_be_made_is_a_clear_failure() -> None:
    done = in_namespace(f"{GINNEL} --mktun --dev tun7 --user no-such-user-here")
    assert done.returncode == 1
    assert "no-such-user-here" in done.stdout
    assert done.stdout.endswith("Exiting due to fatal error\n")
    done = in_namespace(f"ip link add tun7 type veth peer name b\n{GINNEL} --mktun --dev tun7")
    assert done.returncode == 1
    assert "ERROR: Cannot open TUN/TAP dev tun7" in done.stdout
