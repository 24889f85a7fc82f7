"""Records what the scripts of a real OpenVPN server are told, and the tokens that it hands out.

Usage: ``python -m tests.vectors.server_scripts.make_server_script_vectors [DIRECTORY]`` as root,
with openvpn, openssl and ip. Each scenario runs a server and one client in two namespaces, with one
script for everything: it writes down its words, environment and the files it is shown, and answers
as the scenario plans.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.deadlines import wait_until
from tests.vectors.script_env.make_script_vectors import (
    certificate,
    make_namespaces,
    make_pki,
    remove_namespaces,
    run,
    said,
)

_NAME = "gv"
_HOOK = """#!/usr/bin/python3 -I
import json, os, sys
raw = open("/proc/self/environ", "rb").read().decode("utf-8", "surrogateescape")
environ = dict(line.split("=", 1) for line in raw.split("\\0") if line)
hook = environ["script_type"]
shown = {{}}
for name, value in [*enumerate(sys.argv), *environ.items()]:
    if name != 0 and value.startswith("{tmp}") and os.path.isfile(value):
        shown[str(name)] = [open(value, encoding="utf-8").read(), oct(os.stat(value).st_mode)]
call = {{"hook": hook, "words": sys.argv[1:], "environment": environ, "files": shown}}
place = "{out}/%03d.json" % len(os.listdir("{out}"))
open(place + ".tmp", "w").write(json.dumps(call))
os.rename(place + ".tmp", place)
plan = json.load(open("{plan}")).get(hook, {{}})
for name, text in plan.get("write", {{}}).items():
    target = sys.argv[int(name)] if name.lstrip("-").isdigit() else environ[name]
    open(target, "w").write(text)
if "leave" in plan:
    open("{folder}/left." + hook, "w").write(environ[plan["leave"]])
sys.exit(plan.get("status", 0))
"""
_SERVER = (
    "mode server\ntls-server\ndev tun\ntopology {topology}\ndh none\nca ca.crt\ncert server.crt\n"
    'key server.key\nkeepalive 5 20\nscript-security 3\nverb 4\npush "topology {topology}"\n'
    "tls-crypt-v2 v2.server\nmanagement s.sock unix\n"
)
_SUBNET = "ifconfig 10.8.0.1 255.255.255.0\nifconfig-pool 10.8.0.4 10.8.0.9 255.255.255.0\n"
_NET30 = "ifconfig 10.8.0.1 10.8.0.2\nifconfig-pool 10.8.0.4 10.8.0.251\n"
_IPV6 = "ifconfig-ipv6 fd00:8::1/64 fd00:8::2\nifconfig-ipv6-pool fd00:8::1000/64\n"
_CLIENT_SUBJECT = (
    "/C=GB/ST=North Yorkshire/O=Example/OU=Field/OU=Second/CN=ada/emailAddress=ada@example.org"
)
COMPLETED = "Initialization Sequence Completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A server with scripts, a client, and what is done once it is connected."""

    name: str
    server: str
    client: str = ""
    hooks: tuple[str, ...] = ()
    plan: dict[str, object] = field(default_factory=dict)
    topology: str = "subnet"
    ccd: str | None = None
    renegotiate: bool = False
    challenge: bool = False
    decide_connect: str | None = None
    """Written into the file of a deferred client-connect, after its config."""


_CONNECTION = ("client-connect", "client-disconnect", "learn-address")
SCENARIOS = (
    Scenario(
        name="certificates",
        server=_SUBNET + _IPV6 + "proto udp\nsetenv FOO bar\n"
        "client-config-dir ccd\nroute 10.20.0.0 255.255.0.0\n",
        client="proto udp\nremote 192.0.2.1\npush-peer-info\nsetenv UV_TEAM blue\n",
        hooks=("tls-verify", "tls-crypt-v2-verify", *_CONNECTION),
        ccd="iroute 10.20.0.0 255.255.0.0\niroute-ipv6 fd00:20::/64\n",
        renegotiate=True,
    ),
    Scenario(
        name="passwords-via-env",
        server=_SUBNET + "proto tcp-server\nverify-client-cert none\nusername-as-common-name\n"
        "auth-gen-token 0 200 external-auth\nauth-gen-token-secret token.key\n",
        client="proto tcp-client\nremote 192.0.2.1\nauth-user-pass login\n",
        hooks=("auth-user-pass-verify:via-env", "tls-verify", *_CONNECTION),
        renegotiate=True,
    ),
    Scenario(
        name="passwords-via-file",
        server=_NET30 + "proto udp6\nmultihome\n"
        "auth-gen-token 0 200\nauth-gen-token-secret token.key\n",
        client="proto udp6\nremote 2001:db8::1\nauth-user-pass login\n",
        hooks=("auth-user-pass-verify:via-file", "tls-verify", *_CONNECTION),
        topology="net30",
        renegotiate=True,
    ),
    Scenario(
        name="deferred",
        server=_SUBNET + "proto udp\nauth-user-pass-optional\n",
        client="proto udp\nremote 192.0.2.1\nauth-user-pass login\nsetenv IV_SSO crtext\n",
        hooks=("auth-user-pass-verify:via-file", "client-crresponse", *_CONNECTION),
        plan={
            "user-pass-verify": {
                "status": 2,
                "write": {"auth_pending_file": "30\ncrtext\nCR_TEXT:R,E:Which one?"},
                "leave": "auth_control_file",
            },
            "client-connect": {
                "write": {
                    "client_connect_deferred_file": "2",
                    "-1": 'push "route 10.30.0.0 255.255.0.0"\n',
                },
                "leave": "client_connect_deferred_file",
            },
        },
        challenge=True,
        decide_connect="1",
    ),
)


def _start(side: str, folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    with (folder / f"{side}.log").open("wb") as log:
        return subprocess.Popen(
            ["ip", "netns", "exec", f"{_NAME}{side}", "openvpn", *words],
            cwd=folder,
            stdout=log,
            stderr=log,
        )


class Management:
    """The management socket of one side."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        wait_until(path.exists, timeout=20, what=str(path))
        self._socket.connect(str(path))
        self.seen = ""

    def say(self, text: str) -> None:
        self._socket.sendall(text.encode() + b"\n")

    def wait(self, pattern: str) -> "re.Match[str]":
        """Reads on until the pattern was seen."""
        while (found := re.search(pattern, self.seen)) is None:
            more = self._socket.recv(4096).decode()
            if not more:
                raise ConnectionError(f"closed before {pattern}: {self.seen}")
            self.seen += more
        return found

    def close(self) -> None:
        self._socket.close()


def _server_words(scenario: Scenario, hook: Path) -> list[str]:
    words = ["--config", "server.conf"]
    for each in scenario.hooks:
        name, _colon, method = each.partition(":")
        words += [f"--{name}", f"{hook} own\\ word", *([method] if method else [])]
    return words


def _prepare(scenario: Scenario, folder: Path) -> Path:
    out = folder / "out"
    for old in (out, folder / "ccd", folder / "tmp"):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir()
    for old in (*folder.glob("*.sock"), *folder.glob("left.*")):
        old.unlink()
    (folder / "plan").write_text(json.dumps(scenario.plan))
    if scenario.ccd is not None:
        (folder / "ccd" / "ada").write_text(scenario.ccd)
    (folder / "server.conf").write_text(
        _SERVER.format(topology=scenario.topology)
        + ("reneg-sec 6 6\n" if scenario.renegotiate else "")
        + f"tmp-dir {folder}/tmp\n"
        + scenario.server
    )
    (folder / "client.conf").write_text(
        "client\ndev tun\nnobind\nca ca.crt\ncert client.crt\nkey client.key\nverb 4\n"
        "tls-crypt-v2 v2.client\nmanagement c.sock unix\n" + scenario.client
    )
    hook = folder / "hook"
    names = {"out": out, "plan": folder / "plan", "folder": folder, "tmp": folder / "tmp"}
    hook.write_text(_HOOK.format(**names))
    hook.chmod(0o755)
    return hook


def record(scenario: Scenario, folder: Path, version: str) -> dict[str, object]:
    """Runs one scenario and returns its vector."""
    hook = _prepare(scenario, folder)
    server = _start("s", folder, *_server_words(scenario, hook))
    client = None
    tokens: list[str] = []
    try:
        wait_until(said(folder, "s", COMPLETED), timeout=20, what="the server")
        client = _start("c", folder, "--config", "client.conf")
        management = Management(folder / "c.sock")
        if scenario.challenge:
            management.wait(r">INFOMSG:CR_TEXT:")
            management.say("cr-response MTIzNDU2")
            _decide(folder, "client-crresponse", "user-pass-verify", "1")
        if scenario.decide_connect is not None:
            _decide(folder, "client-connect", "client-connect", scenario.decide_connect)
        wait_until(said(folder, "c", COMPLETED), timeout=20, what="the tunnel")
        if scenario.renegotiate:
            _renegotiate(folder)
        management.say("status 2")
        management.wait(r"(?m)^END")
        tokens = re.findall(r">PASSWORD:Auth-Token:(\S+)", management.seen)
        management.close()
        client.terminate()
        client.wait(timeout=20)
        client = None
        _end_client(folder)
        if "client-disconnect" in scenario.hooks:
            wait_until(lambda: _was_called(folder, "client-disconnect"), timeout=20, what="the end")
    finally:
        for process in (client, server):
            if process is not None:
                process.terminate()
                process.wait(timeout=20)
    return {
        "origin": "recorded by make_server_script_vectors.py",
        "tool": version,
        "server": (folder / "server.conf").read_text().replace(str(folder), "FOLDER"),
        "ccd": scenario.ccd,
        "ca": (folder / "ca.crt").read_text(),
        "chain": [certificate(folder / "ca.crt", 1), certificate(folder / "client.crt", 0)],
        "token_key": (folder / "token.key").read_text(),
        "tokens": tokens,
        "calls": _calls(folder),
        "log": _log(folder),
    }


def _was_called(folder: Path, hook: str) -> bool:
    calls = (json.loads(path.read_text()) for path in (folder / "out").glob("*.json"))
    return any(call["hook"] == hook for call in calls)


def _decide(folder: Path, after: str, left_by: str, verdict: str) -> None:
    """Answers what a script put off, once the script ``after`` was called."""
    wait_until(lambda: _was_called(folder, after), timeout=20, what=after)
    left = folder / f"left.{left_by}"
    wait_until(left.exists, timeout=20, what=str(left))
    wait_until(lambda: bool(left.read_text()), timeout=20, what=str(left))
    Path(left.read_text()).write_text(verdict)


def _renegotiate(folder: Path) -> None:
    """Waits for the next negotiation and what is asked in it."""
    calls = len(_calls(folder))
    before = _count(folder, "Control Channel: TLS")
    wait_until(
        lambda: _count(folder, "Control Channel: TLS") > before, timeout=60, what="a renegotiation"
    )
    wait_until(lambda: len(_calls(folder)) > calls, timeout=20, what="its calls")


def _count(folder: Path, text: str) -> int:
    return (folder / "c.log").read_text("utf-8", "replace").count(text)


def _end_client(folder: Path) -> None:
    """The server learns of the end at once; a client of UDP does not tell without being asked."""
    management = Management(folder / "s.sock")
    management.say("kill ada")
    management.wait(r"SUCCESS|ERROR")
    management.close()


def _calls(folder: Path) -> list[dict[str, object]]:
    paths = sorted((folder / "out").glob("*.json"))
    return [json.loads(path.read_text().replace(str(folder), "FOLDER")) for path in paths]


def _log(folder: Path) -> list[str]:
    """The server's lines about clients."""
    text = (folder / "s.log").read_text("utf-8", "replace").replace(str(folder), "FOLDER")
    lines = (line[20:] for line in text.splitlines())
    return [line for line in lines if "192.0.2.10" in line or "db8::10" in line]


def main() -> None:
    """Records every scenario, or those that are named."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    version = run("sh", "-c", "openvpn --version | head -n 1").split(" [")[0].strip()
    with tempfile.TemporaryDirectory(prefix="server-vectors-") as made:
        folder = Path(made)
        os.chdir(folder)
        make_pki(folder, {"server": "/CN=server", "client": _CLIENT_SUBJECT})
        run("openvpn", "--genkey", "tls-crypt-v2-server", "v2.server")
        run(
            *("openvpn", "--tls-crypt-v2", "v2.server"),
            *("--genkey", "tls-crypt-v2-client", "v2.client", "bWV0YSBkYXRh"),
        )
        run("openvpn", "--genkey", "auth-token", "token.key")
        (folder / "login").write_text("ada\nsecret word\n")
        (folder / "login").chmod(0o600)
        try:
            make_namespaces(_NAME)
            for scenario in SCENARIOS:
                if len(sys.argv) > 2 and scenario.name not in sys.argv[2:]:
                    continue
                vector = record(scenario, folder, version)
                text = json.dumps(vector, indent=1, sort_keys=True)
                (target / f"{scenario.name}.json").write_text(text + "\n")
        finally:
            remove_namespaces(_NAME)


if __name__ == "__main__":
    main()
