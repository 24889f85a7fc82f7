"""Real proxies of Debian in the internet of a lab with a router, and one that misbehaves.

The laptop reaches them at the router's address. Each proxy runs in the foreground with its own
configuration below the lab's directory and ends with the lab. Nothing of the machine's own
services is used.
"""

import shutil
from pathlib import Path

from tests.deadlines import wait_until
from tests.interop.lab.namespaces import NETNS_ETC
from tests.interop.lab.process import LabError, Process, end_pid, module_command
from tests.interop.lab.topology import Lab

PROXY_TOOLS = ("squid", "tinyproxy", "danted", "microsocks")
HTTP_PORT = 3128
SOCKS_PORT = 1080

USER = "anna"
PASSWORD = "open-sesame"
_HASH = (
    "$6$ginnellab$DVPXDVT7YlimnWftRUKzKDTEj5miiH7bDq.4NkWd0MDvaDZ"
    "qYi/czT9wxKAm8KbKUEhwL9S69W2Oj418bU9Tm1"
)
"""By: openssl passwd -6 -salt ginnellab 'open-sesame'."""
_HELPERS = Path("/usr/lib/squid")
_HOSTNAME = "proxy.example"


def require_proxies() -> None:
    """Raises LabError that names what the machine lacks."""
    missing = [tool for tool in PROXY_TOOLS if shutil.which(tool) is None]
    if missing:
        raise LabError(f"the lab needs these proxies, which are not installed: {missing}")


def name_at_proxy(lab: Lab, name: str, address: str) -> None:
    """Makes a host's name known where the proxies run, and nowhere else."""
    (NETNS_ETC / lab.internet.name / "hosts").write_text(f"127.0.0.1 localhost\n{address} {name}\n")


def start_squid(lab: Lab, login: str | None = None) -> Process:
    """Starts squid; ``login`` is None, ``basic`` or ``digest``."""
    directory = _private(lab, "squid")
    lines = [
        f"http_port {lab.plan.gateway}:{HTTP_PORT}",
        f"visible_hostname {_HOSTNAME}",
        "pid_filename none",
        "access_log none",
        "cache deny all",
        "cache_store_log none",
        "pinger_enable off",
        "shutdown_lifetime 0 seconds",
        f"coredump_dir {directory}",
        f"cache_log {directory}/cache.log",
        "hosts_file /etc/hosts",
    ]
    if login == "basic":
        (directory / "users").write_text(f"{USER}:{_HASH}\n")
        helper = f"{_HELPERS}/basic_ncsa_auth {directory}/users"
    elif login == "digest":
        (directory / "users").write_text(f"{USER}:{PASSWORD}\n")
        helper = f"{_HELPERS}/digest_file_auth {directory}/users"
    if login is None:
        lines.append("http_access allow all")
    else:
        lines += [
            f"auth_param {login} program {helper}",
            f"auth_param {login} realm the office",
            f"auth_param {login} children 1 startup=1",
            "acl known proxy_auth REQUIRED",
            "http_access allow known",
            "http_access deny all",
        ]
    config = _write(directory / "squid.conf", lines)
    # A service name of its own keeps its shared memory apart from any other squid.
    service = f"gn{lab.internet.name.replace('-', '')}"
    process = _start(lab, ["squid", "-N", "-d", "1", "-n", service, "-f", str(config)], "squid")
    process.wait_for("Accepting HTTP Socket connections")
    return process


def start_tinyproxy(lab: Lab, *, login: bool = False) -> Process:
    """Starts tinyproxy, which knows Basic only."""
    lines = [f"Listen {lab.plan.gateway}", f"Port {HTTP_PORT}", "LogLevel Info"]
    lines += [f"BasicAuth {USER} {PASSWORD}"] if login else []
    config = _write(_private(lab, "tinyproxy") / "tinyproxy.conf", lines)
    process = _start(lab, ["tinyproxy", "-d", "-c", str(config)], "tinyproxy")
    process.wait_for("Accepting connections")
    return process


def start_microsocks(lab: Lab, *, login: bool = False) -> Process:
    """Starts microsocks, which relays TCP only."""
    argv = ["microsocks", "-i", lab.plan.gateway, "-p", str(SOCKS_PORT)]
    process = _start(lab, [*argv, *(["-u", USER, "-P", PASSWORD] if login else [])], "microsocks")
    _wait_listening(lab, SOCKS_PORT)
    return process


def start_dante(lab: Lab, *, login: bool = False) -> Process:
    """Starts dante, which relays TCP and UDP, for both IP versions."""
    method = "username" if login else "none"
    if login:
        _add_account(lab)
    lines = [
        "logoutput: stderr",
        f"internal: to-laptop port = {SOCKS_PORT}",
        "external: to-office",
        "clientmethod: none",
        f"socksmethod: {method}",
        "user.privileged: root",
        "user.unprivileged: nobody",
        "client pass { from: 0/0 to: 0/0 }",
        "socks pass { from: 0/0 to: 0/0 }",
    ]
    config = _write(_private(lab, "dante") / "danted.conf", lines)
    process = _start(lab, ["danted", "-f", str(config)], "dante")
    _wait_listening(lab, SOCKS_PORT)
    return process


def start_fake(lab: Lab, kind: str, port: int) -> Process:
    """Starts a proxy that misbehaves in one way (``fake_proxy``)."""
    argv = module_command("fake_proxy", kind, lab.plan.gateway, str(port))
    process = _start(lab, argv, f"fake-{kind}")
    process.wait_for("^ready$")
    return process


def end(lab: Lab, process: Process) -> None:
    """Ends a proxy; of dante, whatever still serves a client when it is told to end."""
    process.stop()
    for pid in lab.internet.pids():
        end_pid(pid, lambda pid=pid: pid not in lab.internet.pids())  # type: ignore[misc]


def _start(lab: Lab, argv: list[str], label: str) -> Process:
    return lab.start_proxy(argv, label=label)


def _wait_listening(lab: Lab, port: int) -> None:
    wait_until(
        lambda: f":{port} " in lab.internet.run(["ss", "-Hltn"]).output,
        timeout=40,
        what=f"a listener on port {port}",
    )


def _private(lab: Lab, name: str) -> Path:
    """A directory that a proxy may write to after it gave up its rights."""
    directory = lab.directory / name
    directory.mkdir(exist_ok=True)
    directory.chmod(0o777)
    return directory


def _write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def _add_account(lab: Lab) -> None:
    """Adds a user to the accounts that programs in the internet see; the machine's stay."""
    directory = NETNS_ETC / lab.internet.name
    for name, line in (
        ("passwd", f"{USER}:x:64990:64990::/nonexistent:/usr/sbin/nologin"),
        ("shadow", f"{USER}:{_HASH}:19000:0:99999:7:::"),
    ):
        path = directory / name
        path.write_text((Path("/etc") / name).read_text() + line + "\n")
        path.chmod(0o600 if name == "shadow" else 0o644)
