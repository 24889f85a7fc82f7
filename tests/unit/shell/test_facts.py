"""What servers are told about this machine."""

from pathlib import Path

import pytest

from ginnel.core.pending import METHODS
from ginnel.shell import facts
from ginnel.shell.facts import hardware_address, local_facts

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
LAN = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
WIRED = "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
RADIO = "wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
BLOCKED = "wlan0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n"


def machine(directory: Path, routes: str) -> str | None:
    """The address found with these routes; eth0 and wlan0 are there."""
    (directory / "routes").write_text(HEAD + routes)
    for name, address in (("eth0", "00:00:5e:00:53:01"), ("wlan0", "00:00:5e:00:53:02")):
        (directory / name).mkdir()
        (directory / name / "address").write_text(address + "\n")
    return hardware_address(str(directory / "routes"), str(directory))


@pytest.mark.parametrize(
    ("routes", "found"),
    [
        (LAN + RADIO + WIRED, "00:00:5e:00:53:01"),
        (LAN + RADIO, "00:00:5e:00:53:02"),
        (LAN + BLOCKED, None),
        (LAN, None),
        ("nonsense\n", None),
        (WIRED.replace("eth0", "gone0"), None),
    ],
)
def test_address_is_that_of_the_best_way_out(
    tmp_path: Path, routes: str, found: str | None
) -> None:
    assert machine(tmp_path, routes) == found


def test_device_without_an_address_has_none(tmp_path: Path) -> None:
    (tmp_path / "routes").write_text(HEAD + WIRED)
    (tmp_path / "eth0").mkdir()
    (tmp_path / "eth0" / "address").write_text("00:00:00:00:00:00\n")
    assert hardware_address(str(tmp_path / "routes"), str(tmp_path)) is None
    assert hardware_address(str(tmp_path / "missing"), str(tmp_path)) is None


def test_details_are_gathered_only_when_they_are_told() -> None:
    brief = local_facts(in_full=False, asks_elsewhere=True)
    assert (brief.ssl_library, brief.platform_version) == (None, None)
    full = local_facts(in_full=True, asks_elsewhere=True)
    assert full.ssl_library is not None
    assert full.ssl_library.startswith("OpenSSL ")
    assert full.platform_version


@pytest.mark.parametrize(
    ("person", "elsewhere", "offered"),
    [(True, False, METHODS), (True, True, None), (False, False, None)],
)
def test_ways_to_log_in_are_offered_where_a_person_sees_them(
    monkeypatch: pytest.MonkeyPatch, person: bool, elsewhere: bool, offered: str | None
) -> None:
    monkeypatch.setattr(facts, "somebody_is_there", lambda: person)
    assert local_facts(in_full=False, asks_elsewhere=elsewhere).login_methods == offered
