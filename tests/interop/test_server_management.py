"""The management interface of a server at work: verdicts, kills, questions, updates, counters.

The clients are Debian's, but for updates, which 2.6 does not know.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from tests.deadlines import wait_until
from tests.interop.checks import assert_carries
from tests.interop.lab import Lab, Running, ServerSetup
from tests.interop.lab.management import Gui, socket_path
from tests.interop.lab.openvpn import COMPLETED

CONNECT = r"(?s)>CLIENT:CONNECT,\d+,\d+\r\n.*?>CLIENT:ENV,END\r\n"
ESTABLISHED = r"(?s)>CLIENT:ESTABLISHED,\d+\r\n.*?>CLIENT:ENV,END\r\n"
GONE = r"(?s)>CLIENT:DISCONNECT,\d+\r\n.*?>CLIENT:ENV,END\r\n"


def client_socket(lab: Lab) -> Path:
    return lab.directory / "client.sock"


def serve(lab: Lab, *lines: str) -> Running:
    """Starts a server with an interface that judges its clients."""
    own = [f"management {socket_path(lab)} unix", "management-client-auth", *lines]
    return lab.start_server(ServerSetup(program="ginnel", lines=own))


def come(lab: Lab, *lines: str, program: str = "openvpn", retry: str = "1 5") -> Running:
    """Starts a client with name and password."""
    login = lab.directory / "login"
    login.write_text("ada\nlovelace\n")
    login.chmod(0o600)
    own = [f"auth-user-pass {login}", *lines]
    return lab.client_process(lab.client_setup(lines=own, program=program, retry=retry))


def key_of(block: str) -> str:
    """Gives ``CID KID`` of a CONNECT or REAUTH."""
    found = re.match(r">CLIENT:\w+,(\d+),(\d+)", block)
    assert found is not None
    return f"{found.group(1)} {found.group(2)}"


def status(gui: Gui, form: int = 2) -> list[list[str]]:
    text = gui.say(f"status {form}", r"(?s)\A.*?\r\nEND\r\n")
    return [line.split(",") for line in text.splitlines()]


def row(rows: Sequence[Sequence[str]], kind: str) -> dict[str, str]:
    """Gives the one row of a kind by the names of its columns."""
    (names,) = [each[2:] for each in rows if each[:2] == ["HEADER", kind]]
    (values,) = [each[1:] for each in rows if each[0] == kind]
    return dict(zip(names, values, strict=True))


def test_a_client_is_let_in_counted_and_killed(lab: Lab) -> None:
    serve(lab, "route 192.168.7.0 255.255.255.0")
    with Gui(socket_path(lab)) as gui:
        gui.say("nclients", r"SUCCESS: nclients=0\r\n")
        client = come(lab, "explicit-exit-notify")
        connect = gui.hear(CONNECT)
        for variable in ("common_name=laptop", "username=ada", "password=lovelace", "n_clients=0"):
            assert f">CLIENT:ENV,{variable}\r\n" in connect
        waiting = row(status(gui), "CLIENT_LIST")
        assert (waiting["Common Name"], waiting["Username"]) == ("laptop", "ada")
        assert waiting["Virtual Address"] == ""
        config = 'push "route 10.77.0.0 255.255.0.0"\niroute 192.168.7.0 255.255.255.0\nEND'
        gui.say(f"client-auth {key_of(connect)}\n{config}")
        heard = gui.hear(ESTABLISHED)
        assert ">CLIENT:ENV,n_clients=1\r\n" in heard
        client.wait_connected()
        assert "10.77.0.0" in str(lab.laptop.ip_json("route", "show", "dev", "tun0"))
        gui.say("bytecount 1")
        assert_carries(lab)
        gui.hear(r">BYTECOUNT_CLI:0,\d+,\d+\r\n")
        gui.say("bytecount 0")
        rows = status(gui)
        there = row(rows, "CLIENT_LIST")
        assert there["Virtual Address"].startswith("10.10.112.")
        assert there["Data Channel Cipher"] == "AES-256-GCM"
        assert int(there["Bytes Received"]) > 1000
        routes = {each[1] for each in rows if each[0] == "ROUTING_TABLE"}
        assert {there["Virtual Address"], "192.168.7.0/24"} <= routes
        gui.say("load-stats", r"SUCCESS: nclients=1,bytesin=\d{4,},bytesout=\d{4,}\r\n")
        gui.say("kill laptop", r"SUCCESS: common name 'laptop' found, 1 client\(s\) killed\r\n")
        gui.say("nclients", r"SUCCESS: nclients=0\r\n")


def test_a_client_is_kept_out_with_a_reason(lab: Lab) -> None:
    server = serve(lab)
    with Gui(socket_path(lab)) as gui:
        client = come(lab)
        gui.say(f'client-deny {key_of(gui.hear(CONNECT))} "not today" "come back tomorrow"')
        client.wait_for(r"AUTH: Received control message: AUTH_FAILED,come back tomorrow")
        server.wait_for(r"not today")
        client.process.wait_exit(20.0)


def test_a_question_and_its_answer(lab: Lab) -> None:
    """AUTH_PENDING with a web page, then a text, the answer of which decides."""
    serve(lab)
    with Gui(socket_path(lab)) as gui:
        sso = "setenv IV_SSO webauth,crtext"
        client = come(lab, sso, f"management {client_socket(lab)} unix")
        with Gui(client_socket(lab)) as user:
            key = key_of(gui.hear(CONNECT))
            gui.say(f'client-pending-auth {key} "WEB_AUTH::https://login.example/x" 60')
            user.hear(r">INFOMSG:WEB_AUTH::https://login\.example/x\r\n")
            gui.say(f'client-pending-auth {key} "CR_TEXT:R,E:The code?" 60')
            user.hear(r">INFOMSG:CR_TEXT:R,E:The code\?\r\n")
            user.say("cr-response NDI=")
            gui.hear(rf">CLIENT:CR_RESPONSE,{key.replace(' ', ',')},NDI=\r\n")
            gui.say(f"client-auth-nt {key}")
            client.wait_connected()


def test_a_client_is_sent_away(lab: Lab) -> None:
    serve(lab)
    with Gui(socket_path(lab)) as gui:
        client = come(lab)
        gui.say(f"client-auth-nt {key_of(gui.hear(CONNECT))}")
        client.wait_connected()
        gui.say("client-kill 0 HALT,enough")
        client.wait_for(r"Halt command was pushed by server \('enough'\)")
        assert client.process.wait_exit(20.0) == 0
        gui.hear(GONE)
        again = come(lab)
        gui.say(f"client-auth-nt {key_of(gui.hear(CONNECT))}")
        again.wait_connected()
        mark = again.mark()
        gui.say("client-kill 1")
        again.wait_for(r"server-pushed-connection-reset", since=mark)


def test_a_renegotiation_is_judged_again(lab: Lab) -> None:
    serve(lab, "reneg-sec 5")
    with Gui(socket_path(lab)) as gui:
        client = come(lab)
        gui.say(f"client-auth-nt {key_of(gui.hear(CONNECT))}")
        client.wait_connected()
        again = gui.hear(r"(?s)>CLIENT:REAUTH,0,\d+\r\n.*?>CLIENT:ENV,END\r\n")
        gui.say(f'client-deny {key_of(again)} "late" "too late"')
        client.wait_for(r"AUTH: Received control message: AUTH_FAILED,too late")


def test_an_update_reaches_one_client_and_all(lab: Lab) -> None:
    serve(lab)
    with Gui(socket_path(lab)) as gui:
        client = come(lab, program="ginnel")
        gui.say(f"client-auth-nt {key_of(gui.hear(CONNECT))}")
        client.wait_connected()
        done = r"SUCCESS: 1 client\(s\) updated\r\nSUCCESS: push-update command succeeded\r\n"
        for number, command in enumerate(("push-update-broad", "push-update-cid 0")):
            mark = client.mark()
            gui.say(f'{command} "route 10.9{number}.0.0 255.255.0.0"', done)
            client.process.wait_for(COMPLETED, since=mark)
            assert f"10.9{number}.0.0/16" in str(lab.laptop.ip_json("route", "show", "dev", "tun0"))
        gui.say("push-update-cid 7 x", r"ERROR: push-update command failed\r\n")


def test_a_verdict_that_never_comes(lab: Lab) -> None:
    """A management client leaves in the middle of its answer, and the client's time runs out."""
    server = serve(lab, "hand-window 3")
    with Gui(socket_path(lab)) as gui:
        client = come(lab, "auth-retry nointeract")
        key = key_of(gui.hear(CONNECT))
        gui.send(f"client-auth {key}\npush")
    with Gui(socket_path(lab)) as gui:
        server.wait_for(r"nobody decided about the client in time")
        gui.say(f"client-auth-nt {key_of(gui.hear(CONNECT))}")
        client.wait_connected()


def test_the_status_file_has_the_form_of_the_command(lab: Lab) -> None:
    path = lab.directory / "status"
    serve(lab, f"status {path} 1", "status-version 3")
    with Gui(socket_path(lab)) as gui:
        client = come(lab)
        gui.say(f"client-auth-nt {key_of(gui.hear(CONNECT))}")
        client.wait_connected()
        gui.hear(ESTABLISHED)
        shown = gui.say("status", r"(?s)\A.*?\r\nEND\r\n").splitlines()
        assert shown[-1] == "END"
        names = [re.split("[,\t]", line)[0] for line in shown]
        wait_for_client(path)
        written = path.read_text().splitlines()
        assert [re.split("[,\t]", line)[0] for line in written] == names


def wait_for_client(path: Path) -> None:
    wait_until(
        lambda: path.exists() and path.read_text().count("laptop") > 1,
        timeout=40,
        what="the client in the status file",
    )
