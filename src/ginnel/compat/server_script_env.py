"""The arguments and environment of the scripts about one client of a server, name for name. Pure.

Names and values follow what scripts of an OpenVPN 2.6.14 server received in recorded runs
(``tests/vectors/server_scripts``). What is the same for all clients comes from the server's own
tunnel (``base``); running the scripts is the shell's business.
"""

import time
from collections.abc import Iterator, Mapping

from ginnel.compat.certificate_env import certificate_variables
from ginnel.core.actions import CertificateInfo
from ginnel.core.server_actions import ClientFacts, ClientTerms, TokenState
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass, field
from ginnel.enumeration import Enum
from ginnel.options.model import DeviceType, Topology
from ginnel.options.server_model import ServerOptions


class ServerHook(Enum):
    """A hook; the value is its ``script_type``."""

    CLIENT_KEY = "tls-crypt-v2-verify"
    TLS_VERIFY = "tls-verify"
    PASSWORD = "user-pass-verify"  # noqa: S105 -- a script's name
    RESPONSE = "client-crresponse"
    CONNECT = "client-connect"
    DISCONNECT = "client-disconnect"
    LEARN_ADDRESS = "learn-address"

    @property
    def option(self) -> str:
        """The option that names the command."""
        return "auth-user-pass-verify" if self is ServerHook.PASSWORD else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a client moved, from the server's side, and for how many seconds."""

    received: int
    sent: int
    duration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStory:
    """Everything that scripts may be told about a client at one moment."""

    facts: ClientFacts
    certificates: tuple[CertificateInfo, ...] = ()
    """Verified so far, top depth first."""
    is_trusted: bool = False
    """From the first login on; ``trusted_ip`` is told then."""
    session_id: str = ""
    session_state: TokenState | None = None
    asked_password: bool = False
    """Whether name and password were judged; ``username`` is told then."""
    terms: ClientTerms | None = None
    """Its addresses, once there are any."""
    began: int | None = None
    """Unix time when it was let in."""
    traffic: Traffic | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Variables that name files for this call."""


def client_environment(
    base: Mapping[str, str], options: ServerOptions, story: ClientStory
) -> dict[str, str]:
    """What is told about a client: the environment but ``script_type``, in order of its becoming.

    ``base`` is what is the same for all clients.
    """
    facts = story.facts
    told = dict(base)
    told.update(_endpoint_variables("untrusted", facts.remote))
    told.update(certificate_variables(story.certificates, options.tls.x509_track))
    if facts.common_name:
        told["common_name"] = facts.common_name
    told.update(facts.peer_info)
    if story.asked_password:
        told["username"] = facts.username
    if story.session_state is not None:
        told["session_state"] = story.session_state.value
        told["session_id"] = story.session_id
    if story.is_trusted:
        told.update(_endpoint_variables("trusted", facts.remote))
    if story.terms is not None:
        told.update(_address_variables(story.terms, options))
    if story.began is not None:
        told["time_ascii"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(story.began))
        told["time_unix"] = str(story.began)
    if story.traffic is not None:
        told["bytes_received"] = str(story.traffic.received)
        told["bytes_sent"] = str(story.traffic.sent)
        told["time_duration"] = str(story.traffic.duration)
    told.update(story.files)
    return {name: clean(value) for name, value in told.items()}


def bare_environment(hook: ServerHook, **told: str) -> dict[str, str]:
    """For the hooks that are told nothing else: ``tls-crypt-v2-verify``, addresses that go."""
    return {**told, "script_type": hook.value}


_LINE_ENDS = dict.fromkeys(map(ord, "\0\r\n"))


def clean(value: str) -> str:
    """Drops what would end a value or start a new line where a script prints it."""
    return value.translate(_LINE_ENDS)


def _endpoint_variables(prefix: str, peer: Endpoint) -> Iterator[tuple[str, str]]:
    yield f"{prefix}_{'ip' if peer.address.version == 4 else 'ip6'}", str(peer.address)
    yield f"{prefix}_port", str(peer.port)


def _address_variables(terms: ClientTerms, options: ServerOptions) -> Iterator[tuple[str, str]]:
    """``ifconfig_pool_*``, also for addresses that are not of the pool."""
    tun = options.tun
    if terms.ifconfig is not None:
        address, second = terms.ifconfig
        has_mask = tun.dev_type is DeviceType.TAP or tun.topology is Topology.SUBNET
        yield "ifconfig_pool_remote_ip", str(address)
        yield ("ifconfig_pool_netmask" if has_mask else "ifconfig_pool_local_ip"), str(second)
    if terms.ifconfig_ipv6 is not None:
        interface, ours = terms.ifconfig_ipv6
        yield "ifconfig_pool_remote_ip6", str(interface.ip)
        yield "ifconfig_pool_local_ip6", str(ours)
        yield "ifconfig_pool_ip6_netbits", str(interface.network.prefixlen)
