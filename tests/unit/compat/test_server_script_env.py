"""What a server's scripts are told about clients, against what a real OpenVPN 2.6 told its own."""

import json
import time
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, ip_address
from pathlib import Path
from typing import Any

import pytest

from ginnel.compat.server_script_env import (
    ClientStory,
    ServerHook,
    Traffic,
    bare_environment,
    client_environment,
)
from ginnel.core.actions import CertificateInfo
from ginnel.core.certificate import Certificate
from ginnel.core.server_actions import ClientFacts, ClientId, ClientTerms, TokenState
from ginnel.core.types import Endpoint, PeerId, Transport
from ginnel.core.x509 import render_name
from ginnel.options.model import Topology, TunOptions
from ginnel.options.server_model import ClientConfig, ServerOptions
from tests.unit.shell.remotes import udp_profile

FOLDER = Path(__file__).parents[2] / "vectors" / "server_scripts"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
SERVER_WIDE = (
    *("FOO", "config", "daemon", "daemon_log_redirect", "daemon_pid", "daemon_start_time"),
    *("dev", "dev_type", "ifconfig_ipv6_local", "ifconfig_ipv6_netbits", "ifconfig_ipv6_remote"),
    *("ifconfig_local", "ifconfig_netmask", "ifconfig_remote", "local_port_1", "proto_1"),
    *("redirect_gateway", "remote_port_1", "route_net_gateway", "script_context", "tun_mtu"),
    "verb",
)
LEFT_OVER = {"auth_control_file", "auth_pending_file", "auth_failed_reason_file"}
"""OpenVPN goes on to name these files when they are gone already; ginnel does not."""


@dataclass
class Telling:
    """What is known of the recorded client, as its calls come."""

    vector: dict[str, Any]
    facts: ClientFacts
    certificates: tuple[CertificateInfo, ...] = ()
    told: dict[str, str] = field(default_factory=dict)

    def story(self, call: dict[str, Any]) -> ClientStory:
        told = call["environment"]
        hook = ServerHook(call["hook"])
        self._meet(hook, told)
        state = told.get("session_state")
        files = {n: v for n, v in told.items() if n.endswith("_file") and str(n) in call["files"]}
        if hook is ServerHook.PASSWORD and "password" in told:
            files["password"] = told["password"]
        return ClientStory(
            facts=self.facts,
            certificates=self.certificates,
            is_trusted="trusted_port" in told,
            session_id=told.get("session_id", ""),
            session_state=None if state is None else TokenState(state),
            asked_password="username" in told,
            terms=self._terms(told),
            began=int(told["time_unix"]) if "time_unix" in told else None,
            traffic=self._traffic(told),
            files=files,
        )

    def _meet(self, hook: ServerHook, told: dict[str, str]) -> None:
        chain = tuple(
            certificate(c["depth"], bytes.fromhex(c["der"])) for c in self.vector["chain"]
        )
        if hook is ServerHook.TLS_VERIFY and len(self.certificates) < len(chain):
            self.certificates = chain[: len(self.certificates) + 1]
        elif "tls_id_0" in told:
            self.certificates = chain
        self.facts = replace(
            self.facts,
            common_name="ada" if "common_name" in told else "",
            username=told.get("username", ""),
            peer_info=tuple((n, v) for n, v in told.items() if n.startswith(("IV_", "UV_"))),
        )

    def _terms(self, told: dict[str, str]) -> ClientTerms | None:
        if "ifconfig_pool_remote_ip" not in told:
            return None
        second = told.get("ifconfig_pool_netmask", told.get("ifconfig_pool_local_ip", ""))
        six = None
        if "ifconfig_pool_remote_ip6" in told:
            text = f"{told['ifconfig_pool_remote_ip6']}/{told['ifconfig_pool_ip6_netbits']}"
            six = (IPv6Interface(text), IPv6Address(told["ifconfig_pool_local_ip6"]))
        four = (IPv4Address(told["ifconfig_pool_remote_ip"]), IPv4Address(second))
        return ClientTerms(config=ClientConfig(), ifconfig=four, ifconfig_ipv6=six)

    def _traffic(self, told: dict[str, str]) -> Traffic | None:
        if "bytes_sent" not in told:
            return None
        return Traffic(
            received=int(told["bytes_received"]),
            sent=int(told["bytes_sent"]),
            duration=int(told["time_duration"]),
        )


def certificate(depth: int, der: bytes) -> CertificateInfo:
    subject = render_name(Certificate(der).subject)
    return CertificateInfo(depth=depth, subject=subject, der=der)


def load(name: str) -> dict[str, Any]:
    vector: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return vector


def telling(vector: dict[str, Any]) -> Telling:
    first = next(c["environment"] for c in vector["calls"] if "untrusted_port" in c["environment"])
    address = first.get("untrusted_ip", first.get("untrusted_ip6"))
    facts = ClientFacts(
        client_id=ClientId(0),
        key_number=0,
        peer_id=PeerId(0),
        remote=Endpoint(ip_address(address), int(first["untrusted_port"])),
        transport=Transport.UDP,
    )
    return Telling(vector, facts)


def options_of(vector: dict[str, Any]) -> ServerOptions:
    topology = Topology.NET30 if "topology net30" in vector["server"] else Topology.SUBNET
    return ServerOptions(listeners=(), profile=udp_profile(), tun=TunOptions(topology=topology))


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_is_that_of_openvpn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    vector = load(name)
    made, options = telling(vector), options_of(vector)
    for number, call in enumerate(vector["calls"]):
        told, hook = call["environment"], ServerHook(call["hook"])
        if "untrusted_port" not in told:
            files = {n: v for n, v in told.items() if n.startswith("metadata_")}
            assert bare_environment(hook, **files) == told
            continue
        base = {name: told[name] for name in SERVER_WIDE if name in told}
        ours = client_environment(base, options, made.story(call)) | {"script_type": hook.value}
        # The subject of the leaf is taken back for the time in which its issuer is looked at.
        if hook is ServerHook.TLS_VERIFY and call["words"][1] == "1":
            ours = {n: v for n, v in ours.items() if not n.startswith("X509_0_")}
        gone = {n for n in told if n in LEFT_OVER and n not in call["files"]}
        assert ours == {n: v for n, v in told.items() if n not in gone}, f"call {number}: {hook}"


def test_every_hook_was_recorded() -> None:
    hooks = {ServerHook(call["hook"]) for name in NAMES for call in load(name)["calls"]}
    assert hooks == set(ServerHook)


def test_options_of_hooks() -> None:
    assert ServerHook.PASSWORD.option == "auth-user-pass-verify"
    assert ServerHook.CONNECT.option == "client-connect"


def test_values_of_clients_stay_on_their_line() -> None:
    made = telling(load("certificates"))
    facts = replace(made.facts, common_name="ada\nroot=1", peer_info=(("UV_A", "x\0\r\ny"),))
    story = ClientStory(facts=facts)
    told = client_environment({}, options_of(made.vector), story)
    assert told["common_name"] == "adaroot=1"
    assert told["UV_A"] == "xy"
