"""PUSH_UPDATE on a real host: only what differs changes, scripts run, and all of it is taken back.

The server is the tests' own (``lab.updating_server``): Debian's 2.6 cannot send updates.
"""

import sys

import pytest

from tests.deadlines import wait_until
from tests.interop.checks import addresses, link
from tests.interop.lab import Lab
from tests.interop.lab.openvpn import PORT, Running, Wrapping, client_is_ginnel

REPLY = (
    "PUSH_REPLY,topology subnet,route-gateway 10.8.0.1,ifconfig 10.8.0.2 255.255.255.0,"
    "route 10.20.0.0 255.255.0.0,route 10.21.0.0 255.255.0.0,dhcp-option DNS 10.8.0.1,"
    "peer-id 0,cipher AES-256-GCM,protocol-flags cc-exit tls-ekm"
)


class Updating:
    """A client at a server that says what the test tells it to."""

    def __init__(self, lab: Lab, lines: list[str]) -> None:
        self._lab = lab
        self.script = lab.directory / "messages"
        self.told = lab.directory / "told"
        pki = lab.pki
        command = [
            *(sys.executable, "-m", "tests.interop.lab.updating_server"),
            *("--listen", lab.server, "--port", str(PORT), "--script", str(self.script)),
            *("--ca", str(pki.authority.cert), "--cert", str(pki.server.cert)),
            *("--key", str(pki.server.key), "--push", REPLY),
        ]
        self._server = lab.start_program(command, label="updating")
        self._server.wait_for("^ready$")
        hook = lab.directory / "hook.sh"
        hook.write_text(
            "#!/bin/sh\n"
            f'echo "$script_type $tun_mtu $ifconfig_local $foreign_option_1 $route_network_1"'
            f" >> {self.told}\n"
        )
        hook.chmod(0o755)
        kinds = ("up", "down", "route-up", "route-pre-down")
        scripts = ["script-security 2", *(f"{kind} {hook}" for kind in kinds)]
        setup = lab.client_setup(wrapping=Wrapping.PLAIN, lines=[*scripts, *lines])
        self.client: Running = lab.start_client(setup)

    def say(self, text: str) -> int:
        mark = self.client.mark()
        with self.script.open("a") as script:
            script.write(text + "\n")
        return mark

    def update(self, items: str) -> int:
        """Sends an update and waits until it is carried out."""
        mark = self.say(f"PUSH_UPDATE,{items}")
        self.client.wait_connected(since=mark)
        return mark

    def hooks(self) -> list[str]:
        return self.told.read_text().splitlines() if self.told.exists() else []

    def routes(self) -> set[str]:
        listed = self._lab.laptop.ip_json("-4", "route", "show", "dev", "tun0")
        return {str(entry["dst"]) for entry in listed}


@pytest.fixture
def updating(lab: Lab) -> Updating:
    return Updating(lab, [])


def test_an_update_changes_only_what_it_names(lab: Lab, updating: Updating) -> None:
    assert client_is_ginnel(), "Debian's 2.6 knows no updates"
    index = link(lab)["ifindex"]
    assert updating.routes() == {"10.8.0.0/24", "10.20.0.0/16", "10.21.0.0/16"}
    watch = lab.start_monitor("route")
    mark = updating.update("route 10.20.0.0 255.255.0.0,route 10.22.0.0 255.255.0.0,tun-mtu 1400")
    assert updating.routes() == {"10.8.0.0/24", "10.20.0.0/16", "10.22.0.0/16"}
    assert link(lab)["mtu"] == 1400
    assert link(lab)["ifindex"] == index, "the device is the same one"
    seen = watch.log_text()
    assert "10.22.0.0/16" in seen
    assert "10.20.0.0/16" not in seen, "a route that stays is not touched"
    log = updating.client.log(since=mark)
    assert "PUSH: Received control message: 'PUSH_UPDATE,route 10.20.0.0" in log
    assert "OPTIONS IMPORT: route options modified" in log
    assert "restarting" not in log


def test_addresses_dns_and_scripts_follow(lab: Lab, updating: Updating) -> None:
    updating.update("ifconfig 10.8.0.7 255.255.255.0,-dhcp-option,dhcp-option DNS 10.8.0.9")
    assert addresses(lab)["inet"].local == "10.8.0.7"
    assert updating.routes() == {"10.8.0.0/24", "10.20.0.0/16", "10.21.0.0/16"}
    old, new = "1500 10.8.0.2 dhcp-option DNS 10.8.0.1", "1500 10.8.0.7 dhcp-option DNS 10.8.0.9"
    assert updating.hooks() == [
        f"up {old} 10.20.0.0",
        f"route-up {old} 10.20.0.0",
        f"route-pre-down {old} 10.20.0.0",
        f"down {old} 10.20.0.0",
        f"up {new} 10.20.0.0",
        f"route-up {new} 10.20.0.0",
    ]
    updating.client.stop(expect=0)


def test_all_that_was_updated_is_taken_back(lab: Lab) -> None:
    before = lab.snapshot()
    updating = Updating(lab, ["persist-tun"])
    updating.update("-route,redirect-gateway def1")
    updating.update("-redirect-gateway,route 10.30.0.0 255.255.0.0,ifconfig-ipv6 fd00:8::2/64 ::")
    assert updating.routes() == {"10.8.0.0/24", "10.30.0.0/16"}
    updating.client.stop(expect=0)
    assert before.difference(lab.snapshot()) == []


def test_an_option_that_cannot_be_updated_restarts(lab: Lab, updating: Updating) -> None:
    mark = updating.say("PUSH_UPDATE,route 10.30.0.0 255.255.0.0,cipher AES-128-GCM")
    updating.client.wait_for("SIGUSR1.soft,process-push-msg-failed. received", since=mark)
    log = updating.client.log(since=mark)
    assert "Offending option received from server: 'cipher AES-128-GCM'" in log
    updating.client.wait_connected(since=mark)
    assert updating.routes() == {"10.8.0.0/24", "10.20.0.0/16", "10.21.0.0/16"}


def test_parts_and_optional_items(updating: Updating) -> None:
    mark = updating.say("PUSH_UPDATE,route 10.30.0.0 255.255.0.0,push-continuation 2")
    updating.client.wait_for("PUSH_UPDATE,route 10.30", since=mark)
    assert updating.routes() == {"10.8.0.0/24", "10.20.0.0/16", "10.21.0.0/16"}
    updating.update("?no-such-option x,route 10.31.0.0 255.255.0.0,push-continuation 1")
    wait_until(
        lambda: updating.routes() == {"10.8.0.0/24", "10.30.0.0/16", "10.31.0.0/16"},
        timeout=40,
        what="both parts' routes",
    )
    assert "?no-such-option" in updating.client.log(since=mark)
