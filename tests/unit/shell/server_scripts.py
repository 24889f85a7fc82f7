"""A stand-in for what runs scripts of a server, and the clients that they are told about."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, ip_address
from pathlib import Path
from typing import Any

from ginnel.compat.log_lines import LogLine
from ginnel.core.actions import Credentials
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.negotiate import Agreement
from ginnel.core.payload import PayloadTerms
from ginnel.core.server_actions import (
    AgreedClient,
    Authenticate,
    ClientFacts,
    ClientId,
    ClientTerms,
)
from ginnel.core.types import ActionId, Endpoint, PeerId, Transport
from ginnel.host.scripts import ScriptFailure, ScriptResult
from ginnel.options.model import ScriptOptions, Topology, TunOptions
from ginnel.options.server_model import (
    AccessOptions,
    LimitOptions,
    Pool4,
    PoolOptions,
    ScriptMethod,
    ServerOptions,
)
from ginnel.options.values import Secret
from tests.unit.shell.remotes import udp_profile

Answer = Callable[["Call"], int]


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script, with what its files held at that moment."""

    hook: str
    words: tuple[str, ...]
    environment: dict[str, str]

    def write(self, variable: str, text: str) -> None:
        Path(self.environment[variable]).write_text(text)

    def read(self, index: int) -> str:
        return Path(self.words[index]).read_text()


@dataclass
class FakeScripts:
    """Answers as planned, by ``script_type``; 0 otherwise. ``hanging`` ones never end."""

    plan: dict[str, Answer] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)

    async def run(
        self,
        command: Sequence[str],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        script_security: int,
        own_session: bool = False,
    ) -> ScriptResult:
        assert own_session, "what it starts would outlive it"
        call = Call(environment["script_type"], tuple(arguments), dict(environment))
        self.calls.append(call)
        if call.hook in self.hanging:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        status = self.plan[call.hook](call) if call.hook in self.plan else 0
        failure = ScriptFailure.EXIT_STATUS if status else None
        return ScriptResult(status=status, failure=failure)

    @property
    def ran(self) -> list[str]:
        return [" ".join((call.hook, *call.words)) for call in self.calls]


@dataclass
class Said:
    """Lines about clients."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, facts: ClientFacts, line: LogLine) -> None:
        self.texts.append(line.text)

    def has(self, part: str) -> bool:
        return any(part in text for text in self.texts)


def client(number: int = 1, *, name: str = "ada", **peer_info: str) -> ClientFacts:
    return ClientFacts(
        client_id=ClientId(number),
        key_number=0,
        peer_id=PeerId(number),
        remote=Endpoint(ip_address("192.0.2.10"), 4000 + number),
        transport=Transport.UDP,
        common_name=name,
        peer_info=tuple(peer_info.items()),
    )


def login(
    facts: ClientFacts,
    username: str = "ada",
    password: str = "secret word",
    *,
    is_first: bool = True,
) -> Authenticate:
    credentials = Credentials(username=username, password=Secret(password.encode()))
    return Authenticate(id=ActionId(1), client=facts, login=credentials, is_first=is_first)


def server_options(folder: Path, *, pool: bool = True, **access: Any) -> ServerOptions:
    """Options of a server whose scripts keep their files in ``folder``."""
    access.setdefault("auth_user_pass_method", ScriptMethod.VIA_FILE)
    four = Pool4(first=IPv4Address("10.8.0.4"), last=IPv4Address("10.8.0.5"))
    ours = IPv4Interface("10.8.0.1/24")
    return ServerOptions(
        listeners=(),
        profile=udp_profile(),
        tun=TunOptions(
            topology=Topology.SUBNET,
            ifconfig=(ours.ip, ours.netmask),
            ifconfig_ipv6=IPv6Interface("fd00:8::1/64"),
        ),
        scripts=ScriptOptions(script_security=3, tmp_dir=str(folder)),
        pool=PoolOptions(ipv4=four if pool else None),
        limits=LimitOptions(),
        push=("topology subnet", "route 10.9.0.0 255.255.0.0"),
        access=AccessOptions(**access),
    )


OFFICE = IPv4Network("10.20.0.0/16")


def agreed_client(facts: ClientFacts, terms: ClientTerms) -> AgreedClient:
    """A client that got as far as the data plane."""
    agreement = Agreement(
        cipher=DataCipher.AES_256_GCM,
        format=DataFormat.V2,
        send_peer_id=PeerId(0),
        tls_ekm=True,
        dyn_tls_crypt=True,
        cc_exit=True,
    )
    return AgreedClient(
        client=facts,
        terms=terms,
        agreement=agreement,
        send_peer_id=PeerId(0),
        ping_interval=10,
        ping_timeout=120,
        inactive=0,
        inactive_bytes=0,
        mss_ipv4=0,
        mss_ipv6=0,
        payload=PayloadTerms(),
        allow_float=True,
    )
