"""What options about payloads set: framing, fragments, address rules."""

import pytest

from ginnel.options.apply_payload import MAX_NAT_RULES
from ginnel.options.errors import ConfigError
from ginnel.options.model import CompressionKind
from tests.unit.options.memory_files import run


@pytest.mark.parametrize(
    ("words", "kind", "takes"),
    [
        ((), None, False),
        (("--comp-lzo",), CompressionKind.LZO, True),
        (("--comp-lzo", "adaptive"), CompressionKind.LZO, True),
        (("--comp-lzo", "no"), CompressionKind.LZO_STUB, False),
        (("--compress",), CompressionKind.STUB, False),
        (("--compress", "stub-v2"), CompressionKind.STUB_V2, False),
        (("--compress", "lz4-v2"), CompressionKind.LZ4_V2, True),
        (("--compress", "migrate"), None, True),
        (("--compress", "lz4", "--allow-compression", "asym"), CompressionKind.LZ4, True),
        (("--allow-compression", "yes"), None, True),
        (("--allow-compression", "no", "--comp-lzo", "no"), CompressionKind.LZO_STUB, False),
    ],
)
def test_framing_and_what_is_taken(
    words: tuple[str, ...], kind: CompressionKind | None, takes: bool
) -> None:
    data = run(*words).options.data
    assert (data.compression, data.allow_compression) == (kind, takes)


def test_contradictions_about_compression_are_refused() -> None:
    with pytest.raises(ConfigError, match="not allowed since allow-compression is set to"):
        run("--allow-compression", "no", "--compress", "lzo")
    with pytest.raises(ConfigError, match="Cannot set allow-compression to 'yes' after set to"):
        run("--allow-compression", "no", "--allow-compression", "yes")


def test_compression_is_warned_about() -> None:
    texts = [note.text for note in run("--comp-lzo").notes]
    assert any("Compression for receiving enabled" in text for text in texts)
    texts = [note.text for note in run("--allow-compression", "yes").notes]
    assert any("nothing sent is compressed" in text for text in texts)


def test_fragment_and_its_rules() -> None:
    (profile,) = run("--fragment", "1300", "mtu").options.profiles
    assert (profile.fragment, profile.fragment_mtu) == (1300, True)
    (profile,) = run("--fragment", "0").options.profiles
    assert profile.fragment == 0
    with pytest.raises(ConfigError, match="at least 68"):
        run("--fragment", "67")
    with pytest.raises(ConfigError, match="only be used with --proto udp"):
        run("--fragment", "1300", "--proto", "tcp-client")


@pytest.mark.parametrize("name", ["link-mtu", "udp-mtu"])
def test_the_links_mtu_excludes_the_tunnels(name: str) -> None:
    (profile,) = run(f"--{name}", "1400").options.profiles
    assert (profile.link_mtu, profile.mssfix) == (1400, 0)
    (profile,) = run(f"--{name}", "1400", "--mssfix", "1300").options.profiles
    assert profile.mssfix == 1300
    with pytest.raises(ConfigError, match="only one of --tun-mtu or --link-mtu"):
        run(f"--{name}", "1400", "--tun-mtu", "1400")


def test_translation_rules_accumulate_within_bounds() -> None:
    snat = ("--client-nat", "snat", "10.0.0.0", "255.0.0.0", "11.0.0.0")
    dnat = ("--client-nat", "dnat", "10.0.0.0", "255.0.0.0", "11.0.0.0")
    rules = run(*snat, *dnat).options.routes.client_nat
    assert [rule.is_source for rule in rules] == [True, False]
    with pytest.raises(ConfigError, match="table overflow"):
        run(*snat * (MAX_NAT_RULES + 1))
    with pytest.raises(ConfigError, match="expected an IPv4 address"):
        run("--client-nat", "snat", "10.0.0.0", "255.0.0.0", "x")


def test_link_layer_addresses() -> None:
    assert run("--lladdr", "02:0:5E:0:53:1").options.tun.lladdr == "02:00:5e:00:53:01"
    for bad in ("02:00:5e:00:53", "02:00:5e:00:53:zz", "x", "03:00:5e:00:53:01"):
        with pytest.raises(ConfigError, match="lladdr"):
            run("--lladdr", bad)


def test_flags_and_limits() -> None:
    options = run("--passtos", "--shaper", "20000", "--block-ipv6").options
    assert options.link.passtos
    assert options.link.shaper == 20000
    assert options.routes.block_ipv6
