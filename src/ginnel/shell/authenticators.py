"""Finds authenticators by name and asks them: those of ``ginnel.authenticators`` and of others.

Each is asked for so many clients at once, and for so long. Whatever one raises refuses the client
and is logged: an authenticator cannot end the server, or let somebody in by failing.
"""

import asyncio
import traceback
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module

from ginnel.compat import admission_lines, shell_lines
from ginnel.core.errors import ConfigError
from ginnel.core.server_actions import Authenticate, ClientFacts, ClientId, Refused
from ginnel.dataclass import dataclass
from ginnel.hooks import (
    ENTRY_POINTS,
    Allow,
    Authenticator,
    Decision,
    Deny,
    Factory,
    Login,
    Visit,
    Visitor,
)
from ginnel.options.server_model import ServerOptions
from ginnel.shell.script_gate import Say
from ginnel.shell.server_hooks import Pend

BUILT_IN: Mapping[str, str] = {
    "htpasswd": "ginnel.authenticators.htpasswd",
    "pam": "ginnel.authenticators.pam",
    "ldap": "ginnel.authenticators.ldap",
}
OPTION = "ginnel-authenticator"
AT_ONCE = 32
SECONDS = 60.0
"""What a decision may take, besides the time in which a person is asked."""


def make_authenticators(options: ServerOptions) -> list[tuple[str, Authenticator]]:
    """Makes what the configuration names. Raises ConfigError."""
    made: list[tuple[str, Authenticator]] = []
    try:
        for name, *words in options.access.authenticators:
            made.append((name, _make(name, words)))
    except BaseException:
        for _name, authenticator in made:
            authenticator.close()
        raise
    return made


def _make(name: str, words: Sequence[str]) -> Authenticator:
    factory = _factory(name)
    try:
        return factory(words)
    except (ValueError, OSError, ImportError) as wrong:
        raise ConfigError(f"{OPTION} {name}: {wrong}", option=OPTION) from wrong


def _factory(name: str) -> Factory:
    if name in BUILT_IN:
        factory: Factory = import_module(BUILT_IN[name]).make
        return factory
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINTS)
    if name not in found.names:
        known = ", ".join(sorted({*BUILT_IN, *found.names}))
        raise ConfigError(
            f"{OPTION}: no installed package provides '{name}'; there are: {known}", option=OPTION
        )
    try:
        loaded: Factory = found[name].load()
    except Exception as broken:
        raise ConfigError(
            f"{OPTION}: the package of '{name}' cannot be loaded: {broken}", option=OPTION
        ) from broken
    return loaded


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """All of them allow a client."""

    username: str = ""
    options: tuple[str, ...] = ()


class Authenticators:
    """Those of one server, in the order of the configuration."""

    def __init__(
        self,
        named: Sequence[tuple[str, Authenticator]],
        say: Say,
        *,
        at_once: int = AT_ONCE,
        seconds: float = SECONDS,
    ) -> None:
        self._named = named
        self._say = say
        self._room = asyncio.Semaphore(at_once)
        self._seconds = seconds
        self._answers: dict[ClientId, asyncio.Future[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._named)

    def close(self) -> None:
        """Ends them."""
        for _name, authenticator in self._named:
            authenticator.close()

    async def judge(self, action: Authenticate, pend: Pend) -> Agreed | Refused:
        """Asks each in turn; the first that refuses counts."""
        facts = action.client
        username = ""
        options: tuple[str, ...] = ()
        for name, authenticator in self._named:
            decision = await self._decision(name, authenticator, action, pend)
            if isinstance(decision, Deny):
                self._say(facts, admission_lines.refused_by(name, decision.reason))
                return Refused(reason=decision.reason)
            username = decision.username or username
            options = (*options, *decision.options)
        return Agreed(username=username, options=options)

    async def _decision(
        self, name: str, authenticator: Authenticator, action: Authenticate, pend: Pend
    ) -> Decision:
        facts = action.client
        asking = _Asking(facts, pend, self._answers)
        login = Login(
            visitor=visitor_of(facts, username=action.login.username),
            secret=action.login.password,
            is_first=action.is_first,
            question=asking.ask,
        )
        try:
            async with self._room, asyncio.timeout(self._seconds) as limit:
                asking.limit = limit
                decision: object = await authenticator.authenticate(login)
        except TimeoutError:
            self._say(facts, admission_lines.no_verdict(f"{OPTION} {name}", self._seconds))
            return Deny()
        except Exception as bug:
            self._complain(facts, name, bug)
            return Deny()
        if isinstance(decision, Allow | Deny):
            return decision
        self._complain(facts, name, TypeError(f"it answered {type(decision).__name__}"))
        return Deny()

    def answered(self, client_id: ClientId, response: str) -> bool:
        """Hands an answer of a client to whoever asked; False when nobody did."""
        waiting = self._answers.get(client_id)
        if waiting is None or waiting.done():
            return False
        try:
            waiting.set_result(b64decode(response, validate=True).decode("utf-8", "replace"))
        except (Base64Error, ValueError):
            return False
        return True

    async def connected(self, visitor: Visitor, facts: ClientFacts) -> None:
        await self._tell(facts, lambda one: one.connected(visitor))

    async def disconnected(self, visitor: Visitor, facts: ClientFacts, visit: Visit) -> None:
        await self._tell(facts, lambda one: one.disconnected(visitor, visit))

    async def address_learned(
        self, visitor: Visitor, facts: ClientFacts, address: str, *, added: bool
    ) -> None:
        await self._tell(facts, lambda one: one.address_learned(visitor, address, added=added))

    async def _tell(
        self, facts: ClientFacts, call: Callable[[Authenticator], Awaitable[None]]
    ) -> None:
        for name, authenticator in self._named:
            try:
                async with asyncio.timeout(self._seconds):
                    await call(authenticator)
            except Exception as bug:
                self._complain(facts, name, bug)

    def _complain(self, facts: ClientFacts, name: str, bug: Exception) -> None:
        where = traceback.extract_tb(bug.__traceback__)[-1:]
        place = "".join(f" ({frame.filename}:{frame.lineno})" for frame in where)
        text = f"{OPTION} {name} failed: {type(bug).__name__}: {bug}{place}"
        self._say(facts, shell_lines.warning(text))


class _Asking:
    """Puts a question of an authenticator to the client, as CR_TEXT."""

    def __init__(
        self, facts: ClientFacts, pend: Pend, answers: dict[ClientId, asyncio.Future[str]]
    ) -> None:
        self._facts = facts
        self._pend = pend
        self._answers = answers
        self.limit: asyncio.Timeout | None = None

    async def ask(self, text: str, echo: bool, seconds: int) -> str:
        """See ``Login.ask``."""
        if "crtext" not in dict(self._facts.peer_info).get("IV_SSO", "").split(","):
            raise LookupError("the client cannot ask its user (IV_SSO lacks crtext)")
        loop = asyncio.get_running_loop()
        client_id = self._facts.client_id
        waiting: asyncio.Future[str] = loop.create_future()
        self._answers[client_id] = waiting
        limit = self.limit
        before = None if limit is None else limit.when()
        try:
            if limit is not None and before is not None:
                limit.reschedule(before + seconds)
            if not self._pend(seconds, f"CR_TEXT:{'R,E' if echo else 'R'}:{text}"):
                raise LookupError("the client is gone, or does not wait for its login")
            async with asyncio.timeout(seconds):
                return await waiting
        finally:
            if self._answers.get(client_id) is waiting:  # another session may ask by now
                del self._answers[client_id]


def visitor_of(
    facts: ClientFacts,
    *,
    username: str | None = None,
    tunnel_ipv4: str | None = None,
    tunnel_ipv6: str | None = None,
) -> Visitor:
    """What authenticators are told of a client."""
    return Visitor(
        number=int(facts.client_id),
        username=facts.username if username is None else username,
        common_name=facts.common_name,
        address=str(facts.remote.address),
        port=facts.remote.port,
        peer_info=dict(facts.peer_info),
        tunnel_ipv4=tunnel_ipv4,
        tunnel_ipv6=tunnel_ipv6,
    )
