"""Peer info in both directions."""

import json
from pathlib import Path

from ginnel.core.key_method import decode_key_method
from ginnel.core.peer_info import (
    COMPRESSION_STUBS,
    MAX_LINES,
    Detail,
    LocalFacts,
    LocalPeer,
    ProtocolFlag,
    build_peer_info,
    parse_peer_info,
    protocol_flags,
)
from ginnel.core.types import Side

VECTOR = Path(__file__).parents[2] / "vectors" / "control" / "key-exchange.json"
FLAGS = (
    ProtocolFlag.DATA_V2
    | ProtocolFlag.REQUEST_PUSH
    | ProtocolFlag.TLS_KEY_EXPORT
    | ProtocolFlag.AUTH_PENDING_KEYWORDS
    | ProtocolFlag.DNS_OPTION
    | ProtocolFlag.CC_EXIT
    | ProtocolFlag.AUTH_FAIL_TEMP
    | ProtocolFlag.DYN_TLS_CRYPT
)
FACTS = LocalFacts(version="2.6.14")
PEER = LocalPeer(
    facts=LocalFacts(
        version="2.6.14",
        hardware_address="02:00:00:00:00:01",
        ssl_library="OpenSSL 3.5",
        platform_version="6.1",
    ),
    flags=FLAGS,
    ciphers=("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"),
    tun_mtu_max=1600,
    environment={"UV_SITE": "leeds", "IV_SSO": "webauth", "IV_GUI_VER": "gui 1", "IV_X": "1"},
)


def openvpns_lines() -> str:
    record = json.loads(VECTOR.read_text())["client_records"][0]
    return decode_key_method(bytes.fromhex(record), Side.CLIENT).peer_info


def test_our_lines_come_as_openvpns() -> None:
    pull = LocalPeer(
        facts=FACTS,
        flags=FLAGS,
        ciphers=PEER.ciphers,
        tun_mtu_max=1600,
        compression=COMPRESSION_STUBS,
    )
    assert build_peer_info(pull, Detail.PULL) == openvpns_lines()


def test_each_level_tells_more() -> None:
    names = {detail: list(parse_peer_info(build_peer_info(PEER, detail))) for detail in Detail}
    assert names[Detail.NOTHING] == []
    assert names[Detail.P2P] == ["IV_VER", "IV_PLAT", "IV_NCP", "IV_CIPHERS", "IV_PROTO"]
    assert set(names[Detail.PULL]) - set(names[Detail.P2P]) == {
        "IV_TCPNL",
        "IV_MTU",
        "IV_GUI_VER",
        "IV_SSO",
    }
    assert set(names[Detail.FULL]) - set(names[Detail.PULL]) == {
        "IV_HWADDR",
        "IV_SSL",
        "IV_PLAT_VER",
        "UV_SITE",
    }


def test_ncp_is_told_only_with_both_gcm_ciphers() -> None:
    one = LocalPeer(facts=FACTS, flags=FLAGS, ciphers=("AES-256-GCM",))
    assert "IV_NCP" not in build_peer_info(one, Detail.PULL)
    none = LocalPeer(facts=FACTS, flags=FLAGS)
    assert "IV_CIPHERS" not in build_peer_info(none, Detail.PULL)


def test_a_value_cannot_smuggle_a_line() -> None:
    forged = LocalPeer(facts=LocalFacts(version="1\nIV_PROTO=0"), flags=FLAGS)
    assert "IV_VER" not in build_peer_info(forged, Detail.P2P)


def test_parsing_keeps_known_names_and_harmless_values() -> None:
    text = (
        "IV_VER=2.6\nUV_A=b=c\nPATH=/tmp\nIV_X\x07=1\nIV_Y=\x1b[0m\nno line\nIV_Z\n=1\nIV_VER=2.7"
    )
    assert parse_peer_info(text) == {"IV_VER": "2.7", "UV_A": "b=c", "IV_Y": "_[0m"}
    harmful = "UV_A=a $(rm `x` \"'zoë\r"
    assert parse_peer_info(harmful) == {"UV_A": "a___rm__x__\"'zo__"}


def test_parsing_is_bounded() -> None:
    many = "".join(f"IV_{number}=1\n" for number in range(10_000))
    assert len(parse_peer_info(many)) == MAX_LINES
    assert parse_peer_info("IV_A=" + "x" * 513) == {}
    assert parse_peer_info("IV_" + "A" * 62 + "=1") == {}


def test_what_openvpn_announces_is_understood() -> None:
    found = parse_peer_info(openvpns_lines())
    assert found["IV_VER"] == "2.6.14"
    assert protocol_flags(found) == FLAGS


def test_nonsense_flags_are_none_and_unknown_bits_are_dropped() -> None:
    for text in ("", "x", "-1", "1e3", "9" * 11, "٣"):
        assert protocol_flags({"IV_PROTO": text}) == ProtocolFlag(0)
    assert protocol_flags({}) == ProtocolFlag(0)
    assert protocol_flags({"IV_PROTO": str(1 << 1 | 1 << 20)}) == ProtocolFlag.DATA_V2


def test_every_flag_is_known() -> None:
    flags = [flag for name, flag in vars(ProtocolFlag).items() if name.isupper()]
    assert ProtocolFlag.DATA_EPOCH in flags
    for flag in flags:
        assert protocol_flags({"IV_PROTO": str(int(flag))}) == flag


def test_lines_at_full_detail_come_as_openvpns() -> None:
    """Order and form as of openvpn 2.6.14 with push-peer-info and these variables."""
    lines = build_peer_info(PEER, Detail.FULL).splitlines()
    assert lines[-6:] == [
        "IV_HWADDR=02:00:00:00:00:01",
        "IV_SSL=OpenSSL_3.5",
        "IV_PLAT_VER=6.1",
        "UV_SITE=leeds",
        "IV_SSO=webauth",
        "IV_GUI_VER=gui 1",
    ]


def test_ways_to_log_in_are_told_unless_the_configuration_names_them() -> None:
    facts = LocalFacts(version="2.6.14", login_methods="crtext")
    offering = LocalPeer(facts=facts, flags=FLAGS)
    assert parse_peer_info(build_peer_info(offering, Detail.PULL))["IV_SSO"] == "crtext"
    assert "IV_SSO" not in build_peer_info(offering, Detail.P2P)
    named = LocalPeer(facts=facts, flags=FLAGS, environment={"IV_SSO": "webauth"})
    assert build_peer_info(named, Detail.PULL).count("IV_SSO") == 1
