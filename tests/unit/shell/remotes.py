"""Profiles and options of tests that use real sockets on the loopback."""

from dataclasses import replace

from ginnel.core.types import Endpoint
from ginnel.options.model import (
    AddressFamily,
    ClientOptions,
    ConnectionProfile,
    DeviceType,
    LinkOptions,
    LinkProtocol,
    TunOptions,
)
from ginnel.options.values import Origin
from ginnel.shell.link import Attempt

ORIGIN = Origin("client.ovpn", 1)


def udp_profile(host: str = "127.0.0.1", port: int | str = 1194) -> ConnectionProfile:
    """A remote over UDP, tried again at once."""
    return ConnectionProfile(
        host=host,
        port=str(port),
        protocol=LinkProtocol.UDP,
        family=AddressFamily.ANY,
        origin=ORIGIN,
        connect_retry=0,
    )


def tcp_profile(host: str = "127.0.0.1", port: int | str = 1194) -> ConnectionProfile:
    """The same over TCP."""
    return replace(udp_profile(host, port), protocol=LinkProtocol.TCP_CLIENT)


def attempt(
    profile: ConnectionProfile, remote: Endpoint, options: LinkOptions | None = None
) -> Attempt:
    """An attempt whose lines and states nobody hears."""
    return Attempt(
        profile=profile,
        options=options or LinkOptions(),
        remote=remote,
        log=lambda _line: None,
        state=lambda _name: None,
    )


def options_for(*profiles: ConnectionProfile, connect_retry_max: int = 0) -> ClientOptions:
    """A pulling client without a device."""
    return ClientOptions(
        profiles=profiles,
        tun=TunOptions(dev_type=DeviceType.NULL, dev="null"),
        link=LinkOptions(resolv_retry=0.0, connect_retry_max=connect_retry_max),
    )
