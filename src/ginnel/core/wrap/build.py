"""Builds the wrapping that the options ask for.

Responsible for: options to objects. Imports the cryptography package only when a wrapping needs it,
so that starting up stays light.
"""

from collections.abc import Callable

from ginnel.core.digests import digest_named
from ginnel.core.errors import ConfigError
from ginnel.core.key_files import parse_static_key, parse_v2_client_key
from ginnel.core.replay import REPLAY_WINDOW, ReplayWindow
from ginnel.core.types import Side
from ginnel.core.wrap.api import SivMaker, Wrapping, library_siv
from ginnel.core.wrap.plain import PlainControl
from ginnel.hints import assert_never
from ginnel.options.model import (
    ControlWrapping,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
)

WrappingMaker = Callable[[int, int], Wrapping]
"""Makes a fresh wrapping: from wall-clock seconds and the count of packets sent before."""


def wrapping_for(
    options: ControlWrapping,
    side: Side,
    unix_time: int,
    replay_window: int = REPLAY_WINDOW,
    *,
    siv: SivMaker = library_siv,
) -> Wrapping:
    """Returns a fresh wrapping: one a session. ``unix_time`` is wall-clock seconds.

    Raises ``ConfigError`` when the key file does not parse or the digest is not available.
    """
    return wrapping_maker(options, side, replay_window, siv=siv)(unix_time, 0)


def wrapping_maker(
    options: ControlWrapping,
    side: Side,
    replay_window: int = REPLAY_WINDOW,
    *,
    siv: SivMaker = library_siv,
) -> WrappingMaker:
    """Parses the key once for many sessions. Raises ``ConfigError`` as ``wrapping_for``."""
    match options:
        case PlainWrapping():
            return lambda _unix_time, _sent: PlainControl()
        case TlsAuth():
            return _auth_maker(options, replay_window)
        case TlsCrypt(key=file):
            from ginnel.core.wrap.crypt import CryptControl, siv_keys

            static = parse_static_key(file)
            shared = siv_keys(static, side, siv)
            return lambda unix_time, sent: CryptControl(
                key=static,
                keys=shared,
                unix_time=unix_time,
                base=sent,
                replay_window=ReplayWindow(replay_window),
            )
        case TlsCryptV2(key=file):
            from ginnel.core.wrap.crypt_v2 import CryptV2Control

            own = parse_v2_client_key(file)
            return lambda unix_time, _sent: CryptV2Control(
                key=own,
                side=side,
                unix_time=unix_time,
                replay_window=ReplayWindow(replay_window),
                siv=siv,
            )
        case _:
            assert_never(options)


def _auth_maker(options: TlsAuth, replay_window: int) -> WrappingMaker:
    from ginnel.core.wrap.auth import AuthControl

    key = parse_static_key(options.key)
    try:
        digest_named(options.digest)
    except ValueError as bad:
        raise ConfigError(str(bad), origin=options.key.origin, option="auth") from bad
    return lambda unix_time, sent: AuthControl(
        key=key,
        direction=options.direction,
        digest=options.digest,
        unix_time=unix_time,
        base=sent,
        replay_window=ReplayWindow(replay_window),
    )
