"""Who owns a private key outside this process, as the drive sees it."""

from typing import Protocol

from ginnel.core.actions import ActionResult
from ginnel.core.signing import SignatureRequest


class Signer(Protocol):
    """Who owns the private key."""

    async def sign(self, request: SignatureRequest) -> ActionResult:
        """Answers with Signature or Failed, however long it takes. Cancelled when not wanted."""
        ...
