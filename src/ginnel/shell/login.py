"""User name and password of this process: where they come from, how long they are kept.

Each source (a file, a block, the user) has an account of its own, so that connections with logins
of their own do not mix them up. Asking is ``prompt``'s and the frontend's business.
"""

import os
import stat
from binascii import b2a_base64

from ginnel.core.actions import Credentials
from ginnel.core.errors import ConfigError
from ginnel.core.messages import DynamicChallenge
from ginnel.dataclass import dataclass
from ginnel.options.model import ConnectionProfile, LoginOptions, LoginSource, StaticChallenge
from ginnel.options.values import FileContent, Secret
from ginnel.shell.frontend import Frontend
from ginnel.shell.prompt import Console, ask, console

AUTH = "Auth"
"""What management clients know this login by."""

NO_PASSWORD = b"[[BLANK]]"
"""What OpenVPN 2.7 sends for the password with ``username-only``."""

_OPTION = "auth-user-pass"


@dataclass(slots=True)
class _Account:
    """What is known of one source."""

    source: LoginSource
    current: Credentials | None = None
    serves_once: bool = False
    """``current`` answers a question of the server, which will not come a second time."""
    token: Credentials | None = None
    challenge: DynamicChallenge | None = None


class Login:
    """Holds the credentials between attempts."""

    def __init__(self, options: LoginOptions) -> None:
        self._options = options
        token = None
        if options.auth_token is not None and options.auth_token_user is not None:
            token = Credentials(username=options.auth_token_user, password=options.auth_token)
        self._account = _Account(source=options.source, token=token)
        self._accounts = [self._account]
        self.problem = ""
        """Why there are no credentials, when there should be."""

    def use(self, profile: ConnectionProfile) -> None:
        """The next connection is this one: it may have a login of its own."""
        source = profile.login or self._options.source
        for account in self._accounts:
            if account.source is source:
                self._account = account
                return
        self._account = _Account(source=source)
        self._accounts.append(self._account)

    @property
    def current(self) -> Credentials | None:
        """User name and password, if they are known."""
        return self._account.current

    @property
    def token(self) -> Credentials | None:
        """What the server pushed to stand in for the password at the next connection."""
        return self._account.token

    @token.setter
    def token(self, token: Credentials | None) -> None:
        self._account.token = token

    # --- keeping -------------------------------------------------------------------------------

    def forget(self) -> None:
        """Drops and wipes the password, so that the next attempt asks again."""
        account = self._account
        if account.current is not None:
            account.current.password.wipe()
        account.current = None

    def forget_all(self) -> None:
        """Drops passwords, tokens and questions: somebody wants nothing to be remembered."""
        used = self._account
        for account in self._accounts:
            self._account = account
            self.forget()
            account.token = account.challenge = None
        self._account = used

    def sent(self) -> None:
        """The password is on its way: ``auth-nocache`` keeps nothing, and some serve only once."""
        account = self._account
        if self._options.auth_nocache:
            self.forget()
            _wipe_file(account.source.credentials)
        elif account.serves_once:
            account.current = None  # the connection still needs it for its next key
        account.serves_once = False

    def challenged(self, challenge: DynamicChallenge | None) -> None:
        """The server refused the login with a question, or without one."""
        self._account.challenge = challenge

    def adopt(self, earlier: "Login") -> None:
        """Takes over what was entered before a reload."""
        known = earlier._accounts[0]
        if known.source.credentials is None and self._account.source.credentials is None:
            self._account.current = known.current

    # --- asking --------------------------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        """Whether nothing is missing for the next login."""
        if not self._options.auth_user_pass:
            return True
        return self._account.token is not None or self._account.current is not None

    async def obtain(self, frontend: Frontend) -> None:
        """Makes sure that there are credentials if they are needed; ``problem`` says why not.

        They are taken from file or block again, or asked for: by the frontend, if it asks for
        passwords, else at the terminal. Cancelling it takes a question back.
        """
        if self.is_known:
            return
        self.problem = ""
        try:
            await self._obtain(frontend)
        except ConfigError as error:
            self.problem = error.message

    async def obtain_or_fail(self, frontend: Frontend) -> None:
        """As ``obtain``. Raises ConfigError when there are no credentials in the end."""
        if not self.is_known:
            await self._obtain(frontend)

    async def _obtain(self, frontend: Frontend) -> None:
        account, challenge = self._account, self._account.challenge
        if challenge is not None:
            account.challenge = None
            account.current = await self._answer(challenge, frontend)
            account.serves_once = True
            return
        account.current = await self._credentials(account.source, frontend)

    async def _answer(self, challenge: DynamicChallenge, frontend: Frontend) -> Credentials:
        if frontend.asks_passwords:
            return _entered(await frontend.login(AUTH))
        with console(_OPTION) as place:
            response = await _response(place, challenge.text, echo=challenge.echo)
        password = bytearray(f"CRV1::{challenge.state_id}::".encode())
        password += response.view()
        response.wipe()
        return Credentials(username=challenge.username, password=Secret(password))

    async def _credentials(self, source: LoginSource, frontend: Frontend) -> Credentials:
        if source.username_only:
            return await _name_only(frontend)
        static = self._options.static_challenge
        username, password = _stored(source.credentials)
        if username and password is not None and static is None:
            return Credentials(username=username, password=password)
        if frontend.asks_passwords:
            return _entered(await frontend.login(AUTH, static))
        with console(_OPTION) as place:
            if not username:
                username = await _ask_username(place)
            if password is None:
                password = await ask(
                    place, "Enter Auth Password:", echo=False, option=_OPTION, what="password"
                )
            if static is not None:
                response = await _response(place, static.text, echo=static.echo)
                password = _with_response(password, response, static)
        return Credentials(username=username, password=password)


async def _name_only(frontend: Frontend) -> Credentials:
    if frontend.asks_passwords:
        username, _ = await frontend.login(AUTH, username_only=True)
    else:
        with console(_OPTION) as place:
            username = await _ask_username(place)
    return Credentials(username=username, password=Secret(NO_PASSWORD))


async def _ask_username(place: Console) -> str:
    answer = await ask(place, "Enter Auth Username:", echo=True, option=_OPTION, what="user name")
    username = answer.reveal().decode("utf-8", "surrogateescape").strip()
    if not username:
        raise ConfigError("ERROR: Auth username is empty", option=_OPTION)
    return username


async def _response(place: Console, text: str, *, echo: bool) -> Secret:
    question = f"CHALLENGE: {text}"
    return await ask(place, question, echo=echo, option=_OPTION, what="answer to the challenge")


def _with_response(password: Secret, response: Secret, challenge: StaticChallenge) -> Secret:
    """Packs both into what is sent as the password, and wipes them."""
    if challenge.concatenate:
        packed = bytearray(password.view())
        packed += response.view()
    else:
        packed = bytearray(b"SCRV1")
        for text in (password, response):
            packed += b":" + b2a_base64(text.view(), newline=False)
    password.wipe()
    response.wipe()
    return Secret(packed)


def _entered(answer: tuple[str, Secret]) -> Credentials:
    username, password = answer
    return Credentials(username=username, password=password)


def _stored(stored: FileContent | None) -> tuple[str, Secret | None]:
    """User name and password of a file or block: two lines, of which the second may be missing.

    Raises ConfigError when a file that ``auth-nocache`` wiped cannot be read again.
    """
    if stored is None:
        return "", None
    content = stored.content
    if not len(content) and stored.path is not None:
        content = _read_again(stored.path)
    name, _, rest = content.reveal().partition(b"\n")
    password = rest.partition(b"\n")[0].rstrip(b"\r")
    username = name.decode("utf-8", "surrogateescape").strip()
    return username, Secret(password) if password else None


def _read_again(path: str) -> Secret:
    try:
        with open(path, "rb") as file:
            return Secret(file.read())
    except OSError as error:
        raise ConfigError(
            f"--{_OPTION} fails with '{path}': {error.strerror}: with auth-nocache the file "
            "is read for every login, also after user and chroot took effect",
            option=_OPTION,
        ) from error


def _wipe_file(stored: FileContent | None) -> None:
    """Wipes what can be read again; a block or a pipe cannot."""
    if stored is None or stored.path is None:
        return
    try:
        again = stat.S_ISREG(os.stat(stored.path).st_mode)
    except OSError:
        again = False
    if again:
        stored.content.wipe()
