"""Addresses as the log shows them, and the password file."""

import pytest

from ginnel.management.settings import TcpAddress, UnixAddress, first_line
from ginnel.options.values import Secret


def test_addresses_look_like_openvpns() -> None:
    assert str(TcpAddress(host="127.0.0.1", port=7505)) == "[AF_INET]127.0.0.1:7505"
    assert str(TcpAddress(host="::1", port=7505)) == "[AF_INET6]::1:7505"
    assert str(UnixAddress(path="/run/m.sock")) == "/run/m.sock"


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n", b"secret\nmore\n"])
def test_the_password_is_the_first_line(content: bytes) -> None:
    assert first_line(Secret(content)) == Secret(b"secret")
