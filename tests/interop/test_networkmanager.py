"""NetworkManager with Debian's stock plugin, driven by ``nmcli`` alone: it cannot tell ginnel.

Each story is told twice on one desktop, once with Debian's ``openvpn`` and once with ginnel in its
place. What ``nmcli`` prints, its exit statuses, links, addresses, routes, the resolver and what
NetworkManager told its resolver are compared line by line; and afterwards all is as before.
"""

import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import unified_diff
from pathlib import Path

import pytest

from tests.deadlines import wait_until
from tests.interop.lab import LAPTOP, OFFICE_HOST, OFFICE_HOST_V6, TWO, Lab, Running, ServerSetup
from tests.interop.lab.desktop import Desktop, Settings
from tests.interop.lab.openvpn import PORT, Wrapping
from tests.interop.lab.pki import KEY_PASSPHRASE, Pki
from tests.interop.lab.proxies import HTTP_PORT, SOCKS_PORT, require_proxies

BOTH = (False, True)
WHOLE = os.environ.get("GINNEL_NETWORKMANAGER") == "all"
"""True to tell every story: CI leaves out those that take long for what they add."""

PASSWORD = "lovelace 1815"
PASSWORD_PORT = 1195
SECOND_PORT = 1196
OLD_PORT = 1197
DEAD_PORT = 1199
SECOND_SERVER = "10.10.128.1"
TIMEOUT = 40.0
PATIENCE = 3
"""Seconds that NetworkManager gives a connection that cannot succeed."""

_VERIFY = f"""#!/bin/sh
password=$(tail -n 1 "$1")
[ "$password" = "{PASSWORD}" ] && exit 0
[ "$password" = "CRV1::state-7::42" ] && exit 0
[ "$password" = "token" ] &&
    echo "CRV1:R,E:state-7:YWRh:What is the answer?" >"$auth_failed_reason_file"
exit 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A profile as a user imports it, and how its owner answers."""

    port: int = PORT
    protocol: str = "udp"
    wrapping: Wrapping = Wrapping.TLS_CRYPT
    certificate: bool = True
    encrypted_key: bool = False
    login: bool = False
    cipher: str = "AES-256-GCM"
    secrets: Sequence[str] = ()
    """Lines of ``passwd-file``."""
    typed: str | None = None
    """What is typed at the questions of ``nmcli --ask``."""
    more: Sequence[str] = ()
    """Further lines of the profile."""
    modify: Sequence[str] = ()

    def lines(self, pki: Pki) -> list[str]:
        lines = [f"ca {pki.authority.cert}"]
        if self.certificate:
            key = pki.encrypted_client_key if self.encrypted_key else pki.client.key
            lines += [f"cert {pki.client.cert}", f"key {key}"]
        return [*lines, *self.more] + (["auth-user-pass"] if self.login else [])


CERTIFICATE = Case()
LOGIN = Case(
    port=PASSWORD_PORT,
    wrapping=Wrapping.TLS_AUTH,
    certificate=False,
    login=True,
    secrets=(f"vpn.secrets.password:{PASSWORD}",),
)

GOOD = {
    "certificate": CERTIFICATE,
    "password": LOGIN,
    "password-and-certificate": Case(
        port=PASSWORD_PORT, wrapping=Wrapping.TLS_AUTH, login=True, secrets=LOGIN.secrets
    ),
    "encrypted-key": Case(encrypted_key=True, secrets=(f"vpn.secrets.cert-pass:{KEY_PASSPHRASE}",)),
    "typed-password": Case(
        port=PASSWORD_PORT,
        wrapping=Wrapping.TLS_AUTH,
        certificate=False,
        login=True,
        typed=f"byron\n{PASSWORD}\n",
    ),
    "dynamic-challenge": Case(
        port=PASSWORD_PORT,
        wrapping=Wrapping.TLS_AUTH,
        certificate=False,
        login=True,
        typed="token\n42\n",
    ),
    "old-server": Case(
        port=OLD_PORT, protocol="tcp", cipher="AES-256-CBC", more=["comp-lzo no", "auth SHA256"]
    ),
}
GOOD |= {
    name: replace(GOOD["old-server"], more=[*GOOD["old-server"].more, line])
    for name, line in (
        ("http-proxy", f"http-proxy {TWO.server} {HTTP_PORT}"),
        ("socks-proxy", f"socks-proxy {TWO.server} {SOCKS_PORT}"),
    )
}
GATEWAYS = {PORT: "10.10.112.1", PASSWORD_PORT: "10.10.144.1", OLD_PORT: "10.10.160.1"}

BAD = {
    "wrong-password": Case(
        port=PASSWORD_PORT,
        wrapping=Wrapping.TLS_AUTH,
        certificate=False,
        login=True,
        secrets=("vpn.secrets.password:byron",),
    ),
    "no-password": Case(
        port=PASSWORD_PORT, wrapping=Wrapping.TLS_AUTH, certificate=False, login=True
    ),
    "wrong-cipher": Case(cipher="CHACHA20-POLY1305"),
    "wrong-passphrase": Case(encrypted_key=True, secrets=("vpn.secrets.cert-pass:wrong",)),
    "no-server": Case(port=DEAD_PORT),
}


_ONLY_WHOLE = {
    "password-and-certificate",
    "typed-password",
    "wrong-cipher",
    "wrong-passphrase",
    "no-server",
    "http-proxy",
    "socks-proxy",
}


def _told(cases: dict[str, Case]) -> list[str]:
    return [name for name in cases if WHOLE or name not in _ONLY_WHOLE]


@dataclass(slots=True)
class Story:
    """What was seen, in lines that do not differ from run to run."""

    lines: list[str] = field(default_factory=list)

    def tell(self, what: str, *seen: str) -> None:
        self.lines += [f"{what}: {_plain(line)}" for text in seen for line in text.splitlines()]


def _plain(line: str) -> str:
    """Takes out numbers that count connections, and identities made anew each time."""
    line = re.sub(r"fe80::[0-9a-f:]+", "fe80::LOCAL", line)
    line = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", line)
    return re.sub(r"(/org/freedesktop/NetworkManager/\w+)/\d+", r"\1/N", line)


@dataclass(slots=True, kw_only=True)
class Office:
    """The desktop, the servers it may reach, and what was there before."""

    lab: Lab
    desktop: Desktop
    server: Running
    directory: Path
    before: list[str] = field(default_factory=list)

    def logs(self) -> Iterator[tuple[str, str]]:
        yield from self.desktop.logs()
        yield from self.lab.logs()

    def state(self) -> list[str]:
        return [*self.desktop.network(), *self.desktop.resolver()]

    # --- steps of a story ----------------------------------------------------------------------

    def install(self, name: str, case: Case, story: Story) -> None:
        """Imports the profile as its user does, for the office's networks only."""
        profile = self.lab.directory / f"{name}.ovpn"
        setup = self.lab.client_setup(
            remotes=[f"{self.lab.server} {case.port}"],
            protocol=case.protocol,
            wrapping=case.wrapping,
            device="tun",
            retry=None,
            ciphers=[case.cipher],
            credentials=False,
            lines=case.lines(self.lab.pki),
        )
        profile.write_text(setup.render(self.lab.pki))
        desktop = self.desktop
        done = desktop.nmcli("connection", "import", "type", "openvpn", "file", str(profile))
        story.tell("import", f"status {done.status}", done.output)
        modify = ["ipv4.never-default", "yes", "ipv6.never-default", "yes", *case.modify]
        modify += ["+vpn.data", "username=ada"] if case.login else []
        desktop.must("nmcli", "connection", "modify", name, *modify)

    def up(self, name: str, case: Case, story: Story) -> int:
        words = ["connection", "up", name]
        if case.typed is not None:
            done = self.desktop.nmcli("--ask", *words, stdin=case.typed)
        else:
            secrets = self.lab.directory / "secrets"
            secrets.write_text("\n".join(case.secrets) + "\n")
            secrets.chmod(0o600)
            done = self.desktop.nmcli(*words, "passwd-file", str(secrets))
        story.tell("up", f"status {done.status}", done.output)
        return done.status

    def look(self, name: str, story: Story) -> None:
        """Everything that can be seen of a connection that is up."""
        desktop = self.desktop
        wait_until(
            lambda: desktop.resolve("intranet.office.example") == OFFICE_HOST,
            timeout=TIMEOUT,
            what="the office's names",
        )
        story.tell("others' names", desktop.resolve("www.example"))
        for address in (OFFICE_HOST, OFFICE_HOST_V6):
            self.lab.laptop.wait_ping(address)
        story.tell("state", *self.state())
        shown = desktop.must("nmcli", "-f", "GENERAL,IP4,IP6,VPN", "connection", "show", name)
        # Which of two addresses comes first is a race inside NetworkManager.
        story.tell("show", *sorted(re.sub(r"\[\d+\]: +", ": ", shown).splitlines()))
        story.tell("devices", desktop.must("nmcli", "device"))
        story.tell("active", desktop.must("nmcli", "connection", "show", "--active"))

    def down(self, name: str, story: Story) -> None:
        done = self.desktop.nmcli("connection", "down", name)
        story.tell("down", f"status {done.status}", done.output)

    def roots(self) -> set[Path]:
        """The root directories of the daemons that are there."""
        found: set[Path] = set()
        for pid in self.daemons():
            with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                found.add(Path(f"/proc/{pid}/root").readlink())
        return found

    def wait_as_before(self) -> None:
        """Nothing is left: no process, no socket, no record, and the network is as it was."""
        wait_until(lambda: not self.daemons(), timeout=TIMEOUT, what=f"the end of {self.daemons()}")
        wait_until(
            lambda: self.state() == self.before,
            timeout=TIMEOUT,
            what="the desktop as it was before",
        )
        left = self.desktop.run(
            "find", "/run/ginnel", "/run/NetworkManager", "-name", "nm-openvpn*"
        )
        assert "nm-openvpn" not in left.output
        records = self.desktop.run("sh", "-c", "ls -A /run/ginnel 2>/dev/null").output
        assert records == ""

    def remove(self, name: str) -> None:
        self.desktop.must("nmcli", "connection", "delete", name)

    def daemons(self) -> list[int]:
        """The processes that were started as ``openvpn`` and connect."""
        found = []
        for pid in self.lab.laptop.pids():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):  # it ended just now
                continue
            if b"--management-query-passwords" in words:
                found.append(pid)
        return found


@pytest.fixture(scope="module")
def office(run_directory: Path, pki: Pki) -> Iterator[Office]:
    directory = run_directory / "networkmanager"
    directory.mkdir()
    with Lab(TWO, directory, pki) as lab:
        lab.laptop.ip("address", "flush", "dev", "wlan0")
        names = [
            (OFFICE_HOST, f"/office.example/{OFFICE_HOST}"),
            (lab.server, "/www.example/203.0.113.80"),
        ]
        settings = Settings(address=f"{LAPTOP}/24", gateway=lab.server, nameserver=lab.server)
        with Desktop(lab.laptop, directory / "desktop", settings) as desktop:
            for address, answer in names:
                lab.serve_names(address, answer)
            _start_proxies(lab)
            server = _start_servers(lab)
            office = Office(lab=lab, desktop=desktop, server=server, directory=directory)
            office.before = office.state()
            yield office


def _start_servers(lab: Lab) -> Running:
    """One for certificates, one for passwords, and one of another office."""
    verify = lab.directory / "verify.sh"
    verify.write_text(_VERIFY)
    verify.chmod(0o755)
    second = "10.10.128.0 255.255.240.0"
    login = [f"auth-user-pass-verify {verify} via-file", "verify-client-cert optional"]
    lab.start_server(
        ServerSetup(
            port=PASSWORD_PORT,
            wrapping=Wrapping.TLS_AUTH,
            network="10.10.144.0 255.255.240.0",
            network_v6="fd00:10:144::/64",
            keepalive=None,
            lines=[*login, *_pushes(lab, "144")],
        ),
        label="passwords",
    )
    lab.start_server(
        ServerSetup(port=SECOND_PORT, network=second, network_v6=None, push_office=False),
        label="second",
    )
    old = ["comp-lzo no", "auth SHA256", *_pushes(lab, "160")]
    lab.start_server(
        ServerSetup(
            port=OLD_PORT,
            protocol="tcp-server",
            network="10.10.160.0 255.255.240.0",
            network_v6="fd00:10:160::/64",
            keepalive=None,
            ciphers=["AES-256-CBC"],
            lines=old,
        ),
        label="old",
    )
    return lab.start_server(_main_server(lab))


def _start_proxies(lab: Lab) -> None:
    """One of each kind at the office's public address."""
    require_proxies()
    config = lab.directory / "tinyproxy.conf"
    config.write_text(f"Listen {lab.server}\nPort {HTTP_PORT}\nLogLevel Info\n")
    lab.start_in_office(["tinyproxy", "-d", "-c", str(config)], label="http-proxy")
    socks = ["microsocks", "-i", lab.server, "-p", str(SOCKS_PORT)]
    lab.start_in_office(socks, label="socks-proxy")
    for port in (HTTP_PORT, SOCKS_PORT):
        wait_until(
            lambda port=port: f":{port} " in lab.office.run(["ss", "-Hltn"]).output,  # type: ignore[misc]
            timeout=TIMEOUT,
            what=f"a listener on port {port}",
        )


def _main_server(lab: Lab) -> ServerSetup:
    return ServerSetup(
        ciphers=["AES-256-GCM"],
        keepalive="1 4",
        lines=_pushes(lab, "112"),
    )


def _pushes(lab: Lab, third: str) -> list[str]:
    """The office's names, and the same address in ``10.10.THIRD.0`` for each connection."""
    clients = lab.directory / f"clients-{third}"
    clients.mkdir(exist_ok=True)
    (clients / "DEFAULT").write_text(
        f"ifconfig-push 10.10.{third}.228 255.255.240.0\n"
        f"ifconfig-ipv6-push fd00:10:{third}::228/64\n"
    )
    return [
        f"client-config-dir {clients}",
        f'push "dhcp-option DNS {OFFICE_HOST}"',
        'push "dhcp-option DOMAIN office.example"',
    ]


def assert_alike(stories: Sequence[Story]) -> None:
    """Line by line: first Debian's, then ginnel's."""
    theirs, ours = stories
    names = ("openvpn", "ginnel")
    different = list(unified_diff(theirs.lines, ours.lines, *names, n=0, lineterm=""))
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", _told(GOOD))
def test_up_and_down(office: Office, name: str) -> None:
    """Import, up, split routes, split names, traffic, down: and all is as before."""
    case, stories = GOOD[name], []
    for ginnel in BOTH:
        office.desktop.install(ginnel=ginnel)
        story = Story()
        stories.append(story)
        office.install(name, case, story)
        mark = office.desktop.log.mark()
        assert office.up(name, case, story) == 0, story.lines
        office.look(name, story)
        office.desktop.log.wait_for(
            r"^nm-openvpn\[\d+\]: Initialization Sequence Completed$", since=mark
        )
        office.down(name, story)
        office.wait_as_before()
        office.remove(name)
    assert_alike(stories)
    lines = stories[1].lines
    gateway = GATEWAYS[case.port]
    assert f"state: 10.11.0.0/16 via {gateway} dev tun0 proto static metric 50" in lines
    assert "others' names: 203.0.113.80" in lines
    assert any(line.startswith("down: Connection") for line in lines)


def test_in_the_plugins_chroot(office: Office) -> None:
    """The plugin uses the directory once it can: after the start nothing outside is in reach."""
    stories = []
    jail = "/var/lib/openvpn/chroot"
    office.desktop.must("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", jail)
    office.desktop.must("install", "-d", "-o", "nm-openvpn", "-g", "nm-openvpn", f"{jail}/tmp")
    office.desktop.must("chown", "nm-openvpn:nm-openvpn", jail)
    try:
        for ginnel in BOTH:
            office.desktop.install(ginnel=ginnel)
            story = Story()
            stories.append(story)
            office.install("jailed", CERTIFICATE, story)
            office.up("jailed", CERTIFICATE, story)
            office.look("jailed", story)
            # NetworkManager calls it connected a moment before the daemon locks itself in.
            wait_until(
                lambda: Path(jail) in office.roots(),
                timeout=TIMEOUT,
                what="a daemon in its jail",
            )
            office.down("jailed", story)
            office.wait_as_before()
            office.remove("jailed")
    finally:
        office.desktop.must("umount", jail)
    assert_alike(stories)


@pytest.mark.parametrize("name", _told(BAD))
def test_what_cannot_succeed(office: Office, name: str) -> None:
    """The same words, the same status, and nothing left behind."""
    case, stories = BAD[name], []
    for ginnel in BOTH:
        office.desktop.install(ginnel=ginnel)
        story = Story()
        stories.append(story)
        office.install(name, case, story)
        office.desktop.must("nmcli", "connection", "modify", name, "vpn.timeout", str(PATIENCE))
        assert office.up(name, case, story) != 0
        office.wait_as_before()
        office.remove(name)
    assert_alike(stories)


def test_a_server_that_restarts(office: Office) -> None:
    """The tunnel comes back by itself, as NetworkManager had set it up."""
    stories = []
    for ginnel in BOTH:
        office.desktop.install(ginnel=ginnel)
        story = Story()
        stories.append(story)
        office.install("restart", CERTIFICATE, story)
        office.up("restart", CERTIFICATE, story)
        office.look("restart", story)
        mark = office.desktop.log.mark()
        office.server.stop()
        office.server = office.lab.start_server(_main_server(office.lab))
        office.desktop.log.wait_for("Initialization Sequence Completed$", since=mark)
        office.look("restart", story)
        office.down("restart", story)
        office.wait_as_before()
        office.remove("restart")
    assert_alike(stories)


def test_down_while_connecting(office: Office) -> None:
    case, stories = BAD["no-server"], []
    for ginnel in BOTH:
        office.desktop.install(ginnel=ginnel)
        story = Story()
        stories.append(story)
        office.install("early", case, story)
        mark = office.desktop.log.mark()
        up = office.desktop.spawn(["nmcli", "connection", "up", "early"], f"up-{ginnel}")
        office.desktop.log.wait_for(r"UDPv4 link remote: ", since=mark)
        office.down("early", story)
        story.tell("up", f"status {up.wait_exit(TIMEOUT)}", up.log_text())
        office.wait_as_before()
        office.remove("early")
    assert_alike(stories)


def test_two_connections_at_once(office: Office) -> None:
    second = Case(port=SECOND_PORT)
    stories = []
    for ginnel in BOTH:
        office.desktop.install(ginnel=ginnel)
        story = Story()
        stories.append(story)
        office.install("one", CERTIFICATE, story)
        office.install("two", second, story)
        office.up("one", CERTIFICATE, story)
        office.up("two", second, story)
        office.lab.laptop.wait_ping(SECOND_SERVER)
        office.look("one", story)
        office.down("one", story)
        office.lab.laptop.wait_ping(SECOND_SERVER)
        office.down("two", story)
        office.wait_as_before()
        office.remove("one")
        office.remove("two")
    assert_alike(stories)


def test_a_daemon_that_is_killed(office: Office) -> None:
    """NetworkManager notices, and what the daemon had configured is gone."""
    stories = []
    for ginnel in BOTH:
        office.desktop.install(ginnel=ginnel)
        story = Story()
        stories.append(story)
        office.install("killed", CERTIFICATE, story)
        mark = office.desktop.log.mark()
        office.up("killed", CERTIFICATE, story)
        done = office.desktop.log.wait_for(
            r"^nm-openvpn\[(\d+)\]: Initialization Sequence Completed$", since=mark
        )
        os.kill(int(done.group(1)), signal.SIGKILL)
        office.wait_as_before()
        office.down("killed", story)
        office.remove("killed")
    assert_alike(stories)
