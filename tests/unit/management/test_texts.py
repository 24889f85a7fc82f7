"""The help names every command that there is, and nothing else."""

import re

from ginnel.management.commands import OtherMode, parse_command
from ginnel.management.texts import HELP, help_lines


def test_help_names_only_commands() -> None:
    first, second, *commands = help_lines("the title")
    assert first == "Management Interface for the title"
    assert second == "Commands:"
    assert len(commands) == len(HELP)
    for usage, _text in HELP:
        for name in re.findall(r"(?:^|, )([a-z0-9-]+)", usage):
            command = parse_command(f"{name} 1 2 3")
            assert command is not None
            assert not isinstance(command, OtherMode)
            assert "unknown command" not in str(command)
