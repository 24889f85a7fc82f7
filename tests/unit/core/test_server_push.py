"""Filters and order of what is pushed."""

from ipaddress import IPv4Address, IPv6Address, IPv6Interface

import pytest

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.negotiate import Agreement
from ginnel.core.server_actions import ClientTerms
from ginnel.core.server_push import PushToken, compose_push, pushes_for
from ginnel.core.types import UNDEFINED_PEER_ID, PeerId
from ginnel.dataclass import replace
from ginnel.options.model import CompressionKind
from ginnel.options.server_model import ClientConfig
from ginnel.options.values import Secret

COMMON = ("route 10.1.0.0 255.255.0.0", "route-ipv6 2001:db8::/32", "ping 10")
AGREEMENT = Agreement(
    cipher=DataCipher.AES_256_GCM,
    format=DataFormat.V2,
    send_peer_id=PeerId(7),
    tls_ekm=True,
    dyn_tls_crypt=True,
    cc_exit=True,
)
TERMS = ClientTerms(
    config=ClientConfig(),
    ifconfig=(IPv4Address("10.8.0.6"), IPv4Address("10.8.0.5")),
    ifconfig_ipv6=(IPv6Interface("2001:db8:1::2/64"), IPv6Address("2001:db8:1::1")),
    push=("ping 10",),
)
NEW = {"IV_CIPHERS": "AES-256-GCM", "IV_PROTO": "990", "IV_MTU": "1600"}


def push(
    terms: ClientTerms = TERMS,
    agreement: Agreement = AGREEMENT,
    peer_info: dict[str, str] | None = None,
    **more: object,
) -> list[str]:
    arguments: dict[str, object] = {"tun_mtu": 1400, "token": None} | more
    told = NEW if peer_info is None else peer_info
    return list(compose_push(terms, agreement, peer_info=told, **arguments))  # type: ignore[arg-type]  # names are the test's


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ClientConfig(), COMMON),
        (ClientConfig(push=("x",)), (*COMMON, "x")),
        (ClientConfig(push_reset=True, push=("x",)), ("x",)),
        (ClientConfig(push_remove=("route",)), ("ping 10",)),
        (ClientConfig(push_remove=("route ",)), COMMON[1:]),
        (ClientConfig(push_remove=("ifconfig", "ping"), push=("ping 5",)), (*COMMON[:2], "ping 5")),
    ],
)
def test_a_clients_own_settings_filter_what_is_for_all(
    config: ClientConfig, expected: tuple[str, ...]
) -> None:
    assert pushes_for(COMMON, config) == expected


def test_the_order_is_openvpns() -> None:
    token = PushToken(token=Secret(b"SESS_ID_AT_x"), username="user")
    assert push(token=token) == [
        "ping 10",
        "ifconfig-ipv6 2001:db8:1::2/64 2001:db8:1::1",
        "ifconfig 10.8.0.6 10.8.0.5",
        "peer-id 7",
        "auth-token SESS_ID_AT_x",
        "auth-token-user dXNlcg==",
        "cipher AES-256-GCM",
        "protocol-flags cc-exit tls-ekm dyn-tls-crypt",
        "tun-mtu 1400",
    ]


def test_addresses_can_be_kept_back() -> None:
    config = ClientConfig(push_remove=("ifconfig-ipv6",))
    items = push(replace(TERMS, config=config))
    assert "ifconfig 10.8.0.6 10.8.0.5" in items
    assert not any(item.startswith("ifconfig-ipv6") for item in items)
    config = ClientConfig(push_remove=("ifconfig",))
    items = push(replace(TERMS, config=config))
    assert not any(item.startswith("ifconfig ") for item in items)
    assert any(item.startswith("ifconfig-ipv6 ") for item in items)


def test_an_old_client_is_told_no_more_than_it_knows() -> None:
    plain = replace(
        AGREEMENT,
        tls_ekm=False,
        dyn_tls_crypt=False,
        cc_exit=False,
        format=DataFormat.V1,
        send_peer_id=UNDEFINED_PEER_ID,
    )
    bare = replace(TERMS, ifconfig_ipv6=None)
    assert push(bare, plain, {}) == ["ping 10", "ifconfig 10.8.0.6 10.8.0.5"]
    assert "cipher AES-256-GCM" in push(bare, plain, {"IV_NCP": "2"})


def test_a_client_of_2_5_hears_of_exported_keys_in_its_words() -> None:
    agreement = replace(AGREEMENT, dyn_tls_crypt=False, cc_exit=False)
    items = push(TERMS, agreement, {"IV_PROTO": "14"})
    assert "key-derivation tls-ekm" in items
    assert not any(item.startswith("protocol-flags") for item in items)


def test_epoch_keys_are_announced() -> None:
    epoch = replace(AGREEMENT, format=DataFormat.EPOCH)
    assert "protocol-flags cc-exit tls-ekm dyn-tls-crypt aead-epoch" in push(TERMS, epoch)


def test_a_client_is_moved_off_compression() -> None:
    assert push(compression=CompressionKind.STUB_V2)[1] == "compress stub-v2"
    assert push(compression=CompressionKind.LZO_STUB)[1] == "comp-lzo no"
