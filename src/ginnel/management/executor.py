"""Carries out the commands of a management client, one at a time, and replies.

Not responsible for who the client is and what is shown unasked (``session``), nor for the grammar
(``commands``). What a command wants from the program becomes an intent.
"""

import base64
from base64 import b64decode
from collections.abc import Sequence
from functools import cached_property

from ginnel.compat.log_lines import LogLine, Severity
from ginnel.core.types import Instant
from ginnel.hints import TYPE_CHECKING, assert_never
from ginnel.management import commands, texts
from ginnel.management.board import INTERFACE_VERSION, Board, RemoteEntry, ServerDaemon, Serving
from ginnel.management.commands import Command, QueryAnswer, SignalName
from ginnel.management.intents import (
    Answered,
    AuthRetrySet,
    ChallengeAnswered,
    Intent,
    MuteSet,
    PasswordsForgotten,
    SignalThrown,
    VerbSet,
)
from ginnel.management.queries import (
    BASE64_PASSWORD_VERSION,
    BodyAnswer,
    HoldQuery,
    LoginAnswer,
    LoginQuery,
    PasswordQuery,
    ProxyQuery,
    Query,
    Released,
    RemoteQuery,
    ReplyToQuery,
    TextAnswer,
    proxy_answer,
    remote_answer,
    render_query,
    wanted_body,
    wanted_type,
)
from ginnel.management.state import clean
from ginnel.options.values import Secret

if TYPE_CHECKING:
    from ginnel.management.server_executor import ServerExecutor

MAX_BODY_BYTES = 16 * 1024
"""Of the lines between a command and END, their line ends counted too."""

MAX_TEST_LINES = 1000
BLANK = b"[[BLANK]]"
"""What a client sends for an empty value."""

_LABELS = {
    QueryAnswer.USERNAME: "username",
    QueryAnswer.PASSWORD: "password",
    QueryAnswer.NEED_OK: "needok-confirmation",
    QueryAnswer.NEED_STR: "needstr-string",
}

_BODY_WORDS = {
    commands.BodyKind.RSA_SIGNATURE: "rsa-sign",
    commands.BodyKind.PK_SIGNATURE: "pk-sign",
    commands.BodyKind.CERTIFICATE: "certificate",
}
"""What a success is called: not always by the command's name, in OpenVPN."""

_BAD_PROXY = "Bad proxy command"
_HTTP_NEEDS_TCP = "HTTP proxy support only works for TCP based connections"


class Executor:
    """Carries out commands on the board."""

    def __init__(self, board: Board, server: ServerDaemon | None) -> None:
        """``server`` is None for a client's interface."""
        self._board = board
        self._daemon_of_server = server

    @property
    def _serves(self) -> bool:
        """True when this is a server, begun or not."""
        return self._daemon_of_server is not None

    @cached_property
    def _server(self) -> "ServerExecutor":
        # Imported here: a client connects sooner without it, and seldom hears a server's command.
        from ginnel.management.server_executor import ServerExecutor

        return ServerExecutor(self._board, self._daemon_of_server)

    def execute(self, command: Command, client: Serving, now: Instant) -> None:
        match command:
            case commands.Refused(replies=replies):
                self._board.say(*replies)
            case commands.ServerCommand(name=name, words=words):
                self._server.execute(name, words)
            case commands.Exit():
                self._board.finished = True
            case commands.History():
                self._history(command, client)
            case commands.ByteCount(seconds=seconds):
                client.interval = seconds
                client.next_report = Instant(now + seconds)
                self._board.say("SUCCESS: bytecount interval changed")
            case commands.Version(client=version) if version is not None:
                client.version = version
            case commands.EnvFilter(level=level):
                self._board.env_filter = level
                self._board.say(f"SUCCESS: env_filter_level={level}")
            case commands.TokenIdCount() | commands.TokenId():
                self._token_ids(command)
            case commands.Body():
                self._open_body(command, client)
            case commands.PasswordBody(type_name=name):
                self._open_password(name, client)
            case (
                commands.Help()
                | commands.Version()
                | commands.Pid()
                | commands.Status()
                | commands.LoadStats()
                | commands.TestLines()
                | commands.RemoteEntryCount()
                | commands.RemoteEntries()
                | commands.ShowNet()
            ):
                self._report(command)
            case commands.Answer() | commands.Remote() | commands.Proxy() | commands.Hold():
                self._answer(command, client)
            case (
                commands.ThrowSignal()
                | commands.Verb()
                | commands.Mute()
                | commands.SetAuthRetry()
                | commands.ForgetPasswords()
                | commands.ChallengeResponse()
            ):
                self._change(command)
            case _:
                assert_never(command)

    def _token_ids(self, command: commands.TokenIdCount | commands.TokenId) -> None:
        found = self._board.daemon.token_ids()
        if isinstance(command, commands.TokenIdCount):
            self._board.say(f">PKCS11ID-COUNT:{len(found)}")
        elif not 0 <= command.index < len(found):
            self._board.say(f">PKCS11ID-ENTRY:'{command.index}'")
        else:
            name, der = found[command.index]
            blob = base64.b64encode(der).decode()
            self._board.say(f">PKCS11ID-ENTRY:'{command.index}', ID:'{clean(name)}', BLOB:'{blob}'")

    def _history(self, command: commands.History, client: Serving) -> None:
        kind = command.kind
        for step in command.steps:
            match step:
                case None:
                    self._board.say(
                        f"ERROR: {kind.value} parameter must be 'on' or 'off' or some number n "
                        "or 'all'"
                    )
                case commands.RealTime(on=on):
                    (client.real_time.add if on else client.real_time.discard)(kind)
                    self._board.say(
                        f"SUCCESS: real-time {kind.value} notification set to "
                        f"{'ON' if on else 'OFF'}"
                    )
                case commands.Lines(count=count):
                    self._board.say(*self._board.histories.newest(kind, count), "END")
                case _:
                    assert_never(step)

    def _report(
        self,
        command: commands.Help
        | commands.Version
        | commands.Pid
        | commands.Status
        | commands.LoadStats
        | commands.TestLines
        | commands.RemoteEntryCount
        | commands.RemoteEntries
        | commands.ShowNet,
    ) -> None:
        daemon = self._board.daemon
        match command:
            case commands.Help():
                self._board.say(*texts.help_lines(daemon.title(), server=self._serves), "END")
            case commands.Version():
                self._board.say(
                    f"OpenVPN Version: {daemon.title()}",
                    f"Management Version: {INTERFACE_VERSION}",
                    "END",
                )
            case commands.Pid():
                self._board.say(f"SUCCESS: pid={daemon.pid()}")
            case commands.Status(form=form) if self._serves:
                self._server.status(form or 0)
            case commands.Status():
                self._board.say(*(daemon.status_lines() if self._available("status") else ()))
            case commands.LoadStats() if self._serves:
                self._server.load_stats()
            case commands.LoadStats():
                read, written = daemon.link_bytes()
                self._board.say(f"SUCCESS: nclients=0,bytesin={read},bytesout={written}")
            case commands.TestLines(count=count):
                self._board.say(
                    *(texts.TEST_LINE.format(index) for index in range(min(count, MAX_TEST_LINES)))
                )
            case commands.RemoteEntryCount():
                if self._available("remote-entry-count"):
                    self._board.say(str(len(daemon.remotes())), "END")
            case commands.RemoteEntries(first=first, end=end):
                if self._available("remote-entry-get"):
                    self._board.say(*_entry_lines(daemon.remotes(), first, end), "END")
            case commands.ShowNet():
                started = self._board.started
                refusal = commands.NOT_SUPPORTED.format("net")
                self._board.say(commands.WINDOWS_ONLY if started else refusal)
            case _:
                assert_never(command)

    def _available(self, name: str) -> bool:
        """Says so, and returns False, when the command is for clients after the start only."""
        available = self._board.started and not self._serves
        if not available:
            self._board.say(commands.NOT_SUPPORTED.format(name))
        return available

    def _change(
        self,
        command: commands.ThrowSignal
        | commands.Verb
        | commands.Mute
        | commands.SetAuthRetry
        | commands.ForgetPasswords
        | commands.ChallengeResponse,
    ) -> None:
        daemon = self._board.daemon
        match command:
            case commands.ThrowSignal(signal=signal):
                self._throw(signal)
            case commands.Verb() | commands.Mute() | commands.SetAuthRetry():
                self._setting(command)
            case commands.ForgetPasswords():
                self._wish(PasswordsForgotten(), "Passwords were forgotten")
            case commands.ChallengeResponse(response=response):
                # The slip of the pen is OpenVPN's.
                if not self._available("cr-repsonse"):
                    return
                if daemon.takes_challenge_response():
                    self._wish(ChallengeAnswered(response=response), "command succeeded")
                else:
                    self._board.say("ERROR: command failed")
            case _:
                assert_never(command)

    def _setting(self, command: commands.Verb | commands.Mute | commands.SetAuthRetry) -> None:
        """Shows a setting, or changes it."""
        daemon = self._board.daemon
        match command:
            case commands.Verb(level=level):
                if level is None:
                    self._board.say(f"SUCCESS: verb={daemon.verb()}")
                else:
                    self._wish(VerbSet(level=level), "verb level changed")
            case commands.Mute(level=level):
                if level is None:
                    self._board.say(f"SUCCESS: mute={daemon.mute()}")
                else:
                    self._wish(MuteSet(level=level), "mute level changed")
            case commands.SetAuthRetry(mode=mode):
                if mode is None:
                    self._board.say(f"SUCCESS: auth-retry={daemon.auth_retry().value}")
                else:
                    self._wish(AuthRetrySet(mode=mode), "auth-retry parameter changed")
            case _:
                assert_never(command)

    def _wish(self, intent: Intent, success: str) -> None:
        self._board.intents.append(intent)
        self._board.say(f"SUCCESS: {success}")

    def _throw(self, signal: SignalName) -> None:
        """While a start is held, there is nothing that could be restarted."""
        query = self._board.query
        if isinstance(query, HoldQuery) and signal in {SignalName.USR1, SignalName.HUP}:
            self._board.say(f"ERROR: signal '{signal.value}' is currently ignored")
            self._board.say(render_query(query, INTERFACE_VERSION))
            return
        self._wish(SignalThrown(signal=signal), f"signal {signal.value} thrown")

    # --- answers -------------------------------------------------------------------------------

    def _answer(
        self,
        command: commands.Answer | commands.Remote | commands.Proxy | commands.Hold,
        client: Serving,
    ) -> None:
        match command:
            case commands.Hold(action=action):
                self._hold(action)
            case commands.Answer():
                self._typed_answer(command, client)
            case commands.Remote(words=words):
                asked = isinstance(self._board.query, RemoteQuery)
                if not asked and not self._available("remote"):
                    return
                self._conclude("remote", remote_answer(words) if asked else None)
            case commands.Proxy(words=words):
                self._proxy(words)
            case _:
                assert_never(command)

    def _hold(self, action: commands.HoldAction) -> None:
        match action:
            case commands.HoldAction.SHOW:
                self._board.say(f"SUCCESS: hold={int(self._board.hold)}")
            case commands.HoldAction.ON | commands.HoldAction.OFF:
                self._board.hold = action is commands.HoldAction.ON
                self._board.say(f"SUCCESS: hold flag set to {'ON' if self._board.hold else 'OFF'}")
            case commands.HoldAction.RELEASE:
                self._board.say("SUCCESS: hold release succeeded")
                if isinstance(self._board.query, HoldQuery):
                    self._resolve(self._board.query, Released())
            case _:
                assert_never(action)

    def _typed_answer(self, command: commands.Answer, client: Serving) -> None:
        label = _LABELS[command.to]
        query = self._board.query
        wanted = wanted_type(query, command.to)
        if query is None or wanted is None:
            self._board.say(f"ERROR: no {label} is currently needed at this time")
            return
        if command.type_name != wanted:
            self._board.say(
                f"ERROR: {label} of type '{command.type_name}' entered, "
                f"but we need one of type '{wanted}'"
            )
            return
        self._board.say(f"SUCCESS: '{command.type_name}' {label} entered, but not yet verified")
        if command.to in {QueryAnswer.NEED_OK, QueryAnswer.NEED_STR}:
            self._resolve(query, TextAnswer(text=_text(command.value)))
            return
        if command.to is QueryAnswer.USERNAME:
            client.username = command.value.reveal().decode("utf-8", "surrogateescape")
        else:
            client.password = _unblank(command.value)
        self._try_login(query, client)

    def _try_login(self, query: Query, client: Serving) -> None:
        """Answers once every part is there."""
        name, password = client.username, client.password
        if isinstance(query, PasswordQuery):
            name = ""
        elif client.name_only:
            password = Secret(b"")
        if password is None or name is None:
            return
        assert isinstance(query, LoginQuery | PasswordQuery), "only these take passwords"
        client.username = client.password = None
        self._resolve(query, LoginAnswer(username=name, password=password))

    def _proxy(self, words: tuple[str, ...]) -> None:
        query = self._board.query
        if isinstance(query, ProxyQuery):
            answer = proxy_answer(words, query.transport)
            if answer is None:
                text = _HTTP_NEEDS_TCP if words[0] == "HTTP" and len(words) > 2 else _BAD_PROXY
                self._board.log(LogLine(text=text, verb=0, severity=Severity.WARNING))
            self._conclude("proxy", answer)
        elif not self._available("proxy"):
            return
        elif words[0] == "NONE":
            # Nobody asked, and without a proxy everything stays as it is.
            self._board.say("SUCCESS: proxy command succeeded")
        else:
            self._board.say("ERROR: proxy command failed")

    def _conclude(self, name: str, answer: ReplyToQuery | None) -> None:
        if answer is None or self._board.query is None:
            self._board.say(f"ERROR: {name} command failed")
            return
        self._board.say(f"SUCCESS: {name} command succeeded")
        self._resolve(self._board.query, answer)

    def _resolve(self, query: Query, answer: ReplyToQuery) -> None:
        self._board.query = None
        self._board.intents.append(Answered(query=query, answer=answer))

    # --- bodies --------------------------------------------------------------------------------

    def _open_body(self, command: commands.Body, client: Serving) -> None:
        """Takes the lines that follow; those nobody asked for are refused at once."""
        kind = command.kind
        if kind is commands.BodyKind.CLIENT_AUTH:
            if not self._server.opens_body(command.words):
                return
        elif kind not in wanted_body(self._board.query):
            self._board.say(f"ERROR: The {kind.value} command is not currently available")
            return
        client.body = kind
        client.body_words = command.words
        client.body_lines = []
        client.body_size = 0

    def _open_password(self, type_name: str, client: Serving) -> None:
        """Takes the lines of a password in base64, from clients that know of it."""
        if client.version < BASE64_PASSWORD_VERSION:
            self._board.say(commands.NO_PASSWORD)
            return
        client.body = commands.BodyKind.PASSWORD
        client.body_type = type_name
        client.body_lines = []
        client.body_size = 0

    def _take_password(self, client: Serving, encoded: str) -> None:
        try:
            value = Secret(b64decode(encoded, validate=True))
        except ValueError:
            self._board.say("ERROR: password command failed")
            return
        answer = commands.Answer(to=QueryAnswer.PASSWORD, type_name=client.body_type, value=value)
        self._typed_answer(answer, client)

    def add_to_body(self, client: Serving, line: str) -> None:
        if line != "END":
            client.body_size += len(line) + 1
            if client.body_size <= MAX_BODY_BYTES:
                client.body_lines.append(line)
            return
        kind, client.body = client.body, None
        lines, client.body_lines = client.body_lines, []
        fits = client.body_size <= MAX_BODY_BYTES
        if kind is commands.BodyKind.CLIENT_AUTH:
            self._server.allow(client.body_words, tuple(lines) if fits else None)
            return
        assert kind is not None, "a body belongs to a command"
        query = self._board.query
        text = "".join(lines)
        fits = fits and text != ""
        if kind is commands.BodyKind.PASSWORD and fits:
            self._take_password(client, text)
            return
        if query is None or kind not in wanted_body(query) or not fits:
            self._board.say(f"ERROR: {kind.value} command failed")
            return
        self._board.say(f"SUCCESS: {_BODY_WORDS[kind]} command succeeded")
        self._resolve(query, BodyAnswer(text=text))


def _entry_lines(remotes: Sequence[RemoteEntry], first: int, end: int | None) -> Sequence[str]:
    last = len(remotes) if end is None else min(end, len(remotes))
    if first < 0:
        return ()
    return [
        f"{index},{clean(entry.host)},{clean(entry.port)},{entry.protocol},"
        f"{'enabled' if entry.enabled else 'disabled'}"
        for index, entry in enumerate(remotes[:last])
        if index >= first
    ]


def _text(value: Secret) -> str:
    return _unblank(value).reveal().decode("utf-8", "surrogateescape")


def _unblank(value: Secret) -> Secret:
    return Secret(b"") if value.reveal() == BLANK else value
