"""The stand-in fits the protocol and judges nobody."""

from ipaddress import ip_address

import pytest

from ginnel.core.server_actions import ClientFacts, ClientId
from ginnel.core.types import Endpoint, PeerId, Transport
from ginnel.shell.server_frontend import ServerFrontend, UnattendedServer
from tests.unit.shell.loops import run

FACTS = ClientFacts(
    client_id=ClientId(0),
    key_number=1,
    peer_id=PeerId(0),
    remote=Endpoint(ip_address("192.0.2.7"), 1194),
    transport=Transport.UDP,
)


def test_nobody_is_there_to_judge() -> None:
    frontend: ServerFrontend = UnattendedServer()
    frontend.client_established(FACTS, {})
    frontend.client_gone(FACTS, {})
    with pytest.raises(AssertionError):
        run(frontend.judge(FACTS, {}, lambda timeout, extra: True, is_first=True))
