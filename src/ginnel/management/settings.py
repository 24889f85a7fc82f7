"""Where the management interface is and how it behaves: the options about it, made ready for use.

Names of users and groups are looked up here, before any right is given up.
"""

import grp
import pwd

from ginnel.core.errors import ConfigError
from ginnel.dataclass import dataclass
from ginnel.management.state import DEFAULT_LOG_CACHE
from ginnel.options.model import ManagementOptions
from ginnel.options.values import Secret


@dataclass(frozen=True, kw_only=True)
class UnixAddress:
    """A socket in the file system; only this user and group may come when they are set."""

    path: str
    uid: int | None = None
    gid: int | None = None

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, kw_only=True)
class TcpAddress:
    """A TCP socket."""

    host: str
    port: int

    def __str__(self) -> str:
        family = "AF_INET6" if ":" in self.host else "AF_INET"
        return f"[{family}]{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class ManagementSettings:
    """Everything about one interface."""

    address: UnixAddress | TcpAddress
    password: Secret | None = None
    connects: bool = False
    """``management-client``: we connect to the other program."""
    hold: bool = False
    query_passwords: bool = False
    query_remote: bool = False
    query_proxy: bool = False
    up_down: bool = False
    signal: bool = False
    """``management-signal``: a client that leaves restarts the tunnel."""
    forget_disconnect: bool = False
    log_cache: int = DEFAULT_LOG_CACHE


def unix_address(path: str, user: str | None, group: str | None) -> UnixAddress:
    """Looks up who may connect. Raises ConfigError for a user or group that does not exist."""
    try:
        uid = None if user is None else pwd.getpwnam(user).pw_uid
    except KeyError as unknown:
        raise ConfigError(
            f"--management-client-user {user}: there is no such user",
            option="management-client-user",
        ) from unknown
    try:
        gid = None if group is None else grp.getgrnam(group).gr_gid
    except KeyError as unknown:
        raise ConfigError(
            f"--management-client-group {group}: there is no such group",
            option="management-client-group",
        ) from unknown
    return UnixAddress(path=path, uid=uid, gid=gid)


def first_line(content: Secret) -> Secret:
    """The password of a ``management`` password file: its first line."""
    return Secret(content.reveal().split(b"\n", 1)[0].rstrip(b"\r"))


def settings_from(options: ManagementOptions) -> ManagementSettings | None:
    """Makes the options ready for use; None without an interface. Raises ConfigError."""
    if options.address is None:
        return None
    address = (
        unix_address(options.address, options.client_user, options.client_group)
        if options.port == "unix"
        else TcpAddress(host=options.address, port=int(options.port))
    )
    return ManagementSettings(
        address=address,
        password=None if options.password is None else first_line(options.password.content),
        connects=options.connects,
        hold=options.hold,
        query_passwords=options.query_passwords,
        query_remote=options.query_remote,
        query_proxy=options.query_proxy,
        up_down=options.up_down,
        signal=options.signal,
        forget_disconnect=options.forget_disconnect,
        log_cache=options.log_cache,
    )
