"""Configurations and running processes of VPN servers and clients in a lab.

Either end is ginnel or Debian's ``openvpn``: as a setup's ``program`` says, else as the environment
says for a whole run (GINNEL_INTEROP_SERVER, GINNEL_INTEROP_CLIENT), else what the lab takes. So a
scenario can be shown to be right independently of ginnel. Not responsible for namespaces
(``topology``, ``fleet``) or for what a scenario expects.
"""

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tests.interop.lab.pki import SERVER_NAME, Identity, Pki
from tests.interop.lab.process import LabError, Process

OPENVPN = "/usr/sbin/openvpn"
SERVER_VARIABLE = "GINNEL_INTEROP_SERVER"
CLIENT_VARIABLE = "GINNEL_INTEROP_CLIENT"
PORT = 1194

COMPLETED = r"Initialization Sequence Completed$"
TUNNEL_NETWORK = "10.10.112.0 255.255.240.0"
TUNNEL_SERVER = "10.10.112.1"
TUNNEL_NETWORK_V6 = "fd00:10:112::/64"
TUNNEL_SERVER_V6 = "fd00:10:112::1"
DATA_CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")


class Wrapping(Enum):
    """How control packets are wrapped; the value is the option's name."""

    PLAIN = "plain"
    TLS_AUTH = "tls-auth"
    TLS_CRYPT = "tls-crypt"
    TLS_CRYPT_V2 = "tls-crypt-v2"

    def server_lines(self, pki: Pki) -> list[str]:
        match self:
            case Wrapping.PLAIN:
                return []
            case Wrapping.TLS_AUTH:
                return [f"tls-auth {pki.static_key()} 0"]
            case Wrapping.TLS_CRYPT:
                return [f"tls-crypt {pki.static_key()}"]
            case Wrapping.TLS_CRYPT_V2:
                return [f"tls-crypt-v2 {pki.crypt_v2_server_key()}"]

    def client_lines(self, pki: Pki) -> list[str]:
        match self:
            case Wrapping.PLAIN:
                return []
            case Wrapping.TLS_AUTH:
                return [f"tls-auth {pki.static_key()} 1"]
            case Wrapping.TLS_CRYPT:
                return [f"tls-crypt {pki.static_key()}"]
            case Wrapping.TLS_CRYPT_V2:
                return [f"tls-crypt-v2 {pki.crypt_v2_client_key()}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSetup:
    """One server's configuration. ``lines`` come last and may override single-valued options."""

    wrapping: Wrapping = Wrapping.TLS_CRYPT
    device: str = "tun"
    protocol: str = "udp"
    port: int = PORT
    local: str | None = None
    topology: str = "subnet"
    network: str | None = TUNNEL_NETWORK
    network_v6: str | None = TUNNEL_NETWORK_V6
    identity: Identity | None = None
    ciphers: Sequence[str] = DATA_CIPHERS
    push_office: bool = True
    keepalive: str | None = "2 10"
    verb: int = 4
    ca: bool = True
    lines: Sequence[str] = ()
    program: str | None = None
    """As ``command_of`` takes it; None is what the environment or the lab says."""

    def render(self, pki: Pki) -> str:
        identity = self.identity or pki.server
        lines = [
            f"dev {self.device}",
            f"proto {self.protocol}",
            f"port {self.port}",
            f"topology {self.topology}",
            f"cert {identity.cert}",
            f"key {identity.key}",
            "dh none",
            f"data-ciphers {':'.join(self.ciphers)}",
            "script-security 2",
            f"verb {self.verb}",
        ]
        lines += [f"server {self.network}"] if self.network else []
        lines += [f"ca {pki.authority.cert}"] if self.ca else []
        lines += [f"local {self.local}"] if self.local else []
        lines += [f"server-ipv6 {self.network_v6}"] if self.network_v6 else []
        lines += [f"keepalive {self.keepalive}"] if self.keepalive else []
        if self.push_office:
            lines.append('push "route 10.11.0.0 255.255.0.0"')
            lines += ['push "route-ipv6 fd00:11::/48"'] if self.network_v6 else []
        return "\n".join([*lines, *self.wrapping.server_lines(pki), *self.lines]) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSetup:
    """One client's configuration. ``remotes`` are ``host port`` pairs in order.

    ``credentials`` False leaves out ca, cert and key, for scenarios that give them in another form.
    """

    remotes: Sequence[str]
    wrapping: Wrapping = Wrapping.TLS_CRYPT
    protocol: str = "udp"
    device: str = "tun0"
    ca: Path | None = None
    identity: Identity | None = None
    credentials: bool = True
    verify_name: str | None = SERVER_NAME
    ciphers: Sequence[str] = DATA_CIPHERS
    retry: str | None = "1 5"
    verb: int = 3
    lines: Sequence[str] = ()
    arguments: Sequence[str] = ()
    """Command-line options after ``--config FILE``."""
    program: str | None = None
    """As ``command_of`` takes it; None is what the environment or the lab says."""
    own_port: int | None = None
    """The port that it sends from; None is any."""

    def render(self, pki: Pki) -> str:
        identity = self.identity or pki.client
        lines = [
            "client",
            f"dev {self.device}",
            f"proto {self.protocol}",
            "nobind" if self.own_port is None else f"lport {self.own_port}",
            "remote-cert-tls server",
            f"data-ciphers {':'.join(self.ciphers)}",
            f"verb {self.verb}",
        ]
        lines += [f"remote {remote}" for remote in self.remotes]
        lines += [f"connect-retry {self.retry}"] if self.retry else []
        if self.credentials:
            lines += [
                f"ca {self.ca or pki.authority.cert}",
                f"cert {identity.cert}",
                f"key {identity.key}",
            ]
        lines += [f"verify-x509-name {self.verify_name} name"] if self.verify_name else []
        return "\n".join([*lines, *self.wrapping.client_lines(pki), *self.lines]) + "\n"


def command_of(program: str) -> tuple[str, ...]:
    """Gives what goes in front of OpenVPN's options: ``ginnel``, ``openvpn`` or a command line."""
    if program == "ginnel":
        return (sys.executable, "-m", "ginnel", "openvpn")
    if program == "openvpn":
        return (OPENVPN,)
    return tuple(shlex.split(program))


def server_program(default: str = "openvpn") -> tuple[str, ...]:
    """Gives the command of servers: what the environment names, else the default."""
    return command_of(os.environ.get(SERVER_VARIABLE, default))


def client_program(default: str = "ginnel") -> tuple[str, ...]:
    """Gives the command of clients: what the environment names, else the default."""
    return command_of(os.environ.get(CLIENT_VARIABLE, default))


def client_is_ginnel() -> bool:
    """True when the program under test is ginnel and not a stand-in."""
    return os.environ.get(CLIENT_VARIABLE, "ginnel") != "openvpn"


@dataclass(slots=True)
class Running:
    """A started server or client."""

    process: Process
    config: Path
    label: str = field(default="")

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for(self, pattern: str, *, timeout: float = 40.0, since: int = 0) -> str:
        """Waits for a log line and returns what matched."""
        return self.process.wait_for(pattern, timeout=timeout, since=since).group(0)

    def wait_connected(self, *, timeout: float = 40.0, since: int = 0) -> None:
        """Waits for the line that tools wait for."""
        self.process.wait_for(COMPLETED, timeout=timeout, since=since)

    def mark(self) -> int:
        return self.process.mark()

    def log(self, since: int = 0) -> str:
        return self.process.log_text(since)

    def send(self, number: signal.Signals) -> None:
        self.process.send(number)

    def stop(self, *, expect: int | None = 0) -> int:
        """Ends it with SIGTERM and checks the exit status unless ``expect`` is None."""
        status = self.process.stop()
        if expect is not None and status != expect:
            message = f"{self.process.name} ended with {status}, not {expect}; its log ends:"
            raise LabError(f"{message}\n{self.process.tail()}")
        return status
