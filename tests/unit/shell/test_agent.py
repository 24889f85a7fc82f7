"""Questions to systemd's password agents, answered by a stand-in that speaks their protocol."""

import asyncio
import signal
import socket
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from ginnel.options.values import Secret
from ginnel.shell.agent import Declined, PasswordAgents
from tests.deadlines import wait_until
from tests.unit.shell.loops import run, until


def question(directory: Path) -> ConfigParser:
    """Reads the question as an agent does, once it is there."""
    (found,) = directory.glob("ask.*")
    assert found.stat().st_mode & 0o777 == 0o644
    parsed = ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parsed.read(found)
    return parsed


async def asked(directory: Path) -> ConfigParser:
    await until(lambda: bool(list(directory.glob("ask.*"))), "the question")
    return question(directory)


def reply(to: str, datagram: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(datagram, to)


def answered(directory: Path, *datagrams: bytes, echo: bool = False) -> tuple[ConfigParser, Secret]:
    async def work() -> tuple[ConfigParser, Secret]:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(
                PasswordAgents(str(directory)).ask("Enter Auth Password:", echo=echo)
            )
            read = await asked(directory)
            for datagram in datagrams:
                reply(read["Ask"]["Socket"], datagram)
        return read, asking.result()

    return run(work())


def test_answer_of_an_agent(tmp_path: Path) -> None:
    read, answer = answered(tmp_path, "+lövelace".encode())
    assert answer.reveal() == "lövelace".encode()
    assert read["Ask"]["Message"] == "Enter Auth Password:"
    assert read["Ask"]["Echo"] == "0"
    assert read["Ask"]["NotAfter"] == "0"
    assert list(tmp_path.iterdir()) == []


def test_first_of_several_passwords_counts_and_nonsense_is_not_heard(tmp_path: Path) -> None:
    read, answer = answered(tmp_path, b"", b"?", b"+first\0second\0", echo=True)
    assert answer.reveal() == b"first"
    assert read["Ask"]["Echo"] == "1"


def test_declined_question(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        answered(tmp_path, b"-")
    assert raised.group_contains(Declined)
    assert list(tmp_path.iterdir()) == []


def test_question_that_is_taken_back_leaves_nothing(tmp_path: Path) -> None:
    async def work() -> bool:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(PasswordAgents(str(tmp_path)).ask("PIN", echo=False))
            await asked(tmp_path)
            asking.cancel()
        return asking.cancelled()

    assert run(work())
    assert list(tmp_path.iterdir()) == []


def test_agents_are_looked_for_only_where_systemd_runs(tmp_path: Path) -> None:
    directory, booted = tmp_path / "ask-password", tmp_path / "system"
    assert PasswordAgents.find(str(directory), str(booted)) is None
    directory.mkdir()
    assert PasswordAgents.find(str(directory), str(booted)) is None
    booted.mkdir()
    found = PasswordAgents.find(str(directory), str(booted))
    assert found is not None
    found.close()


STOPPABLE = """
import asyncio, sys
from pathlib import Path
from ginnel.shell.agent import PasswordAgents
from ginnel.shell.signals import Stopped, stoppable
try:
    with stoppable():
        asyncio.run(PasswordAgents(Path(sys.argv[1])).ask("PIN", echo=False))
except Stopped as stopped:
    print(stopped.signal)
"""


def test_signal_at_a_question_leaves_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", STOPPABLE, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as asking:
        wait_until(lambda: list(tmp_path.glob("ask.*")), timeout=20.0, what="the question")
        asking.send_signal(signal.SIGTERM)
        said, _ = asking.communicate(timeout=20.0)
    assert said == "SIGTERM\n"
    assert list(tmp_path.iterdir()) == []
