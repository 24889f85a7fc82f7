"""Builds the TLS context, with the passphrase of the private key when it has one."""

import asyncio
import os
from collections.abc import Callable

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.compat.shell_lines import SignalSource
from ginnel.core.signing import OutsideKey
from ginnel.core.tls_context import (
    PassphraseNeeded,
    PassphraseWrong,
    TlsContext,
    build_tls_context,
)
from ginnel.core.types import Side
from ginnel.dataclass import dataclass, replace
from ginnel.hints import TYPE_CHECKING, Protocol
from ginnel.options.model import AuthRetry, TlsOptions
from ginnel.options.values import Secret
from ginnel.shell.clock import unix_now
from ginnel.shell.prompt import ask_passphrase

if TYPE_CHECKING:
    from ginnel.core.tls import PeerCheck

WRONG_PASSPHRASE = "private-key-password-failure"  # noqa: S105 -- a signal's name
"""The soft signal of another try to open the private key."""


class PassphraseSource(Protocol):
    """Who is asked for the passphrase: the part of a frontend that this needs."""

    @property
    def asks_passwords(self) -> bool: ...
    async def passphrase(self, type_name: str) -> Secret: ...
    def verification_failed(self, type_name: str) -> None: ...
    def choose_auth_retry(self, configured: AuthRetry) -> AuthRetry: ...
    def state(self, name: str, detail: str = "") -> None: ...
    def fatal(self, text: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Unlocking:
    """What is to be opened, and what follows a wrong passphrase."""

    tls: TlsOptions
    side: Side
    outside: OutsideKey | None = None
    peer_check: "PeerCheck | None" = None
    """What is asked of the other side's certificate; None is what is usual."""
    auth_retry: AuthRetry = AuthRetry.NONE
    pause: int = 1
    """Seconds before another try."""
    forget: bool = False
    """``auth-nocache``: the given passphrase is wiped once it was used."""


async def unlock(
    wanted: Unlocking, frontend: PassphraseSource, log: Callable[[LogLine], None]
) -> TlsContext:
    """Builds the TLS context, asking for the passphrase if one is missing. Raises ConfigError."""
    given = wanted.tls.askpass
    try:
        return build_context(wanted.tls, wanted)
    except PassphraseNeeded:
        if given is not None:
            raise
    finally:
        if given is not None and wanted.forget:
            given.wipe()
    while True:
        entered = await _passphrase(frontend)
        try:
            opened = replace(wanted.tls, askpass=entered)
            return build_context(opened, wanted)
        except PassphraseWrong as wrong:
            frontend.verification_failed("Private Key")
            if frontend.choose_auth_retry(wanted.auth_retry) is not AuthRetry.INTERACT:
                frontend.fatal(wrong.message)
                raise
            log(shell_lines.warning(wrong.message))
        finally:
            entered.wipe()
        log(shell_lines.signal_received("SIGUSR1", SignalSource.SOFT, WRONG_PASSPHRASE))
        frontend.state("RECONNECTING", WRONG_PASSPHRASE)
        log(shell_lines.restart_pause(wanted.pause))
        await asyncio.sleep(wanted.pause)


async def _passphrase(frontend: PassphraseSource) -> Secret:
    if frontend.asks_passwords:
        return await frontend.passphrase("Private Key")
    return await ask_passphrase()


def build_context(options: TlsOptions, wanted: Unlocking) -> TlsContext:
    """Builds it with these options, and all else as wanted.

    Raises ConfigError; PassphraseNeeded and PassphraseWrong are such.
    """
    directory = options.crl_verify_dir

    def is_revoked(serial: int) -> bool:
        return directory is not None and _exists(os.path.join(directory, str(serial)))

    return build_tls_context(
        options,
        side=wanted.side,
        unix_time=unix_now(),
        is_revoked=is_revoked,
        outside=wanted.outside,
        peer_check=wanted.peer_check,
    )


def _exists(path: str) -> bool:
    """Raises OSError when nobody can tell, where ``os.path.exists`` would say no."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
