"""Device requests that cannot be are refused before anything is opened."""

import os
import select
from pathlib import Path

import pytest

from ginnel.core.errors import HostError
from ginnel.host.tun import DeviceRequest, is_unnamed, link_layer_bytes, open_device
from ginnel.options.model import DeviceType


def test_bare_words_leave_the_number_to_the_kernel() -> None:
    assert is_unnamed(DeviceRequest(name="tun"))
    assert is_unnamed(DeviceRequest(name="tap", kind=DeviceType.TAP))
    assert not is_unnamed(DeviceRequest(name="tun0"))


@pytest.mark.parametrize("name", ["", "a/b", "sixteen-letters-", "..", "\u00e9" * 8])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(HostError, match="cannot be a device name"):
        open_device(DeviceRequest(name=name))


def test_only_the_tun_driver_is_opened(tmp_path: Path) -> None:
    plain = tmp_path / "tun"
    plain.write_text("")
    for node in (str(plain), "/dev/null", "/dev/zero"):
        with pytest.raises(HostError, match="not the tun driver's device node"):
            open_device(DeviceRequest(node=node))


def test_what_is_not_the_tun_driver_does_not_notice(tmp_path: Path) -> None:
    # Opening alone does things to some devices: it starts a watchdog and rewinds a tape.
    node = tmp_path / "node"
    os.mkfifo(node)
    reader = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(HostError, match="not the tun driver's device node"):
            open_device(DeviceRequest(node=str(node)))
        poll = select.poll()
        poll.register(reader, 0)
        assert poll.poll(0) == [], "somebody had it open for writing"
    finally:
        os.close(reader)


def test_missing_node_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="is the tun driver there"):
        open_device(DeviceRequest(node=str(tmp_path / "absent")))


def test_dev_null_has_no_device() -> None:
    with pytest.raises(HostError, match="dev null"):
        open_device(DeviceRequest(kind=DeviceType.NULL))


def test_link_layer_addresses_are_six_pairs() -> None:
    assert link_layer_bytes("02:00:5e:00:53:01") == bytes.fromhex("02005e005301")
    for bad in ("", "02:00:5e:00:53", "02:00:5e:00:53:zz", "02:00:5e:00:53:1"):
        with pytest.raises(ValueError, match=r"."):
            link_layer_bytes(bad)
