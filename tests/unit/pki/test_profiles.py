"""Profiles are what both programs read; here by our own reader."""

from ipaddress import IPv4Network, IPv6Network

import pytest

from ginnel.options.actions import RunClient, RunServer
from ginnel.options.model import AddressFamily, LinkProtocol, TlsCryptV2
from ginnel.options.resolve import resolve_argv
from ginnel.pki.profiles import Secrets, ServerSettings, client_profile, server_profile
from tests.unit.options.memory_files import CA, CERT, CLIENT_KEY, CRL, KEY, SERVER_KEY, MemoryFiles

SETTINGS = ServerSettings(name="vpn", host="vpn.example")


def secrets(control_key: bytes) -> Secrets:
    return Secrets(
        ca=CA.decode(),
        certificate=CERT.decode(),
        key=KEY.decode(),
        control_key=control_key.decode(),
    )


def served(settings: ServerSettings) -> RunServer:
    text = server_profile(settings, secrets(SERVER_KEY))
    run = resolve_argv(["c"], MemoryFiles({"c": text.encode(), "crl.pem": CRL}))
    assert isinstance(run, RunServer)
    return run


def connected(settings: ServerSettings) -> RunClient:
    text = client_profile(settings, "alice", secrets(CLIENT_KEY))
    run = resolve_argv(["c"], MemoryFiles({"c": text.encode()}))
    assert isinstance(run, RunClient)
    return run


def test_a_server_serves_and_nothing_is_to_be_warned_of() -> None:
    run = served(SETTINGS)
    assert [note.option for note in run.notes] == ["persist-key"]  # which openvpn wants
    options = run.options
    assert options.crypt_v2 is not None
    assert options.tls.crl_verify is not None
    assert options.tls.remote_cert_eku == "TLS Web Client Authentication"
    assert str(options.listeners[0].port) == "1194"
    assert options.pool.ipv6 is None
    assert options.profile.explicit_exit_notify == 1


def test_a_client_knows_its_server() -> None:
    options = connected(SETTINGS).options
    (profile,) = options.profiles
    assert (profile.host, profile.port, profile.protocol) == (
        "vpn.example",
        "1194",
        LinkProtocol.UDP,
    )
    assert isinstance(profile.wrapping, TlsCryptV2)
    assert options.tls.verify_x509_name is not None
    assert options.tls.verify_x509_name.name == "vpn"


@pytest.mark.parametrize(
    ("protocol", "transport", "family"),
    [
        ("udp", LinkProtocol.UDP, AddressFamily.ANY),
        ("udp6", LinkProtocol.UDP, AddressFamily.IPV6),
        ("tcp", LinkProtocol.TCP_SERVER, AddressFamily.ANY),
        ("tcp6", LinkProtocol.TCP_SERVER, AddressFamily.IPV6),
    ],
)
def test_both_ends_speak_one_protocol(
    protocol: str, transport: LinkProtocol, family: AddressFamily
) -> None:
    settings = ServerSettings(
        name="vpn",
        host="192.0.2.1",
        port=443,
        protocol=protocol,
        network=IPv4Network("10.9.0.0/16"),
        network_ipv6=IPv6Network("fd00::/64"),
    )
    options = served(settings).options
    (listener,) = options.listeners
    assert (listener.port, listener.protocol, listener.family) == ("443", transport, family)
    assert options.pool.ipv6 is not None
    (profile,) = connected(settings).options.profiles
    assert profile.family is AddressFamily.ANY
    assert (profile.protocol is LinkProtocol.UDP) == (transport is LinkProtocol.UDP)
