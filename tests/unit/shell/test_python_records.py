"""Records of Python's logging reach the log, also when ``logging`` is loaded late."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from ginnel.cli.lean_imports import import_lean
import_lean()
import asyncio
from ginnel.options.model import ProcessOptions
from ginnel.shell.logging_setup import setup_logging
from ginnel.shell.python_records import python_records
log = setup_logging(ProcessOptions(verb={verb}, suppress_timestamps=True))
async def fails():
    raise KeyError("lost")
async def main():
    print("loaded early:", "logging" in sys.modules)
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    del task
    await asyncio.sleep(0)
before = list(sys.meta_path)
with python_records(log):
    asyncio.run(main())
print(sys.meta_path == before)
import logging
print(logging.getLogger().handlers, logging.__spec__.loader is not None, logging.__loader__)
"""


@pytest.mark.parametrize(("verb", "early"), [(3, False), (9, True)])
def test_what_asyncio_reports_loads_logging_and_is_shown(verb: int, early: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(verb=verb)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert f"loaded early: {early}\n" in done.stdout
    assert "Task exception was never retrieved" in done.stdout
    assert "KeyError('lost')" in done.stdout
    assert ("Using selector" in done.stdout) is early
    assert "True\n[] True <_frozen_importlib_external.SourceFileLoader" in done.stdout
    assert done.stderr == ""
