"""What main process and helper say to each other survives the trip, and is bounded."""

from ipaddress import IPv4Address, IPv6Interface

import pytest

from ginnel.core.errors import HostError
from ginnel.host.diff import Do, Revert
from ginnel.host.messages import (
    CHANGES_PER_MESSAGE,
    MESSAGE_BYTES,
    OpenedDevice,
    change_record,
    device_request_record,
    error_record,
    opened_device_record,
    read_change,
    read_device_request,
    read_error,
    read_opened_device,
    read_results,
    read_snapshot,
    results_record,
    snapshot_record,
)
from ginnel.host.records import BadRecord, Record, parse_record, render_record
from ginnel.host.results import ChangeResult, Outcome
from ginnel.host.steps import SetLink
from ginnel.host.tun import DeviceRequest
from ginnel.host.underlay import Gateway, LocalNetwork, UnderlaySnapshot
from ginnel.options.model import DeviceType
from tests.unit.host.plans import UNDERLAY


def over_the_wire(record: Record) -> Record:
    return parse_record(render_record(record))


def test_device_request_reads_back() -> None:
    request = DeviceRequest(
        name="tap3",
        kind=DeviceType.TAP,
        node="/dev/tun9",
        vnet_header=True,
        lladdr="02:00:5e:00:53:01",
    )
    assert read_device_request(over_the_wire(device_request_record(request))) == request


@pytest.mark.parametrize(
    "change",
    [{"name": "a/b"}, {"kind": "veth"}, {"node": 7}, {"vnet_header": "yes"}, {"lladdr": "02:00"}],
)
def test_odd_device_request_is_refused(change: Record) -> None:
    with pytest.raises(BadRecord):
        read_device_request({**device_request_record(DeviceRequest()), **change})


def test_opened_device_reads_back() -> None:
    opened = OpenedDevice(name="tun0", index=7, mtu=1500, vnet_header=False)
    assert read_opened_device(over_the_wire(opened_device_record(opened))) == opened


def test_changes_read_back() -> None:
    step = SetLink(device="tun0", index=7, mtu=1360)
    for change in (Do(step), Revert(step)):
        assert read_change(over_the_wire(change_record(change))) == change
    with pytest.raises(BadRecord):
        read_change({"undo": {}})
    with pytest.raises(BadRecord):
        read_change([])


def test_snapshot_reads_back() -> None:
    snapshot = UnderlaySnapshot(
        gateway_ipv4=UNDERLAY.gateway_ipv4,
        gateway_ipv6=UNDERLAY.gateway_ipv6,
        server=Gateway(
            address=None, device="wlan0", index=3, metric=1, source=IPv4Address("192.0.2.10")
        ),
        networks=(
            *UNDERLAY.networks,
            LocalNetwork(device="eth0", interface=IPv6Interface("2001:db8::1/64")),
        ),
        dns_servers=UNDERLAY.dns_servers,
        dhcp_servers=UNDERLAY.dhcp_servers,
    )
    assert read_snapshot(over_the_wire(snapshot_record(snapshot))) == snapshot
    assert read_snapshot(over_the_wire(snapshot_record(UnderlaySnapshot()))) == UnderlaySnapshot()


@pytest.mark.parametrize(
    "change", [{"server": []}, {"networks": [7]}, {"dns": [7]}, {"dns": ["x"]}]
)
def test_odd_snapshot_is_refused(change: Record) -> None:
    with pytest.raises(BadRecord):
        read_snapshot({**snapshot_record(UNDERLAY), **change})


def test_error_reads_back() -> None:
    error = read_error(over_the_wire(error_record(HostError("open device", 16, "busy"))))
    assert (error.step, error.errno, error.detail) == ("open device", 16, "busy")


def result(number: int, outcome: Outcome = Outcome.APPLIED) -> ChangeResult:
    return ChangeResult(outcome=outcome, what=f"route {number}", errno=number, detail="why")


def test_results_read_back_in_order() -> None:
    results = tuple(result(number, outcome) for number, outcome in enumerate(Outcome))
    assert read_results(over_the_wire(results_record(results))) == results


def test_of_too_many_results_the_failures_are_told() -> None:
    results = [result(number) for number in range(1000)] + [result(1, Outcome.FAILED)] * 3
    told = read_results(over_the_wire(results_record(results)))
    assert len(told) == CHANGES_PER_MESSAGE
    assert [each.outcome for each in told[:4]] == [Outcome.FAILED] * 3 + [Outcome.APPLIED]


def test_longest_message_fits() -> None:
    long = ChangeResult(outcome=Outcome.FAILED, what="\u00e9" * 999, errno=1, detail="\n" * 9999)
    assert len(render_record(results_record([long] * 5000))) < MESSAGE_BYTES * 3
    plain = ChangeResult(outcome=Outcome.FAILED, what="w" * 999, errno=1, detail="d" * 9999)
    assert len(render_record(results_record([plain] * 5000))) < MESSAGE_BYTES


def test_odd_outcome_is_refused() -> None:
    with pytest.raises(BadRecord):
        read_results({"results": [{"outcome": "eaten", "what": "", "errno": 0, "detail": ""}]})
