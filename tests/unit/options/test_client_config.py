"""The lines about one client: what counts, what is left out, how sources add up."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from ginnel.options import client_config
from ginnel.options.client_config import ParsedClient, merge, parse_client_config
from ginnel.options.model import CompressionKind
from ginnel.options.server_model import ClientConfig
from tests.unit.options.memory_files import NET, MemoryFiles, serve

OPTIONS = serve(*NET).options


def parsed(text: str, *words: str, **files: bytes | None) -> ParsedClient:
    options = serve(*NET, *words).options
    return parse_client_config(text.encode(), "ccd/alice", options, MemoryFiles(files))


def test_all_that_one_client_can_have() -> None:
    result = parsed(
        "disable\nmax-routes-per-client 3\ninactive 60 1000\nsession-timeout 70\nping 5\n"
        "ping-restart 30\nvlan-pvid 7\ncomp-lzo no\ndata-ciphers AES-128-GCM\n"
        "data-ciphers-fallback AES-256-CBC\npush 'echo x' # said\n"
    )
    assert not result.problems
    assert result.config == ClientConfig(
        disable=True,
        max_routes_per_client=3,
        inactive=60,
        inactive_bytes=1000,
        session_timeout=70,
        ping=5,
        ping_restart=30,
        vlan_pvid=7,
        compression=CompressionKind.LZO_STUB,
        data_ciphers=("AES-128-GCM",),
        data_ciphers_fallback="AES-256-CBC",
        push=("echo x",),
    )


def test_wrong_lines_are_said_and_left_out() -> None:
    result = parsed('route 10.0.0.0\nnonsense\nping x\npush "a\nclient\n\ndisable\n')
    assert result.config == ClientConfig(disable=True)
    assert [problem.split("(")[0].strip() for problem in result.problems] == [
        "Options error: option 'route' cannot be used in this context",
        "Options error: Unrecognized option or missing or extra parameter",
        "Options error: In ccd/alice:3: ping: 'x' is not a number from 0 to 86400",
        "Options error: No closing quotation",
        "Options error: option 'client' cannot be used in this context",
    ]
    assert all(f"ccd/alice:{number}" in text for number, text in enumerate(result.problems, 1))


def test_a_cipher_is_the_fallback_where_the_server_has_one() -> None:
    words = ("--data-ciphers-fallback", "AES-256-CBC")
    assert parsed("cipher AES-128-CBC").config.data_ciphers_fallback is None
    assert parsed("cipher AES-128-CBC", *words).config.data_ciphers_fallback == "AES-128-CBC"


def test_files_are_included_within_bounds() -> None:
    result = parsed("config group", group=b"disable\nping y\n")
    assert result.config.disable
    assert "In group:2" in result.problems[0]
    assert "included" in parsed("config x", x=b"config x").problems[0]
    assert "Error opening configuration file" in parsed("config y").problems[0]
    alone = parse_client_config(b"config y", "script", OPTIONS)
    assert "no more files" in alone.problems[0]


def test_what_is_said_is_bounded_and_printable() -> None:
    result = parsed("\x1b[31m\n" * 100)
    assert len(result.problems) == client_config.MAX_PROBLEMS + 1
    assert result.problems[-1] == "Options error: 36 more lines are wrong"
    assert all(problem.isprintable() for problem in result.problems)
    quotes = parsed('push "\n' * 100_000)
    assert len(quotes.problems) == client_config.MAX_PROBLEMS + 1


def test_the_number_of_lines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_config, "MAX_LINES", 2)
    result = parsed("ping 1\nping 2\nping 3\n")
    assert result.config.ping == 2
    assert "more than 2 options" in result.problems[0]


def test_a_later_source_adds_to_an_earlier_one() -> None:
    first = ClientConfig(
        push=("route 10.0.0.0", "echo a"),
        iroutes=(IPv4Network("10.1.0.0/16"),),
        ping=5,
        ifconfig_push=(IPv4Address("10.8.0.8"), IPv4Address("10.8.0.9")),
        ifconfig_push_alias=IPv4Address("192.0.2.1"),
    )
    second = ClientConfig(
        push=("echo b",),
        push_remove=("route",),
        iroutes=(IPv4Network("10.2.0.0/16"),),
        ping=6,
        disable=True,
        ifconfig_push=(IPv4Address("10.8.0.12"), IPv4Address("10.8.0.13")),
    )
    assert merge(first, second) == ClientConfig(
        push=("echo a", "echo b"),
        push_remove=("route",),
        iroutes=(IPv4Network("10.1.0.0/16"), IPv4Network("10.2.0.0/16")),
        ping=6,
        disable=True,
        ifconfig_push=(IPv4Address("10.8.0.12"), IPv4Address("10.8.0.13")),
    )
    assert merge(first, ClientConfig()) == first
    assert merge(ClientConfig(), first) == first


def test_a_later_reset_takes_earlier_pushes_back() -> None:
    merged = merge(ClientConfig(push=("a",)), ClientConfig(push_reset=True, push=("b",)))
    assert merged == ClientConfig(push_reset=True, push=("b",))
