"""Errors of a task group come out as themselves."""

import asyncio

import pytest

from ginnel.shell.tasks import plain_errors
from tests.unit.shell.loops import run


async def _fail(error: Exception) -> None:
    raise error


def test_the_first_error_of_nested_groups_comes_out_plain() -> None:
    async def nested() -> None:
        async with asyncio.TaskGroup() as outer:
            inner = asyncio.TaskGroup()
            async with inner:
                inner.create_task(_fail(KeyError("inner")))
                outer.create_task(asyncio.sleep(3600))

    async def work() -> None:
        with plain_errors():
            await nested()

    with pytest.raises(KeyError, match="inner") as raised:
        run(work())
    assert isinstance(raised.value.__cause__, BaseExceptionGroup)


def test_other_errors_and_no_error_pass() -> None:
    with plain_errors():
        pass
    with pytest.raises(ValueError, match="plain"), plain_errors():
        raise ValueError("plain")
