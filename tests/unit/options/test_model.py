"""The model: defaults of protocol-facts, frozen all the way down."""

from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from ginnel.options.model import ClientOptions

DEFAULTS = ClientOptions(profiles=())


def test_defaults_are_openvpns() -> None:
    assert (DEFAULTS.tls.hand_window, DEFAULTS.tls.tran_window) == (60, 3600)
    assert (DEFAULTS.tls.tls_timeout, DEFAULTS.tls.reneg_sec) == (2, 3600)
    assert (DEFAULTS.data.replay_window, DEFAULTS.data.replay_time) == (64, 15)
    assert (DEFAULTS.tun.tun_mtu, DEFAULTS.tun.tun_mtu_max) == (1500, 1600)
    assert DEFAULTS.tls.tls_version_min == "1.2"
    assert DEFAULTS.scripts.script_security == 1
    assert DEFAULTS.data.auth == "SHA1"


def test_every_group_is_frozen() -> None:
    for entry in fields(DEFAULTS):
        group = getattr(DEFAULTS, entry.name)
        if is_dataclass(group):
            name = fields(group)[0].name
            with pytest.raises(FrozenInstanceError):
                setattr(group, name, None)
