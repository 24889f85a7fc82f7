"""The help names every command that there is, and nothing else."""

import re

from ginnel.management.commands import Body, ServerCommand, parse_command
from ginnel.management.texts import HELP, SERVER_HELP, help_lines


def test_help_names_only_commands() -> None:
    first, second, *commands = help_lines("the title")
    assert first == "Management Interface for the title"
    assert second == "Commands:"
    assert len(commands) == len(HELP)
    for usage, _text in HELP:
        for name in re.findall(r"(?:^|, )([a-z0-9-]+)", usage):
            command = parse_command(f"{name} 1 2 3")
            assert command is not None
            assert not isinstance(command, ServerCommand)
            assert "unknown command" not in str(command)


def test_help_of_a_server_names_its_commands_and_none_of_clients() -> None:
    text = "\n".join(help_lines("the title", server=True))
    for usage, meaning in SERVER_HELP:
        assert usage in text
        assert meaning in text
        assert isinstance(parse_command(f"{usage.split()[0]} 1 2 3 4"), ServerCommand | Body)
    assert "remote" not in text
    assert "cr-response" not in text
    assert "status" in text
