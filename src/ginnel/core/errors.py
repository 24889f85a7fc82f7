"""The error hierarchy. An error that reaches the top of the shell ends the program.

How a connection ended is no error but a value, ``notices.Ended``: ``core.client_end`` decides that.
"""

from ginnel.options.errors import ConfigError, GinnelError

__all__ = [
    "ConfigError",
    "DataPlaneError",
    "GinnelError",
    "HostError",
    "LinkError",
    "LocalMisuse",
    "Malformed",
    "PeerError",
    "PeerIncompatible",
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


class PeerIncompatible(PeerError):
    """Nothing in common: cipher, TLS version, format."""


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
