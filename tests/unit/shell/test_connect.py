"""Which link a profile leads to."""

import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ginnel.core.errors import LinkError
from ginnel.core.types import Endpoint, Transport
from ginnel.options.model import LinkProtocol
from ginnel.shell.connect import open_link
from ginnel.shell.link import LinkUnavailable
from tests.unit.shell.loops import run
from tests.unit.shell.remotes import attempt, tcp_profile, udp_profile

LOOPBACK = ip_address("127.0.0.1")


def test_the_profile_chooses_the_transport() -> None:
    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            remote = Endpoint(LOOPBACK, listener.getsockname()[1])
            for profile, transport in (
                (udp_profile(), Transport.UDP),
                (tcp_profile(), Transport.TCP),
            ):
                link = await open_link(attempt(profile, remote))
                assert link.transport is transport
                link.close()

    run(work())


def test_a_client_does_not_listen() -> None:
    async def work() -> None:
        profile = replace(tcp_profile(), protocol=LinkProtocol.TCP_SERVER)
        with pytest.raises(LinkUnavailable, match="does not wait"):
            await open_link(attempt(profile, Endpoint(LOOPBACK, 9)))

    run(work())


def test_a_local_name_is_resolved_without_waiting_for_it() -> None:
    async def work() -> None:
        profile = replace(udp_profile(), local="localhost", bind=True)
        link = await open_link(attempt(profile, Endpoint(LOOPBACK, 9)))
        assert link.local == Endpoint(LOOPBACK, 0)
        link.close()
        unknown = replace(profile, local="no-such-host.invalid")
        with pytest.raises(LinkError, match=r"no-such-host\.invalid"):
            await open_link(attempt(unknown, Endpoint(LOOPBACK, 9)))

    run(work())
