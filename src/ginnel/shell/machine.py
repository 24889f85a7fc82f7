"""The machine of one attempt, as the shell drives it: over TLS, or with a static key.

Which of the two a profile asks for is decided here and nowhere else.
"""

import os
from collections import Counter
from collections.abc import Callable

from ginnel.core.actions import Action, ActionResult, Credentials
from ginnel.core.client import ClientMachine
from ginnel.core.events import DataPlaneEvent
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.notices import Notice, Outcome
from ginnel.core.peer_info import LocalFacts
from ginnel.core.tls import TlsChannel
from ginnel.core.types import ActionId, Endpoint, Instant, Transmit
from ginnel.core.wrap.api import SivMaker
from ginnel.hints import Protocol
from ginnel.options.model import ClientOptions, ConnectionProfile
from ginnel.shell.clock import unix_now


class Machine(Protocol):
    """What the drive feeds and drains; see ``core.client.ClientMachine`` for each member."""

    @property
    def drops(self) -> Counter[str]: ...
    @property
    def token(self) -> Credentials | None: ...
    def start(self, now: Instant) -> None: ...
    def receive(
        self, packet: bytes, source: Endpoint | None, now: Instant, *, more: bool = False
    ) -> None: ...
    def handle_timeout(self, now: Instant) -> None: ...
    def complete(self, action_id: ActionId, result: ActionResult, now: Instant) -> None: ...
    def handle_data_plane(self, event: DataPlaneEvent, now: Instant) -> None: ...
    def report_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None: ...
    def respond(self, response: str, now: Instant) -> bool: ...
    def forget_login(self) -> None: ...
    def close(self, reason: str, now: Instant, *, outcome: Outcome = ...) -> None: ...
    def poll_transmit(self) -> Transmit | None: ...
    def poll_notice(self) -> Notice | None: ...
    def poll_action(self) -> Action | None: ...
    def poll_timeout(self) -> Instant | None: ...


def make_machine(
    options: ClientOptions,
    *,
    profile: ConnectionProfile,
    remote: Endpoint,
    tls: Callable[[], TlsChannel],
    capabilities: DataCapabilities,
    facts: LocalFacts,
    credentials: Credentials | None,
    token: Credentials | None,
    siv: SivMaker,
) -> Machine:
    """Makes the machine that the profile asks for.

    ``tls`` makes the channel of a negotiation, ``siv`` the keys of control packets; the server is
    told ``facts``.
    """
    if options.data.static_key is not None:
        from ginnel.core.static_peer import StaticPeerMachine

        return StaticPeerMachine(
            options=options,
            profile=profile,
            remote=remote,
            unix_time=unix_now(),
            capabilities=capabilities,
        )
    return ClientMachine(
        options=options,
        profile=profile,
        remote=remote,
        tls=tls,
        entropy=os.urandom,
        unix_time=unix_now(),
        capabilities=capabilities,
        facts=facts,
        credentials=credentials,
        token=token,
        siv=siv,
    )
