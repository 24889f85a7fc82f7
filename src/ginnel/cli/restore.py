"""``ginnel restore``: undoes what a killed ginnel left behind, and says what that was."""

import os
import sys

from ginnel.core.errors import HostError
from ginnel.host.places import DEFAULT_RUNTIME_DIR
from ginnel.host.recover import Disposition, JournalReport, restore
from ginnel.host.results import ChangeResult, Outcome

_OUTCOMES = {
    Outcome.REVERTED: "restored",
    Outcome.GONE: "was gone already",
    Outcome.CHANGED: "left alone, changed by someone else since",
    Outcome.FAILED: "could not be undone",
    Outcome.APPLIED: "applied",
    Outcome.PRESENT: "was there already",
}
_DISPOSITIONS = {
    Disposition.RESTORED: "restored",
    Disposition.INCOMPLETE: "restored in part; run it again once the cause is gone",
    Disposition.IN_USE: "left alone: its ginnel is still running",
    Disposition.OTHER_NAMESPACE: "left alone: belongs to another network namespace",
    Disposition.OUTDATED: "from before the last boot: nothing left to restore",
    Disposition.UNREADABLE: "cannot be read",
}


def run(directory: str | None) -> int:
    """Restores; returns 0 when nothing of a dead ginnel is left, else 1."""
    path = DEFAULT_RUNTIME_DIR if directory is None else directory
    try:
        report = restore(path)
    except HostError as failed:
        print(f"ginnel restore: {failed}", file=sys.stderr)
        return 1
    if not report.journals:
        print("Nothing to restore.")
    for journal in report.journals:
        print(_describe(journal))
        for result in journal.results:
            print(f"  {_describe_change(result)}")
    sys.stdout.flush()
    return 0 if report.complete else 1


def _describe(journal: JournalReport) -> str:
    owner = f" of process {journal.main_pid}" if journal.main_pid else ""
    return f"{os.path.basename(journal.path)}{owner}: {_DISPOSITIONS[journal.disposition]}"


def _describe_change(result: ChangeResult) -> str:
    detail = f" ({result.detail})" if result.detail else ""
    return f"{result.what}: {_OUTCOMES[result.outcome]}{detail}"
