"""Records what scripts of a real OpenVPN client are told: arguments and environment of each call.

Usage: ``python -m tests.vectors.script_env.make_script_vectors [DIRECTORY]`` as root, with openvpn,
openssl and ip. Each scenario runs a server and a client in two namespaces with a script that writes
down its words and ``/proc/self/environ``.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.deadlines import wait_until

_HOOK = """#!/bin/bash
n=$(/bin/ls {out} | /usr/bin/wc -l)
f={out}/$(printf %03d $n)
for word in "$script_type" "$@"; do printf '%s\\0' "$word"; done > $f.tmp.words
/bin/cat /proc/$$/environ > {out}/../environ.tmp
/bin/mv $f.tmp.words $f
/bin/mv {out}/../environ.tmp {out}/../environ.$(printf %03d $n)
exit 0
"""
_SERVER_BASE = (
    "mode server\ntls-server\ndev tun\nproto udp6\nmultihome\ndh none\nca ca.crt\n"
    "cert server.crt\nkey server.key\nkeepalive 5 20\ntopology {topology}\n"
    'push "topology {topology}"\n'
)
_SUBNET = "ifconfig 10.8.0.1 255.255.255.0\nifconfig-pool 10.8.0.4 10.8.0.9 255.255.255.0\n"
_NET30 = (
    "ifconfig 10.8.0.1 10.8.0.2\nifconfig-pool 10.8.0.4 10.8.0.251\nroute 10.8.0.0 255.255.255.0\n"
)
_IPV6 = "ifconfig-ipv6 fd00:8::1/64 fd00:8::2\nifconfig-ipv6-pool fd00:8::1000/64\n"
_HOOKS = ("up", "down", "route-up", "route-pre-down", "ipchange", "tls-verify")
_NAME = "gf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A server, a client, and how the client ends."""

    name: str
    server: str
    client: str
    pushes: tuple[str, ...] = ()
    topology: str = "subnet"
    restart: bool = False


SCENARIOS = (
    Scenario(
        name="subnet",
        server=_SUBNET + _IPV6,
        client=(
            "remote 192.0.2.1\nremote 192.0.2.77 1195 udp\nroute 10.14.0.0 255.255.0.0\n"
            "route 192.0.2.64 255.255.255.224\nnobind\nsetenv FOO bar\nverb 4\n"
        ),
        pushes=(
            "route-gateway 10.8.0.1",
            "route 10.11.0.0 255.255.0.0",
            "route 10.12.0.0 255.255.0.0 vpn_gateway 77",
            "route 10.13.1.1 255.255.255.255 net_gateway",
            "route remote_host 255.255.255.255 net_gateway 5",
            "route-ipv6 fd00:11::/64",
            "route-ipv6 fd00:12::/64 fd00:8::1 33",
            "redirect-gateway def1 ipv6 bypass-dns",
            "dhcp-option DNS 10.8.0.1",
            "dhcp-option DOMAIN office.example",
            "setenv-safe ZED 1",
            "dns server 1 address 10.8.0.1",
            "dns search-domains office.example",
        ),
        restart=True,
    ),
    Scenario(
        name="net30-kept-device",
        server=_NET30,
        topology="net30",
        client=(
            "remote 192.0.2.1 1194 udp4\nup-restart\npersist-tun\nredirect-gateway def1\n"
            "route 203.0.113.0 255.255.255.0 192.0.2.5\nnobind\n"
        ),
        pushes=("route 10.8.0.1", "route 10.11.0.0 255.255.0.0", "route-metric 9"),
        restart=True,
    ),
    Scenario(
        name="left-to-scripts",
        server=_SUBNET,
        client=(
            "remote 2001:db8::1 1194 udp6\nroute-noexec\nifconfig-noexec\nlocal 2001:db8::10\n"
            "lport 5555\n"
        ),
        pushes=(
            "dhcp-option DNS 10.8.0.1",
            "dhcp-option DNS6 fd00:8::53",
            "dhcp-option DOMAIN-SEARCH a.example",
            "dhcp-option NTP 10.8.0.7",
            "redirect-gateway def1",
        ),
    ),
    Scenario(
        name="no-routes",
        server=_SUBNET,
        client="remote 192.0.2.1\nnobind\ndhcp-option WINS 10.9.9.9\nsetenv-safe q 5\n",
        pushes=(
            "dhcp-option DNS 10.8.0.1",
            "dhcp-option DOMAIN-SEARCH old.example",
            "dns search-domains new.example",
        ),
    ),
    Scenario(
        name="dns-servers",
        server=_SUBNET,
        client="remote 192.0.2.1\nnobind\n",
        pushes=(
            "route-gateway 10.8.0.1",
            "redirect-private def1",
            "dhcp-option DNS 10.8.0.2",
            "dhcp-option DNS6 fd00::54",
            "dhcp-option DOMAIN-SEARCH old.example",
            "dns server 3 address 10.8.0.1:5353 fd00::53",
            "dns server 3 resolve-domains a.example b.example",
            "dns server 3 dnssec yes",
            "dns server 3 transport DoT",
            "dns server 3 sni dns.example",
            "dns server 4 address 10.8.0.9",
        ),
    ),
)


def run(*words: str, cwd: Path | None = None) -> str:
    """Runs a program to its good end and returns what it said."""
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=cwd)
    return done.stdout


SUBJECTS = {
    "server": "/C=GB/ST=North Yorkshire/L=York/O=Example/OU=Field/OU=Second/CN=server"
    "/emailAddress=ops@example.org/serialNumber=42/DC=example/DC=org/title=x y",
    "client": "/CN=client",
}
"""The server's name has every kind of field that scripts are told."""


def make_pki(folder: Path, subjects: dict[str, str]) -> None:
    """A CA and its leaves: ``server``, and clients by any other name."""
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run(
        *("openssl", "req", "-x509", *new_key, "-days", "30", "-keyout", "ca.key"),
        *("-out", "ca.crt", "-subj", "/C=GB/O=Example/CN=Test CA"),
        cwd=folder,
    )
    for number, (leaf, subject) in enumerate(subjects.items(), start=10):
        use = "serverAuth" if leaf == "server" else "clientAuth"
        (folder / "ext").write_text(f"keyUsage=digitalSignature\nextendedKeyUsage={use}\n")
        run(
            *("openssl", "req", *new_key, "-keyout", f"{leaf}.key", "-out", f"{leaf}.csr"),
            *("-subj", subject),
            cwd=folder,
        )
        run(
            *("openssl", "x509", "-req", "-in", f"{leaf}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-set_serial", str(number), "-days", "30", "-out", f"{leaf}.crt"),
            *("-extfile", "ext"),
            cwd=folder,
        )


def make_namespaces(name: str) -> None:
    """Makes ``{name}s`` for a server and ``{name}c`` for a client, linked."""
    run("ip", "netns", "add", f"{name}s")
    run("ip", "netns", "add", f"{name}c")
    run(
        *("ip", "-n", f"{name}s", "link", "add", "vs", "type", "veth", "peer", "name", "vc"),
        *("netns", f"{name}c"),
    )
    for side, number in (("s", "1"), ("c", "10")):
        space, device = f"{name}{side}", f"v{side}"
        run("ip", "-n", space, "addr", "add", f"192.0.2.{number}/24", "dev", device)
        run("ip", "-n", space, "addr", "add", f"2001:db8::{number}/64", "dev", device, "nodad")
        run("ip", "-n", space, "link", "set", device, "up")
        run("ip", "-n", space, "link", "set", "lo", "up")
    run("ip", "-n", f"{name}c", "route", "add", "default", "via", "192.0.2.1")
    run("ip", "-n", f"{name}c", "-6", "route", "add", "default", "via", "2001:db8::1")


def remove_namespaces(name: str) -> None:
    """Removes what ``make_namespaces`` made."""
    for side in "sc":
        subprocess.run(["ip", "netns", "del", f"{name}{side}"], check=False)


def _start(side: str, folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    with (folder / f"{side}.log").open("wb") as log:
        return subprocess.Popen(
            ["ip", "netns", "exec", f"{_NAME}{side}", "openvpn", *words],
            cwd=folder,
            stdout=log,
            stderr=log,
        )


def _count(path: Path, text: str) -> int:
    return path.read_text("utf-8", "replace").count(text)


def said(folder: Path, side: str, text: str, times: int = 1) -> Callable[[], bool]:
    """Whether a log has a text so many times."""
    return lambda: _count(folder / f"{side}.log", text) >= times


def record(scenario: Scenario, folder: Path, version: str) -> dict[str, object]:
    """Runs one scenario and returns its vector."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    for old in folder.glob("environ.*"):
        old.unlink()
    out.mkdir()
    hook = folder / "hook"
    hook.write_text(_HOOK.format(out=out))
    hook.chmod(0o755)
    pushes = "".join(f'push "{push}"\n' for push in scenario.pushes)
    base = _SERVER_BASE.format(topology=scenario.topology)
    (folder / "server.conf").write_text(base + scenario.server + pushes)
    client = "verb 3\n" + scenario.client + "client\ndev tun\nscript-security 2\n"
    (folder / "client.conf").write_text(client)
    words = ["--config", "client.conf", "--ca", "ca.crt", "--cert", "client.crt"]
    words += ["--key", "client.key"]
    for name in _HOOKS:
        words += [f"--{name}", f"{hook} own\\ word" if name == "up" else str(hook)]
    server = _start("s", folder, "--config", "server.conf")
    started = None
    try:
        wait_until(said(folder, "s", "Initialization Sequence"), timeout=20, what="the server")
        started = _start("c", folder, *words)
        ready = "Initialization Sequence Completed"
        wait_until(said(folder, "c", ready), timeout=20, what="the tunnel")
        if scenario.restart:
            started.send_signal(signal.SIGUSR1)
            wait_until(said(folder, "c", ready, 2), timeout=30, what="the second tunnel")
    finally:
        for process in (started, server):
            if process is not None:
                process.terminate()
                process.wait(timeout=20)
    return {
        "origin": "recorded by make_script_vectors.py",
        "tool": version,
        "client": client,
        "push": _push(folder / "c.log"),
        "remote": _remote(folder / "c.log"),
        "ca": (folder / "ca.crt").read_text(),
        "chain": [certificate(folder / "ca.crt", 1), certificate(folder / "server.crt", 0)],
        "calls": _calls(out),
    }


def _push(log: Path) -> str:
    found = re.search(r"Received control message: '(PUSH_REPLY[^']*)'", log.read_text())
    assert found is not None
    return found[1]


def _remote(log: Path) -> list[object]:
    found = re.search(r"Peer Connection Initiated with \[AF_INET6?\](\S+):(\d+)", log.read_text())
    assert found is not None
    return [found[1], int(found[2])]


def certificate(path: Path, depth: int) -> dict[str, object]:
    """A certificate as vectors hold it."""
    der = subprocess.run(
        ["openssl", "x509", "-in", str(path), "-outform", "DER"], capture_output=True, check=True
    ).stdout
    return {"depth": depth, "der": der.hex()}


def _calls(out: Path) -> list[dict[str, object]]:
    calls: list[dict[str, object]] = []
    for path in sorted(out.iterdir()):
        hook, *words = path.read_bytes().decode().split("\0")[:-1]
        environ = (out.parent / f"environ.{path.name}").read_bytes().decode()
        pairs = (line.partition("=") for line in environ.split("\0") if line)
        calls.append(
            {
                "hook": hook,
                "words": words,
                "environment": {name: value for name, _equals, value in sorted(pairs)},
            }
        )
    return calls


def main() -> None:
    """Records every scenario."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    version = run("sh", "-c", "openvpn --version | head -n 1").split(" [")[0].strip()
    with tempfile.TemporaryDirectory(prefix="script-vectors-") as made:
        folder = Path(made)
        os.chdir(folder)
        make_pki(folder, SUBJECTS)
        try:
            make_namespaces(_NAME)
            for scenario in SCENARIOS:
                vector = record(scenario, folder, version)
                text = json.dumps(vector, indent=1, sort_keys=True)
                (target / f"{scenario.name}.json").write_text(text + "\n")
        finally:
            remove_namespaces(_NAME)


if __name__ == "__main__":
    main()
