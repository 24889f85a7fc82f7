"""What the DNS options set. Their values end up in files of the host: form matters."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.model import DnsServer
from tests.unit.options.memory_files import run, run_config

HEAD = "client\nremote x\nca ca.crt\nauth-user-pass login\n"


def test_dhcp_options_keep_their_words_and_order() -> None:
    text = "dhcp-option DNS 10.0.0.1\ndhcp-option DOMAIN-SEARCH a.example\n"
    text += "dhcp-option DNS6 fd00::1\ndhcp-option PROXY_HTTP h 80\ndhcp-option DISABLE-NBT\n"
    assert run_config(HEAD + text).options.dns.dhcp_options == (
        ("DNS", "10.0.0.1"),
        ("DOMAIN-SEARCH", "a.example"),
        ("DNS6", "fd00::1"),
        ("PROXY_HTTP", "h", "80"),
        ("DISABLE-NBT",),
    )


@pytest.mark.parametrize(
    "words",
    [
        ("DNS", "x"),
        ("DNS",),
        ("DNS6", "fe80::1%eth0"),
        ("DOMAIN", "a b"),
        ("DOMAIN", "a\nnameserver 6.6.6.6"),
        ("DOMAIN", "$(reboot)"),
        ("DOMAIN", ""),
        ("DOMAIN", "x" * 256),
        ("DOMAIN-SEARCH", "a;b"),
        ("CUSTOM", "a\nb"),
    ],
)
def test_bad_dhcp_options(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="dhcp-option"):
        run("--dhcp-option", *words)


def test_lines_of_a_server_are_merged() -> None:
    text = """dns server 1 address 10.0.0.1 10.0.0.2:53
dns server -2 address [fd00::1]:5353
dns server 1 address fd00::2
dns server 1 resolve-domains a.example b.example
dns server 1 dnssec optional
dns server 1 transport DoT
dns server 1 sni dns.example
dns search-domains a.example
dns search-domains b.example c.example
"""
    dns = run_config(HEAD + text).options.dns
    assert dns.servers == (
        DnsServer(number=-2, addresses=((IPv6Address("fd00::1"), 5353),)),
        DnsServer(
            number=1,
            addresses=(
                (IPv4Address("10.0.0.1"), None),
                (IPv4Address("10.0.0.2"), 53),
                (IPv6Address("fd00::2"), None),
            ),
            resolve_domains=("a.example", "b.example"),
            dnssec="optional",
            transport="DoT",
            sni="dns.example",
        ),
    )
    assert dns.search_domains == ("a.example", "b.example", "c.example")


@pytest.mark.parametrize(
    "text",
    [
        "server",
        "server 1",
        "server 1 address",
        "server x address 10.0.0.1",
        "server 128 address 10.0.0.1",
        "server -129 address 10.0.0.1",
        "server 1 address nope",
        "server 1 address 10.0.0.1:",
        "server 1 address 10.0.0.1:0",
        "server 1 address 10.0.0.1:65536",
        "server 1 address [fd00::1",
        "server 1 address [fd00::1]53",
        "server 1 address [fd00::1]:",
        "server 1 address host:53",
        "server 1 address " + " ".join(["10.0.0.1"] * 9),
        "server 1 dnssec maybe",
        "server 1 dnssec yes no",
        "server 1 transport tls",
        "server 1 sni a b",
        "server 1 nonsense x",
        "search-domains a;b",
        "search-domains -x",
    ],
)
def test_bad_dns_lines(text: str) -> None:
    with pytest.raises(ConfigError, match="dns"):
        run_config(f"{HEAD}dns {text}\n")


def test_dns_updown_names_a_command_or_none() -> None:
    chroot = ("--chroot", "jail")  # in which nobody looks for the command
    named = run("--dns-updown", "/bin/sh -c 'x y'", *chroot).options.scripts
    assert named.dns_updown == ("/bin/sh", "-c", "x y")
    assert run("--dns-updown", "/x", "--dns-updown", "disable").options.scripts.dns_updown is None
    with pytest.raises(ConfigError, match="brings no command of its own"):
        run("--dns-updown", "force")
