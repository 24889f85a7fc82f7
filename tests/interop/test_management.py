"""The management interface on real tunnels: what a GUI or a script sees and does.

With GINNEL_INTEROP_CLIENT=openvpn the same scenarios hold for the real program.
"""

import re
import socket

import pytest

from tests.interop.checks import assert_carries
from tests.interop.lab import Lab, Running, ServerSetup
from tests.interop.lab.management import TIMEOUT, Gui, socket_path
from tests.interop.lab.openvpn import COMPLETED
from tests.interop.lab.pki import KEY_PASSPHRASE
from tests.interop.lab.snapshot import take_snapshot


def start(lab: Lab, *lines: str, login: bool = False) -> Running:
    """Starts a client with an interface; ``login`` makes it ask the interface."""
    asks = ["auth-user-pass", "management-query-passwords"] if login else []
    management = f"management {socket_path(lab)} unix"
    return lab.client_process(lab.client_setup(lines=[management, *asks, *lines]))


def password_server(lab: Lab) -> None:
    script = lab.directory / "verify.sh"
    script.write_text(
        "#!/bin/sh\n"
        'password=$(tail -n 1 "$1")\n'
        '[ "$password" = "lovelace 1815" ] && exit 0\n'
        '[ "$password" = "CRV1::state-7::42" ] && exit 0\n'
        '[ "$password" = "token" ] && echo "CRV1:R,E:state-7:YWRh:What is the answer?" '
        '> "$auth_failed_reason_file"\n'
        "exit 1\n"
    )
    script.chmod(0o755)
    lab.start_server(ServerSetup(lines=[f"auth-user-pass-verify {script} via-file"]))


def test_hold_states_and_the_end(lab: Lab) -> None:
    """The life of a connection as a GUI follows it."""
    lab.start_server()
    before = take_snapshot(lab.laptop)
    client = start(lab, "management-hold", "management-up-down")
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">HOLD:Waiting for hold release:0\r\n")
        assert client.process.count(r"UDPv4 link remote") == 0
        gui.say("state on")
        gui.say("hold release")
        for name in ("WAIT", "AUTH", "ASSIGN_IP", "ADD_ROUTES"):
            gui.hear(rf">STATE:\d+,{name},")
        gui.hear(r">UPDOWN:UP\r\n>UPDOWN:ENV,")
        environment = gui.hear(r"(?s).*>UPDOWN:ENV,END\r\n")
        assert "UPDOWN:ENV,dev=tun0\r\n" in environment
        assert "UPDOWN:ENV,ifconfig_local=10.10.112." in environment
        connected = gui.hear(r">STATE:\d+,CONNECTED,SUCCESS,10\.10\.112\.\d+,[^\r]*\r\n")
        assert f",{lab.server},1194,,,fd00:10:112::" in connected
        client.wait_connected()
        assert_carries(lab)
        gui.say("bytecount 1")
        gui.hear(r">BYTECOUNT:[1-9]\d*,[1-9]\d*\r\n")
        gui.say("status", r"(?s)OpenVPN STATISTICS\r\n.*TUN/TAP read bytes,[1-9]\d*\r\n.*END\r\n")
        gui.say("signal SIGTERM", r"SUCCESS: signal SIGTERM thrown\r\n")
        gui.hear(r">UPDOWN:DOWN\r\n")
        rest = gui.hear(r">STATE:\d+,EXITING,SIGTERM,") + gui.wait_closed()
        assert rest.count(">STATE:") == 1
    assert client.process.wait_exit(TIMEOUT) == 0
    assert not socket_path(lab).exists()
    assert take_snapshot(lab.laptop) == before


def test_login_wrong_then_right(lab: Lab) -> None:
    password_server(lab)
    client = start(lab, "auth-retry interact", login=True)
    with Gui(socket_path(lab)) as gui:
        for password in ("byron", "lovelace 1815"):
            gui.hear(r">PASSWORD:Need 'Auth' username/password\r\n")
            gui.say('username "Auth" "ada"')
            gui.say(f'password "Auth" "{password}"')
            if password == "byron":
                gui.hear(r">PASSWORD:Verification Failed: 'Auth'\r\n")
        client.wait_connected()
    assert_carries(lab)
    assert "byron" not in client.log()
    assert "lovelace" not in client.log()


def test_a_wrong_login_without_retry_ends(lab: Lab) -> None:
    password_server(lab)
    client = start(lab, login=True)
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">PASSWORD:Need 'Auth'")
        gui.say("username Auth ada")
        gui.say("password Auth byron")
        gui.hear(r">PASSWORD:Verification Failed: 'Auth'\r\n")
        gui.wait_closed()
    assert client.process.wait_exit(TIMEOUT) == 0


def test_a_dynamic_challenge(lab: Lab) -> None:
    password_server(lab)
    client = start(lab, "auth-retry interact", login=True)
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">PASSWORD:Need 'Auth'")
        gui.say("username Auth ada")
        gui.say("password Auth token")
        gui.hear(
            r">PASSWORD:Verification Failed: 'Auth' "
            r"\['CRV1:R,E:state-7:YWRh:What is the answer\?'\]\r\n"
        )
        gui.hear(r">PASSWORD:Need 'Auth'")
        gui.say("username Auth ada")
        gui.say("password Auth CRV1::state-7::42")
        client.wait_connected()
    assert_carries(lab)


def test_a_gui_that_dies_between_the_halves_of_a_login(lab: Lab) -> None:
    password_server(lab)
    client = start(lab, login=True)
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">PASSWORD:Need 'Auth'")
        gui.say("username Auth mallory")
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">PASSWORD:Need 'Auth'")
        gui.say("username Auth ada")
        gui.say('password Auth "lovelace 1815"')
        client.wait_connected()
    assert_carries(lab)


def encrypted_key_client(lab: Lab) -> Running:
    lines = [
        f"ca {lab.pki.authority.cert}",
        f"cert {lab.pki.client.cert}",
        f"key {lab.pki.encrypted_client_key}",
        f"management {socket_path(lab)} unix",
        "management-query-passwords",
    ]
    return lab.client_process(lab.client_setup(credentials=False, lines=lines))


def test_the_passphrase_of_a_key(lab: Lab) -> None:
    lab.start_server()
    client = encrypted_key_client(lab)
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">PASSWORD:Need 'Private Key' password\r\n")
        gui.say(f'password "Private Key" "{KEY_PASSPHRASE}"')
        client.wait_connected()
    assert_carries(lab)


def test_a_wrong_passphrase(lab: Lab) -> None:
    client = encrypted_key_client(lab)
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">PASSWORD:Need 'Private Key' password\r\n")
        gui.say('password "Private Key" "wrong"')
        gui.hear(r">PASSWORD:Verification Failed: 'Private Key'\r\n")
        gui.hear(r">FATAL:")
        gui.wait_closed()
    assert client.process.wait_exit(TIMEOUT) == 1


def test_remotes_by_choice(lab: Lab) -> None:
    lab.start_server()
    setup = lab.client_setup(
        remotes=["192.0.2.77 1194", "192.0.2.78 1194"],
        lines=[f"management {socket_path(lab)} unix", "management-query-remote"],
    )
    client = lab.client_process(setup)
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">REMOTE:192\.0\.2\.77,1194,udp\r\n")
        gui.say("remote SKIP")
        gui.hear(r">REMOTE:192\.0\.2\.78,1194,udp\r\n")
        gui.say(f"remote MOD {lab.server} 1194")
        client.wait_connected()
    assert_carries(lab)


def test_held_again_at_each_restart(lab: Lab) -> None:
    lab.start_server()
    client = start(lab, "management-hold")
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">HOLD:Waiting for hold release:0\r\n")
        gui.say("hold release")
        client.wait_connected()
        mark = client.mark()
        gui.say("signal SIGUSR1")
        gui.hear(r">HOLD:Waiting for hold release:\d+\r\n")
        assert gui.say("signal SIGHUP") == "ERROR: signal 'SIGHUP' is currently ignored\r\n"
        gui.hear(r">HOLD:")
        gui.say("hold release")
        client.wait_connected(since=mark)
    assert_carries(lab)


@pytest.mark.parametrize(
    "option", ["management-signal", "management-forget-disconnect"], ids=["signal", "forget"]
)
def test_what_follows_when_the_gui_leaves(lab: Lab, option: str) -> None:
    lab.start_server()
    client = start(lab, option)
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">INFO:")
        client.wait_connected()
        mark = client.mark()
    if option == "management-signal":
        client.wait_for(r"SIGUSR1\[soft,management-disconnect\] received", since=mark)
        client.wait_connected(since=mark)
    else:
        client.wait_for(r"MANAGEMENT: Client disconnected", since=mark)
        assert "process restarting" not in client.log(mark)
    assert_carries(lab)


def test_the_program_that_we_connect_to_rules(lab: Lab) -> None:
    """``management-client``: its end is ours, and without it we do not start."""
    lab.start_server()
    path = socket_path(lab)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(TIMEOUT)
        client = start(lab, "management-client")
        connection, _ = listener.accept()
        client.wait_connected()
        connection.close()
        client.wait_for(r"SIGTERM\[soft,management-exit\] received, process exiting")
        assert client.process.wait_exit(TIMEOUT) == 0
    late = start(lab, "management-client")
    assert late.process.wait_exit(TIMEOUT) == 0
    assert re.search(
        r"MANAGEMENT: connect to unix socket .* failed: Connection refused", late.log()
    )
    assert late.process.count(COMPLETED) == 0


def test_a_gui_that_never_reads_does_not_stop_the_tunnel(lab: Lab) -> None:
    lab.start_server()
    client = start(lab, "verb 3")
    with Gui(socket_path(lab)) as gui:
        client.wait_connected()
        for command in ("state on", "log on all", "bytecount 1"):
            gui.say(command, r"SUCCESS[^\r]*\r\n")
        gui.flood(b"test 1000\n" * 100)
        assert_carries(lab)
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">INFO:")
        assert gui.say("pid") == f"SUCCESS: pid={client.pid}\r\n"
