"""Opens a login page in the browser of the person who started this program.

The address comes from the server: only what ``core.pending`` took for a plain web address gets
here, it is handed over as one argument, and never to a program that runs as root.
"""

import asyncio
import os
import pwd
from collections.abc import Mapping

from ginnel.dataclass import dataclass

OPENER = "xdg-open"
DETACH = ("/usr/bin/setsid", "--fork")
"""Leaves the browser to init, so that it outlives this program and is nobody's zombie."""
_PATHS = ("/usr/local/bin", "/usr/bin", "/bin")
_SESSION = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_CURRENT_DESKTOP")
_INVOKERS = ("SUDO_UID", "PKEXEC_UID")


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How to open a page: the program, its environment, and whom it runs as."""

    program: str
    environment: Mapping[str, str]
    uid: int
    gid: int
    name: str


def plan_opening(environment: Mapping[str, str], uid: int) -> Opening | None:
    """Plans for the desktop session of the user; None when there is none, or only root's.

    ``uid`` is whom this process runs as: root stands for whoever called sudo or pkexec.
    """
    if not ("DISPLAY" in environment or "WAYLAND_DISPLAY" in environment):
        return None
    user = uid or _invoker(environment)
    program = next(
        (f"{path}/{OPENER}" for path in _PATHS if os.access(f"{path}/{OPENER}", os.X_OK)), None
    )
    if user == 0 or program is None:
        return None
    try:
        account = pwd.getpwuid(user)
    except KeyError:
        return None
    runtime = f"/run/user/{user}"
    session = {name: environment[name] for name in _SESSION if name in environment}
    if os.path.isdir(runtime):
        session["XDG_RUNTIME_DIR"] = runtime
        session["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime}/bus"
    session |= {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}
    session["PATH"] = ":".join(_PATHS)
    return Opening(
        program=program,
        environment=session,
        uid=user,
        gid=account.pw_gid,
        name=account.pw_name,
    )


def _invoker(environment: Mapping[str, str]) -> int:
    for name in _INVOKERS:
        text = environment.get(name, "")
        if text.isascii() and text.isdecimal() and len(text) < 11:
            return int(text)
    return 0


async def open_page(address: str, opening: Opening) -> str | None:
    """Starts the browser and does not wait for it; returns what prevented that, if anything."""
    whom: dict[str, object] = {}
    if opening.uid != os.geteuid():
        groups = os.getgrouplist(opening.name, opening.gid)
        whom = {"user": opening.uid, "group": opening.gid, "extra_groups": groups}
    try:
        started = await asyncio.create_subprocess_exec(
            *DETACH,
            opening.program,
            address,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(opening.environment),
            cwd="/",
            **whom,  # type: ignore[arg-type]  # names and types are those of Popen
        )
        status = await started.wait()
    except (OSError, ValueError) as error:
        return str(error)
    return f"{OPENER} ended with status {status}" if status else None
