"""Numbers that fit a path which got narrow."""

from dataclasses import replace

import pytest

from ginnel.core import actions, events
from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.notices import PathNarrowed
from ginnel.core.packet_overhead import packet_overhead
from ginnel.core.path_mtu import Fit, fit_path
from ginnel.core.tunnel_config import mss_limits, overhead_of
from ginnel.core.types import Transport
from ginnel.options.model import ConnectionProfile, DeviceType
from tests.sim.client import SimClient
from tests.sim.pair import SERVER, SimPair, profile

FOUND = events.PathMtuFound(mtu=1300)


def fit(chosen: ConnectionProfile, mtu: int, version: int = 4, tun_mtu: int = 1500) -> Fit | None:
    overhead = overhead_of(
        None,
        DeviceType.TUN,
        profile=chosen,
        remote=SERVER,
        transport=Transport.UDP,
        packet=packet_overhead(DataCipher.AES_256_GCM, DataFormat.V2, None),
    )
    found = fit_path(chosen, mtu, version=version, tun_mtu=tun_mtu, overhead=overhead)
    if found is not None:
        limits = mss_limits(found.profile, tun_mtu=tun_mtu, overhead=overhead)
        assert limits == (found.mss_ipv4, found.mss_ipv6)
        again = fit_path(found.profile, mtu, version=version, tun_mtu=tun_mtu, overhead=overhead)
        assert again is None or again == replace(found, notices=()), "it is said once"
    return found


def mssfix(size: int, mode: str = "") -> ConnectionProfile:
    return replace(profile(), mssfix=size, mssfix_mode=mode)


@pytest.mark.parametrize(
    ("chosen", "tun_mtu", "before"),
    [
        (profile(), 1500, "1492 mtu"),
        (mssfix(1400), 1500, "1400"),
        (mssfix(1290), 1500, "1290"),
        (mssfix(1301, "mtu"), 1500, "1301 mtu"),
        (profile(), 1400, "1400 fixed"),
    ],
)
def test_mssfix_is_lowered_to_what_fits(
    chosen: ConnectionProfile, tun_mtu: int, before: str
) -> None:
    found = fit(chosen, 1300, tun_mtu=tun_mtu)
    assert found is not None
    assert found.notices == (PathNarrowed(option="mssfix", before=before, mtu=1300),)
    assert (found.mss_ipv4, found.mss_ipv6) == (1300 - 28 - 24 - 40, 1300 - 28 - 24 - 60)
    assert (found.fragment, found.inner_mtu) == (0, 1300 - 28 - 24)


@pytest.mark.parametrize("chosen", [mssfix(0), mssfix(1300, "mtu"), mssfix(1240), mssfix(600)])
def test_what_fits_or_is_off_stays(chosen: ConnectionProfile) -> None:
    """Only packets that ``mssfix`` does not make shorter are answered."""
    found = fit(chosen, 1300)
    assert found is not None
    assert (found.profile, found.notices) == (chosen, ())
    assert found.inner_mtu == 1300 - 28 - 24


def test_nothing_changes_where_all_packets_fit() -> None:
    assert fit(mssfix(0), 1552) is None
    assert fit(mssfix(0), 1400, tun_mtu=1300) is None


def test_the_path_is_never_believed_to_be_less_than_every_path_takes() -> None:
    for version, smallest in ((4, 576), (6, 1280)):
        found = fit(profile(), 68, version)
        assert found is not None
        assert found.profile.mssfix == smallest


def test_fragments_get_shorter_and_mssfix_with_them() -> None:
    found = fit(replace(profile(), fragment=1400), 1300)
    assert found is not None
    assert found.notices == (
        PathNarrowed(option="mssfix", before="1400 mtu", mtu=1300),
        PathNarrowed(option="fragment", before="1400", mtu=1300),
    )
    assert (found.fragment, found.inner_mtu) == (1300 - 28 - 24 - 4, None)
    alone = fit(replace(mssfix(0), fragment=1400, fragment_mtu=True), 1300)
    assert alone is not None
    assert alone.notices == (PathNarrowed(option="fragment", before="1400 mtu", mtu=1300),)
    assert (alone.mss_ipv4, alone.profile.mssfix) == (0, 0)
    assert fit(replace(mssfix(0), fragment=1200), 1300) is None


def test_a_client_sends_shorter_packets_and_says_so_once() -> None:
    pair = SimPair()
    pair.connect()
    for _ in range(2):
        pair.report(FOUND)
    assert pair.told(PathNarrowed) == [PathNarrowed(option="mssfix", before="1492 mtu", mtu=1300)]
    assert pair.ended is None
    pair.report(events.PathMtuFound(mtu=1200))
    assert len(pair.told(PathNarrowed)) == 2


def test_a_server_sends_one_client_shorter_packets() -> None:
    client, other = SimClient(None), SimClient(None)
    for one in (client, other):
        one.connect()
    for _ in range(2):
        client.act(lambda machine, now: machine.handle_data_plane(FOUND, now))
    asked = [it for it in client.actions if isinstance(it, actions.FitPath)]
    assert [it.payload for it in asked] == [None, None]
    assert asked[0] == replace(asked[1], id=asked[0].id)
    assert client.ended is None
    assert not any(isinstance(it, actions.FitPath) for it in other.actions)
