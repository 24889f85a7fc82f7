"""``ginnel-authenticator ldap uri=… base=… [key=value ...]``: the people of a directory.

Looks the name up in the directory, or makes its DN from a pattern, and binds with the password.
Needs python-ldap (``ginnel[ldap]``), which is asked in threads: it waits for the network.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path

from ginnel.dataclass import dataclass
from ginnel.hints import Any
from ginnel.hooks import Allow, Authenticator, Decision, Deny, Login
from ginnel.options.values import Secret

SECONDS = 10
"""What one question to the directory may take."""
_THREADS = 8
_KEYS = {"uri", "base", "filter", "dn", "bind", "password-file", "ca", "start-tls", "unencrypted"}


@dataclass(frozen=True, kw_only=True)
class Directory:
    """How the directory is reached and searched."""

    uri: str
    dn: str | None = None
    """Pattern of a person's DN, with ``%s`` for the name; None searches."""
    base: str | None = None
    filter: str = "(uid=%s)"
    bind: str = ""
    """Who searches; empty is anonymous."""
    password: Secret = Secret(b"")
    ca: str | None = None
    start_tls: bool = False


def make(words: Sequence[str]) -> "Ldap":
    """Reads the words. Raises ValueError, OSError, and ImportError without python-ldap."""
    try:
        library = import_module("ldap")
        for name in ("ldap.dn", "ldap.filter"):
            import_module(name)
    except ImportError as missing:
        raise ImportError(
            "needs the Python package python-ldap: install 'ginnel[ldap]' or python3-ldap "
            f"({missing})"
        ) from missing
    return Ldap(parse_words(words), library)


def parse_words(words: Sequence[str]) -> Directory:
    """Reads ``key=value`` words. Raises ValueError, and OSError for the password's file."""
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in _KEYS or not equals or not value:
            raise ValueError(f"expected words like uri=ldaps://…, found '{word}'")
        given[key] = value
    uri, dn, base = given.get("uri"), given.get("dn"), given.get("base")
    if uri is None or not uri.startswith(("ldaps://", "ldap://", "ldapi://")):
        raise ValueError("wants uri=ldaps://HOST, or ldap:// with start-tls=yes")
    if (dn is None) == (base is None):
        raise ValueError("wants either base=… to search below, or dn=… with %s for the name")
    if dn is not None and dn.count("%s") != 1:
        raise ValueError("dn=… needs %s once, where the name goes")
    if given.get("filter", "%s").count("%s") != 1:
        raise ValueError("filter=… needs %s once, where the name goes")
    start_tls = given.get("start-tls") == "yes"
    if uri.startswith("ldap://") and not start_tls and given.get("unencrypted") != "yes":
        raise ValueError(
            "passwords would cross the network as they are: use ldaps:// or start-tls=yes, or say "
            "unencrypted=yes if that is meant"
        )
    password = b""
    if "password-file" in given:
        password = Path(given["password-file"]).read_bytes().split(b"\n")[0].rstrip(b"\r")
    return Directory(
        uri=uri,
        dn=dn,
        base=base,
        filter=given.get("filter", "(uid=%s)"),
        bind=given.get("bind", ""),
        password=Secret(password),
        ca=given.get("ca"),
        start_tls=start_tls,
    )


class Ldap(Authenticator):
    """See the module."""

    def __init__(self, directory: Directory, library: Any) -> None:  # python-ldap has no types
        self._directory = directory
        self._ldap = library
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ldap")

    async def authenticate(self, login: Login) -> Decision:
        """Allows those who can bind. An empty password would bind as nobody: it is refused."""
        password = login.password
        if not password or not login.username or "\0" in login.username + password:
            return Deny()
        loop = asyncio.get_running_loop()
        work = partial(self._can_bind, login.username, password)
        return Allow() if await loop.run_in_executor(self._threads, work) else Deny()

    def close(self) -> None:
        """Lets the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _can_bind(self, username: str, password: str) -> bool:
        """Runs in a thread. Raises what python-ldap raises but for a wrong password."""
        connection = self._connect()
        try:
            person = self._dn_of(connection, username)
            if person is None:
                return False
            connection.simple_bind_s(person, password)
        except self._ldap.INVALID_CREDENTIALS:
            return False
        finally:
            connection.unbind_s()
        return True

    def _dn_of(self, connection: Any, username: str) -> str | None:
        """The one person of that name; None when there is none, or more than one."""
        directory, ldap = self._directory, self._ldap
        if directory.dn is not None:
            return directory.dn.replace("%s", ldap.dn.escape_dn_chars(username))
        if directory.bind:
            try:
                connection.simple_bind_s(directory.bind, directory.password.reveal().decode())
            except ldap.INVALID_CREDENTIALS:
                raise PermissionError(f"the directory refuses {directory.bind}") from None
        found = connection.search_ext_s(
            directory.base,
            ldap.SCOPE_SUBTREE,
            directory.filter.replace("%s", ldap.filter.escape_filter_chars(username)),
            attrlist=["1.1"],
            timeout=SECONDS,
            sizelimit=2,
        )
        people = [dn for dn, _attributes in found if dn is not None]  # others are referrals
        return people[0] if len(people) == 1 else None

    def _connect(self) -> Any:
        ldap = self._ldap
        connection = ldap.initialize(self._directory.uri)
        connection.set_option(ldap.OPT_PROTOCOL_VERSION, 3)
        connection.set_option(ldap.OPT_REFERRALS, 0)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, SECONDS)
        connection.set_option(ldap.OPT_TIMEOUT, SECONDS)
        connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        if self._directory.ca is not None:
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, self._directory.ca)
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        if self._directory.start_tls:
            connection.start_tls_s()
        return connection
