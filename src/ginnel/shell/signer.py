"""Who owns a private key outside this process, as the drive sees it."""

from ginnel.core.actions import ActionResult
from ginnel.core.signing import SignatureRequest
from ginnel.hints import Protocol


class Signer(Protocol):
    """Who owns the private key."""

    async def sign(self, request: SignatureRequest) -> ActionResult:
        """Answers with Signature or Failed, however long it takes. Cancelled when not wanted."""
        ...
