"""Ready configuration files for a server and its clients, with everything they need inside.

OpenVPN 2.6 takes them as well as ginnel does.
"""

from ipaddress import IPv4Network, IPv6Network

from ginnel.dataclass import dataclass


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a server and the clients of it have to agree about."""

    name: str
    """Common name of its certificate."""
    host: str
    """Where clients find it: a name or an address."""
    port: int = 1194
    protocol: str = "udp"
    """``udp`` or ``tcp``, for IPv4 alone; with a 6 behind it the server takes both families."""
    network: IPv4Network = IPv4Network("10.8.0.0/24")
    network_ipv6: IPv6Network | None = None


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """PEM texts of one end."""

    ca: str
    certificate: str
    key: str
    control_key: str
    """For ``tls-crypt-v2``: the server's key, or a client's sealed by it."""


def server_profile(settings: ServerSettings, secrets: Secrets) -> str:
    """Renders a server's file. Beside it lies ``crl.pem``, which is read again when it changes."""
    is_udp = settings.protocol.startswith("udp")
    protocol = settings.protocol if is_udp else f"{settings.protocol}-server"
    network = settings.network
    lines = [
        f"# Server {settings.name}. This file holds private keys.",
        f"port {settings.port}",
        f"proto {protocol}",
        "dev tun",
        "topology subnet",
        f"server {network.network_address} {network.netmask}",
    ]
    if settings.network_ipv6 is not None:
        lines.append(f"server-ipv6 {settings.network_ipv6}")
    lines += [
        "keepalive 10 60",
        "dh none",
        "remote-cert-tls client",
        "crl-verify crl.pem",
        "persist-key",
        "persist-tun",
        "user nobody",
        "group nogroup",
        "verb 3",
    ]
    if is_udp:
        lines.append("explicit-exit-notify 1")
    return "\n".join(lines) + "\n" + _blocks(secrets)


def client_profile(settings: ServerSettings, name: str, secrets: Secrets) -> str:
    """Renders a client's file, all in one."""
    lines = [
        f"# Client {name} of {settings.name}. This file holds a private key.",
        "client",
        "dev tun",
        f"remote {settings.host} {settings.port} {settings.protocol.removesuffix('6')}",
        "nobind",
        "remote-cert-tls server",
        f"verify-x509-name {settings.name} name",
        "persist-key",
        "persist-tun",
        "verb 3",
    ]
    return "\n".join(lines) + "\n" + _blocks(secrets)


def _blocks(secrets: Secrets) -> str:
    blocks = {
        "ca": secrets.ca,
        "cert": secrets.certificate,
        "key": secrets.key,
        "tls-crypt-v2": secrets.control_key,
    }
    return "".join(f"<{name}>\n{text.strip()}\n</{name}>\n" for name, text in blocks.items())
