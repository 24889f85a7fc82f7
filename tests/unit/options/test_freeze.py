"""The last steps that clients and servers have in common."""

import pytest

from ginnel.options.draft import Draft
from ginnel.options.errors import ConfigError
from ginnel.options.files import FileLoader
from ginnel.options.freeze import check_scripts, device_type, finish_host
from ginnel.options.model import DeviceType
from ginnel.options.values import Origin
from tests.unit.options.memory_files import STANDARD, MemoryFiles


@pytest.mark.parametrize(
    ("dev", "kind"),
    [("tun0", DeviceType.TUN), ("tap", DeviceType.TAP), ("null", DeviceType.NULL)],
)
def test_the_name_tells_the_kind(dev: str, kind: DeviceType) -> None:
    draft = Draft()
    draft.set_field("tun.dev", dev)
    assert device_type(draft) is kind


def test_a_kind_that_was_given_wins() -> None:
    draft = Draft()
    draft.set_field("tun.dev", "tap7")
    draft.places.note("dev-type", Origin("c", 1))
    assert device_type(draft) is DeviceType.TUN


def test_the_largest_mtu_is_no_less_than_the_mtu() -> None:
    draft = Draft()
    draft.set_field("tun.tun_mtu", 9000)
    options = finish_host(draft, "/etc/openvpn")
    assert options.tun.tun_mtu_max == 9000
    assert options.process.cd == "/etc/openvpn"


def test_further_scripts_are_looked_for_but_not_in_a_chroot() -> None:
    loader = FileLoader(MemoryFiles(STANDARD), "")
    draft = Draft()
    with pytest.raises(ConfigError, match="--learn-address script fails with '/none'"):
        check_scripts(draft, loader, [("learn-address", ("/none",))])
    draft.set_field("process.chroot", "dir")
    check_scripts(draft, loader, [("learn-address", ("/none",))])
