"""What a client gets: its file, whoever may add to it, addresses, networks, pushes."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path

import pytest

from ginnel.compat.log_lines import LogLine
from ginnel.core.pool import AddressPool
from ginnel.dataclass import replace
from ginnel.options.model import DeviceType
from ginnel.options.server_model import ClientConfig, PushConstraint, ServerOptions
from ginnel.shell.client_terms import (
    MAX_FILE,
    OptionText,
    TermsMaker,
    addresses_to_learn,
    client_file,
    file_name_of,
    lacks_own_file,
    without_addresses,
)
from tests.unit.shell.server_scripts import OFFICE, server_options

MASK = IPv4Address("255.255.255.0")


def quiet(_line: LogLine) -> None:
    """Nobody reads it."""


def maker(options: ServerOptions) -> TermsMaker:
    return TermsMaker(options, AddressPool(options))


@pytest.mark.parametrize(
    ("common_name", "file_name"),
    [
        ("ada", "ada"),
        ("Ada Lovelace", "Ada Lovelace"),
        ("../etc/passwd", ".._etc_passwd"),
        ("/", "_"),
        ("a\nb\x7f", "a_b_"),
        ("zoë", "zoë"),
        (".", None),
        ("..", None),
        ("", None),
        ("x" * 256, None),
    ],
)
def test_names_of_files(common_name: str, file_name: str | None) -> None:
    assert file_name_of(common_name) == file_name


def test_a_client_has_its_file_or_the_default_one(tmp_path: Path) -> None:
    options = server_options(tmp_path, client_config_dir=str(tmp_path))
    assert client_file(options, "ada") is None
    (tmp_path / "DEFAULT").write_text("disable\n")
    default = OptionText(source=str(tmp_path / "DEFAULT"), text=b"disable\n")
    assert client_file(options, "ada") == default
    assert client_file(options, "..") == default
    (tmp_path / "real").write_text("ping 5\n")
    (tmp_path / "ada").symlink_to("real")
    assert client_file(options, "ada") == OptionText(source=str(tmp_path / "ada"), text=b"ping 5\n")
    (tmp_path / "folder").mkdir()
    assert client_file(options, "folder") == default
    (tmp_path / "big").write_bytes(b"#" * (MAX_FILE + 10))
    found = client_file(options, "big")
    assert found is not None
    assert len(found.text) == MAX_FILE
    assert client_file(server_options(tmp_path), "ada") is None


def test_exclusive_wants_a_file_of_the_name(tmp_path: Path) -> None:
    options = server_options(tmp_path, client_config_dir=str(tmp_path), ccd_exclusive=True)
    (tmp_path / "DEFAULT").touch()
    (tmp_path / "ada").touch()
    assert lacks_own_file(options, "ada") is None
    assert lacks_own_file(options, "bob") == str(tmp_path / "bob")
    assert lacks_own_file(options, "DEFAULT") == str(tmp_path / "DEFAULT")
    assert lacks_own_file(options, "..") == "UNDEF"
    assert lacks_own_file(server_options(tmp_path), "bob") is None


def test_later_sources_add_to_earlier_ones_and_bad_lines_are_told(tmp_path: Path) -> None:
    lines: list[str] = []
    made = maker(server_options(tmp_path))

    def log(line: LogLine) -> None:
        lines.append(line.text)

    config = made.add(
        ClientConfig(),
        OptionText(source="ccd/ada", text=b"iroute 10.20.0.0 255.255.0.0\nnonsense\nping 5\n"),
        log,
    )
    config = made.add(config, OptionText(source="cc", text=b'push "route 10.1.0.0"\nping 7'), log)
    assert config.iroutes == (OFFICE,)
    assert config.push == ("route 10.1.0.0",)
    assert config.ping == 7
    assert len(lines) == 1
    assert "ccd/ada:2" in lines[0]


def test_the_pool_gives_an_address_while_there_is_one(tmp_path: Path) -> None:
    lines: list[str] = []

    def log(line: LogLine) -> None:
        lines.append(line.text)

    made = maker(server_options(tmp_path))
    first = made.lease("ada", log)
    assert first is not None
    assert made.lease("bob", log) is not None
    assert made.lease("eve", log) is None
    assert lines == [
        "MULTI_sva: pool returned IPv4=10.8.0.4, IPv6=(Not enabled)",
        "MULTI_sva: pool returned IPv4=10.8.0.5, IPv6=(Not enabled)",
        "MULTI: no free --ifconfig-pool addresses are available",
    ]
    made.release(first)
    assert made.lease("eve", log) is not None
    assert maker(server_options(tmp_path, pool=False)).lease("ada", log) is None


def test_an_address_of_its_own_goes_before_that_of_the_pool(tmp_path: Path) -> None:
    made = maker(server_options(tmp_path))
    lease = made.lease("ada", quiet)
    assert made.terms(ClientConfig(), lease).ifconfig == (IPv4Address("10.8.0.4"), MASK)
    own = (IPv4Address("10.8.0.77"), MASK)
    config = ClientConfig(
        ifconfig_push=own, ifconfig_ipv6_push=(IPv6Interface("fd00:8::77/64"), None)
    )
    terms = made.terms(config, lease)
    assert terms.ifconfig == own
    assert terms.ifconfig_ipv6 == (IPv6Interface("fd00:8::77/64"), IPv6Address("fd00:8::1"))
    assert terms.push == ("topology subnet", "route 10.9.0.0 255.255.0.0")


def test_what_is_behind_a_client_is_not_pushed_to_it(tmp_path: Path) -> None:
    options = replace(
        server_options(tmp_path),
        push=(
            "route 10.20.0.0 255.255.0.0 vpn_gateway",
            "route-ipv6 fd00:20::/64",
            "route 10.1.1.1",
        ),
    )
    config = ClientConfig(iroutes=(OFFICE,), iroutes_ipv6=(IPv6Network("fd00:20::/64"),))
    assert maker(options).terms(config, None).push == ("route 10.1.1.1",)
    assert maker(options).terms(ClientConfig(), None).push == options.push
    odd = replace(options, push=("route nowhere 1.2.3", "route office"))
    assert maker(odd).terms(config, None).push == odd.push


def test_networks_behind_a_client_count_once(tmp_path: Path) -> None:
    made = maker(server_options(tmp_path))
    config = ClientConfig(iroutes=(OFFICE, OFFICE), iroutes_ipv6=())
    assert made.limit_routes(made.terms(config, None)).config.iroutes == (OFFICE,)
    options = server_options(tmp_path)
    tap = maker(replace(options, tun=replace(options.tun, dev_type=DeviceType.TAP)))
    assert tap.limit_routes(tap.terms(config, None)).config.iroutes == (OFFICE, OFFICE)


def test_a_fixed_address_lies_within_the_constraint(tmp_path: Path) -> None:
    constraint = PushConstraint(network=IPv4Network("10.8.0.0/28"))
    made = maker(replace(server_options(tmp_path), push_constraint=constraint))
    inside = ClientConfig(ifconfig_push=(IPv4Address("10.8.0.9"), MASK))
    outside = ClientConfig(ifconfig_push=(IPv4Address("10.8.0.99"), MASK))
    assert made.violated_constraint(made.terms(inside, None)) is None
    assert made.violated_constraint(made.terms(outside, None)) == "10.8.0.0/28"
    assert made.violated_constraint(made.terms(ClientConfig(), None)) is None


def test_addresses_are_learnt_in_order_and_networks_can_be_taken_out(tmp_path: Path) -> None:
    config = ClientConfig(
        ifconfig_push=(IPv4Address("10.8.0.9"), MASK),
        ifconfig_ipv6_push=(IPv6Interface("fd00:8::9/64"), None),
        iroutes=(OFFICE, IPv4Network("10.30.0.1/32")),
        iroutes_ipv6=(IPv6Network("fd00:20::/64"),),
    )
    terms = maker(server_options(tmp_path)).terms(config, None)
    learnt = addresses_to_learn(terms, 256)
    assert addresses_to_learn(terms, 1) == learnt[:3]
    assert learnt == ("10.8.0.9", "fd00:8::9", "10.20.0.0/16", "10.30.0.1", "fd00:20::/64")
    left = without_addresses(terms, {"10.30.0.1", "fd00:20::/64"})
    assert left.config.iroutes == (OFFICE,)
    assert left.config.iroutes_ipv6 == ()
    aliased = replace(config, ifconfig_push_alias=IPv4Address("10.99.0.1"))
    assert addresses_to_learn(replace(terms, config=aliased), 256)[0] == "10.99.0.1"
