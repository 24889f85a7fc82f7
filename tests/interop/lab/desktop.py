"""A laptop with NetworkManager and Debian's stock OpenVPN plugin, inside a namespace of a lab.

What a desktop system gives is built in a private mount namespace: a bus, a system log, ``/etc``,
``/run`` and ``/dev`` of its own. Nothing of it is seen outside, and all of it ends with the lab.
The ``openvpn`` that the plugin starts is a link that ``install`` turns to ginnel or to Debian's
daemon. Not responsible for what a scenario does with it.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deadlines import wait_until
from tests.interop.lab.namespaces import Finished, Namespace, run_command
from tests.interop.lab.process import (
    ROOT,
    LabError,
    Process,
    clean_environment,
    end_pid,
    module_command,
)

REQUIRED_TOOLS = ("NetworkManager", "nmcli", "dbus-daemon", "dbus-send", "dnsmasq", "nsenter")
PLUGIN = Path("/usr/lib/NetworkManager/nm-openvpn-service")
INSTALLED = "/usr/sbin/openvpn"
REAL = "/run/openvpn-of-debian"
GINNEL = Path(sys.executable).with_name("ginnel")
DEVICE = "wlan0"

_NETWORK_MANAGER = f"""
[main]
plugins=keyfile
dns=dnsmasq
rc-manager=file
no-auto-default=*

[keyfile]
unmanaged-devices=except:interface-name:{DEVICE}
"""

_NAME_SERVICE = "hosts: files dns\n"

_BUILD = r"""
set -e
scratch=$1; etc=$2; program=$3; real=$4
mount --make-rprivate /
# With a read-only /sys NetworkManager does not wait for udev to tell about devices.
mount -o remount,bind,ro /sys
mount -t tmpfs -o mode=755 tmpfs "$scratch"
cd "$scratch"
mkdir etc etc.work sbin sbin.work dev
umount /etc/resolv.conf
mount -t overlay -o "lowerdir=/etc,upperdir=$scratch/etc,workdir=$scratch/etc.work" overlay /etc
rm -f /etc/resolv.conf
cp -r "$etc/." /etc/
mount -t tmpfs -o mode=755 tmpfs /run
: >"$real"
mount --bind "$program" "$real"
directory=${program%/*}
mount -t overlay -o "lowerdir=$directory,upperdir=$scratch/sbin,workdir=$scratch/sbin.work" \
    overlay "$directory"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/net dev/
mkdir dev/pts dev/shm
cd /
mount --bind "$scratch/dev" /dev
mount -t tmpfs -o mode=700 tmpfs /var/lib/NetworkManager
mkdir -p /run/dbus /run/NetworkManager
exec dbus-daemon --system --nofork --nopidfile --nosyslog --print-address
"""
"""Each line works in a fresh mount namespace; the daemon at its end keeps that namespace."""


def require_desktop_tools() -> None:
    """Raises LabError that names what the machine lacks."""
    missing = [tool for tool in REQUIRED_TOOLS if shutil.which(tool) is None]
    missing += [str(path) for path in (PLUGIN, Path(INSTALLED), GINNEL) if not path.exists()]
    if missing:
        raise LabError(f"NetworkManager's lab needs these, which are not installed: {missing}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The laptop's own network, as its user would have set it up."""

    address: str
    gateway: str
    nameserver: str


class Desktop:
    """NetworkManager in one namespace. Use it as a context manager."""

    def __init__(self, namespace: Namespace, directory: Path, settings: Settings) -> None:
        self.namespace = namespace
        self.directory = directory
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self._bus: Process | None = None
        self.log: Process
        self.manager: Process

    def __enter__(self) -> "Desktop":
        require_desktop_tools()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends everything, children of NetworkManager included: it leaves its dnsmasq running."""
        self._stack.close()
        for pid in self.namespace.pids():
            end_pid(pid, lambda pid=pid: pid not in self.namespace.pids())  # type: ignore[misc]

    # --- building ------------------------------------------------------------------------------

    def _start(self) -> None:
        scratch, etc = self.directory / "scratch", self.directory / "etc"
        scratch.mkdir(parents=True)
        (etc / "NetworkManager" / "system-connections").mkdir(parents=True)
        (etc / "NetworkManager" / "lab.conf").write_text(_NETWORK_MANAGER)
        (etc / "nsswitch.conf").write_text(_NAME_SERVICE)
        (etc / "resolv.conf").write_text("")
        build = ["sh", "-c", _BUILD, "sh", str(scratch), str(etc), INSTALLED, REAL]
        self._bus = self._process(["ip", "netns", "exec", self.namespace.name, *build], "bus")
        self._bus.wait_for("^unix:")
        self.log = self.spawn(module_command("syslog_sink", "/dev/log"), "syslog")
        self.log.wait_for("^ready$")
        self.install(ginnel=True)
        argv = ["NetworkManager", "--no-daemon", "--config", "/etc/NetworkManager/lab.conf"]
        self.manager = self.spawn(argv, "networkmanager")
        wait_until(
            lambda: self.nmcli("-g", "RUNNING", "general").output.strip() == "running",
            timeout=40,
            what="NetworkManager on the bus",
        )
        self._connect_laptop()

    def _connect_laptop(self) -> None:
        """Sets up the laptop's own network by hand, as where there is no DHCP."""
        own = self._settings
        add = ["connection", "add", "type", "ethernet", "con-name", "home", "ifname", DEVICE]
        ipv4 = ["ipv4.method", "manual", "ipv4.addresses", own.address, "ipv4.gateway", own.gateway]
        names = ["ipv4.dns", own.nameserver, "ipv6.method", "disabled"]
        self.must("nmcli", *add, *ipv4, *names)
        self.must("nmcli", "connection", "up", "home")
        self.wait_name_service()

    def wait_name_service(self) -> None:
        """Waits until NetworkManager's dnsmasq answers: it starts a moment after the network."""
        wait_until(
            lambda: "nameserver 127.0.0.1" in self.must("cat", "/etc/resolv.conf"),
            timeout=40,
            what="NetworkManager's own resolver",
        )

    def _process(self, argv: Sequence[str], name: str) -> Process:
        process = Process(argv, name=name, log=self.directory / f"{name}.log")
        self._stack.callback(process.stop)
        return process

    def command(self, argv: Sequence[str]) -> list[str]:
        """Gives the command line that runs ``argv`` on the desktop."""
        assert self._bus is not None, "the bus comes first"
        enter = ["nsenter", "-t", str(self._bus.pid), "--mount", "--net", f"--wd={ROOT}"]
        return [*enter, *argv]

    def spawn(self, argv: Sequence[str], name: str) -> Process:
        """Starts a program on the desktop that is ended with it."""
        return self._process(self.command(argv), name)

    # --- use -----------------------------------------------------------------------------------

    def install(self, *, ginnel: bool) -> None:
        """Makes one of the two the ``openvpn`` of this desktop."""
        self.must("ln", "-sfn", str(GINNEL if ginnel else REAL), INSTALLED)

    def run(self, *argv: str, timeout: float = 60.0, stdin: str = "") -> Finished:
        """Runs a command on the desktop; ``output`` holds errors, too."""
        done = subprocess.run(
            self.command(argv),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            env=clean_environment(),
            check=False,
        )
        return Finished(status=done.returncode, output=done.stdout)

    def must(self, *argv: str) -> str:
        """Runs a command that has to succeed and returns its output."""
        return run_command(self.command(argv)).output

    def nmcli(self, *arguments: str, timeout: float = 90.0, stdin: str = "") -> Finished:
        return self.run("nmcli", *arguments, timeout=timeout, stdin=stdin)

    def resolve(self, name: str) -> str:
        """Asks as programs do; empty when there is no such name."""
        words = self.run("getent", "ahostsv4", name).output.split()
        return words[0] if words else ""

    def resolver(self) -> list[str]:
        """Gives the resolver's file, and what NetworkManager told its dnsmasq."""
        manager = "org.freedesktop.NetworkManager"
        where = [f"--dest={manager}", "/org/freedesktop/NetworkManager/DnsManager"]
        what = [f"string:{manager}.DnsManager", "string:Configuration"]
        get = ["--system", "--print-reply=literal", *where, "org.freedesktop.DBus.Properties.Get"]
        told = self.must("dbus-send", *get, *what)
        return [*self.must("cat", "/etc/resolv.conf").splitlines(), *told.splitlines()]

    def network(self) -> list[str]:
        """Gives links, addresses, routes and rules as ``ip`` prints them for people."""
        lines: list[str] = []
        for words in (["-4", "route"], ["-6", "route"], ["-4", "rule"], ["-6", "rule"]):
            lines += [" ".join(line.split()) for line in self.namespace.ip(*words).splitlines()]
        for entry in self.namespace.ip_json("address", "show"):
            kept = {key: entry[key] for key in ("ifname", "flags", "mtu", "link_type")}
            lines.append(json.dumps(kept))
            infos = entry["addr_info"]
            assert isinstance(infos, list)
            lines += [f"{info['local']}/{info['prefixlen']} {info['scope']}" for info in infos]
        return lines

    def logs(self) -> Iterator[tuple[str, str]]:
        """Gives name and last lines of each program, for the report of a failed test."""
        for path in sorted(self.directory.glob("*.log")):
            yield path.name, "\n".join(path.read_text(errors="replace").splitlines()[-60:])
