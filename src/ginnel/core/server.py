"""The server's machine for one client: from its first packet to its end.

The interface of the machine; its parts follow.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ginnel.core import events
from ginnel.core.control_keys import ControlKeys
from ginnel.core.errors import LocalMisuse
from ginnel.core.listener import Admission
from ginnel.core.negotiate import DataCapabilities
from ginnel.core.server_actions import (
    AgreedClient,
    ClientFacts,
    ClientId,
    ServerAction,
    ServerActionResult,
)
from ginnel.core.server_notices import ServerNotice
from ginnel.core.tls import TlsChannel
from ginnel.core.types import ActionId, Endpoint, Instant, PeerId, Transmit, Transport
from ginnel.options.server_model import ServerOptions

if TYPE_CHECKING:
    from ginnel.core.auth_token import TokenIssuer

_UNFINISHED = "the server's machine is not built yet"


class ServerMachine:
    """One client. ``remote`` is its address now; transmits go there (to nowhere on TCP)."""

    def __init__(
        self,
        *,
        options: ServerOptions,
        keys: ControlKeys,
        client_id: ClientId,
        peer_id: PeerId,
        remote: Endpoint,
        local: Endpoint | None,
        transport: Transport,
        admission: Admission | None,
        tls: Callable[[], TlsChannel],
        entropy: Callable[[int], bytes],
        unix_time: int,
        capabilities: DataCapabilities,
        tokens: "TokenIssuer | None",
    ) -> None:
        """``keys`` are ``Listener.keys``; ``admission`` is None for a stream.

        ``unix_time`` is the wall clock in seconds at ``start``.
        """
        self.facts = ClientFacts(
            client_id=client_id,
            key_number=0,
            peer_id=peer_id,
            remote=remote,
            transport=transport,
            local=local,
        )
        self.agreed: AgreedClient | None = None
        self.is_over = False
        self.drops: Counter[str] = Counter()

    # --- inputs --------------------------------------------------------------------------------

    def start(self, now: Instant) -> None:
        """Begins, with the packet that the client was let in for, if there is one."""
        raise LocalMisuse(_UNFINISHED)

    def receive(self, packet: bytes, source: Endpoint | None, now: Instant) -> None:
        """Takes a packet that is not data. Never raises for what the network sent."""

    def handle_timeout(self, now: Instant) -> None:
        """Does what is due; harmless when nothing is."""

    def complete(self, action_id: ActionId, result: ServerActionResult, now: Instant) -> None:
        """Answers an action. An answer that nobody waits for any more is ignored."""

    def handle_data_plane(self, event: events.DataPlaneEvent, now: Instant) -> None:
        """Takes a report of the data plane or of the link."""

    def report_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None:
        """Takes the counters of the tun side, both directions together."""

    def close(self, reason: str, now: Instant) -> None:
        """Ends at once; the client is not told."""

    def restart_client(self, message: str, now: Instant) -> None:
        """Sends ``RESTART`` or ``HALT`` (the whole message), and ends soon after."""

    def refuse(self, reason: str, now: Instant) -> None:
        """Tells the client AUTH_FAILED with the reason, which may be empty, and ends soon after."""

    def pend(self, timeout: int, extra: str, now: Instant) -> bool:
        """Tells the client that its login takes up to ``timeout`` seconds, and ``extra``.

        False when no login of it is being judged.
        """
        return False

    def say(self, text: str, now: Instant) -> bool:
        """Sends a control message; False when there is nothing to send it on."""
        return False

    def update(self, items: Sequence[str], now: Instant) -> bool:
        """Sends PUSH_UPDATE; False when the client does not know it, or there is no client yet."""
        return False

    # --- outputs -------------------------------------------------------------------------------

    def poll_transmit(self) -> Transmit | None:
        """The next packet for the link."""
        return None

    def poll_notice(self) -> ServerNotice | None:
        """The next thing that happened."""
        return None

    def poll_action(self) -> ServerAction | None:
        """The next thing to do for this client."""
        return None

    def poll_timeout(self) -> Instant | None:
        """When to call ``handle_timeout``; None when there is nothing to wait for."""
        return None
