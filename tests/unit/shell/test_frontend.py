"""What stands in when there is no management interface: nothing waits, nothing changes."""

import asyncio

from ginnel.options.model import (
    AddressFamily,
    AuthRetry,
    ConnectionProfile,
    LinkProtocol,
)
from ginnel.options.values import Origin
from ginnel.shell.frontend import Frontend, Unattended


def test_nothing_is_asked_and_nothing_waits() -> None:
    frontend: Frontend = Unattended()
    assert not any((frontend.asks_passwords, frontend.asks_remotes, frontend.holds))
    assert frontend.open()
    assert frontend.choose_auth_retry(AuthRetry.INTERACT) is AuthRetry.INTERACT
    profile = ConnectionProfile(
        host="vpn.example",
        port="1194",
        protocol=LinkProtocol.UDP,
        family=AddressFamily.ANY,
        origin=Origin("c", 1),
    )

    async def scenario() -> None:
        await frontend.hold(5)
        assert await frontend.remote(profile) == ("vpn.example", "1194")

    asyncio.run(asyncio.wait_for(scenario(), 40))
