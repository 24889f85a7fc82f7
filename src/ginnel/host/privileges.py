"""Gives up rights: capabilities in the helper; user, group and root directory in the main process.

Responsible for the system calls and their order. When they happen is the shell's decision
(protocol-facts 25: at once when the device is already open, else at the end of start-up).
"""

import grp
import os
import pwd
import resource

from ginnel.core.errors import ConfigError, HostError
from ginnel.dataclass import dataclass
from ginnel.hints import TYPE_CHECKING
from ginnel.options.model import ProcessOptions

if TYPE_CHECKING:
    import ctypes

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAP_NET_ADMIN = 12
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MLOCK_BYTES = 100 << 20


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who the process becomes, as numbers: resolved before chroot hides the account files."""

    user: int | None = None
    group: int | None = None
    user_name: str | None = None
    chroot: str | None = None

    @property
    def changes_anything(self) -> bool:
        """False when there is nothing to give up."""
        return (self.user, self.group, self.chroot) != (None, None, None)


def resolve_identity(process: ProcessOptions) -> Identity:
    """Looks up ``user`` and ``group``. Raises ``ConfigError`` naming the one that is unknown."""
    user = group = None
    if process.user is not None:
        try:
            user = pwd.getpwnam(process.user).pw_uid
        except KeyError as unknown:
            message = f"failed to find UID for user {process.user}"
            raise ConfigError(message, option="user") from unknown
    if process.group is not None:
        try:
            group = grp.getgrnam(process.group).gr_gid
        except KeyError as unknown:
            message = f"failed to find GID for group {process.group}"
            raise ConfigError(message, option="group") from unknown
    return Identity(user=user, group=group, user_name=process.user, chroot=process.chroot)


def drop_identity(identity: Identity) -> None:
    """Enters the chroot, then becomes group and user, in OpenVPN's order. Raises ``HostError``.

    Supplementary groups of the old identity are dropped whenever group or user changes: keeping
    root's would keep rights that ``group`` and ``user`` are meant to give up.
    """
    _libc()  # loaded now: a chroot or another user may hide the modules it is made of
    try:
        if identity.chroot is not None:
            os.chroot(identity.chroot)
            os.chdir("/")
        if identity.group is not None:
            os.setgroups([identity.group])
            os.setresgid(identity.group, identity.group, identity.group)
        elif identity.user is not None:
            os.setgroups([])
        if identity.user is not None:
            os.setresuid(identity.user, identity.user, identity.user)
            _call_prctl(_PR_SET_DUMPABLE, 0)
    except OSError as refused:
        raise HostError("drop privileges", refused.errno or 0, str(refused)) from refused


def forbid_core_dumps() -> None:
    """Keeps keys out of core files and away from other processes of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _call_prctl(_PR_SET_DUMPABLE, 0)


def set_priority(nice: int) -> None:
    """Applies ``nice N``, relative to the present priority. Raises ``HostError``."""
    try:
        os.nice(nice)
    except OSError as refused:
        raise HostError(f"nice {nice}", refused.errno or 0, os.strerror(refused.errno or 0)) from (
            refused
        )


def lock_memory() -> str | None:
    """Applies ``mlock``: no page goes to swap. Raises ``HostError`` when memory cannot be locked.

    Raises the memory limit to 100 MB first, as OpenVPN 2.6 does, because the right to exceed it
    goes with the user. Returns a warning when the limit could not be raised.
    """
    warning = None
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY and soft < _MLOCK_BYTES:
        ceiling = hard if hard == resource.RLIM_INFINITY else max(hard, _MLOCK_BYTES)
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (_MLOCK_BYTES, ceiling))
        except (OSError, ValueError) as refused:
            warning = f"mlock: the memory limit stays at {soft} bytes: {refused}"
    if _libc().mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        raise _last_error("mlock")
    return warning


def confine_modules() -> None:
    """For foreign code that reads devices and files of any user, as it could in OpenVPN."""
    confine(frozenset({CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH}))


def confine_helper() -> None:
    """Leaves this process only CAP_NET_ADMIN, if it has that, and nothing to gain. ``HostError``.

    The user stays the same, so that files of the runtime directory remain writable.
    """
    confine(frozenset({CAP_NET_ADMIN}))


def confine(kept: frozenset[int]) -> None:
    """Leaves this process only these capabilities, if it has them. Raises HostError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _call_prctl(_PR_SET_DUMPABLE, 0)
    _call_prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _call_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    number = 0
    while _prctl(_PR_CAPBSET_READ, number) >= 0:
        if number not in kept:
            _prctl(_PR_CAPBSET_DROP, number)  # refused without CAP_SETPCAP: nothing to drop then
        number += 1
    _set_capabilities(_permitted() & sum(1 << number for number in kept))


def name_process(name: str) -> None:
    """Sets the name that ``ps`` and ``top`` show; the kernel keeps 15 bytes."""
    import ctypes

    _libc().prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0)


def _permitted() -> int:
    import ctypes

    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    if _libc().capget(header, sets) != 0:
        raise _last_error("capget")
    return int(sets[1]) | int(sets[4]) << 32


def _set_capabilities(mask: int) -> None:
    import ctypes

    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if _libc().capset(header, sets) != 0:
        raise _last_error("capset")


def _call_prctl(option: int, argument: int) -> None:
    if _prctl(option, argument) < 0:
        raise _last_error("prctl")


def _prctl(option: int, argument: int) -> int:
    import ctypes

    zero = ctypes.c_ulong(0)
    return int(_libc().prctl(option, ctypes.c_ulong(argument), zero, zero, zero))


def _libc() -> "ctypes.CDLL":
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _last_error(step: str) -> HostError:
    import ctypes

    code = ctypes.get_errno()
    return HostError(step, code, os.strerror(code))
