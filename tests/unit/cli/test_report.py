"""What the one-shot commands say, and with which status they fail."""

import pytest

from ginnel.cli.report import fail, log_lines, print_lines
from ginnel.compat.log_lines import LogLine, Severity
from ginnel.options.model import ProcessOptions

PLAIN = ProcessOptions(suppress_timestamps=True)


def test_failure_names_its_causes_and_returns_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert fail(PLAIN, "first", "second") == 1
    assert capfd.readouterr().out == "first\nsecond\nExiting due to fatal error\n"


def test_results_and_remarks_keep_their_order(capfd: pytest.CaptureFixture[str]) -> None:
    print_lines(["result"])
    print("buffered", end="\n")
    log_lines(PLAIN, [LogLine(text="remark"), LogLine(text="quiet", verb=2)])
    assert capfd.readouterr().out == "result\nbuffered\nremark\n"


def test_errors_can_go_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    process = ProcessOptions(suppress_timestamps=True, errors_to_stderr=True)
    lines = [LogLine(text="bad", severity=Severity.ERROR), LogLine(text="fine")]
    log_lines(process, lines)
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("fine\n", "bad\n")
