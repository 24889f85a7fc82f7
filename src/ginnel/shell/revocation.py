"""Watches ``crl-verify`` and ends the sessions of those whose certificates are revoked.

New negotiations are judged by TLS itself (``tls_files``, ``unlock``), which is told here that there
is a new list. What costs a look at each client happens when the list changes, in small pieces.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ginnel.core.actions import CertificateInfo
from ginnel.core.server_actions import ClientFacts
from ginnel.core.x509 import unreadable
from ginnel.hints import Protocol, TypeVar
from ginnel.options.model import TlsOptions

LOOK = 0.5
"""Seconds between two looks; a list is read when two of them saw the same."""
AT_A_TIME = 100
"""Clients that are looked at before others get their turn."""
MAX_SIZE = 64 << 20

Shape = tuple[int, int, int] | None
_NO_FILE: Shape = (-1, -1, -1)
IsRevoked = Callable[[bytes], bool]
"""Whether a certificate (DER) is revoked now."""


class HasFacts(Protocol):
    """A client, as far as it matters here."""

    @property
    def facts(self) -> ClientFacts: ...


C = TypeVar("C", bound=HasFacts)


class RevocationWatch:
    """See the module. ``renew`` has new negotiations judged by the new list, or complains."""

    def __init__(
        self, options: TlsOptions, *, renew: Callable[[], object], look: float = LOOK
    ) -> None:
        file = options.crl_verify
        self._file = None if file is None else file.path
        self._directory = options.crl_verify_dir
        self._hand_window = options.hand_window
        self._renew = renew
        self._look = look
        self._seen = self._shape()
        # The list may have changed since TLS took it in: the first look at it counts.
        self._used = _NO_FILE

    @property
    def is_needed(self) -> bool:
        """Whether there is anything that can change."""
        return self._file is not None or self._directory is not None

    async def run(
        self, clients: Callable[[], Iterable[C]], end: Callable[[C, CertificateInfo], None]
    ) -> None:
        """Looks until it is cancelled; ``end`` is called for each client that is revoked."""
        loop = asyncio.get_running_loop()
        again: tuple[float, IsRevoked] | None = None
        while True:
            await asyncio.sleep(self._look)
            if again is not None and loop.time() >= again[0]:
                await _end_revoked(again[1], clients(), end)
                again = None
            if not self._is_new():
                continue
            # This may fail for a certificate that changed as well: the list counts all the same.
            self._renew()
            # Long lists take their time: the loop goes on meanwhile.
            is_revoked = await asyncio.to_thread(self._read)
            if is_revoked is not None:
                await _end_revoked(is_revoked, clients(), end)
                # Handshakes that had begun were judged by the list before: they are over then.
                again = (loop.time() + self._hand_window, is_revoked)

    def _is_new(self) -> bool:
        """Whether there is another list than the last one, and nobody writes it any more."""
        shape = self._shape()
        if shape != self._seen:
            self._seen = shape
            return False
        if shape == self._used:
            return False
        self._used = shape
        return True

    def _read(self) -> IsRevoked | None:
        """The list; None for one that is no good. ``renew`` complains of it."""
        try:
            if self._directory is not None:
                return _by_directory(self._directory)
            return _by_file(Path(self._file or "").read_bytes()[:MAX_SIZE])
        except (OSError, ValueError):
            return None

    def _shape(self) -> Shape:
        path = self._file or self._directory
        try:
            found = os.stat(path or "")
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


async def _end_revoked(
    is_revoked: IsRevoked, clients: Iterable[C], end: Callable[[C, CertificateInfo], None]
) -> None:
    for number, client in enumerate(tuple(clients)):
        for certificate in client.facts.chain:
            if is_revoked(certificate.der):
                end(client, certificate)
                break
        if number % AT_A_TIME == AT_A_TIME - 1:
            await asyncio.sleep(0)


def _by_directory(directory: str) -> IsRevoked:
    """A file by the name of a serial number revokes it, as OpenVPN has it."""
    revoked = {name for name in os.listdir(directory) if name.isdigit()}

    def is_revoked(der: bytes) -> bool:
        found = _identity(der)
        return found is not None and str(found[1]) in revoked

    return is_revoked


def _by_file(content: bytes) -> IsRevoked:
    """Raises ValueError for what is no list."""
    from cryptography import x509

    marker = b"-----BEGIN X509 CRL-----"
    blocks = content.split(marker)[1:]
    lists = [x509.load_pem_x509_crl(marker + block) for block in blocks]
    revoked: set[tuple[bytes, int] | None] = set()
    for one in lists:
        issuer = one.issuer.public_bytes()
        revoked.update((issuer, entry.serial_number) for entry in one)
    return lambda der: _identity(der) in revoked


def _identity(der: bytes) -> tuple[bytes, int] | None:
    """Issuer and serial number; None for a certificate that only OpenSSL can read."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        return certificate.issuer.public_bytes(), certificate.serial_number
    except unreadable():
        return None
