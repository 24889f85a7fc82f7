"""Configuration files, command lines and pushed options."""

from collections.abc import Callable, Mapping
from contextlib import suppress

from ginnel.options.client_config import MAX_PROBLEMS, merge, parse_client_config
from ginnel.options.errors import ConfigError, render_config_error
from ginnel.options.lexer import lex_config
from ginnel.options.model import ClientOptions, PullFilter, PullVerdict
from ginnel.options.pushed import apply_push
from ginnel.options.resolve import resolve_argv
from ginnel.options.server_model import ClientConfig
from tests.unit.options.memory_files import NET, STANDARD, MemoryFiles, serve

OPTIONS = ClientOptions(
    profiles=(), pull_filters=(PullFilter(verdict=PullVerdict.IGNORE, prefix="route 11"),)
)
HEAD = b"client\nremote x\nca ca.crt\nauth-user-pass login\n"
SERVER_HEAD = b"server 10.8.0.0 255.255.255.0\ndev tun\nca ca.crt\ncert me.crt\nkey me.key\n"


def configuration(data: bytes) -> None:
    with suppress(ConfigError):
        list(lex_config(data, "c"))
    for content in (data, HEAD + data, SERVER_HEAD + data):
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


def client_lines(data: bytes) -> None:
    """What a script writes about one client is not always what its author meant."""
    result = parse_client_config(data, "ccd/x", serve(*NET).options, MemoryFiles(STANDARD))
    assert len(result.problems) <= MAX_PROBLEMS + 1
    assert all(line.isprintable() for line in result.problems)
    assert merge(result.config, ClientConfig()) == result.config


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "configuration": configuration,
    "command-line": command_line,
    "push": push,
    "client-lines": client_lines,
}
