"""MTU, MSS and peer ids of the agreed tunnel."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.digests import digest_named
from ginnel.core.negotiate import Agreement
from ginnel.core.packet_overhead import packet_overhead
from ginnel.core.tunnel_config import (
    LOCAL_PEER,
    SHORT_BLOCK_LIMIT,
    mss_limits,
    overhead_of,
    tunnel_config,
    with_bytes_limit,
)
from ginnel.core.types import UNDEFINED_PEER_ID, Endpoint, PeerId, Transport
from ginnel.options.model import (
    ClientOptions,
    CompressionKind,
    ConnectionProfile,
    DataOptions,
    DeviceType,
    LinkProtocol,
    SocksProxy,
    TlsOptions,
)
from tests.sim.pair import profile

V4 = Endpoint(ip_address("192.0.2.1"), 1194)
V6 = Endpoint(ip_address("2001:db8::1"), 1194)
AGREEMENT = Agreement(
    cipher=DataCipher.AES_256_GCM,
    format=DataFormat.V2,
    send_peer_id=PeerId(5),
    tls_ekm=True,
    dyn_tls_crypt=False,
    cc_exit=True,
)


def limits(
    connection: ConnectionProfile,
    *,
    tun_mtu: int = 1500,
    remote: Endpoint = V4,
    transport: Transport = Transport.UDP,
    data: DataFormat = DataFormat.V2,
    cipher: DataCipher = DataCipher.AES_256_GCM,
) -> tuple[int, int]:
    digest = None if cipher.is_aead else digest_named("SHA1")
    overhead = packet_overhead(cipher, data, digest)
    cost = overhead_of(
        None,
        DeviceType.TUN,
        profile=connection,
        remote=remote,
        transport=transport,
        packet=overhead,
    )
    return mss_limits(connection, tun_mtu=tun_mtu, overhead=cost)


def test_default_rule_matches_a_live_peer() -> None:
    # Seen with a 2.7 peer: UDP over IPv4, GCM in the epoch format.
    assert limits(profile(), data=DataFormat.EPOCH) == (1396, 1376)


@pytest.mark.parametrize(
    ("remote", "transport", "data", "expected"),
    [
        (V4, Transport.UDP, DataFormat.V2, 1492 - 28 - 24 - 40),
        (V4, Transport.UDP, DataFormat.V1, 1492 - 28 - 21 - 40),
        (V6, Transport.UDP, DataFormat.V2, 1492 - 48 - 24 - 40),
        (V4, Transport.TCP, DataFormat.V2, 1492 - 40 - 26 - 40),
        (V6, Transport.TCP, DataFormat.V2, 1492 - 60 - 26 - 40),
    ],
)
def test_outer_headers_count(
    remote: Endpoint, transport: Transport, data: DataFormat, expected: int
) -> None:
    got = limits(profile(), remote=remote, transport=transport, data=data)
    assert got == (expected, expected - 20)


@pytest.mark.parametrize(
    ("cipher", "data", "expected"),
    [
        # 1464 bytes behind the outer headers: less header, HMAC and IV, in whole blocks.
        (DataCipher.AES_256_CBC, DataFormat.V2, (1464 - 4 - 20 - 16) // 16 * 16 - 1 - 4 - 40),
        (DataCipher.BF_CBC, DataFormat.V1, (1464 - 1 - 20 - 8) // 8 * 8 - 1 - 4 - 40),
        (DataCipher.NONE, DataFormat.V2, 1464 - 4 - 20 - 4 - 40),
        (DataCipher.AES_128_CFB, DataFormat.V2, 1464 - 4 - 20 - 16 - 40),
        (DataCipher.AES_128_CBC, DataFormat.STATIC, (1464 - 36) // 16 * 16 - 1 - 8 - 40),
    ],
)
def test_old_ciphers_have_their_own_overhead(
    cipher: DataCipher, data: DataFormat, expected: int
) -> None:
    assert limits(profile(), cipher=cipher, data=data) == (expected, expected - 20)


def test_short_blocks_limit_the_bytes_under_a_key_unless_the_user_did() -> None:
    options = TlsOptions()
    short = with_bytes_limit(options, DataCipher.BF_CBC)
    assert short.reneg_bytes == SHORT_BLOCK_LIMIT == 64 << 20
    assert with_bytes_limit(options, DataCipher.NONE).reneg_bytes == SHORT_BLOCK_LIMIT
    assert with_bytes_limit(options, DataCipher.AES_256_CBC) is options
    unlimited = TlsOptions(reneg_bytes=0)
    assert with_bytes_limit(unlimited, DataCipher.BF_CBC) is unlimited


def test_other_mtu_is_taken_as_fixed() -> None:
    assert limits(profile(), tun_mtu=1360) == (1320, 1300)


def test_explicit_values_and_modes() -> None:
    base = profile()
    assert limits(replace(base, mssfix=0)) == (0, 0)
    assert limits(replace(base, mssfix=1400)) == (1400 - 24 - 40, 1400 - 24 - 60)
    assert limits(replace(base, mssfix=1400, mssfix_mode="mtu"))[0] == 1400 - 28 - 24 - 40
    assert limits(replace(base, mssfix=1400, mssfix_mode="fixed")) == (1360, 1340)
    assert limits(replace(base, mssfix=50)) == (0, 0)


def test_pushed_mtu_wins_over_the_profiles() -> None:
    connection = replace(profile(), tun_mtu=1400)
    options = ClientOptions(profiles=(connection,))
    kept = tunnel_config(
        options,
        profile=connection,
        remote=V4,
        transport=Transport.UDP,
        agreement=AGREEMENT,
        device_items=("d",),
    )
    assert kept.tun_mtu == 1400
    tun = replace(options.tun, tun_mtu=1360, tun_mtu_pushed=True)
    pushed = tunnel_config(
        replace(options, tun=tun),
        profile=connection,
        remote=V4,
        transport=Transport.UDP,
        agreement=AGREEMENT,
        device_items=("d",),
    )
    assert (pushed.tun_mtu, pushed.mss_ipv4) == (1360, 1320)
    assert (pushed.peer_id, pushed.send_peer_id) == (5, 5)


def test_without_a_peer_id_a_local_handle_serves() -> None:
    connection = profile()
    config = tunnel_config(
        ClientOptions(profiles=(connection,)),
        profile=connection,
        remote=V4,
        transport=Transport.UDP,
        agreement=replace(AGREEMENT, send_peer_id=UNDEFINED_PEER_ID, format=DataFormat.V1),
        device_items=(),
    )
    assert (config.peer_id, config.send_peer_id) == (LOCAL_PEER, UNDEFINED_PEER_ID)


@pytest.mark.parametrize(
    ("fragment", "counts_outer", "kind", "expected"),
    [
        # Logged by openvpn 2.6.14 as mss_fix and max_frag, AES-256-GCM over UDP and IPv4.
        (0, False, None, (1400, 0)),
        (0, False, CompressionKind.LZO_STUB, (1399, 0)),
        (0, False, CompressionKind.STUB, (1399, 0)),
        (0, False, CompressionKind.STUB_V2, (1400, 0)),
        (1300, False, CompressionKind.LZO, (1203, 1272)),
        (1300, True, None, (1204, 1244)),
    ],
)
def test_framing_and_fragments_cost_what_they_cost_openvpn(
    fragment: int,
    counts_outer: bool,
    kind: CompressionKind | None,
    expected: tuple[int, int],
) -> None:
    connection = replace(profile(), fragment=fragment, fragment_mtu=counts_outer)
    config = tunnel_config(
        ClientOptions(profiles=(connection,), data=DataOptions(compression=kind)),
        profile=connection,
        remote=V4,
        transport=Transport.UDP,
        agreement=AGREEMENT,
        device_items=(),
    )
    assert (config.mss_ipv4, config.payload.fragment) == expected


def test_an_ethernet_header_counts_and_link_mtu_leaves_less() -> None:
    packet = packet_overhead(DataCipher.AES_256_GCM, DataFormat.V2, None)
    cost = overhead_of(
        None, DeviceType.TAP, profile=profile(), remote=V4, transport=Transport.UDP, packet=packet
    )
    assert (cost.outer, cost.inside_datagram, cost.payload) == (28, 38, 14)
    connection = replace(profile(), link_mtu=1400, mssfix=0)
    config = tunnel_config(
        ClientOptions(profiles=(connection,)),
        profile=connection,
        remote=V4,
        transport=Transport.UDP,
        agreement=AGREEMENT,
        device_items=(),
    )
    # Logged by openvpn 2.6.14 before the push.
    assert (config.tun_mtu, config.mss_ipv4) == (1375, 0)


@pytest.mark.parametrize(("remote", "header"), [(V4, 10), (V6, 22)])
def test_the_header_of_a_socks_relay_counts(remote: Endpoint, header: int) -> None:
    relayed = replace(profile(), proxy=SocksProxy(host="p", port="1080"))
    plain, behind = limits(profile(), remote=remote), limits(relayed, remote=remote)
    assert [one - other for one, other in zip(plain, behind, strict=True)] == [header, header]
    tcp = replace(relayed, protocol=LinkProtocol.TCP_CLIENT)
    stream = Transport.TCP
    assert limits(tcp, transport=stream) == limits(profile(), transport=stream)
