"""What is built around the daemon: Debian's systemd unit and its script for the resolver."""

import contextlib
import shlex
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.interop.checks import wait_file
from tests.interop.lab import Lab, ServerSetup
from tests.interop.lab.openvpn import COMPLETED, OPENVPN, client_program, command_of

UNIT = Path("/lib/systemd/system/openvpn@.service")
SERVER_UNIT = Path("/lib/systemd/system/openvpn-server@.service")
OUR_UNIT = Path(__file__).parents[2] / "packaging/systemd/ginnel-client@.service"
OUR_SERVER_UNIT = OUR_UNIT.with_name("ginnel-server@.service")
SCRIPT = "/etc/openvpn/update-resolv-conf"

_WITH_RESOLVCONF = """
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$1/upper,workdir=$1/work" overlay /usr/sbin
cp "$2" /usr/sbin/resolvconf
shift 2
exec "$@"
"""


def _unit_arguments(lab: Lab, name: str) -> list[str]:
    """The words after the program in the unit's ExecStart, with the lab's directories."""
    line = next(line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart="))
    words = shlex.split(line.removeprefix("ExecStart="))[1:]
    places = {"/run/openvpn": str(lab.directory), "/etc/openvpn": str(lab.directory)}
    for old, new in places.items():
        words = [word.replace(old, new).replace("%i", name) for word in words]
    return words


def _as_a_service(lab: Lab, program: Sequence[str], name: str) -> list[str]:
    """Runs the unit's command line as systemd would, up and down; returns what systemd hears."""
    (lab.directory / f"{name}.conf").write_text(lab.client_setup().render(lab.pki))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = lab.directory / f"{name}.notify"
        manager.bind(str(address))
        manager.settimeout(20.0)
        service = lab.laptop.spawn(
            [*program, *_unit_arguments(lab, name)],
            name=name,
            environment={"NOTIFY_SOCKET": str(address)},
        )
        heard = [manager.recv(4096).decode() for _ in range(3)]
        assert wait_file(lab.directory / f"{name}.pid") == f"{service.pid}\n"
        wait_file(lab.directory / f"{name}.status", containing="END")
        service.send(signal.SIGTERM)
        assert service.wait_exit(20.0) == 0
    return [text.replace(str(service.pid), "PID") for text in heard]


def test_under_debians_unit(lab: Lab) -> None:
    """``Type=notify``: it stays the process that systemd started, and says when it is ready."""
    lab.start_server()
    theirs = _as_a_service(lab, (OPENVPN,), "theirs")
    ours = _as_a_service(lab, client_program(), "ours")
    assert ours == theirs
    assert theirs[1].startswith("READY=1\n")


def _capabilities(unit: Path) -> str:
    """The unit's bounding set in ``setpriv``'s words."""
    lines = [line for line in unit.read_text().splitlines() if line.startswith("CapabilityBound")]
    names = " ".join(line.partition("=")[2] for line in lines).split()
    return ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in names)])


def test_the_rights_of_our_own_unit_are_enough(lab: Lab) -> None:
    """The host is set up, rights are given up, and all is put back, with no other capability."""
    lab.start_server()
    bounds = ["setpriv", f"--bounding-set={_capabilities(OUR_UNIT)}"]
    setup = lab.client_setup(lines=["user nobody", "group nogroup"])
    before = lab.laptop.run(["ip", "route"]).output
    client = lab.start_client(setup, program=[*bounds, *client_program()])
    assert lab.laptop.run(["ip", "route"]).output != before
    client.stop()
    assert lab.laptop.run(["ip", "route"]).output == before


def _server_words(unit: Path, lab: Lab, name: str) -> list[str]:
    """The words after the program in a server's unit, with the lab's directories."""
    line = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    words = line.removeprefix("ExecStart=").replace("%t/openvpn-server", str(lab.directory))
    _, *rest = shlex.split(words.replace("%i", name))
    return ["--cd", str(lab.directory), *(word for word in rest if word != "openvpn")]


def _served(lab: Lab, program: Sequence[str], unit: Path, name: str) -> list[str]:
    """Runs a server as its unit would, serves a client, ends it; returns what systemd hears."""
    setup = ServerSetup(lines=["user nobody", "group nogroup", "persist-key", "persist-tun"])
    (lab.directory / f"{name}.conf").write_text(setup.render(lab.pki))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = lab.directory / f"{name}.notify"
        manager.bind(str(address))
        manager.setblocking(False)
        service = lab.office.spawn(
            [*program, *_server_words(unit, lab, name)],
            name=name,
            environment={"NOTIFY_SOCKET": str(address)},
        )
        service.wait_for(COMPLETED)
        lab.start_client().stop()
        wait_file(lab.directory / f"status-{name}.log", containing="END")
        service.send(signal.SIGTERM)
        assert service.wait_exit(20.0) == 0
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(manager.recv(4096).decode())
    return [text.replace(str(service.pid), "PID") for text in heard]


def test_a_server_under_its_unit(lab: Lab) -> None:
    """Ours has no right but those of its unit; systemd hears what it hears of the real one."""
    theirs = _served(lab, (OPENVPN,), SERVER_UNIT, "theirs")
    bounds = ["setpriv", f"--bounding-set={_capabilities(OUR_SERVER_UNIT)}"]
    ours = _served(lab, [*bounds, *command_of("ginnel")], OUR_SERVER_UNIT, "ours")
    *before, completed = ours  # which the real server says to its log alone
    assert before == theirs
    assert completed == "STATUS=Initialization Sequence Completed"
    assert theirs[-1].startswith("READY=1\n")


def _resolver_calls(lab: Lab, program: Sequence[str], name: str) -> str:
    """Connects and leaves with Debian's script, and returns how it called ``resolvconf``."""
    calls, fake, scratch = (lab.directory / f"{name}.{kind}" for kind in ("calls", "sh", "scratch"))
    fake.write_text(f'#!/bin/sh\n{{ echo "$@"; [ "$1" = -d ] || cat; }} >>{calls}\n')
    fake.chmod(0o755)
    scratch.mkdir()
    enter = ["sh", "-ec", _WITH_RESOLVCONF, "sh", str(scratch), str(fake)]
    hooks = ["script-security 2", f"up {SCRIPT}", f"down {SCRIPT}"]
    setup = lab.client_setup(lines=hooks)
    client = lab.start_client(setup, program=[*enter, *program])
    client.stop()
    return calls.read_text()


def test_debians_script_for_the_resolver(lab: Lab) -> None:
    pushes = ["DNS 10.11.5.19", "DOMAIN office.example", "DNS 10.11.5.20"]
    lab.start_server(ServerSetup(lines=[f'push "dhcp-option {push}"' for push in pushes]))
    theirs = _resolver_calls(lab, (OPENVPN,), "theirs")
    ours = _resolver_calls(lab, client_program(), "ours")
    assert ours == theirs
    assert ours.splitlines() == [
        "-a tun0.openvpn",
        "search office.example",
        "nameserver 10.11.5.19",
        "nameserver 10.11.5.20",
        "-d tun0.openvpn",
    ]
