"""Who gets which address of the pool, and the file that remembers it."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network

from ginnel.core.pool import AddressPool, Lease
from ginnel.options.model import (
    AddressFamily,
    ConnectionProfile,
    DeviceType,
    LinkProtocol,
    Topology,
    TunOptions,
)
from ginnel.options.server_model import AccessOptions, Pool4, Pool6, PoolOptions, ServerOptions
from tests.sim.pki import ORIGIN

PROFILE = ConnectionProfile(
    host="", port="1194", protocol=LinkProtocol.UDP, family=AddressFamily.ANY, origin=ORIGIN
)


def options(
    *,
    last: str = "10.8.0.5",
    first: str = "10.8.0.2",
    topology: Topology = Topology.SUBNET,
    six: bool = False,
    device: DeviceType = DeviceType.TUN,
    **pool: object,
) -> ServerOptions:
    other = (
        "255.255.255.0" if topology is Topology.SUBNET or device is DeviceType.TAP else "10.8.0.9"
    )
    network = IPv6Network("2001:db8:1::/64")
    return ServerOptions(
        listeners=(),
        profile=PROFILE,
        tun=TunOptions(
            dev_type=device,
            topology=topology,
            ifconfig=(IPv4Address("10.8.0.1"), IPv4Address(other)),
            ifconfig_ipv6=IPv6Interface("2001:db8:1::1/64") if six else None,
        ),
        pool=replace(
            PoolOptions(),
            ipv4=Pool4(first=IPv4Address(first), last=IPv4Address(last)),
            ipv6=Pool6(network=network, first=IPv6Address("2001:db8:1::1000")) if six else None,
            **pool,  # type: ignore[arg-type]  # names are the test's
        ),
    )


def address(lease: Lease | None) -> str:
    assert lease is not None
    assert lease.ifconfig is not None
    return str(lease.ifconfig[0])


def test_addresses_go_out_in_order_until_none_is_left() -> None:
    pool = AddressPool(options())
    given = [address(pool.lease(name)) for name in "abcd"]
    assert given == ["10.8.0.2", "10.8.0.3", "10.8.0.4", "10.8.0.5"]
    assert pool.lease("e") is None


def test_in_a_subnet_the_netmask_is_pushed() -> None:
    lease = AddressPool(options()).lease("a")
    assert lease is not None
    assert lease.ifconfig == (IPv4Address("10.8.0.2"), IPv4Address("255.255.255.0"))
    assert lease.ifconfig_ipv6 is None


def test_with_net30_a_client_has_the_third_of_four_addresses() -> None:
    pool = AddressPool(options(topology=Topology.NET30, first="10.8.0.4", last="10.8.0.251"))
    assert pool.size == 62
    lease = pool.lease("a")
    assert lease is not None
    assert lease.ifconfig == (IPv4Address("10.8.0.6"), IPv4Address("10.8.0.5"))
    assert pool.render() == "a,10.8.0.4,\n"


def test_with_p2p_the_other_end_is_ours() -> None:
    lease = AddressPool(options(topology=Topology.P2P)).lease("a")
    assert lease is not None
    assert lease.ifconfig == (IPv4Address("10.8.0.2"), IPv4Address("10.8.0.1"))


def test_a_tap_client_gets_a_netmask_whatever_the_topology() -> None:
    lease = AddressPool(options(topology=Topology.NET30, device=DeviceType.TAP)).lease("a")
    assert lease is not None
    assert lease.ifconfig == (IPv4Address("10.8.0.2"), IPv4Address("255.255.255.0"))


def test_ipv6_addresses_keep_step() -> None:
    pool = AddressPool(options(six=True))
    pool.lease("a")
    lease = pool.lease("b")
    assert lease is not None
    assert lease.ifconfig_ipv6 == (
        IPv6Interface("2001:db8:1::1001/64"),
        IPv6Address("2001:db8:1::1"),
    )
    assert pool.render() == ("a,10.8.0.2,2001:db8:1::1000\nb,10.8.0.3,2001:db8:1::1001\n")


def test_a_name_gets_the_address_it_had() -> None:
    pool = AddressPool(options())
    first, second = pool.lease("a"), pool.lease("b")
    assert first is not None
    assert second is not None
    pool.release(first)
    pool.release(second)
    assert address(pool.lease("b")) == "10.8.0.3"
    assert address(pool.lease("a")) == "10.8.0.2"


def test_an_address_given_back_is_used_again_last() -> None:
    pool = AddressPool(options(last="10.8.0.4"))
    first = pool.lease("a")
    assert first is not None
    pool.release(first)
    assert [address(pool.lease(name)) for name in "bcd"] == ["10.8.0.3", "10.8.0.4", "10.8.0.2"]
    assert pool.lease("a") is None


def test_two_clients_of_one_name_get_two_addresses() -> None:
    pool = AddressPool(options())
    assert address(pool.lease("a")) != address(pool.lease("a"))


def test_releasing_twice_changes_nothing() -> None:
    pool = AddressPool(options(last="10.8.0.2"))
    lease = pool.lease("a")
    assert lease is not None
    pool.release(lease)
    pool.release(lease)
    assert address(pool.lease("b")) == "10.8.0.2"
    assert pool.lease("c") is None


def test_with_duplicate_names_none_is_remembered() -> None:
    base = options()
    pool = AddressPool(replace(base, access=AccessOptions(duplicate_cn=True)))
    lease = pool.lease("a")
    assert lease is not None
    pool.release(lease)
    assert address(pool.lease("a")) == "10.8.0.3"
    assert pool.render() == ""


def test_the_file_is_read_and_written_back() -> None:
    pool = AddressPool(options(six=True))
    text = "b,10.8.0.4,2001:db8:1::1002\na,,2001:db8:1::1001\n"
    assert pool.load("# comment\n;another\n\n" + text) == []
    changes = [pool.has_changed]
    assert address(pool.lease("a")) == "10.8.0.3"
    assert address(pool.lease("b")) == "10.8.0.4"
    assert address(pool.lease("c")) == "10.8.0.2"
    changes.append(pool.has_changed)
    assert pool.render().splitlines() == [
        "c,10.8.0.2,2001:db8:1::1000",
        "a,10.8.0.3,2001:db8:1::1001",
        "b,10.8.0.4,2001:db8:1::1002",
    ]
    assert [*changes, pool.has_changed] == [False, True, False]


def test_lines_that_cannot_be_are_told() -> None:
    pool = AddressPool(options())
    warnings = pool.load(
        "a,10.9.0.2,\nb,nonsense,\n,10.8.0.2,\nc\nd,10.8.0.3,\nd,10.8.0.4,\ne,10.8.0.3,\n"
    )
    assert len(warnings) == 6
    assert address(pool.lease("d")) == "10.8.0.3"


def test_an_address_inside_a_group_of_four_names_no_slot() -> None:
    pool = AddressPool(options(topology=Topology.NET30, first="10.8.0.4", last="10.8.0.251"))
    assert len(pool.load("a,10.8.0.6,\n")) == 1


def test_a_file_that_is_never_written_reserves_its_addresses() -> None:
    pool = AddressPool(options(last="10.8.0.3", persist_path="pool.txt", persist_interval=0))
    pool.load("a,10.8.0.2,\n")
    assert address(pool.lease("b")) == "10.8.0.3"
    assert pool.lease("c") is None
    lease = pool.lease("a")
    assert address(lease) == "10.8.0.2"
    assert lease is not None
    pool.release(lease)
    assert pool.lease("c") is None


def test_a_name_that_the_file_cannot_hold_is_not_written() -> None:
    pool = AddressPool(options())
    pool.lease("comma, here")
    pool.lease("line\nbreak")
    pool.lease("#hash")
    pool.lease("")
    assert pool.render() == ""


def test_a_pool_of_ipv6_alone() -> None:
    base = options(six=True)
    pool = AddressPool(replace(base, pool=replace(base.pool, ipv4=None)))
    assert pool.size == 65536
    lease = pool.lease("a")
    assert lease is not None
    assert lease.ifconfig is None
    assert lease.ifconfig_ipv6 is not None
    assert pool.render() == "a,,2001:db8:1::1000\n"
    assert pool.load("b,,2001:db8:1::1001\n") == []


def test_without_a_pool_there_is_nothing_to_lease() -> None:
    base = options()
    assert AddressPool(replace(base, pool=PoolOptions())).lease("a") is None


def test_a_netmask_of_the_pool_wins() -> None:
    base = options()
    assert base.pool.ipv4 is not None
    four = replace(base.pool.ipv4, netmask=IPv4Interface("10.8.0.1/20").netmask)
    lease = AddressPool(replace(base, pool=replace(base.pool, ipv4=four))).lease("a")
    assert lease is not None
    assert lease.ifconfig is not None
    assert str(lease.ifconfig[1]) == "255.255.240.0"


def test_a_large_pool_turns_over_without_looking_at_all_of_it() -> None:
    pool = AddressPool(options(first="10.8.0.2", last="10.8.255.254"))
    names = [f"client{number}" for number in range(60000)]
    leases = [pool.lease(name) for name in names]
    for lease in leases:
        assert lease is not None
        pool.release(lease)
    again = [pool.lease(name) for name in reversed(names)]
    assert again == leases[::-1]
    assert pool.render().count("\n") == 60000
