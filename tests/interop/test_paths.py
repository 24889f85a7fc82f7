"""Addresses outside and inside, topologies, names, ports and devices."""

from dataclasses import dataclass

import pytest

from tests.interop.checks import Address, addresses, assert_carries, link
from tests.interop.lab import OFFICE_HOST, Lab, ServerSetup
from tests.interop.lab.namespaces import NETNS_ETC
from tests.interop.lab.openvpn import PORT, TUNNEL_SERVER, TUNNEL_SERVER_V6


@pytest.mark.parametrize("inner_v6", [True, False], ids=["inside46", "inside4"])
@pytest.mark.parametrize("topology", ["subnet", "net30", "p2p"])
@pytest.mark.parametrize("outer", ["4", "6"], ids=["outside4", "outside6"])
def test_topology(lab: Lab, outer: str, topology: str, inner_v6: bool) -> None:
    host = lab.server if outer == "4" else lab.server_v6
    lab.start_server(
        ServerSetup(
            protocol=f"udp{outer}",
            topology=topology,
            network_v6=None if not inner_v6 else ServerSetup().network_v6,
        )
    )
    client = lab.start_client(lab.client_setup(remotes=[f"{host} {PORT}"], protocol=f"udp{outer}"))
    family = "AF_INET6" if outer == "6" else "AF_INET"
    client.wait_for(rf"Peer Connection Initiated with \[{family}\]{host}:{PORT}")
    expected = {
        "subnet": Address(local="10.10.112.2", prefix=20, peer=None),
        "net30": Address(local="10.10.112.6", prefix=32, peer="10.10.112.5"),
        "p2p": Address(local="10.10.112.4", prefix=32, peer=TUNNEL_SERVER),
    }
    found = addresses(lab)
    assert found["inet"] == expected[topology]
    assert ("inet6" in found) is inner_v6
    assert lab.laptop.route_to(OFFICE_HOST)["dev"] == "tun0"
    assert lab.laptop.ping(TUNNEL_SERVER) == 3
    if inner_v6:
        assert found["inet6"].prefix == 64
        assert lab.laptop.ping(TUNNEL_SERVER_V6) == 3
    assert_carries(lab, ipv6=inner_v6)


def test_tunnel_device_is_point_to_point(lab: Lab) -> None:
    lab.start_server()
    lab.start_client()
    shown = link(lab)
    assert shown["link_type"] == "none"
    flags = shown["flags"]
    assert isinstance(flags, list)
    assert {"POINTOPOINT", "MULTICAST", "NOARP", "UP"} <= set(flags)
    assert shown["mtu"] == 1500


def test_pushed_mtu_is_set(lab: Lab) -> None:
    lab.start_server(ServerSetup(lines=["tun-mtu 1360", 'push "tun-mtu 1360"']))
    lab.start_client()
    assert link(lab)["mtu"] == 1360
    lab.laptop.wait_ping(OFFICE_HOST)
    assert lab.laptop.ping(OFFICE_HOST, size=1360 - 28, extra=["-M", "do"]) == 3


def test_remote_by_name(lab: Lab) -> None:
    hosts = NETNS_ETC / lab.laptop.name / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{lab.server} vpn.office.example\n")
    nsswitch = NETNS_ETC / lab.laptop.name / "nsswitch.conf"
    nsswitch.write_text("hosts: files\n")
    lab.start_server()
    client = lab.start_client(lab.client_setup(remotes=[f"vpn.office.example {PORT}"]))
    client.wait_for(rf"link remote: \[AF_INET\]{lab.server}:{PORT}")
    assert_carries(lab)


def test_remote_by_name_with_an_address_of_each_family(lab: Lab) -> None:
    """The first address of the name is dead: the other one is tried."""
    hosts = NETNS_ETC / lab.laptop.name / "hosts"
    hosts.write_text(f"2001:db8:2::dead vpn.example\n{lab.server} vpn.example\n")
    (NETNS_ETC / lab.laptop.name / "nsswitch.conf").write_text("hosts: files\n")
    lab.start_server(ServerSetup(protocol="udp4"))
    setup = lab.client_setup(
        remotes=[f"vpn.example {PORT}"], lines=["connect-timeout 2", "connect-retry 1 1"]
    )
    lab.start_client(setup, timeout=40)
    assert_carries(lab)


@dataclass(frozen=True, slots=True)
class Binding:
    lines: tuple[str, ...]
    shown: str


@pytest.mark.parametrize(
    "binding",
    [
        Binding(("local 192.0.2.10", "lport 1200"), r"\[AF_INET\]192\.0\.2\.10:1200"),
        Binding(("lport 1201", "bind"), r"\[AF_INET\]\[undef\]:1201"),
        Binding(("local 192.0.2.10", "lport 0"), r"\[AF_INET\]192\.0\.2\.10:0"),
    ],
    ids=["local-lport", "lport", "local"],
)
def test_local_binding(lab: Lab, binding: Binding) -> None:
    server = lab.start_server()
    setup = lab.client_setup(lines=binding.lines)
    # nobind, which the usual client has, excludes these options.
    text = setup.render(lab.pki).replace("nobind\n", "")
    config = lab.directory / "bound.ovpn"
    config.write_text(text)
    client = lab.run_client_file(config)
    client.wait_connected()
    client.wait_for(rf"UDPv4 link local \(bound\): {binding.shown}$")
    port = binding.shown.rpartition(":")[2]
    if port != "0":
        server.wait_for(rf"192\.0\.2\.10:{port} ")
    assert_carries(lab)


def test_unbound_socket_is_said(lab: Lab) -> None:
    lab.start_server()
    client = lab.start_client()
    client.wait_for(r"UDPv4 link local: \(not bound\)$")


@pytest.mark.parametrize("device", ["tun5", "office"])
def test_named_device(lab: Lab, device: str) -> None:
    lab.start_server()
    lines = ["dev-type tun"] if device == "office" else []
    client = lab.start_client(lab.client_setup(device=device, lines=lines))
    client.wait_for(rf"TUN/TAP device {device} opened$")
    assert device in lab.laptop.devices()
    assert_carries(lab)


def test_dynamic_device_takes_the_next_free_number(lab: Lab) -> None:
    lab.laptop.ip("tuntap", "add", "dev", "tun0", "mode", "tun")
    try:
        lab.start_server()
        client = lab.start_client(lab.client_setup(device="tun"))
        client.wait_for(r"TUN/TAP device tun1 opened$")
        assert_carries(lab)
        client.stop(expect=0)
        assert lab.laptop.devices().count("tun0") == 1
    finally:
        lab.laptop.ip("tuntap", "del", "dev", "tun0", "mode", "tun")


def test_persistent_device_is_used_and_stays(lab: Lab) -> None:
    """A device that an administrator made beforehand is not ours to remove."""
    lab.laptop.ip("tuntap", "add", "dev", "tun7", "mode", "tun")
    try:
        lab.start_server()
        client = lab.start_client(lab.client_setup(device="tun7"))
        assert_carries(lab)
        client.stop(expect=0)
        assert "tun7" in lab.laptop.devices()
    finally:
        lab.laptop.ip("tuntap", "del", "dev", "tun7", "mode", "tun")


def test_dev_null_connects_without_a_device(lab: Lab) -> None:
    server = lab.start_server()
    before = lab.laptop.devices()
    client = lab.client_process(lab.client_setup(device="null", lines=["ifconfig-noexec"]))
    server.wait_for(r"MULTI: primary virtual IP for laptop/")
    client.wait_connected()
    assert lab.laptop.devices() == before
    client.stop(expect=0)
