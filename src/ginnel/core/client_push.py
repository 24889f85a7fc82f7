"""What a client makes of a push: parts put together, options applied, the data channel agreed.

Responsible for turning PUSH_REPLY messages into new options and an ``Agreement``, or into the end
of the connection. When to ask for a push, and what to open then, is ``client``'s business.
"""

from collections.abc import Sequence

from ginnel.core import client_end as end
from ginnel.core.client_outbox import Outbox
from ginnel.core.errors import Malformed, PeerIncompatible
from ginnel.core.negotiate import Agreement, DataCapabilities, agree_on_pull
from ginnel.core.notices import (
    Ended,
    OptionsImported,
    PushOptionFiltered,
    PushOptionRefused,
    PushReceived,
)
from ginnel.core.push import PushAssembler, redact
from ginnel.dataclass import dataclass
from ginnel.options.model import ClientOptions
from ginnel.options.push_update import apply_update
from ginnel.options.pushed import apply_push

PUSH_FAILED = "process-push-msg-failed"
REPLY = "PUSH_REPLY"
UPDATE = "PUSH_UPDATE"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A push that the connection can go on with."""

    options: ClientOptions
    agreement: Agreement
    device_items: tuple[str, ...]


class PushImport:
    """Collects the parts of a push."""

    def __init__(self, base: ClientOptions, capabilities: DataCapabilities, outbox: Outbox) -> None:
        """``base`` are the options before any push: each whole push starts from them."""
        self._base = base
        self._capabilities = capabilities
        self._outbox = outbox
        self._replies = PushAssembler()
        self._updates = PushAssembler()
        self._applied: tuple[str, ...] = ()
        """The items that the options in force come from."""

    def begin(self) -> None:
        """A new session began: the parts of a push in the one before are void."""
        self._replies = PushAssembler()
        self._updates = PushAssembler()

    def add(self, items: Sequence[str], keyword: str = REPLY) -> tuple[str, ...] | Ended | None:
        """Takes a part; returns all items once the last came, None before that.

        A reply is not continued by an update, nor the other way round.
        """
        self._outbox.tell(PushReceived(text=redact(keyword, items)))
        assembler = self._updates if keyword == UPDATE else self._replies
        try:
            return assembler.add(items)
        except Malformed:
            return end.restart(PUSH_FAILED, "the server pushed more than is sensible")

    def apply(self, items: Sequence[str], peer_cipher: str | None) -> Imported | Ended:
        """Applies a whole push and agrees on the data channel.

        ``peer_cipher`` is the cipher item of the server's options string.
        """
        result = apply_push(self._base, items)
        for option in result.filtered:
            self._outbox.tell(PushOptionFiltered(option=option))
        for option, reason in result.refused:
            self._outbox.tell(PushOptionRefused(option=option, reason=reason))
        if result.rejected_by_filter is not None:
            return end.restart(
                PUSH_FAILED,
                f"Pushed option rejected by filter: '{result.rejected_by_filter}'",
            )
        if result.failure is not None:
            return end.restart(PUSH_FAILED, result.failure)
        self._outbox.tell(OptionsImported(options=result.options, groups=result.groups))
        try:
            agreement = agree_on_pull(result.options.data, peer_cipher, self._capabilities)
        except PeerIncompatible as mismatch:
            return end.restart(PUSH_FAILED, mismatch.reason)
        self._applied = tuple(items)
        return Imported(
            options=result.options, agreement=agreement, device_items=result.device_items
        )

    def update(self, items: Sequence[str]) -> ClientOptions | Ended:
        """Applies a whole update to what was pushed before; the new options."""
        result = apply_update(self._base, self._applied, items)
        for option, reason in result.left_out:
            self._outbox.tell(PushOptionRefused(option=option, reason=reason))
        if result.failure is not None:
            return end.restart(PUSH_FAILED, result.failure)
        self._applied = result.items
        options = result.push.options
        self._outbox.tell(OptionsImported(options=options, groups=result.groups, is_update=True))
        return options

    def options_of(self, items: Sequence[str]) -> ClientOptions:
        """The options of a push that comes while connected: only its token is of interest."""
        return apply_push(self._base, items).options
