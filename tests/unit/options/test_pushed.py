"""What a server may and may not do to the options."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from time import process_time

import pytest

from ginnel.options.apply_tun import MAX_ROUTES
from ginnel.options.model import (
    ClientOptions,
    CompressionKind,
    PullFilter,
    PullVerdict,
    RedirectFlag,
    Topology,
)
from ginnel.options.pushed import MAX_ITEM_BYTES, MAX_ITEMS, MAX_REFUSED, PushResult, apply_push
from ginnel.options.table import all_rows
from tests.unit.options.memory_files import run

BASE = run("--route", "172.16.0.0", "255.240.0.0", "--dhcp-option", "DOMAIN", "own.example").options
ORDINARY = (
    "redirect-gateway def1 bypass-dhcp",
    "route-gateway 10.8.0.1",
    "topology subnet",
    "ping 10",
    "ping-restart 60",
    "route 10.0.0.0 255.0.0.0",
    "route-ipv6 2000::/3",
    "dhcp-option DNS 10.8.0.1",
    "ifconfig-ipv6 fd00::2/64 fd00::1",
    "ifconfig 10.8.0.2 255.255.255.0",
    "peer-id 3",
    "cipher AES-256-GCM",
    "protocol-flags cc-exit tls-ekm dyn-tls-crypt",
    "tun-mtu 1400",
)


def filtered(*filters: tuple[PullVerdict, str]) -> ClientOptions:
    entries = tuple(PullFilter(verdict=verdict, prefix=prefix) for verdict, prefix in filters)
    return replace(BASE, pull_filters=entries)


def reason(item: str, options: ClientOptions = BASE) -> str:
    """Pushes one item that must be refused and returns why."""
    result = apply_push(options, [item])
    assert result.options == options
    ((_, why),) = result.refused
    return why


def test_an_ordinary_push() -> None:
    result = apply_push(BASE, ORDINARY)
    assert result.refused == ()
    assert result.failure is None
    assert result.rejected_by_filter is None
    options = result.options
    flags = frozenset({RedirectFlag.DEF1, RedirectFlag.BYPASS_DHCP})
    assert options.routes.redirect_gateway == flags
    assert options.routes.route_gateway == IPv4Address("10.8.0.1")
    assert [route.network for route in options.routes.routes] == [
        IPv4Network("172.16.0.0/12"),
        IPv4Network("10.0.0.0/8"),
    ]
    assert options.routes.routes_ipv6[0].network == IPv6Network("2000::/3")
    assert str(options.routes.routes[1].origin) == "[PUSH-OPTIONS]:6"
    assert options.tun.topology is Topology.SUBNET
    assert options.tun.ifconfig is not None
    assert (options.tun.tun_mtu, options.tun.tun_mtu_pushed) == (1400, True)
    assert (options.link.ping, options.link.ping_restart) == (10, 60)
    assert options.dns.dhcp_options == (("DOMAIN", "own.example"), ("DNS", "10.8.0.1"))
    assert (options.data.peer_id, options.data.cipher) == (3, "AES-256-GCM")
    assert (options.data.cc_exit, options.data.tls_ekm, options.data.dyn_tls_crypt) == (True,) * 3
    assert not options.data.aead_epoch


def test_the_groups_are_told_in_openvpns_words() -> None:
    assert apply_push(BASE, ORDINARY).groups == (
        "timers and/or timeouts",
        "--ifconfig/up options",
        "route options",
        "route-related options",
        "--ip-win32 and/or --dhcp-option options",
        "peer-id",
        "tun-mtu",
        "data channel crypto options",
    )


def test_an_empty_push_changes_nothing() -> None:
    result = apply_push(BASE, ["", "  "])
    assert result == PushResult(options=BASE, device_items=result.device_items)


@pytest.mark.parametrize(
    ("item", "group"),
    [
        ("verb 5", "--verb and/or --mute level"),
        ("explicit-exit-notify 2", "explicit notify parm(s)"),
        ("sndbuf 100000", "--sndbuf/--rcvbuf options"),
        ("persist-tun", "--persist options"),
        ("setenv-safe A b", "environment"),
        ("session-timeout 100", "timers and/or timeouts"),
    ],
)
def test_other_groups(item: str, group: str) -> None:
    result = apply_push(BASE, [item])
    assert result.groups == (group,)
    assert result.options != BASE


def test_explicit_exit_notify_is_set_aside_from_the_profiles() -> None:
    options = apply_push(BASE, ["explicit-exit-notify"]).options
    assert options.link.explicit_exit_notify == 1
    assert options.profiles == BASE.profiles


# --- what a server may not do ------------------------------------------------------------------


@pytest.mark.parametrize("name", [row.name for row in all_rows().values() if row.push is None])
def test_nothing_but_pushable_options_is_taken(name: str) -> None:
    for item in (name, f"{name} a", f"{name} a b", f"{name} 1", f"{name} /bin/sh via-env"):
        result = apply_push(BASE, [item])
        assert result.options == BASE
        assert len(result.refused) == 1


@pytest.mark.parametrize(
    "item",
    [
        "up /bin/sh",
        '"up" /bin/sh',
        "u\\p /bin/sh",
        "--up /bin/sh",
        "script-security 3",
        "setenv PATH /tmp",
        "setenv opt up /bin/sh",
        "config /etc/passwd",
        "ca /tmp/x",
        "<ca>",
        "pull-filter accept x",
        "plugin x",
        "client",
        "log /etc/passwd",
        "writepid /etc/passwd",
    ],
)
def test_no_way_to_programs_and_files(item: str) -> None:
    assert apply_push(BASE, [item]).options == BASE


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("route 10.0.0.0 255.0.255.0", "expected a netmask"),
        ("route x", "expected an IPv4 address"),
        ("ifconfig 10.0.0.1", "expected: ifconfig local"),
        ("topology ring", "is not one of 'net30', 'p2p', 'subnet'"),
        ("ping 9999999", "not a number from 0 to 86400"),
        ("tun-mtu 1601", "larger than tun-mtu-max, which is 1600"),
        ("tun-mtu 99", "not a number from 100"),
        ("dns server -1 address 10.0.0.1", "not a number from 0 to 127"),
        ('dhcp-option DOMAIN "a b"', "expected a domain name"),
        ("setenv-safe LD_PRELOAD=x y", "a variable's name"),
        ("no-such-option", "there is no option of this name"),
        ("rout 10.0.0.0", "there is no option of this name"),
        ('route "10.0.0.0', "No closing quotation"),
        ("peer-id 16777216", "not a number from 0 to 16777215"),
        ("cipher", "expected: cipher name"),
        ("# a comment", "a comment"),
        ("route\n10.0.0.0", "not one line"),
        ("route \0", "not one line"),
        ("echo " + "x" * MAX_ITEM_BYTES, "longer than 1024 bytes"),
        ("shaper 99", "not a number from 100"),
        ("client-nat snat 10.0.0.0 255.0.0.0 x", "expected an IPv4 address"),
        ("compress zip", "not one of"),
        ("up /bin/sh", "a server may not set this option"),
    ],
)
def test_a_bad_item_is_refused_alone(item: str, why: str) -> None:
    assert why in reason(item)
    result = apply_push(BASE, ["ping 7", item, "ping-restart 70"])
    assert (result.options.link.ping, result.options.link.ping_restart) == (7, 70)
    assert len(result.refused) == 1


def test_known_flags_count_even_next_to_an_unknown_one() -> None:
    """The server uses what it announced: leaving out tls-ekm would end the connection for sure."""
    result = apply_push(BASE, ["protocol-flags time-travel aead-epoch tls-ekm"])
    assert "unknown flag 'time-travel'" in result.refused[0][1]
    assert (result.options.data.aead_epoch, result.options.data.tls_ekm) == (True, True)


def test_a_default_route_is_a_route() -> None:
    result = apply_push(BASE, ["route 0.0.0.0 0.0.0.0", "route-ipv6 ::/0"])
    assert result.refused == ()
    assert result.options.routes.routes[-1].network == IPv4Network("0.0.0.0/0")
    assert result.options.routes.routes_ipv6[-1].network == IPv6Network("::/0")


def test_secrets_do_not_show_in_refusals() -> None:
    items = ["auth-token hunter2 extra", "auth-token-user !hunter2", "auth-tokn hunter2"]
    result = apply_push(BASE, [*items, '"auth-token" hunter2 x'])
    assert len(result.refused) == 4
    assert "hunter2" not in repr(result.refused)


def test_a_pushed_token_is_kept() -> None:
    login = apply_push(BASE, ["auth-token SESS_ID_AT_1", "auth-token-user Ym9i"]).options.login
    assert login.auth_token is not None
    assert login.auth_token.reveal() == b"SESS_ID_AT_1"
    assert login.auth_token_user == "bob"


@pytest.mark.parametrize(
    "item",
    [
        "block-outside-dns",
        "register-dns",
        "dhcp-renew",
        "ip-win32 dynamic",
        "tun-ipv6",
        "persist-key",
        "route-method exe",
        "comp-noadapt",
        "socket-flags TCP_NODELAY",
        "max-routes 100",
        "push-continuation 2",
    ],
)
def test_what_means_nothing_here_is_taken_silently(item: str) -> None:
    result = apply_push(BASE, [item])
    assert result.refused == ()
    assert result.failure is None
    assert result.options == BASE


@pytest.mark.parametrize("item", ["comp-lzo", "comp-lzo yes", "compress lzo", "compress lz4-v2"])
def test_compression_that_is_not_allowed_ends_the_connection_with_a_cause(item: str) -> None:
    result = apply_push(BASE, [item, "ping 5"])
    assert result.failure is not None
    assert "allow-compression asym" in result.failure
    allowing = replace(BASE, data=replace(BASE.data, allow_compression=True))
    assert apply_push(allowing, [item]).failure is None


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ("comp-lzo no", CompressionKind.LZO_STUB),
        ("compress", CompressionKind.STUB),
        ("compress stub-v2", CompressionKind.STUB_V2),
        ("compress migrate", None),
    ],
)
def test_framing_alone_is_always_taken(item: str, kind: CompressionKind | None) -> None:
    result = apply_push(BASE, [item])
    assert (result.failure, result.refused) == (None, ())
    assert result.options.data.compression is kind
    assert result.groups == ("compression parms modified",)


def test_rules_about_packets_are_pushed() -> None:
    rule = "client-nat snat 10.0.0.0 255.0.0.0 11.0.0.0"
    result = apply_push(BASE, ["block-ipv6", "shaper 1000", rule])
    assert result.refused == ()
    assert result.options.routes.block_ipv6
    assert result.options.link.shaper == 1000
    assert [str(rule.alias) for rule in result.options.routes.client_nat] == ["11.0.0.0"]


# --- filters -----------------------------------------------------------------------------------


def test_the_first_matching_filter_decides() -> None:
    options = filtered((PullVerdict.ACCEPT, "route 10."), (PullVerdict.IGNORE, "route "))
    result = apply_push(options, ["route 10.0.0.0", "route 11.0.0.0", "route-metric 5"])
    assert [str(route.network) for route in result.options.routes.routes[1:]] == ["10.0.0.0/32"]
    assert result.options.routes.route_metric == 5
    assert result.refused == ()


def test_items_that_a_filter_removes_are_named_within_bounds() -> None:
    options = filtered((PullVerdict.IGNORE, "route "), (PullVerdict.IGNORE, "auth-token"))
    result = apply_push(options, ["route 10.1.0.0", "ping 9", "auth-token abc"])
    assert result.filtered == ("route 10.1.0.0", "auth-token [...]")
    assert result.refused == ()
    many = apply_push(options, [f"route 10.1.{n}.0" for n in range(MAX_REFUSED + 9)])
    assert len(many.filtered) == MAX_REFUSED


def test_a_rejecting_filter_names_the_item_and_stops() -> None:
    options = filtered((PullVerdict.REJECT, "redirect-gateway"))
    result = apply_push(options, ["ping 5", "redirect-gateway def1", "ping-restart 9"])
    assert result.rejected_by_filter == "redirect-gateway def1"
    assert result.options.link.ping_restart == BASE.link.ping_restart


@pytest.mark.parametrize("item", [" route 10.0.0.0", '"route" 10.0.0.0', '"route"   "10.0.0.0"'])
def test_filters_are_not_fooled_by_spaces_and_quotes(item: str) -> None:
    options = filtered((PullVerdict.IGNORE, "route 10"))
    assert apply_push(options, [item]).options == options


def test_an_empty_filter_matches_everything() -> None:
    options = filtered((PullVerdict.IGNORE, ""))
    assert apply_push(options, ORDINARY).options == options


def test_route_nopull_keeps_routes_and_dns_out() -> None:
    options = run("--route-nopull").options
    result = apply_push(options, ORDINARY)
    assert result.options.routes.routes == ()
    assert result.options.routes.redirect_gateway is None
    assert result.options.dns.dhcp_options == ()
    assert result.options.tun.ifconfig is not None
    assert {why for _, why in result.refused} == {"route-nopull is set"}


# --- what the device follows from --------------------------------------------------------------


def kept(*items: str, options: ClientOptions = BASE) -> tuple[str, ...]:
    return apply_push(options, items).device_items


def test_equal_pushes_ask_for_an_equal_device() -> None:
    assert kept(*ORDINARY) == kept(*ORDINARY)
    assert kept("route 10.0.0.0") != kept("route 10.0.0.1")
    assert kept("route 10.0.0.0", "ifconfig 10.0.0.1 10.0.0.2") != kept("route 10.0.0.0")


@pytest.mark.parametrize(
    "item",
    [
        "peer-id 9",
        "auth-token x",
        "auth-token-user Ym9i",
        "protocol-flags tls-ekm",
        "ping 9",
        "key-derivation tls-ekm",
        "explicit-exit-notify 2",
        "ping-restart 99",
        "ping-exit 99",
    ],
)
def test_what_does_not_touch_the_device_does_not_count(item: str) -> None:
    assert kept("route 10.0.0.0", item) == kept("route 10.0.0.0")


def test_a_cipher_counts_unless_the_mtu_is_set() -> None:
    assert kept("cipher AES-256-GCM") != kept("cipher AES-128-GCM")
    fixed = run("--tun-mtu", "1400").options
    assert kept("cipher AES-256-GCM", options=fixed) == kept("cipher X", options=fixed)


# --- bounds ------------------------------------------------------------------------------------


def test_ten_thousand_routes_are_bounded_and_quick() -> None:
    items = [f"route 10.{number // 256}.{number % 256}.0 255.255.255.0" for number in range(18_000)]
    before = process_time()
    assert apply_push(BASE, items[:10_000]).refused == ()
    result = apply_push(BASE, items)
    assert process_time() - before < 20
    assert len(result.options.routes.routes) == MAX_ROUTES
    assert len(result.refused) == MAX_REFUSED + 1
    assert result.refused[-1] == (
        f"{18_000 - MAX_ROUTES + 1 - MAX_REFUSED} more",
        "refused likewise",
    )


def test_endless_items_are_cut() -> None:
    before = process_time()
    result = apply_push(BASE, ["garbage"] * (MAX_ITEMS + 5))
    assert process_time() - before < 10
    assert len(result.refused) == MAX_REFUSED + 1


@pytest.mark.parametrize(
    "item",
    [
        "dhcp-option DNS 10.0.0.1",
        "setenv-safe V{} x",
        "echo x",
        "dns server {} address 10.0.0.1",
        "dns search-domains a.example",
        "dns server 1 resolve-domains a.example",
        "redirect-gateway def1",
    ],
)
def test_whatever_is_repeated_stays_bounded(item: str) -> None:
    result = apply_push(BASE, [item.replace("{}", str(number)) for number in range(3000)])
    assert len(repr(result.options)) < 400_000
