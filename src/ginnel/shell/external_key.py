"""Signatures by the management client (``management-external-key``).

Says what is to be signed in the words that such a client knows, as openvpn 2.6.14 does; a client
that can do less than the handshake needs gets the rest done here. The key never comes near us.
"""

import asyncio
import base64
import os
from collections.abc import Callable

from ginnel.core.actions import ActionResult, Failed, Signature
from ginnel.core.errors import ConfigError
from ginnel.core.padding import digest, digest_info, pkcs1_block, pss_block
from ginnel.core.signing import OutsideKey, Scheme, SignatureRequest
from ginnel.hints import Protocol
from ginnel.options.model import ExternalKey, TlsOptions
from ginnel.options.values import FileContent, Origin, Secret
from ginnel.shell.parking import ThreadStacks

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Client(Protocol):
    """Who asks the management client: ``shell.frontend.Frontend``."""

    async def sign(self, content: str, algorithm: str) -> str: ...


class ManagementSigner:
    """Asks the management client. One question at a time, the next waits."""

    def __init__(
        self, can: ExternalKey, client: Client, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._can = can
        self._client = client
        self._entropy = entropy
        self._busy = asyncio.Lock()

    async def sign(self, request: SignatureRequest) -> ActionResult:
        try:
            content, algorithm = describe(request, self._can, self._entropy)
        except ValueError as impossible:
            return Failed(reason=str(impossible))
        async with self._busy:
            answer = await self._client.sign(base64.b64encode(content).decode(), algorithm)
        try:
            signature = base64.b64decode(answer, validate=True)
        except ValueError:
            return Failed(reason="what the management client sent is not base64")
        if not signature or len(signature) > request.key_bytes:
            return Failed(
                reason=f"the management client's signature has {len(signature)} bytes, "
                f"expected at most {request.key_bytes}"
            )
        return Signature(signature=signature)


def describe(
    request: SignatureRequest, can: ExternalKey, entropy: Callable[[int], bytes]
) -> tuple[bytes, str]:
    """What the client is sent, and the words for it. Raises ValueError when it cannot do it."""
    match request.scheme:
        case Scheme.ED25519 | Scheme.ED448:
            return request.message, f"{request.scheme.value},data=message"
        case Scheme.ECDSA if can.digest:
            return request.message, f"ECDSA,hashalg={request.hash_name},data=message"
        case Scheme.ECDSA:
            return digest(request), "ECDSA"
        case Scheme.RSA_PSS if can.pss:
            words = f"RSA_PKCS1_PSS_PADDING,hashalg={request.hash_name},saltlen=digest"
            if can.digest:
                return request.message, f"{words},data=message"
            return digest(request), words
        case Scheme.RSA_PSS if can.nopadding:
            salt = entropy(len(digest(request)))
            return pss_block(request, salt), "RSA_NO_PADDING"
        case Scheme.RSA_PSS:
            raise ValueError("management-external-key does not name 'pss'")
        case Scheme.RSA_PKCS1 if can.nopadding and not can.pkcs1:
            return pkcs1_block(request), "RSA_NO_PADDING"
        case _:
            if can.digest and request.hash_name != "MD5-SHA1":
                words = f"RSA_PKCS1_PADDING,hashalg={request.hash_name},data=message"
                return request.message, words
            return digest_info(request), "RSA_PKCS1_PADDING"


def pem_from_body(body: str) -> FileContent:
    """Restores a PEM file whose lines came joined. Raises ConfigError when it is none."""
    option = "management-external-cert"
    blocks = []
    for part in body.split(_BEGIN)[1:]:
        content, found, _ = part.partition(_END)
        if found:
            blocks.append(f"{_BEGIN}\n{content}\n{_END}\n")
    if not blocks:
        raise ConfigError(
            f"{option}: the management client sent no certificate, expected a PEM block '{_BEGIN}'",
            option=option,
        )
    pem = Secret("".join(blocks).encode())
    return FileContent(option=option, origin=Origin("management", 0), path=None, content=pem)


def outside_key(options: TlsOptions) -> OutsideKey | None:
    """What the TLS context has to know about a key with the management client."""
    can = options.external_key
    if can is None:
        return None
    return OutsideKey(
        stacks=ThreadStacks(), option="management-external-key", rsa_pss=can.pss or can.nopadding
    )
