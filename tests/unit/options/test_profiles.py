"""Remotes and <connection> blocks."""

import pytest

from ginnel.options.draft import MAX_REMOTES
from ginnel.options.errors import ConfigError
from ginnel.options.model import (
    AddressFamily,
    ConnectionProfile,
    KeyDirection,
    LinkProtocol,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
)
from tests.unit.options.memory_files import STATIC_KEY, run, run_config

HEAD = "client\nca ca.crt\nauth-user-pass login\n"


def profiles(text: str) -> tuple[ConnectionProfile, ...]:
    return run_config(HEAD + text).options.profiles


def places(text: str) -> list[tuple[str, str]]:
    return [(profile.host, profile.port) for profile in profiles(text)]


def test_remotes_keep_their_order_and_fill_in_defaults() -> None:
    text = "remote a\nremote b 443\nport 1195\nremote 2001:db8::1 5 udp6\n"
    assert places(text) == [("a", "1195"), ("b", "443"), ("2001:db8::1", "5")]


def test_a_remote_inherits_the_protocol_of_the_whole_file() -> None:
    one, two, three = profiles("remote a\nremote b 1 udp6\nproto udp4\nremote c 1 udp\n")
    assert one.family is AddressFamily.IPV4
    assert two.family is AddressFamily.IPV6
    assert three.family is AddressFamily.ANY
    assert {entry.protocol for entry in (one, two, three)} == {LinkProtocol.UDP}


def test_each_profile_knows_its_line() -> None:
    one, two = profiles("remote a\n\nremote b\n")
    assert (str(one.origin), str(two.origin)) == ("c.ovpn:4", "c.ovpn:6")


def test_a_service_name_is_a_port() -> None:
    assert places("remote a openvpn\n") == [("a", "openvpn")]


def test_without_a_remote_there_is_nothing_to_do() -> None:
    with pytest.raises(ConfigError, match=r"--remote HOST"):
        profiles("verb 1\n")


def test_too_many_remotes_are_refused() -> None:
    assert len(profiles("remote a\n" * MAX_REMOTES)) == MAX_REMOTES
    with pytest.raises(ConfigError, match="more than 64 remotes"):
        profiles("remote a\n" * (MAX_REMOTES + 1))


def test_a_listening_client_is_refused_by_the_line_that_asks() -> None:
    with pytest.raises(ConfigError, match=r"In c\.ovpn:5: --proto tcp-server .* not supported"):
        profiles("remote a\nproto tcp-server\n")
    with pytest.raises(ConfigError, match=r"In c\.ovpn:5: --proto tcp-server .* not supported"):
        profiles("remote a\nremote b 443 tcp4-server\n")


@pytest.mark.parametrize("word", ["tcp", "tcp-client", "tcp4", "tcp6-client"])
def test_each_remote_has_its_own_transport(word: str) -> None:
    family = AddressFamily.ANY
    if word[3:4].isdigit():
        family = AddressFamily(word[3])
    for text in (
        f"remote a 1 udp\nremote b 443 {word}\n",
        f"remote a 1 udp\nproto {word}\nremote b\n",
    ):
        first, second = profiles(text)
        assert first.protocol is LinkProtocol.UDP
        assert (second.protocol, second.family) == (LinkProtocol.TCP_CLIENT, family)
        assert not second.bind


def test_a_tcp_server_is_not_told_goodbye() -> None:
    first, second = profiles("remote a 1 tcp\nremote b 2 udp\nexplicit-exit-notify 2\n")
    assert (first.explicit_exit_notify, second.explicit_exit_notify) == (None, 2)
    notes = run_config(HEAD + "remote a 1 tcp\nexplicit-exit-notify 2\n").notes
    assert "NOTICE: --explicit-exit-notify ignored for --proto tcp" in [n.text for n in notes]


def test_proto_force_keeps_the_remotes_of_a_transport() -> None:
    kept = profiles("remote a 1 tcp\nremote b 2 udp\nproto-force udp\n")
    assert [(entry.host, entry.enabled) for entry in kept] == [("a", False), ("b", True)]
    with pytest.raises(ConfigError, match="proto-force udp leaves no remote"):
        profiles("remote a 1 tcp\nproto-force udp\n")


# --- binding -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "bind", "lport"),
    [
        ("", False, None),
        ("nobind", False, None),
        ("bind", True, "1194"),
        ("lport 5000", True, "5000"),
        ("local 192.0.2.9", True, "1194"),
        ("port 5000", False, None),
        ("bind\nport 5000", True, "5000"),
    ],
)
def test_binding_is_implied_only_when_something_asks(words: str, bind: bool, lport: str) -> None:
    (profile,) = profiles(f"remote a\n{words}\n")
    assert (profile.bind, profile.lport) == (bind, lport)


def test_a_tls_client_without_pull_binds_by_default() -> None:
    text = "tls-client\nca ca.crt\ncert me.crt\nkey me.key\nremote a\n"
    (profile,) = run_config(text).options.profiles
    assert (profile.bind, profile.lport) == (True, "1194")


@pytest.mark.parametrize("words", ["lport 1", "local x", "bind"])
def test_nobind_excludes_binding(words: str) -> None:
    with pytest.raises(ConfigError, match="and --nobind don't make sense"):
        profiles(f"remote a\nnobind\n{words}\n")


def test_bind_can_keep_ipv4_out() -> None:
    (profile,) = profiles("remote a\nbind ipv6only\n")
    assert profile.bind_ipv6only


# --- blocks ------------------------------------------------------------------------------------


def test_blocks_start_from_what_was_set_before_them() -> None:
    text = "connect-timeout 7\n<connection>\nremote a\n</connection>\nconnect-timeout 9\n"
    text += "<connection>\nremote b 5 udp4\nconnect-timeout 3\nfloat\n</connection>\n"
    one, two = profiles(text)
    assert (one.connect_timeout, one.float) == (7, False)
    assert (two.connect_timeout, two.float, two.family) == (3, True, AddressFamily.IPV4)


def test_blocks_do_not_leak_into_each_other_or_the_base() -> None:
    text = (
        "<connection>\nremote a\ntun-mtu 1300\nmssfix 1200\nmtu-disc yes\nnobind\n</connection>\n"
    )
    text += "<connection>\nremote b\n</connection>\n"
    result = run_config(HEAD + text).options
    one, two = result.profiles
    assert (one.tun_mtu, one.mssfix, one.mtu_disc) == (1300, 1200, "yes")
    assert (two.tun_mtu, two.mssfix, two.mtu_disc) == (1500, None, None)
    assert result.tun.tun_mtu == 1500
    assert not result.tun.tun_mtu_defined
    assert result.link.mtu_disc is None


def test_blocks_complete_their_key_from_outside_wherever_it_stands() -> None:
    text = "<connection>\nremote a\n</connection>\ntls-auth ta.key 1\n"
    (profile,) = profiles(text)
    assert isinstance(profile.wrapping, TlsAuth)
    assert profile.wrapping.direction is KeyDirection.INVERSE


def test_a_block_may_have_its_own_key() -> None:
    text = "tls-auth ta.key 1\n<connection>\nremote a\ntls-crypt ta.key\n</connection>\n"
    (profile,) = profiles(text)
    assert isinstance(profile.wrapping, TlsCrypt)


def test_a_block_may_hold_a_key_inline() -> None:
    inner = f"<tls-crypt>\n{STATIC_KEY.decode()}</tls-crypt>\n"
    (profile,) = profiles(f"<connection>\nremote a\n{inner}</connection>\n")
    assert isinstance(profile.wrapping, TlsCrypt)
    assert profile.wrapping.key.path is None


def test_errors_in_a_block_name_the_line_of_the_file() -> None:
    text = "<connection>\nremote a\nverb 3\n</connection>\n"
    with pytest.raises(ConfigError, match=r"In c\.ovpn:6: option 'verb' cannot be used") as raised:
        profiles(text)
    assert "[CONNECTION-OPTIONS]" in raised.value.message


@pytest.mark.parametrize("inner", ["", "remote a\nremote b\n"])
def test_a_block_has_exactly_one_remote(inner: str) -> None:
    with pytest.raises(ConfigError, match="exactly one remote"):
        profiles(f"<connection>\n{inner}</connection>\n")


def test_remotes_outside_of_blocks_are_not_used() -> None:
    """As openvpn 2.6.14 does, but said aloud."""
    text = "remote x\n<connection>\nremote a\n</connection>\n"
    resolved = run_config(HEAD + text)
    assert [profile.host for profile in resolved.options.profiles] == ["a"]
    assert any("remotes outside of <connection>" in note.text for note in resolved.notes)


def test_too_many_blocks_are_refused() -> None:
    with pytest.raises(ConfigError, match="more than 64 <connection> blocks"):
        profiles("<connection>\nremote a\n</connection>\n" * 65)


# --- wrapping ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("tls-auth ta.key", KeyDirection.NONE),
        ("tls-auth ta.key 0", KeyDirection.NORMAL),
        ("tls-auth ta.key\nkey-direction 1", KeyDirection.INVERSE),
        ("key-direction 1\ntls-auth ta.key", KeyDirection.INVERSE),
    ],
)
def test_directions_of_tls_auth(text: str, direction: KeyDirection) -> None:
    (profile,) = profiles(f"remote a\nauth SHA512\n{text}\n")
    assert isinstance(profile.wrapping, TlsAuth)
    assert profile.wrapping.direction is direction
    assert profile.wrapping.digest == "SHA512"


def test_the_inline_word_may_carry_the_direction() -> None:
    block = f"<tls-auth>\n{STATIC_KEY.decode()}</tls-auth>\n"
    for text in (f"tls-auth [inline] 1\n{block}", f"{block}tls-auth [inline] 1\n"):
        (profile,) = profiles(f"remote a\n{text}")
        assert isinstance(profile.wrapping, TlsAuth)
        assert profile.wrapping.direction is KeyDirection.INVERSE
        assert profile.wrapping.key.content.reveal() == STATIC_KEY


def test_a_client_key_of_tls_crypt_v2() -> None:
    (profile,) = profiles("remote a\ntls-crypt-v2 v2.key\n")
    assert isinstance(profile.wrapping, TlsCryptV2)


def test_no_key_is_no_wrapping() -> None:
    assert run().options.profiles[0].wrapping == PlainWrapping()


def test_two_keys_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="--tls-auth, --tls-crypt are mutually exclusive"):
        profiles("remote a\ntls-auth ta.key\ntls-crypt ta.key\n")


def test_tls_auth_needs_a_digest() -> None:
    with pytest.raises(ConfigError, match="--tls-auth needs a digest"):
        profiles("remote a\ntls-auth ta.key\nauth none\n")


def test_a_block_keeps_its_settings_to_itself() -> None:
    resolved = run_config(
        HEAD + "<connection>\nremote a\nmax-packet-size 1000\nconnect-retry-max 3\n"
        "tun-mtu-max 3000\nhttp-proxy-timeout 5\n</connection>\n"
        "<connection>\nremote b\n</connection>\n"
    )
    one, two = resolved.options.profiles
    assert (one.max_packet_size, two.max_packet_size) == (1000, None)
    assert resolved.options.tls.max_packet_size == 1250
    assert resolved.options.link.connect_retry_max == 0  # as openvpn 2.6 understands it
    assert resolved.options.tun.tun_mtu_max == 3000
