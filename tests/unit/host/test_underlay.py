"""What the underlay looks like, from the kernel's routes and the system's files."""

from ipaddress import IPv4Address
from pathlib import Path

from ginnel.host.netlink import Netlink
from ginnel.host.underlay import (
    SystemFiles,
    default_gateway,
    narrowest,
    parse_lease,
    parse_resolver,
    still_meant,
    take_snapshot,
)
from tests.unit.host.fake_kernel import fake_link, fake_route

LINKS = {3: fake_link(3, "wlan0"), 4: fake_link(4, "eth0"), 7: fake_link(7, "tun0", kind="tun")}
WLAN = fake_route("0.0.0.0/0", IPv4Address("192.0.2.1"), 3, 600)
WIRED = fake_route("0.0.0.0/0", IPv4Address("203.0.113.1"), 4, 100)
OURS = fake_route("0.0.0.0/0", IPv4Address("10.8.0.1"), 7, 0)


def test_lowest_metric_is_the_default() -> None:
    found = default_gateway([WLAN, WIRED], LINKS, 4, ())
    assert found is not None
    assert (found.device, found.metric, str(found.address)) == ("eth0", 100, "203.0.113.1")


def test_our_own_default_route_does_not_count() -> None:
    found = default_gateway([OURS, WLAN], LINKS, 4, (7,))
    assert found is not None
    assert found.device == "wlan0"
    assert default_gateway([OURS], LINKS, 4, (7,)) is None


def test_other_family_and_narrower_routes_are_no_default() -> None:
    half = fake_route("0.0.0.0/1", IPv4Address("192.0.2.1"), 3)
    assert default_gateway([half], LINKS, 4, ()) is None
    assert default_gateway([WLAN], LINKS, 6, ()) is None


def test_resolver_names_servers_elsewhere() -> None:
    text = (
        "# made by hand\nsearch office.example\nnameserver 127.0.0.53\nnameserver 192.0.2.53\n"
        "nameserver fe80::1%wlan0\nnameserver 192.0.2.53\nnameserver nonsense\nnameserver\n"
    )
    assert [str(address) for address in parse_resolver(text)] == ["192.0.2.53", "fe80::1"]


def test_resolver_is_bounded() -> None:
    text = "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 100))
    assert len(parse_resolver(text)) == 8


def test_lease_of_networkd_and_of_dhclient() -> None:
    assert parse_lease("ADDRESS=192.0.2.9\nSERVER_ADDRESS=192.0.2.1\n") == (
        IPv4Address("192.0.2.1"),
    )
    lease = "lease {\n  option dhcp-server-identifier 192.0.2.2;\n  renew 1;\n}\n"
    assert parse_lease(lease) == (IPv4Address("192.0.2.2"),)
    assert parse_lease("SERVER_ADDRESS=rubbish\nSERVER_ADDRESS=fd00::1\n") == ()


def files(tmp_path: Path) -> SystemFiles:
    first, second = tmp_path / "resolv.conf", tmp_path / "upstream.conf"
    first.write_text("nameserver 127.0.0.53\n")
    second.write_bytes(b"nameserver 192.0.2.53\n\xff\xfe")
    leases = tmp_path / "leases"
    leases.mkdir()
    for name, server in (("3", 1), ("eth-3.lease", 2), ("eth-3.old", 3), ("wlan-3.lease", 4)):
        (leases / name).write_text(f"SERVER_ADDRESS=192.0.2.{server}\n")
    return SystemFiles(
        resolver=(str(first), str(second)),
        leases=((str(leases), "eth-", ".lease"), (str(tmp_path / "absent"), "", "")),
    )


def test_snapshot_reads_the_files_that_matter(tmp_path: Path) -> None:
    with Netlink() as netlink:
        snapshot = take_snapshot(netlink, None, files=files(tmp_path))
    assert snapshot.dns_servers == (IPv4Address("192.0.2.53"),)
    assert snapshot.dhcp_servers == (IPv4Address("192.0.2.2"),)
    assert snapshot.server is None


def test_snapshot_without_any_file_is_empty_there(tmp_path: Path) -> None:
    absent = SystemFiles(
        resolver=(str(tmp_path / "no"),), leases=((str(tmp_path / "none"), "", ""),)
    )
    with Netlink() as netlink:
        snapshot = take_snapshot(netlink, None, files=absent)
    assert snapshot.dns_servers == ()
    assert snapshot.dhcp_servers == ()


def test_loopback_is_no_local_network(tmp_path: Path) -> None:
    with Netlink() as netlink:
        snapshot = take_snapshot(netlink, IPv4Address("127.0.0.1"), files=files(tmp_path))
    assert all(not network.interface.is_loopback for network in snapshot.networks)
    assert snapshot.server is None


def test_a_removed_default_gives_way_to_a_new_one_on_its_device() -> None:
    new = fake_route("0.0.0.0/0", IPv4Address("192.0.2.253"), 3, 600)
    assert still_meant([WLAN], [OURS, WIRED]) == [WLAN]
    assert still_meant([WLAN], [OURS, new]) == []


def test_the_narrowest_route_leads_to_the_server() -> None:
    server = IPv4Address("198.51.100.7")
    wide = fake_route("198.51.0.0/16", IPv4Address("192.0.2.9"), 3)
    narrow = fake_route("198.51.100.0/24", IPv4Address("203.0.113.9"), 4, 50)
    cheaper = fake_route("198.51.100.0/24", IPv4Address("203.0.113.8"), 4, 10)
    elsewhere = fake_route("10.0.0.0/8", IPv4Address("192.0.2.9"), 3)
    unknown = fake_route("198.51.100.7/32", IPv4Address("192.0.2.9"), 99)
    routes = [WLAN, wide, narrow, cheaper, elsewhere, unknown]
    assert narrowest(routes, server, LINKS) == cheaper
    assert narrowest([WLAN, elsewhere], server, LINKS) is None, "a default route is no narrow one"
