"""Builds the wrapping that the options ask for.

Responsible for: options to objects. Imports the cryptography package only when a wrapping needs it,
so that starting up stays light.
"""

from typing import assert_never

from ginnel.core.errors import ConfigError
from ginnel.core.key_files import parse_static_key, parse_v2_client_key
from ginnel.core.replay import REPLAY_WINDOW, ReplayWindow
from ginnel.core.types import Side
from ginnel.core.wrap.api import Wrapping
from ginnel.core.wrap.plain import PlainControl
from ginnel.options.model import (
    ControlWrapping,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
)


def wrapping_for(
    options: ControlWrapping, side: Side, unix_time: int, replay_window: int = REPLAY_WINDOW
) -> Wrapping:
    """Returns a fresh wrapping: one a session. ``unix_time`` is wall-clock seconds.

    Raises ``ConfigError`` when the key file does not parse or the digest is not available.
    """
    window = ReplayWindow(replay_window)
    match options:
        case PlainWrapping():
            return PlainControl()
        case TlsAuth(key=file, direction=direction, digest=digest):
            from ginnel.core.wrap.auth import AuthControl

            key = parse_static_key(file)
            try:
                return AuthControl(
                    key=key,
                    direction=direction,
                    digest=digest,
                    unix_time=unix_time,
                    replay_window=window,
                )
            except ValueError as bad:
                raise ConfigError(str(bad), origin=file.origin, option="auth") from bad
        case TlsCrypt(key=file):
            from ginnel.core.wrap.crypt import CryptControl

            key = parse_static_key(file)
            return CryptControl(key=key, side=side, unix_time=unix_time, replay_window=window)
        case TlsCryptV2(key=file):
            from ginnel.core.wrap.crypt_v2 import CryptV2Control

            return CryptV2Control(
                key=parse_v2_client_key(file),
                side=side,
                unix_time=unix_time,
                replay_window=window,
            )
        case _:
            assert_never(options)
