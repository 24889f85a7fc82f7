"""The error hierarchy. ``core.disposition`` maps each class to what the program does about it."""

from ginnel.options.errors import ConfigError, GinnelError

__all__ = [
    "AuthFailed",
    "ConfigError",
    "DataPlaneError",
    "GinnelError",
    "HostError",
    "LinkError",
    "LocalMisuse",
    "Malformed",
    "PeerError",
    "PeerIncompatible",
    "PeerMisbehaved",
]


class Malformed(Exception):
    """Bytes that do not decode. Stays inside decoders; ``receive`` counts it by ``reason``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PeerError(GinnelError):
    """The other side did it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PeerMisbehaved(PeerError):
    """Authenticated, yet breaks the protocol."""


class PeerIncompatible(PeerError):
    """Nothing in common: cipher, TLS version, format."""


class AuthFailed(PeerError):
    """The server refused the login; ``temporary`` with an optional ``backoff`` in seconds."""

    def __init__(
        self, reason: str, *, temporary: bool = False, backoff: float | None = None
    ) -> None:
        super().__init__(reason)
        self.temporary = temporary
        self.backoff = backoff


class LinkError(GinnelError):
    """The transport was lost, refused, timed out, or the name did not resolve."""

    def __init__(self, remote: str, cause: str) -> None:
        super().__init__(f"{remote}: {cause}")
        self.remote = remote
        self.cause = cause


class HostError(GinnelError):
    """The operating system refused a step of the host's configuration."""

    def __init__(self, step: str, errno: int, detail: str = "") -> None:
        super().__init__(f"{step}: {detail}" if detail else step)
        self.step = step
        self.errno = errno
        self.detail = detail


class DataPlaneError(GinnelError):
    """A data plane refused an operation."""

    def __init__(self, operation: str, peer_id: int, errno: int) -> None:
        super().__init__(f"{operation} (peer {peer_id}): errno {errno}")
        self.operation = operation
        self.peer_id = peer_id
        self.errno = errno


class LocalMisuse(GinnelError):
    """A bug of ours: crashes in tests, ends that one session in production."""
