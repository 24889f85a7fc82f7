"""Carries out the commands that only a server has, and replies with OpenVPN's words.

Everything is asked of the ``ServerDaemon`` at once; nothing here waits. A daemon that is no server,
or has not yet begun, refuses what it understood, as OpenVPN does.
"""

from ginnel.hints import assert_never
from ginnel.management import server_commands as commands
from ginnel.management.board import Board, ServerDaemon
from ginnel.management.commands import NOT_SUPPORTED, UNKNOWN, Refused
from ginnel.management.server_commands import (
    KeyOf,
    KillAddress,
    KillName,
    PushUpdate,
    ServerCommand,
    parse_key,
    parse_server_command,
)
from ginnel.management.state import clean

MAX_FORM = 3
_BAD_FORM = "ERROR: bad status format version number"
_PENDING_FAILED = "ERROR: client-pending-auth command failed. Extra parameter might be too long"


class ServerExecutor:
    """Carries out commands on the board; ``daemon`` is None for a client's interface."""

    def __init__(self, board: Board, daemon: ServerDaemon | None) -> None:
        self._board = board
        self._daemon = daemon

    def execute(self, name: str, words: tuple[str, ...]) -> None:
        """Carries out a command of one line; ``name`` is what it is refused by."""
        daemon = self._begun()
        if self._daemon is None and name.startswith("push-update"):
            self._board.say(UNKNOWN)
            return
        if daemon is None and words[0] in {"kill", "nclients"}:
            self._board.say(NOT_SUPPORTED.format(name))
            return
        command = parse_server_command(words)
        if isinstance(command, Refused):
            self._board.say(*command.replies)
        elif daemon is None:
            self._board.say(NOT_SUPPORTED.format(name))
        else:
            self._run(command, daemon)

    def opens_body(self, words: tuple[str, ...]) -> bool:
        """Whether lines follow this ``client-auth``: not when it names no client."""
        found = parse_key(words[1], words[2])
        if isinstance(found, Refused):
            self._board.say(*found.replies)
            return False
        return True

    def allow(self, words: tuple[str, ...], config: tuple[str, ...] | None) -> None:
        """Carries out ``client-auth`` once its lines are there; None when they were too many."""
        daemon = self._begun()
        found = parse_key(words[1], words[2])
        assert isinstance(found, KeyOf), "looked at before the lines were taken"
        if daemon is None:
            self._board.say(NOT_SUPPORTED.format("client-auth"))
        else:
            worked = config is not None and daemon.allow(found, config)
            self._conclude("client-auth", worked=worked)

    def status(self, form: int) -> None:
        """Shows the status, rendered as the client reads; 0 is the form of ``status-version``."""
        daemon = self._begun()
        if daemon is None:
            self._board.say(NOT_SUPPORTED.format("status"))
        elif not 0 <= form <= MAX_FORM:
            self._board.say(_BAD_FORM)
        else:
            self._board.outbox.stream(daemon.status_lines(form or None))

    def load_stats(self) -> None:
        """Shows the sums over all clients."""
        assert self._daemon is not None, "the caller looked"
        stats = self._daemon.load_stats()
        self._board.say(
            f"SUCCESS: nclients={stats.clients},bytesin={stats.bytes_in},bytesout={stats.bytes_out}"
        )

    def _begun(self) -> ServerDaemon | None:
        return self._daemon if self._board.started else None

    def _run(self, command: ServerCommand, daemon: ServerDaemon) -> None:
        match command:
            case commands.ClientCount():
                self._board.say(f"SUCCESS: nclients={daemon.load_stats().clients}")
            case KillName(name=name):
                self._killed_name(clean(name), daemon.kill_by_name(name))
            case KillAddress(remote=remote, transport=transport):
                self._killed_address(command, daemon.kill_by_address(remote, transport))
            case PushUpdate():
                self._push_update(command, daemon)
            case commands.Pending(key=key, extra=extra, timeout=timeout):
                if daemon.pend(key, extra, timeout):
                    self._conclude("client-pending-auth", worked=True)
                else:
                    self._board.say(_PENDING_FAILED)
            case commands.Allow(key=key, config=config):
                self._conclude("client-auth", worked=daemon.allow(key, config))
            case commands.Deny(key=key, reason=reason, client_reason=client_reason):
                self._conclude("client-deny", worked=daemon.deny(key, reason, client_reason))
            case commands.Restart(client_id=client_id, message=message):
                self._conclude("client-kill", worked=daemon.restart_client(client_id, message))
            case Refused():
                raise AssertionError("answered by the caller")
            case _:
                assert_never(command)

    def _killed_name(self, shown: str, count: int) -> None:
        found = f"SUCCESS: common name '{shown}' found, {count} client(s) killed"
        self._board.say(found if count else f"ERROR: common name '{shown}' not found")

    def _killed_address(self, command: KillAddress, count: int) -> None:
        shown = clean(command.shown)
        if not count:
            self._board.say(f"ERROR: client at address {shown} not found")
            return
        prefix = "" if command.transport is None else f"{command.transport.value}:"
        self._board.say(f"SUCCESS: {count} client(s) at address {prefix}{shown} killed")

    def _push_update(self, command: PushUpdate, daemon: ServerDaemon) -> None:
        options = command.options
        count = daemon.push_update(command.client_id, options) if options else None
        if count is None:
            self._board.say("ERROR: push-update command failed")
            return
        self._board.say(
            f"SUCCESS: {count} client(s) updated", "SUCCESS: push-update command succeeded"
        )

    def _conclude(self, name: str, *, worked: bool) -> None:
        end = "succeeded" if worked else "failed"
        self._board.say(f"{'SUCCESS' if worked else 'ERROR'}: {name} command {end}")
