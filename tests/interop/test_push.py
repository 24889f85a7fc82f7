"""What a server says inside the control channel: long pushes, refusals, or no push."""

from pathlib import Path

from tests.interop.checks import Address, addresses, assert_carries
from tests.interop.lab import OFFICE_HOST, Lab, Running, ServerSetup
from tests.interop.lab.openvpn import OPENVPN, PORT, TUNNEL_SERVER

MANY = 60


def test_push_in_several_parts(lab: Lab) -> None:
    """More routes than one control message can hold."""
    lines = [f'push "route 10.77.{number}.0 255.255.255.0"' for number in range(MANY)]
    lab.start_server(ServerSetup(lines=lines))
    lab.start_client()
    present = {str(entry["dst"]) for entry in lab.laptop.ip_json("-4", "route", "show")}
    assert {f"10.77.{number}.0/24" for number in range(MANY)} <= present
    assert_carries(lab)


def test_client_settings_by_name(lab: Lab) -> None:
    """The server's file for this client gives it a fixed address and a route of its own."""
    directory = lab.directory / "ccd"
    directory.mkdir()
    (directory / "laptop").write_text(
        'ifconfig-push 10.10.112.200 255.255.240.0\npush "route 10.55.0.0 255.255.0.0"\n'
    )
    lab.start_server(ServerSetup(lines=[f"client-config-dir {directory}"]))
    lab.start_client()
    assert addresses(lab)["inet"] == Address(local="10.10.112.200", prefix=20, peer=None)
    assert lab.laptop.route_to("10.55.1.1")["dev"] == "tun0"
    assert_carries(lab)


def test_unknown_pushed_option_is_no_end(lab: Lab) -> None:
    """An option that a client may not take from a server is refused; the rest is used."""
    lines = ['push "no-such-option 5"', 'push "up /bin/true"', 'push "route 10.20.0.0 255.255.0.0"']
    lab.start_server(ServerSetup(lines=lines))
    client = lab.start_client()
    client.wait_for(r"no-such-option")
    assert lab.laptop.route_to("10.20.0.1")["dev"] == "tun0"
    assert_carries(lab)


def test_temporary_refusal(lab: Lab) -> None:
    """The server is busy at first and asks to come back to it."""
    script = lab.directory / "busy.sh"
    seen = lab.directory / "seen"
    script.write_text(
        "#!/bin/sh\n"
        f"[ -e {seen} ] && exit 0\n"
        f"touch {seen}\n"
        'printf "TEMP[backoff 1,advance no]:come back later" > "$auth_failed_reason_file"\n'
        "exit 1\n"
    )
    script.chmod(0o755)
    login = _login(lab)
    lab.start_server(ServerSetup(lines=[f"auth-user-pass-verify {script} via-file"]))
    client = lab.start_client(lab.client_setup(lines=[f"auth-user-pass {login}"]), timeout=40)
    log = client.log()
    assert "AUTH_FAILED,TEMP" in log
    assert "SIGUSR1[soft,auth-temp-failure (server temporary reject)] received" in log
    assert_carries(lab)


def test_refusal_with_a_reason(lab: Lab) -> None:
    script = lab.directory / "closed.sh"
    script.write_text(
        '#!/bin/sh\nprintf "the office is closed" > "$auth_failed_reason_file"\nexit 1\n'
    )
    script.chmod(0o755)
    lab.start_server(ServerSetup(lines=[f"auth-user-pass-verify {script} via-file"]))
    client = lab.client_process(lab.client_setup(lines=[f"auth-user-pass {_login(lab)}"]))
    assert client.process.wait_exit(20) == 0
    assert "AUTH_FAILED,the office is closed" in client.log()


def _login(lab: Lab) -> Path:
    path = lab.directory / "login"
    path.touch(mode=0o600)
    path.write_text("ada\nlovelace\n")
    return path


def test_two_peers_without_push(lab: Lab) -> None:
    """Peer to peer over TLS: both sides know their addresses, nobody pushes."""
    pki = lab.pki
    server = [
        "dev tun",
        f"port {PORT}",
        "tls-server",
        "dh none",
        f"ca {pki.authority.cert}",
        f"cert {pki.server.cert}",
        f"key {pki.server.key}",
        f"tls-crypt {pki.static_key()}",
        "topology p2p",
        f"ifconfig {TUNNEL_SERVER} 10.10.112.9",
        "verb 4",
    ]
    config = lab.directory / "peer.conf"
    config.write_text("\n".join(server) + "\n")
    process = lab.office.spawn([OPENVPN, "--config", str(config)], name="peer")
    peer = Running(process=process, config=config)
    peer.wait_for(r"UDPv4 link local")
    client = [
        "dev tun0",
        "tls-client",
        "nobind",
        f"remote {lab.server} {PORT}",
        f"ca {pki.authority.cert}",
        f"cert {pki.client.cert}",
        f"key {pki.client.key}",
        f"tls-crypt {pki.static_key()}",
        "topology p2p",
        f"ifconfig 10.10.112.9 {TUNNEL_SERVER}",
        f"route {OFFICE_HOST}",
        "verb 3",
    ]
    mine = lab.directory / "mine.ovpn"
    mine.write_text("\n".join(client) + "\n")
    running = lab.run_client_file(mine)
    running.wait_connected(timeout=40)
    assert addresses(lab)["inet"] == Address(local="10.10.112.9", prefix=32, peer=TUNNEL_SERVER)
    assert_carries(lab, ipv6=False)
    running.stop(expect=0)
    peer.stop(expect=0)
