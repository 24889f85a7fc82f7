"""Configuration files, command lines and pushed options."""

from collections.abc import Callable, Mapping
from contextlib import suppress

from ginnel.options.errors import ConfigError, render_config_error
from ginnel.options.lexer import lex_config
from ginnel.options.model import ClientOptions, PullFilter, PullVerdict
from ginnel.options.pushed import apply_push
from ginnel.options.resolve import resolve_argv
from tests.unit.options.memory_files import STANDARD, MemoryFiles

OPTIONS = ClientOptions(
    profiles=(), pull_filters=(PullFilter(verdict=PullVerdict.IGNORE, prefix="route 11"),)
)
HEAD = b"client\nremote x\nca ca.crt\nauth-user-pass login\n"


def configuration(data: bytes) -> None:
    with suppress(ConfigError):
        list(lex_config(data, "c"))
    for content in (data, HEAD + data):
        complaint: list[str] = []
        try:
            resolve_argv(["c"], MemoryFiles({**STANDARD, "c": content}))
        except ConfigError as error:
            complaint = list(render_config_error(error))
        assert all(line.isprintable() for line in complaint)


def command_line(data: bytes) -> None:
    argv = data.decode("utf-8", "surrogateescape").split("\0")
    with suppress(ConfigError):
        resolve_argv(argv, MemoryFiles(STANDARD))


def push(data: bytes) -> None:
    items = data.decode("utf-8", "replace").split(",")
    result = apply_push(OPTIONS, items)
    assert all(item.isprintable() and why.isprintable() for item, why in result.refused)
    assert result.options.scripts.up is None
    assert result.options.tls == OPTIONS.tls


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "configuration": configuration,
    "command-line": command_line,
    "push": push,
}
