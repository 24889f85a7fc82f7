"""What the options about one client set; its lines are read by ``client_config``."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

import pytest

from ginnel.options import apply_instance
from ginnel.options.client_config import ParsedClient, parse_client_config
from ginnel.options.server_model import ClientConfig
from tests.unit.options.memory_files import NET, serve

OPTIONS = serve(*NET).options


def parsed(text: str) -> ParsedClient:
    return parse_client_config(text.encode("utf-8", "surrogateescape"), "ccd/alice", OPTIONS)


def good(text: str) -> ClientConfig:
    result = parsed(text)
    assert not result.problems
    return result.config


def test_fixed_addresses() -> None:
    config = good("ifconfig-push 10.8.0.9 255.255.255.0\nifconfig-ipv6-push fd00::9/64 fd00::1")
    assert config.ifconfig_push == (IPv4Address("10.8.0.9"), IPv4Address("255.255.255.0"))
    assert config.ifconfig_push_alias is None
    assert config.ifconfig_ipv6_push == (IPv6Interface("fd00::9/64"), IPv6Address("fd00::1"))
    aliased = good("ifconfig-push 10.8.0.9 10.8.0.10 192.0.2.9")
    assert aliased.ifconfig_push_alias == IPv4Address("192.0.2.9")
    assert good("ifconfig-ipv6-push fd00::9/64").ifconfig_ipv6_push == (
        IPv6Interface("fd00::9/64"),
        None,
    )


def test_networks_behind_a_client() -> None:
    config = good("iroute 10.1.0.0 255.255.0.0\niroute 10.2.0.1\niroute-ipv6 fd01::/48")
    assert config.iroutes == (IPv4Network("10.1.0.0/16"), IPv4Network("10.2.0.1/32"))
    assert config.iroutes_ipv6 == (IPv6Network("fd01::/48"),)


@pytest.mark.parametrize(
    "line",
    [
        "iroute 10.1.0.0 255.0.255.0",
        "iroute x",
        "iroute-ipv6 fd00::/200",
        "ifconfig-push 10.8.0.9",
        "ifconfig-ipv6-push fd00::9/48",
        "push-remove ''",
        "override-username ''",
        "override-username \udc82",
        f"override-username {'x' * 128}",
    ],
)
def test_nonsense_is_left_out(line: str) -> None:
    result = parsed(f"{line}\ndisable")
    assert result.config == ClientConfig(disable=True)
    assert len(result.problems) == 1
    assert "ccd/alice:1" in result.problems[0]


def test_reset_and_remove_hit_what_the_client_was_given_before() -> None:
    assert good("push 'route 10.0.0.0'\npush-reset\npush echo").push == ("echo",)
    config = good("push 'route 10.0.0.0'\npush 'echo x'\npush-remove route\npush 'route 11.0.0.0'")
    assert config.push == ("echo x", "route 11.0.0.0")
    assert config.push_remove == ("route",)
    assert not config.push_reset
    assert good("push 'ifconfig 1 2'\npush-remove ifconfig").push == ("ifconfig 1 2",)


def test_a_clients_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_instance, "MAX_CLIENT_ITEMS", 1)
    result = parsed("iroute 10.1.0.0\niroute 10.2.0.0")
    assert len(result.config.iroutes) == 1
    assert "more than 1 of these" in result.problems[0]


def test_a_user_name_is_replaced() -> None:
    assert good("override-username alice").override_username == "alice"
