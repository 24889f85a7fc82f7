import pytest

from bench import data_v2
from ginnel.core.data_key import DataFormat
from ginnel.shell import process


def test_the_program_offers_every_format_but_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "probe", process.probe)
    monkeypatch.setattr("sys.argv", ["data_v2", "openvpn", "--version"])
    data_v2.main()
    assert process.probe is data_v2.probe
    assert process.probe("python").formats == set(DataFormat) - {DataFormat.EPOCH}
