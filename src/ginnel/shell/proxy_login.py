"""User names and passwords for proxies: from files and blocks, from the frontend, or the terminal.

Kept for further attempts until a proxy refuses them, or ``auth-nocache`` or somebody wants them
forgotten. How they are shown to a proxy is the core's business.
"""

from ginnel.core.actions import Credentials
from ginnel.options.model import HttpProxy, Proxy
from ginnel.options.values import FileContent, Secret
from ginnel.shell.clock import monotonic_now
from ginnel.shell.frontend import Frontend
from ginnel.shell.prompt import ask, console

HTTP = "HTTP Proxy"
SOCKS = "SOCKS Proxy"
_OPTIONS = {HTTP: "http-proxy-user-pass", SOCKS: "socks-proxy HOST PORT"}
"""What takes a file with the login, as it is said where nobody can be asked."""


def type_of(proxy: Proxy) -> str:
    """What such a login is called in questions, as OpenVPN calls it."""
    return HTTP if isinstance(proxy, HttpProxy) else SOCKS


class ProxyLogins:
    """The logins of one lifecycle, one for each kind of proxy."""

    def __init__(self, frontend: Frontend, *, nocache: bool) -> None:
        self._frontend = frontend
        self._nocache = nocache
        self._entered: dict[str, Credentials] = {}
        self.waited = 0.0
        """Seconds that people were waited for, which count against no time limit."""

    async def get(self, proxy: Proxy) -> Credentials:
        """Returns the login to show. Asks where it was not configured.

        Raises ConfigError when there is nobody to ask.
        """
        if proxy.credentials is not None:
            return _read(proxy.credentials)
        kind = type_of(proxy)
        known = self._entered.get(kind)
        if known is None:
            began = monotonic_now()
            known = await self._ask(kind)
            self.waited += monotonic_now() - began
            self._entered[kind] = known
        return known

    def refuse(self, proxy: Proxy) -> bool:
        """A proxy refused the login: forgets it; True when another one can be asked for."""
        kind = type_of(proxy)
        if proxy.credentials is not None:
            return False
        wrong = self._entered.pop(kind, None)
        if wrong is not None:
            wrong.password.wipe()
        self._frontend.verification_failed(kind)
        return True

    def connected(self) -> None:
        """After a start: ``auth-nocache`` keeps nothing in memory."""
        if self._nocache:
            self.forget_all()

    def forget_all(self) -> None:
        """Somebody wants nothing to be remembered."""
        for known in self._entered.values():
            known.password.wipe()
        self._entered.clear()

    async def _ask(self, kind: str) -> Credentials:
        if self._frontend.asks_passwords:
            username, password = await self._frontend.login(kind)
            return Credentials(username=username, password=password)
        with console(_OPTIONS[kind]) as place:
            answers = [
                await ask(
                    place,
                    f"Enter {kind} {half}:",
                    echo=half == "Username",
                    option=_OPTIONS[kind],
                    what=what,
                )
                for half, what in (("Username", "user name"), ("Password", "password"))
            ]
        username = answers[0].reveal().decode("utf-8", "surrogateescape").strip()
        return Credentials(username=username, password=answers[1])


def _read(content: FileContent) -> Credentials:
    """Reads user name and password from two lines, which were looked for at the start."""
    lines = content.content.reveal().splitlines()
    username = lines[0].strip().decode("utf-8", "surrogateescape")
    return Credentials(username=username, password=Secret(lines[1]))
