"""asyncio with stand-ins: less is loaded, and what is asked for works."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest

from ginnel.cli.lean_imports import LATE, _is_coroutine_function, import_lean
from ginnel.shell import preload


def run(program: str) -> str:
    """Runs a program in an interpreter of its own, which has loaded nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


def test_nothing_late_is_loaded_by_a_loop_with_signal_handlers() -> None:
    program = f"""
import sys
from ginnel.cli.lean_imports import import_lean
import_lean()
import asyncio, signal
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
    await asyncio.wait_for(asyncio.sleep(0), 5)
asyncio.run(main())
print({{"ssl", "ast", "tokenize", *{LATE!r}}} & set(sys.modules))
import ssl
ssl.create_default_context()  # for whoever asks for it later
"""
    assert run(program) == "set()\n"


def test_stand_ins_become_the_real_modules_when_asked() -> None:
    program = """
import sys
from ginnel.cli.lean_imports import import_lean
import_lean()
import asyncio, traceback, textwrap
async def main():
    assert not asyncio.iscoroutinefunction(print)
    asyncio.current_task().print_stack(file=sys.stdout)  # from linecache
    print(await asyncio.ensure_future(Waited()))  # from inspect
class Waited:
    def __await__(self):
        yield
        return 'waited'
asyncio.run(main())
try:
    raise ExceptionGroup("several", [ValueError("one")])
except ExceptionGroup as error:
    print(*traceback.format_exception(error))
print(textwrap.dedent(" real"), type(textwrap), "inspect" in sys.modules)
"""
    shown = run(program)
    assert "waited\n" in shown
    assert "ValueError: one" in shown
    assert shown.endswith("real <class 'module'> True\n")


def test_what_is_loaded_already_stays() -> None:
    before = {name: sys.modules.get(name) for name in (*LATE, "ssl")}
    import_lean()
    assert {name: sys.modules.get(name) for name in before} == before


def test_a_module_that_is_asked_while_asyncio_loads_is_the_real_one() -> None:
    program = """
import sys
from ginnel.cli import lean_imports
lean_imports.LATE = (*lean_imports.LATE, "subprocess")  # asyncio reads its PIPE at once
lean_imports.import_lean()
import asyncio.subprocess, subprocess
print(asyncio.subprocess.PIPE, subprocess.Popen.__name__)
"""
    assert run(program) == "-1 Popen\n"


def test_late_modules_are_loaded_before_a_drop() -> None:
    assert set(LATE) <= set(preload.MODULES)


async def coroutine() -> None:
    pass


@pytest.mark.parametrize("function", [coroutine, partial(coroutine), print, run, partial(run, "x")])
def test_coroutine_functions_are_told_as_inspect_does(function: Callable[..., object]) -> None:
    assert _is_coroutine_function(function) is inspect.iscoroutinefunction(function)


def test_json_does_without_patterns_and_has_them_when_it_needs_them() -> None:
    program = """
import sys
from ginnel.cli.lean_imports import import_lean
import_lean()
import json
print(json.dumps({"a": "\\u00e4"}), json.JSONDecoder().raw_decode('{"a": 1}'), "re" in sys.modules)
print(json.loads(' [1]'), "re" in sys.modules, json.encoder.py_encode_basestring('"'))
import re
print(re.compile("a").match("a")[0], re.VERBOSE.name)
"""
    assert run(program).splitlines() == [
        r"""{"a": "\u00e4"} ({'a': 1}, 8) False""",
        r'[1] True "\""',
        "a VERBOSE",
    ]
