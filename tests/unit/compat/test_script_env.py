"""What scripts are told, against what a real OpenVPN 2.6 told them in recorded runs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from pathlib import Path

import pytest

from ginnel.compat.script_env import (
    Hook,
    ScriptContext,
    TunnelState,
    script_arguments,
    script_environment,
)
from ginnel.core.actions import CertificateInfo, TunnelConfig
from ginnel.core.certificate import Certificate
from ginnel.core.types import Endpoint, PeerId
from ginnel.core.x509 import render_name
from ginnel.host.plan import Device, plan_tunnel
from ginnel.host.route_words import RouteFacts
from ginnel.host.underlay import Gateway, LocalNetwork, UnderlaySnapshot
from ginnel.options.actions import RunClient
from ginnel.options.model import (
    ClientOptions,
    DnsOptions,
    DnsServer,
    HttpProxy,
    ScriptOptions,
    SocksProxy,
)
from ginnel.options.pushed import apply_push
from ginnel.options.resolve import resolve_argv
from tests.sim.pair import profile

FOLDER = Path(__file__).parents[2] / "vectors" / "script_env"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
HOME = Gateway(address=IPv4Address("192.0.2.1"), device="vc", index=2)
HOME6 = Gateway(address=IPv6Address("2001:db8::1"), device="vc", index=2)


@dataclass(frozen=True, slots=True)
class Call:
    hook: Hook
    words: tuple[str, ...]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Recording:
    before: ClientOptions
    after: ClientOptions
    chain: tuple[CertificateInfo, ...]
    remote: Endpoint
    calls: tuple[Call, ...]


class Files:
    """The files of a recording."""

    def __init__(self, content: dict[str, str]) -> None:
        self._content = content

    def read(self, path: str) -> bytes:
        return self._content[path].encode()


def certificate(depth: int, der: bytes) -> CertificateInfo:
    subject = render_name(Certificate(der).subject)
    return CertificateInfo(depth=depth, subject=subject, der=der)


def load(name: str) -> Recording:
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    files = Files({"client.conf": vector["client"], "ca.crt": vector["ca"]})
    # The recorded client proved itself with a key; a login stands in for it, unseen by scripts.
    argv = ["--config", "client.conf", "--ca", "ca.crt", "--auth-user-pass"]
    run = resolve_argv(argv, files)
    assert isinstance(run, RunClient)
    pushed = apply_push(run.options, vector["push"].split(",")[1:])
    return Recording(
        before=run.options,
        after=pushed.options,
        chain=tuple(certificate(c["depth"], bytes.fromhex(c["der"])) for c in vector["chain"]),
        remote=Endpoint(ip_address(vector["remote"][0]), vector["remote"][1]),
        calls=tuple(
            Call(Hook(call["hook"]), tuple(call["words"]), call["environment"])
            for call in vector["calls"]
        ),
    )


def route_facts(recording: Recording) -> RouteFacts:
    underlay = UnderlaySnapshot(
        gateway_ipv4=HOME,
        gateway_ipv6=HOME6,
        server=HOME if recording.remote.address.version == 4 else HOME6,
        networks=(
            LocalNetwork(device="vc", interface=IPv4Interface("192.0.2.10/24")),
            LocalNetwork(device="vc", interface=IPv6Interface("2001:db8::10/64")),
        ),
    )
    config = TunnelConfig(
        options=recording.after,
        remote=recording.remote,
        peer_id=PeerId(0),
        send_peer_id=PeerId(0),
        tun_mtu=1500,
        mss_ipv4=0,
        mss_ipv6=0,
        allow_float=False,
        device_items=(),
    )
    return plan_tunnel(config, Device("tun0", 3), underlay).facts


def contexts(recording: Recording) -> Iterator[tuple[Call, ScriptContext]]:
    """The context of each call: what the program knew at that moment."""
    depth = 0
    kept = False
    facts = route_facts(recording)
    noexec = recording.after.routes.route_noexec
    routes_added = False
    for call in recording.calls:
        told = call.environment
        context = ScriptContext(
            options=recording.before,
            pid=int(told["daemon_pid"]),
            start_time=int(told["daemon_start_time"]),
            untrusted=recording.remote,
            certificates=recording.chain,
        )
        if call.hook is Hook.TLS_VERIFY:
            depth = depth % len(recording.chain) + 1
            yield call, replace(context, certificates=recording.chain[:depth])
            continue
        context = replace(context, trusted=recording.remote)
        if call.hook is Hook.IPCHANGE:
            yield call, context
            continue
        # Over a restart with a kept device OpenVPN forgets what it had told about routes.
        restart = told["script_context"] == "restart"
        kept = kept or (restart and call.hook is Hook.UP)
        if call.hook is Hook.UP:
            routes_added = False
        routes_added = routes_added or (call.hook is Hook.ROUTE_UP and not noexec)
        yield (
            call,
            replace(
                context,
                options=recording.after,
                tunnel=TunnelState(device="tun0", mtu=1500, restart=restart),
                routes=None if kept else facts,
                routes_added=routes_added,
                signal=told.get("signal"),
            ),
        )


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_those_of_openvpn(name: str) -> None:
    recording = load(name)
    for call, context in contexts(recording):
        own = 1 if call.hook is Hook.UP else 0
        assert script_arguments(call.hook, context) == call.words[own:], call.hook


@pytest.mark.parametrize("name", NAMES)
def test_environment_is_that_of_openvpn(name: str) -> None:
    recording = load(name)
    for number, (call, context) in enumerate(contexts(recording)):
        ours = script_environment(call.hook, context)
        assert ours == call.environment, f"call {number}: {call.hook}"


def test_every_hook_was_recorded() -> None:
    assert len(NAMES) >= 5
    hooks = {call.hook for name in NAMES for call in load(name).calls}
    assert hooks == set(Hook) - {Hook.DNS_UP, Hook.DNS_DOWN}, "those came with 2.7"


def bare(**setenv: str) -> ScriptContext:
    options = ClientOptions(profiles=(), scripts=ScriptOptions(setenv=setenv))
    return ScriptContext(options=options, pid=1, start_time=2)


def test_nothing_is_told_before_it_is_known() -> None:
    assert script_environment(Hook.UP, bare()) == {
        "daemon": "0",
        "daemon_log_redirect": "0",
        "daemon_pid": "1",
        "daemon_start_time": "2",
        "script_type": "up",
        "verb": "1",
    }


def test_setenv_cannot_pass_for_what_the_program_says() -> None:
    told = script_environment(Hook.UP, bare(script_type="down", OPENVPN_x="1"))
    assert told["script_type"] == "up"
    assert told["OPENVPN_x"] == "1"


def test_hostile_names_and_values_lose_their_sting() -> None:
    told = script_environment(Hook.UP, bare(**{"a.b-c=d": "x\ny\0z", "\u00e9": "1"}))
    assert told["abcd"] == "xyz"
    assert all(name.isascii() and name for name in told)


def test_verb_and_log_of_the_running_program_are_told() -> None:
    told = script_environment(Hook.UP, replace(bare(), verb=5, log_redirected=True))
    assert (told["verb"], told["daemon_log_redirect"]) == ("5", "1")


def test_common_name_by_another_field_wins() -> None:
    chain = load("subnet").chain
    told = script_environment(Hook.UP, replace(bare(), certificates=chain, common_name="other"))
    assert told["common_name"] == "other"


def test_exported_certificate_is_named_to_tls_verify_only() -> None:
    context = replace(bare(), peer_certificate="/tmp/x.pem")
    assert script_environment(Hook.TLS_VERIFY, context)["peer_cert"] == "/tmp/x.pem"
    assert "peer_cert" not in script_environment(Hook.UP, context)


def test_dns_updown_is_told_the_settings_and_nothing_else() -> None:
    """Without ``dns`` lines the ``dhcp-option`` ones are a server of their own."""
    dns = DnsOptions(
        dhcp_options=(
            ("DNS", "10.0.0.1"),
            ("DNS6", "fd00::1"),
            ("DOMAIN", "a.example"),
            ("DOMAIN-SEARCH", "b.example"),
            ("WINS", "10.0.0.9"),
        )
    )
    context = replace(
        bare(secret="1"),
        options=ClientOptions(profiles=(), dns=dns),
        tunnel=TunnelState(device="tun4", mtu=1500),
    )
    assert script_arguments(Hook.DNS_UP, context) == ()
    assert script_environment(Hook.DNS_DOWN, context) == {
        "dev": "tun4",
        "script_type": "dns-down",
        "dns_search_domain_1": "a.example",
        "dns_search_domain_2": "b.example",
        "dns_server_1_address_1": "10.0.0.1",
        "dns_server_1_address_2": "fd00::1",
    }


def test_dns_lines_go_before_dhcp_options() -> None:
    server = DnsServer(number=3, addresses=((IPv4Address("10.0.0.2"), 5353),))
    dns = DnsOptions(dhcp_options=(("DNS", "10.0.0.1"),), servers=(server,))
    context = replace(bare(), options=ClientOptions(profiles=(), dns=dns))
    assert script_environment(Hook.DNS_UP, context) == {
        "script_type": "dns-up",
        "dns_server_1_address_1": "10.0.0.2",
        "dns_server_1_port_1": "5353",
    }


def test_proxies_are_named_by_remote() -> None:
    """As openvpn 2.6 does in setenv for each connection entry."""
    profiles = (
        replace(profile(), proxy=HttpProxy(host="p.example", port="3128")),
        replace(profile(), proxy=SocksProxy(host="192.0.2.3", port="1080")),
        profile(),
    )
    context = ScriptContext(options=ClientOptions(profiles=profiles), pid=1, start_time=2)
    told = script_environment(Hook.UP, context)
    assert {name: value for name, value in told.items() if "proxy" in name} == {
        "http_proxy_server_1": "p.example",
        "http_proxy_port_1": "3128",
        "socks_proxy_server_2": "192.0.2.3",
        "socks_proxy_port_2": "1080",
    }
