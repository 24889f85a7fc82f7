"""The server's options string, and what does not fit in a client's."""

from ginnel.core.key_method import decode_key_method
from ginnel.core.options_string import options_string, parse_options_string
from ginnel.core.server_exchange import answer, mismatches, server_terms
from ginnel.core.types import Side, Transport
from ginnel.options.model import DataOptions, KeyDirection, TlsAuth
from tests.sim.duo import server_options
from tests.sim.pair import STATIC_KEY

CLIENT = (
    "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth SHA1,keysize 128,"
    "key-method 2,tls-client"
)


def test_the_string_is_that_of_the_real_server() -> None:
    # 2.6.14 with the same options.
    assert options_string(server_terms(server_options(), Transport.UDP, {})) == (
        "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth SHA1,keysize 128,"
        "key-method 2,tls-server"
    )


def test_over_tcp_and_with_tls_auth_it_says_so() -> None:
    options = server_options(
        wrapping=TlsAuth(key=STATIC_KEY, direction=KeyDirection.NORMAL, digest="SHA1")
    )
    text = options_string(server_terms(options, Transport.TCP, {}))
    assert "proto TCPv4_SERVER" in text
    assert "keydir 0" in text
    assert "tls-auth" in text


def test_a_client_with_compression_is_told_what_it_has() -> None:
    migrating = server_options(compress_migrate=True)
    compressing = parse_options_string(f"{CLIENT},comp-lzo")
    assert "comp-lzo" in options_string(server_terms(migrating, Transport.UDP, compressing))
    for options, items in (
        (migrating, parse_options_string(CLIENT)),
        (server_options(), compressing),
    ):
        assert "comp-lzo" not in options_string(server_terms(options, Transport.UDP, items))


def test_what_differs_is_named() -> None:
    terms = server_terms(server_options(), Transport.UDP, {})
    assert mismatches(terms, parse_options_string(CLIENT)) == ()
    other = parse_options_string(CLIENT.replace("dev-type tun", "dev-type tap"))
    (found,) = mismatches(terms, other)
    assert found.serious
    assert "dev-type" in str(found)


def test_our_message_has_no_pre_master_and_no_login() -> None:
    terms = server_terms(server_options(data=DataOptions()), Transport.UDP, {})
    source, message = answer(terms, bytes)
    decoded = decode_key_method(bytes(message), Side.SERVER)
    assert decoded.source == source
    assert len(source.pre_master) == 0
    assert (decoded.username, decoded.peer_info) == ("", "")
