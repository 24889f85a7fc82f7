"""What a client keeps while its tunnel is up: the terms, and the keys under them."""

from ginnel.core.actions import TunnelConfig
from ginnel.core.client_outbox import Outbox
from ginnel.core.negotiate import Agreement
from ginnel.core.tunnel_keys import TunnelKeys
from ginnel.core.types import Instant
from ginnel.options.model import TlsOptions


class ClientTunnel:
    """One open tunnel."""

    def __init__(
        self,
        *,
        config: TunnelConfig,
        agreement: Agreement,
        tls: TlsOptions,
        outbox: Outbox,
        now: Instant,
    ) -> None:
        self.config = config
        self.agreement = agreement
        self.keys = TunnelKeys(
            peer_id=config.peer_id,
            agreement=agreement,
            tls=tls,
            reneg_sec=tls.reneg_sec,
            outbox=outbox,
            now=now,
        )

    def fits(self, config: TunnelConfig, agreement: Agreement) -> bool:
        """Whether a session that replaced a failed one agreed on the very same terms."""
        return (
            config.device_items == self.config.device_items
            and config.send_peer_id == self.config.send_peer_id
            and agreement == self.agreement
        )
