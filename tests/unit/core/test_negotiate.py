"""Choice of cipher, format and features, table by table."""

from dataclasses import replace

import pytest

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.digests import digest_named
from ginnel.core.errors import PeerIncompatible
from ginnel.core.negotiate import (
    NO_SHARED_CIPHER,
    P2P_PEER_ID,
    Agreement,
    DataCapabilities,
    agree_as_peers,
    agree_on_pull,
    agree_without_tls,
    choose_cipher,
    choose_for_client,
    explain_mismatch,
    offered_ciphers,
    offered_flags,
)
from ginnel.core.peer_info import ProtocolFlag
from ginnel.core.types import UNDEFINED_PEER_ID, PeerId
from ginnel.options.model import DataOptions

ALL = DataCapabilities(ciphers=frozenset(DataCipher), formats=frozenset(DataFormat))
NO_EPOCH = replace(ALL, formats=frozenset({DataFormat.V1, DataFormat.V2}))
DERIVED = PeerId(0x123456)


def test_offer_keeps_order_and_drops_what_cannot_be_done() -> None:
    options = DataOptions(data_ciphers=("chacha20-poly1305", "ARIA-256-CBC", "AES-128-GCM"))
    assert offered_ciphers(options, ALL) == ("CHACHA20-POLY1305", "AES-128-GCM")
    only = replace(ALL, ciphers=frozenset({DataCipher.AES_128_GCM}))
    assert offered_ciphers(options, only) == ("AES-128-GCM",)


def test_flags_of_a_pulling_client_and_of_a_peer() -> None:
    assert int(offered_flags(NO_EPOCH, pull=True)) == 990 + 2048 + 4096
    assert int(offered_flags(ALL, pull=True)) == 990 + 2048 + 4096 + 1024
    peer = offered_flags(NO_EPOCH, pull=False)
    assert ProtocolFlag.NCP_P2P in peer
    assert ProtocolFlag.REQUEST_PUSH not in peer


@pytest.mark.parametrize(
    ("pushed", "occ", "fallback", "chosen"),
    [
        ("AES-128-GCM", None, None, DataCipher.AES_128_GCM),
        ("aes-128-gcm", None, None, DataCipher.AES_128_GCM),
        ("ChaCha20-Poly1305", "AES-256-GCM", None, DataCipher.CHACHA20_POLY1305),
        ("AES-192-GCM", None, "AES-192-GCM", DataCipher.AES_192_GCM),
        (None, "AES-256-GCM", None, DataCipher.AES_256_GCM),
        (None, None, "AES-128-GCM", DataCipher.AES_128_GCM),
        (None, "AES-256-GCM", "AES-128-GCM", DataCipher.AES_256_GCM),
    ],
)
def test_pulled_cipher(
    pushed: str | None, occ: str | None, fallback: str | None, chosen: DataCipher
) -> None:
    options = DataOptions(cipher=pushed, data_ciphers_fallback=fallback, peer_id=3)
    agreement = agree_on_pull(options, occ, ALL)
    assert agreement.cipher is chosen
    assert agreement.format is DataFormat.V2
    assert agreement.send_peer_id == 3


@pytest.mark.parametrize(
    ("options", "occ", "said"),
    [
        (DataOptions(cipher="AES-192-GCM"), None, "AES-192-GCM"),
        (DataOptions(), "BF-CBC", "BF-CBC"),
        (DataOptions(), "BF-CBC", "data-ciphers"),
        (DataOptions(), None, "data-ciphers-fallback"),
        (DataOptions(data_ciphers_fallback="ARIA-256-CBC"), None, "not available"),
        (DataOptions(data_ciphers_fallback="BF-CBC", auth="SM3"), None, "--auth SM3"),
    ],
)
def test_no_cipher_in_common_names_the_fix(
    options: DataOptions, occ: str | None, said: str
) -> None:
    with pytest.raises(PeerIncompatible) as caught:
        agree_on_pull(options, occ, ALL)
    assert said in caught.value.reason


def test_old_ciphers_bring_their_digest_and_key_size() -> None:
    options = DataOptions(
        data_ciphers=("AES-256-CBC", "BF-CBC"), auth="SHA512", keysize=256, peer_id=1
    )
    cbc = agree_on_pull(replace(options, cipher="AES-256-CBC"), None, ALL)
    assert (cbc.cipher, cbc.digest) == (DataCipher.AES_256_CBC, digest_named("SHA512"))
    assert (cbc.cipher_key_length, cbc.key_bits) == (None, 256)
    blowfish = agree_on_pull(options, "bf-cbc", ALL)
    assert (blowfish.cipher_key_length, blowfish.key_bits) == (32, 256)
    bare = agree_on_pull(replace(options, auth="none"), "AES-256-CBC", ALL)
    assert bare.digest is None
    assert agree_on_pull(DataOptions(cipher="AES-256-GCM"), None, ALL).digest is None


def test_no_cipher_goes_by_both_of_its_names() -> None:
    options = DataOptions(data_ciphers=("none",))
    assert agree_on_pull(options, "[null-cipher]", ALL).cipher is DataCipher.NONE


def test_epochs_are_for_aead_alone() -> None:
    options = DataOptions(
        data_ciphers=("AES-256-CBC",),
        cipher="AES-256-CBC",
        peer_id=1,
        tls_ekm=True,
        aead_epoch=True,
    )
    assert agree_on_pull(options, None, ALL).format is DataFormat.V2


def test_without_negotiation_nothing_is_offered() -> None:
    assert offered_ciphers(DataOptions(negotiates=False), ALL) == ()


def test_a_static_key_takes_what_the_file_says() -> None:
    agreement = agree_without_tls(DataOptions(configured_cipher="AES-256-CBC"), ALL)
    assert (agreement.cipher, agreement.format) == (DataCipher.AES_256_CBC, DataFormat.STATIC)
    assert agreement.digest == digest_named("SHA1")
    assert agreement.key_shape.format is DataFormat.STATIC
    for options, said in (
        (DataOptions(), "needs the cipher"),
        (DataOptions(configured_cipher="AES-256-GCM"), "cannot be used with a static key"),
        (DataOptions(configured_cipher="AES-256-CFB"), "cannot be used with a static key"),
    ):
        with pytest.raises(PeerIncompatible, match=said):
            agree_without_tls(options, ALL)


def test_format_follows_peer_id_and_epoch() -> None:
    plain = DataOptions(cipher="AES-256-GCM")
    assert agree_on_pull(plain, None, ALL).format is DataFormat.V1
    assert agree_on_pull(plain, None, ALL).send_peer_id == UNDEFINED_PEER_ID
    epoch = replace(plain, peer_id=0, tls_ekm=True, aead_epoch=True)
    agreement = agree_on_pull(epoch, None, ALL)
    assert agreement.format is DataFormat.EPOCH
    assert agreement.flags() == ("tls-ekm", "aead-epoch")
    for wrong in (replace(epoch, tls_ekm=False), replace(epoch, peer_id=None)):
        with pytest.raises(PeerIncompatible):
            agree_on_pull(wrong, None, ALL)
    with pytest.raises(PeerIncompatible):
        agree_on_pull(epoch, None, NO_EPOCH)


def peers(
    info: dict[str, str], options: DataOptions | None = None, *, server: bool = False
) -> Agreement:
    return agree_as_peers(
        DataOptions() if options is None else options,
        peer_info=info,
        capabilities=NO_EPOCH,
        derive_peer_id=lambda: DERIVED,
        we_are_server=server,
    )


def test_peers_follow_the_servers_order() -> None:
    info = {"IV_PROTO": "682", "IV_CIPHERS": "CHACHA20-POLY1305:AES-256-GCM"}
    assert peers(info).cipher is DataCipher.CHACHA20_POLY1305
    assert peers(info, server=True).cipher is DataCipher.AES_256_GCM


def test_peers_share_only_what_both_announce() -> None:
    both = peers({"IV_PROTO": "682", "IV_CIPHERS": "AES-256-GCM"})
    assert (both.send_peer_id, both.tls_ekm, both.dyn_tls_crypt, both.cc_exit) == (
        DERIVED,
        True,
        True,
        True,
    )
    older = peers({"IV_PROTO": "34", "IV_CIPHERS": "AES-256-GCM"})
    assert (older.send_peer_id, older.tls_ekm, older.cc_exit) == (P2P_PEER_ID, False, False)


def test_peer_without_negotiation_gets_the_fallback_and_the_old_format() -> None:
    silent = peers({}, DataOptions(data_ciphers_fallback="AES-128-GCM"))
    assert silent.cipher is DataCipher.AES_128_GCM
    assert silent.format is DataFormat.V1


def test_peer_without_negotiation_gets_the_cipher_of_the_file() -> None:
    assert peers({}, DataOptions(configured_cipher="AES-128-GCM")).cipher is DataCipher.AES_128_GCM
    both = DataOptions(configured_cipher="AES-128-GCM", data_ciphers_fallback="AES-256-GCM")
    assert peers({}, both).cipher is DataCipher.AES_256_GCM


def test_peers_without_a_common_cipher_are_told_both_lists() -> None:
    with pytest.raises(PeerIncompatible) as caught:
        peers({"IV_PROTO": "682", "IV_CIPHERS": "BF-CBC"})
    assert "BF-CBC" in caught.value.reason
    assert "AES-256-GCM" in caught.value.reason


def test_choice_is_the_servers_first_in_the_clients_set() -> None:
    assert choose_cipher(("A", "b", "C"), ("c", "B")) == "b"
    assert choose_cipher(("A",), ()) is None


@pytest.mark.parametrize(
    ("info", "occ", "fallback", "chosen"),
    [
        ({"IV_CIPHERS": "AES-128-GCM:AES-256-GCM"}, "BF-CBC", None, "AES-256-GCM"),
        ({"IV_NCP": "2"}, None, None, "AES-256-GCM"),
        ({}, "AES-128-GCM", None, "AES-128-GCM"),
        ({}, None, "AES-256-CBC", "AES-256-CBC"),
    ],
)
def test_server_side_choice(
    info: dict[str, str], occ: str | None, fallback: str | None, chosen: str
) -> None:
    options = DataOptions(data_ciphers_fallback=fallback)
    assert choose_for_client(options, peer_info=info, peer_cipher=occ) == chosen


@pytest.mark.parametrize(
    ("info", "occ"), [({"IV_CIPHERS": "BF-CBC"}, None), ({}, "BF-CBC"), ({}, None)]
)
def test_server_side_refusal(info: dict[str, str], occ: str | None) -> None:
    with pytest.raises(PeerIncompatible) as caught:
        choose_for_client(DataOptions(), peer_info=info, peer_cipher=occ)
    assert caught.value.reason.endswith("(no shared cipher)")


@pytest.mark.parametrize(
    ("peer_info", "peer_cipher", "told"),
    [
        ({"IV_CIPHERS": "AES-192-GCM"}, None, "client supported ciphers 'AES-192-GCM'"),
        ({"IV_NCP": "2"}, "BF-CBC", "client supported ciphers 'AES-256-GCM:AES-128-GCM'"),
        ({}, "BF-CBC", "client supports cipher 'BF-CBC'"),
        ({}, None, "No NCP or OCC cipher data received"),
    ],
)
def test_a_client_without_a_common_cipher_is_explained(
    peer_info: dict[str, str], peer_cipher: str | None, told: str
) -> None:
    refused = PeerIncompatible(NO_SHARED_CIPHER)
    options = DataOptions(data_ciphers=("CHACHA20-POLY1305",))
    assert told in explain_mismatch(refused, options, peer_info, peer_cipher)
    other = PeerIncompatible("something else")
    assert "something else" in explain_mismatch(other, options, peer_info, peer_cipher)
