"""What the link options set."""

import pytest

from ginnel.options.apply_link import parse_protocol
from ginnel.options.errors import ConfigError
from ginnel.options.model import AddressFamily, LinkProtocol
from tests.unit.options.memory_files import run


@pytest.mark.parametrize(
    ("word", "protocol", "family"),
    [
        ("udp", LinkProtocol.UDP, AddressFamily.ANY),
        ("udp4", LinkProtocol.UDP, AddressFamily.IPV4),
        ("udp6", LinkProtocol.UDP, AddressFamily.IPV6),
        ("tcp", LinkProtocol.TCP_CLIENT, AddressFamily.ANY),
        ("tcp6-client", LinkProtocol.TCP_CLIENT, AddressFamily.IPV6),
        ("tcp4-server", LinkProtocol.TCP_SERVER, AddressFamily.IPV4),
    ],
)
def test_protocol_words(word: str, protocol: LinkProtocol, family: AddressFamily) -> None:
    assert parse_protocol(word) == (protocol, family)


def test_keepalive_is_ping_and_ping_restart() -> None:
    link = run("--keepalive", "10", "60").options.link
    assert (link.ping, link.ping_restart, link.ping_exit) == (10, 60, 0)


def test_keepalive_wants_a_sensible_ratio() -> None:
    with pytest.raises(ConfigError, match="at least twice the interval"):
        run("--keepalive", "10", "19")


def test_of_ping_exit_and_ping_restart_the_last_counts() -> None:
    link = run("--ping-restart", "30", "--ping-exit", "20").options.link
    assert (link.ping_exit, link.ping_restart) == (20, 0)
    link = run("--ping-exit", "20", "--ping-restart", "30").options.link
    assert (link.ping_exit, link.ping_restart) == (0, 30)


def test_connect_retry_keeps_its_limit_above_the_pause() -> None:
    (profile,) = run("--connect-retry", "5").options.profiles
    assert (profile.connect_retry, profile.connect_retry_max_delay) == (5, 300)
    (profile,) = run("--connect-retry", "400").options.profiles
    assert profile.connect_retry_max_delay == 400
    (profile,) = run("--connect-retry", "5", "20").options.profiles
    assert profile.connect_retry_max_delay == 20


@pytest.mark.parametrize("option", ["connect-timeout", "server-poll-timeout"])
def test_connect_timeout_has_two_names(option: str) -> None:
    assert run(f"--{option}", "9").options.profiles[0].connect_timeout == 9


@pytest.mark.parametrize(("text", "value"), [("infinite", float("inf")), ("0", 0.0), ("30", 30.0)])
def test_resolv_retry(text: str, value: float) -> None:
    assert run("--resolv-retry", text).options.link.resolv_retry == value


@pytest.mark.parametrize("text", ["-1", "forever", "99999999999", ""])
def test_resolv_retry_that_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match="seconds or 'infinite'"):
        run("--resolv-retry", text)


@pytest.mark.parametrize(
    ("words", "value", "mode"),
    [
        ((), None, ""),
        (("0",), 0, ""),
        (("1300",), 1300, ""),
        (("1400", "mtu"), 1400, "mtu"),
        (("1200", "fixed"), 1200, "fixed"),
    ],
)
def test_mssfix(words: tuple[str, ...], value: int | None, mode: str) -> None:
    (profile,) = run("--mssfix", *words).options.profiles
    assert (profile.mssfix, profile.mssfix_mode) == (value, mode)


@pytest.mark.parametrize("text", ["1", "153", "-5", "x"])
def test_mssfix_out_of_range(text: str) -> None:
    with pytest.raises(ConfigError, match="mssfix"):
        run("--mssfix", text)


@pytest.mark.parametrize(("words", "count"), [((), 1), (("3",), 3), (("0",), None)])
def test_explicit_exit_notify(words: tuple[str, ...], count: int | None) -> None:
    assert run("--explicit-exit-notify", *words).options.profiles[0].explicit_exit_notify == count


def test_inactive_with_and_without_bytes() -> None:
    assert run("--inactive", "60").options.link.inactive_bytes == 0
    link = run("--inactive", "60", "1000000").options.link
    assert (link.inactive, link.inactive_bytes) == (60, 1000000)


def test_socket_settings() -> None:
    words = ("--sndbuf", "65536", "--rcvbuf", "1000", "--mark", "4294967295", "--bind-dev", "vrf0")
    link = run(*words).options.link
    assert (link.sndbuf, link.rcvbuf, link.mark, link.bind_dev) == (65536, 1000, 2**32 - 1, "vrf0")


def test_a_buffer_of_zero_is_the_systems() -> None:
    link = run("--sndbuf", "0", "--rcvbuf", "100", "--rcvbuf", "0").options.link
    assert (link.sndbuf, link.rcvbuf) == (None, None)


def test_max_packet_size_also_limits_segments() -> None:
    options = run("--max-packet-size", "1200").options
    assert options.tls.max_packet_size == 1200
    assert (options.profiles[0].mssfix, options.profiles[0].mssfix_mode) == (1200, "mtu")


@pytest.mark.parametrize("host", ["", "a b", "x" * 256, "a\x07b"])
def test_a_host_that_cannot_be_one(host: str) -> None:
    with pytest.raises(ConfigError, match="host name or address"):
        run("--remote", host)
