"""Steps and undos as JSON: nothing is lost, and nothing odd gets in."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from ginnel.host.records import BadRecord, Record, parse_record, render_record
from ginnel.host.step_records import read_step, read_undo, step_record, undo_record
from ginnel.host.steps import (
    AddAddress,
    AddRoute,
    DropAddress,
    DropDevice,
    DropRoute,
    PutBackRoute,
    RemoveRoute,
    RestoreLink,
    SetLink,
    Step,
    Undo,
)

STEPS: list[Step] = [
    SetLink(device="tun0", index=7, mtu=1360, txqueuelen=100),
    SetLink(device="tun0", index=7, mtu=None, up=False),
    AddAddress(
        device="tun0",
        index=7,
        local=IPv4Address("10.8.0.6"),
        prefix=32,
        peer=IPv4Address("10.8.0.5"),
    ),
    AddAddress(device="tun0", index=7, local=IPv6Address("fd00::1"), prefix=64),
    AddRoute(
        network=IPv4Network("10.0.0.0/8"), gateway=IPv4Address("10.8.0.1"), device=None, index=None
    ),
    AddRoute(network=IPv6Network("fd00::/8"), gateway=None, device="tun0", index=7, metric=1 << 31),
    AddRoute(
        network=IPv4Network("10.0.0.0/8"), gateway=IPv6Address("fe80::1"), device="w", index=1
    ),
    RemoveRoute(
        network=IPv4Network("0.0.0.0/0"),
        gateway=IPv4Address("192.0.2.1"),
        device="wlan0",
        index=3,
        metric=600,
    ),
]

UNDOS: list[Undo] = [
    RestoreLink(
        device="tun0",
        index=7,
        mtu=1500,
        txqueuelen=500,
        up=False,
        set_mtu=1360,
        set_txqueuelen=100,
        set_up=True,
    ),
    DropAddress(
        device="tun0",
        index=7,
        local=IPv4Address("10.8.0.6"),
        prefix=32,
        peer=IPv4Address("10.8.0.5"),
    ),
    DropRoute(network=IPv6Network("fd00::/8"), gateway=None, index=7, metric=1024),
    DropRoute(
        network=IPv4Network("10.0.0.0/8"), gateway=IPv4Address("10.8.0.1"), index=None, metric=0
    ),
    PutBackRoute(network=IPv4Network("0.0.0.0/0"), metric=600, message=bytes(range(40))),
    DropDevice(device="tun0", index=7),
]


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_step_reads_back(step: Step) -> None:
    assert read_step(parse_record(render_record(step_record(step)))) == step


@pytest.mark.parametrize("change", UNDOS, ids=repr)
def test_undo_reads_back(change: Undo) -> None:
    assert read_undo(parse_record(render_record(undo_record(change)))) == change


ROUTE = step_record(STEPS[4])


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "run", "command": "rm"},
        {**step_record(STEPS[0]), "mtu": 67},
        {**step_record(STEPS[0]), "index": 0},
        {**step_record(STEPS[0]), "device": "../../x"},
        {**step_record(STEPS[2]), "prefix": 33},
        {**step_record(STEPS[2]), "peer": "fd00::1"},
        {**ROUTE, "network": "10.0.0.1/8"},
        {**ROUTE, "network": "fd00::/8"},
        {**ROUTE, "metric": -1},
        {**step_record(STEPS[7]), "network": "10.0.0.0/8"},
        {**step_record(STEPS[7]), "metric": None},
    ],
)
def test_odd_step_is_refused(record: Record) -> None:
    with pytest.raises(BadRecord):
        read_step(record)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "drop-device", "device": "tun0"},
        {**undo_record(UNDOS[4]), "message": "f"},
        {**undo_record(UNDOS[4]), "message": "00" * 5000},
        {**undo_record(UNDOS[0]), "up": "yes"},
    ],
)
def test_odd_undo_is_refused(record: Record) -> None:
    with pytest.raises(BadRecord):
        read_undo(record)
