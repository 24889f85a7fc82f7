"""The terms of payloads that follow from options, and the warning about another framing."""

from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from ginnel.core.payload import (
    ERROR_SOURCE,
    Framing,
    PayloadTerms,
    explain_framing,
    payload_terms,
)
from ginnel.options.model import (
    ClientOptions,
    CompressionKind,
    DataOptions,
    LinkOptions,
    RouteOptions,
    TunOptions,
)

PLAIN = ClientOptions(profiles=())


def test_nothing_configured_is_nothing_done() -> None:
    assert payload_terms(PLAIN, fragment=0) == PayloadTerms()


@pytest.mark.parametrize(
    ("kind", "framing"),
    [
        (CompressionKind.STUB, Framing.SWAP),
        (CompressionKind.LZ4, Framing.SWAP),
        (CompressionKind.LZO, Framing.PREFIX),
        (CompressionKind.LZO_STUB, Framing.PREFIX),
        (CompressionKind.STUB_V2, Framing.V2),
        (CompressionKind.LZ4_V2, Framing.V2),
    ],
)
def test_each_kind_has_its_framing(kind: CompressionKind, framing: Framing) -> None:
    options = replace(PLAIN, data=DataOptions(compression=kind, allow_compression=True))
    assert payload_terms(options, fragment=0) == PayloadTerms(framing=framing, decompress=True)


def test_errors_come_from_the_servers_address_where_there_is_one() -> None:
    blocking = replace(PLAIN, routes=RouteOptions(block_ipv6=True))
    assert payload_terms(blocking, fragment=0).block_ipv6 == ERROR_SOURCE
    server = IPv6Address("fd00:8::1")
    told = replace(blocking, tun=TunOptions(ifconfig_ipv6_remote=server))
    assert payload_terms(told, fragment=0).block_ipv6 == server


def test_limits_of_the_link_are_taken_over() -> None:
    options = replace(PLAIN, link=LinkOptions(shaper=5000, passtos=True))
    terms = PayloadTerms(fragment=1272, shaper=5000, passtos=True)
    assert payload_terms(options, fragment=1272) == terms


@pytest.mark.parametrize(
    ("terms", "first", "words"),
    [
        (PayloadTerms(), 0xFA, ("comp-lzo", "none is set here", "'comp-lzo no'")),
        (PayloadTerms(), 0xFB, ("framing of compress", "'compress'")),
        (PayloadTerms(framing=Framing.SWAP), 0x69, ("LZ4", "'allow-compression asym'")),
        (PayloadTerms(framing=Framing.PREFIX), 0x45, ("header byte: 69", "remove")),
    ],
)
def test_the_warning_names_cause_and_remedy(
    terms: PayloadTerms, first: int, words: tuple[str, ...]
) -> None:
    text = explain_framing(terms, first)
    assert all(word in text for word in words)
