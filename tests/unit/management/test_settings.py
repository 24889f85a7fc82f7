"""Addresses as the log shows them, and the password file."""

import os
import pwd

import pytest

from ginnel.management.settings import (
    ManagementSettings,
    TcpAddress,
    UnixAddress,
    first_line,
    settings_from,
)
from ginnel.options.model import ManagementOptions
from ginnel.options.values import FileContent, Origin, Secret


def test_addresses_look_like_openvpns() -> None:
    assert str(TcpAddress(host="127.0.0.1", port=7505)) == "[AF_INET]127.0.0.1:7505"
    assert str(TcpAddress(host="::1", port=7505)) == "[AF_INET6]::1:7505"
    assert str(UnixAddress(path="/run/m.sock")) == "/run/m.sock"


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n", b"secret\nmore\n"])
def test_the_password_is_the_first_line(content: bytes) -> None:
    assert first_line(Secret(content)) == Secret(b"secret")


def test_options_become_settings() -> None:
    assert settings_from(ManagementOptions()) is None
    content = FileContent(
        option="management", origin=Origin("c", 1), path="pw", content=Secret(b"secret\n")
    )
    user = pwd.getpwuid(os.getuid()).pw_name
    options = ManagementOptions(
        address="/run/m.sock",
        port="unix",
        password=content,
        connects=True,
        client_user=user,
        hold=True,
        query_passwords=True,
        query_remote=True,
        signal=True,
        forget_disconnect=True,
        up_down=True,
        log_cache=17,
    )
    assert settings_from(options) == ManagementSettings(
        address=UnixAddress(path="/run/m.sock", uid=os.getuid()),
        password=Secret(b"secret"),
        connects=True,
        hold=True,
        query_passwords=True,
        query_remote=True,
        signal=True,
        forget_disconnect=True,
        up_down=True,
        log_cache=17,
    )
    tcp = settings_from(ManagementOptions(address="127.0.0.1", port="7505"))
    assert tcp == ManagementSettings(address=TcpAddress(host="127.0.0.1", port=7505))
