"""The options compatibility string against what OpenVPN logs for the same settings."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Interface
from pathlib import Path

import pytest

from ginnel.core.options_string import (
    MAX_ITEMS,
    OccTerms,
    client_terms,
    compare,
    expected_from_peer,
    options_string,
    parse_options_string,
    peer_cipher,
)
from ginnel.core.types import Side
from ginnel.options.model import (
    AddressFamily,
    ClientOptions,
    CompressionKind,
    ConnectionProfile,
    ControlWrapping,
    DataOptions,
    KeyDirection,
    LinkProtocol,
    PlainWrapping,
    TlsAuth,
    Topology,
    TunOptions,
)
from ginnel.options.values import FileContent, Origin, Secret

VECTOR = Path(__file__).parents[2] / "vectors" / "control" / "options-strings.json"
CLIENT = OccTerms(side=Side.CLIENT, dev_type="tun", tun_mtu=1500)
DEFAULT_CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")


def terms_for(line: str) -> OccTerms:
    """Understands the option lines of the vector file."""
    terms = replace(CLIENT, data_ciphers=DEFAULT_CIPHERS)
    for option in line.split("--")[1:]:
        name, *values = option.split()
        match name, values:
            case "client", []:
                continue
            case "tls-client", []:
                terms = replace(terms, peer_to_peer=True)
            case "cipher", [cipher]:
                terms = replace(terms, cipher=cipher)
            case "data-ciphers", [ciphers]:
                terms = replace(terms, data_ciphers=tuple(ciphers.split(":")))
            case "auth", [digest]:
                terms = replace(terms, auth=digest)
            case "proto", ["tcp-client"]:
                terms = replace(terms, tcp=True)
            case "tun-mtu", [mtu]:
                terms = replace(terms, tun_mtu=int(mtu))
            case "dev-type", [kind]:
                terms = replace(terms, dev_type=kind)
            case "comp-lzo", ["no"]:
                terms = replace(terms, compression=CompressionKind.LZO_STUB)
            case "fragment", [_]:
                terms = replace(terms, fragment=True)
            case "tls-auth", [_]:
                terms = replace(terms, tls_auth=True)
            case "tls-auth", [_, direction]:
                key_direction = KeyDirection(direction)
                terms = replace(terms, tls_auth=True, key_direction=key_direction)
            case "topology", ["subnet"]:
                terms = replace(terms, topology=Topology.SUBNET)
            case "ifconfig", ["10.0.0.1", "255.255.255.0"]:
                terms = replace(terms, ifconfig=("10.0.0.0", "255.255.255.0"))
            case "ifconfig", [own, peer]:
                terms = replace(terms, ifconfig=(peer, own))
            case "ifconfig-ipv6", [_, _]:
                terms = replace(terms, tun_ipv6=True)
            case _:
                raise AssertionError(f"the test does not know {option}")
    return terms


VECTORS = [
    (vector["options"], vector["local"], vector["expected"])
    for vector in json.loads(VECTOR.read_text())["vectors"]
]


@pytest.mark.parametrize(("line", "local", "expected"), VECTORS)
def test_both_strings_are_openvpns(line: str, local: str, expected: str) -> None:
    terms = terms_for(line)
    assert options_string(terms) == local
    assert options_string(expected_from_peer(terms)) == expected


def test_the_usual_aead_link_mtu_is_1549() -> None:
    terms = replace(CLIENT, cipher="AES-256-GCM", data_ciphers=DEFAULT_CIPHERS)
    assert "link-mtu 1549,tun-mtu 1500" in options_string(terms)


def profile_with(wrapping: ControlWrapping, protocol: LinkProtocol) -> ConnectionProfile:
    return ConnectionProfile(
        host="vpn",
        port="1194",
        protocol=protocol,
        family=AddressFamily.ANY,
        origin=Origin("c", 1),
        wrapping=wrapping,
    )


def test_the_terms_of_a_pulling_client_come_from_its_options() -> None:
    key = FileContent(option="tls-auth", origin=Origin("c", 1), path="t", content=Secret(b""))
    wrapping = TlsAuth(key=key, direction=KeyDirection.INVERSE, digest="SHA512")
    profile = profile_with(wrapping, LinkProtocol.UDP)
    options = ClientOptions(profiles=(profile,), data=DataOptions(auth="SHA512"))
    assert options_string(client_terms(options, profile)) == (
        "V4,dev-type tun,link-mtu 1585,tun-mtu 1500,proto UDPv4,keydir 1,auth SHA512,keysize 128,"
        "tls-auth,key-method 2,tls-client"
    )


@pytest.mark.parametrize(
    ("topology", "second", "words"),
    [
        (Topology.P2P, "10.0.0.2", "ifconfig 10.0.0.2 10.0.0.1"),
        (Topology.SUBNET, "255.255.255.0", "ifconfig 10.0.0.0 255.255.255.0"),
    ],
)
def test_a_client_without_pull_tells_its_addresses(
    topology: Topology, second: str, words: str
) -> None:
    profile = profile_with(PlainWrapping(), LinkProtocol.TCP_CLIENT)
    options = ClientOptions(
        profiles=(profile,),
        pull=False,
        data=DataOptions(data_ciphers_fallback="AES-128-GCM"),
        tun=TunOptions(
            topology=topology,
            ifconfig=(IPv4Address("10.0.0.1"), IPv4Address(second)),
            ifconfig_ipv6=IPv6Interface("fd00::1/64"),
        ),
    )
    assert options_string(client_terms(options, profile)) == (
        f"V4,dev-type tun,link-mtu 1551,tun-mtu 1500,proto TCPv4_CLIENT,tun-ipv6,{words},"
        "cipher AES-128-GCM,auth [null-digest],keysize 128,key-method 2,tls-client"
    )


def test_a_peers_string_is_read_into_items() -> None:
    items = parse_options_string("V4,dev-type tun,cipher AES-256-GCM,dev-type tap,tls-server")
    assert items == {"V4": "", "dev-type": "tun", "cipher": "AES-256-GCM", "tls-server": ""}
    assert peer_cipher(items) == "AES-256-GCM"
    assert peer_cipher({}) is None
    assert peer_cipher({"cipher": "[null-cipher]"}) == "none"
    assert parse_options_string("") == {}


def test_a_hostile_string_is_bounded_and_printable() -> None:
    many = ",".join(f"item{number} x" for number in range(1000))
    assert len(parse_options_string(many)) == MAX_ITEMS
    assert parse_options_string("a\x1b 1,b \n2,c 3") == {"c": "3"}


def test_equal_strings_have_no_mismatch() -> None:
    expected = expected_from_peer(replace(CLIENT, cipher="AES-256-GCM", tls_auth=True))
    assert compare(expected, parse_options_string(options_string(expected))) == ()
    assert compare(expected, {}) == ()


def test_mismatches_name_both_sides_and_tell_how_bad_they_are() -> None:
    expected = expected_from_peer(CLIENT)
    peer = replace(
        expected, dev_type="tap", compression=CompressionKind.STUB, tcp=True, cipher="AES-256-GCM"
    )
    found = compare(expected, parse_options_string(options_string(peer)))
    assert {mismatch.name: mismatch.serious for mismatch in found} == {
        "dev-type": True,
        "link-mtu": False,
        "auth": False,
        "keysize": False,
        "comp-lzo": True,
    }
    texts = [str(mismatch) for mismatch in found]
    assert texts[0] == (
        "'dev-type' is used inconsistently, local='dev-type tun', remote='dev-type tap'"
    )
    assert texts[-1] == "'comp-lzo' is present in remote config but missing in local config"
    [missing] = compare(
        replace(expected, compression=CompressionKind.STUB, tun_mtu=1499),
        {
            **parse_options_string(options_string(expected)),
            "tun-mtu": "1499",
        },
    )
    assert str(missing) == "'comp-lzo' is present in local config but missing in remote config"


@pytest.mark.parametrize(
    ("cipher", "words"),
    [
        ("AES-256-GCM", "link-mtu 1549,tun-mtu 1500,proto UDPv4,cipher AES-256-GCM"),
        ("AES-256-CBC", "link-mtu 1557,tun-mtu 1500,proto UDPv4,auth SHA1,keysize 256"),
    ],
)
def test_a_pulling_client_tells_the_cipher_of_its_file(cipher: str, words: str) -> None:
    profile = profile_with(PlainWrapping(), LinkProtocol.UDP)
    options = ClientOptions(profiles=(profile,), data=DataOptions(configured_cipher=cipher))
    assert words in options_string(client_terms(options, profile))


SECRET = OccTerms(
    side=Side.CLIENT,
    dev_type="tun",
    tun_mtu=1500,
    peer_to_peer=True,
    ifconfig=("10.99.0.2", "10.99.0.1"),
    secret=True,
    key_direction=KeyDirection.NORMAL,
)


@pytest.mark.parametrize(
    ("cipher", "auth", "words"),
    [
        # What OpenVPN 2.6.14 logs as its local options string.
        ("none", "none", "1508|cipher [null-cipher],auth [null-digest],keysize 0,secret"),
        ("DES-EDE3-CBC", "SHA512", "1588|cipher DES-EDE3-CBC,auth SHA512,keysize 192,secret"),
        ("AES-256-CBC", "MD5", "1556|cipher AES-256-CBC,auth MD5,keysize 256,secret"),
    ],
)
def test_a_static_key_tells_what_openvpn_tells(cipher: str, auth: str, words: str) -> None:
    terms = replace(SECRET, cipher=cipher, auth=auth)
    mtu, rest = words.split("|")
    assert options_string(terms) == (
        f"V4,dev-type tun,link-mtu {mtu},tun-mtu 1500,proto UDPv4,ifconfig 10.99.0.2 10.99.0.1,"
        f"keydir 0,{rest}"
    )
    assert options_string(expected_from_peer(terms)) == (
        f"V4,dev-type tun,link-mtu {mtu},tun-mtu 1500,proto UDPv4,ifconfig 10.99.0.1 10.99.0.2,"
        f"keydir 1,{rest}"
    )


def test_a_chosen_key_size_is_told() -> None:
    terms = replace(SECRET, cipher="BF-CBC", keysize=256)
    assert ",keysize 256,secret" in options_string(terms)
    assert ",keysize 192," in options_string(replace(terms, cipher="DES-EDE3-CBC"))
