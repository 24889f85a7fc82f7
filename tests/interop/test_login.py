"""Every way to log in, against a real server: scripts, PAM and its management interface decide."""

import base64
import pwd
import re
import signal
import socket
from pathlib import Path

from tests.deadlines import wait_until
from tests.interop.checks import assert_carries
from tests.interop.lab import Lab, Running, ServerSetup
from tests.interop.lab.management import Gui, socket_path
from tests.interop.lab.openvpn import COMPLETED, OPENVPN, client_is_ginnel, client_program
from tests.interop.lab.terminal import INTERRUPT, AtTerminal

SCRIPT = """#!/bin/sh
user=$(head -n 1 "$1")
password=$(tail -n 1 "$1")
echo "$user:$password" >> {directory}/seen
env | grep -E '^(IV|UV)_' | sort > {directory}/peer-info
case "$password" in
    good | "pässwörd 1815" | CRV1::state-7::42 | SCRV1:Z29vZA==:NDI= | good42) exit 0 ;;
    challenge) echo "CRV1:R:state-7:YWRh:What is the answer?" > "$auth_failed_reason_file" ;;
    later)
        [ -e {directory}/was-late ] && exit 0
        touch {directory}/was-late
        echo "TEMP[backoff 2,advance no]:come back" > "$auth_failed_reason_file" ;;
esac
exit 1
"""


def script_server(lab: Lab, *lines: str) -> Running:
    """A server whose script knows a few passwords and writes down what it was given."""
    script = lab.directory / "verify.sh"
    script.write_text(SCRIPT.format(directory=lab.directory))
    script.chmod(0o755)
    return lab.start_server(ServerSetup(lines=[f"auth-user-pass-verify {script} via-file", *lines]))


def seen(lab: Lab) -> list[str]:
    """User names and passwords that the server's script was given, in order."""
    path = lab.directory / "seen"
    return path.read_text().splitlines() if path.exists() else []


def login_file(lab: Lab, text: str, name: str = "login") -> Path:
    path = lab.directory / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def at_terminal(lab: Lab, *lines: str) -> AtTerminal:
    return AtTerminal(lab, lab.client_setup(lines=["auth-user-pass", *lines]))


# --- the terminal ------------------------------------------------------------------------------


def test_name_password_and_static_challenge_at_the_terminal(lab: Lab) -> None:
    script_server(lab)
    with at_terminal(lab, 'static-challenge "Enter PIN" 0', "auth-nocache") as client:
        client.answer("Enter Auth Username:", "ada")
        client.answer("Enter Auth Password:", "good")
        client.answer("CHALLENGE: Enter PIN", "42")
        client.wait_for(r"Initialization Sequence Completed")
        assert_carries(lab)
        assert seen(lab) == ["ada:SCRV1:Z29vZA==:NDI="]
        assert "good" not in client.shown
        assert not re.search(r"^42", client.shown, re.MULTILINE), "the answer is not echoed"
        if not client_is_ginnel():
            return  # the real program does not look at signals while it asks
        # Forgotten after use: the next connection asks again, and can be told to end instead.
        client.send(signal.SIGUSR1)
        client.answer("Enter Auth Username:", INTERRUPT)
        assert client.wait_exit() == 0
    assert "SIGINT[hard" in client.shown


def test_question_of_the_server_at_the_terminal(lab: Lab) -> None:
    script_server(lab)
    login = login_file(lab, "ada\nchallenge\n")
    setup = lab.client_setup(lines=[f"auth-user-pass {login}", "auth-retry interact"])
    with AtTerminal(lab, setup) as client:
        client.wait_for(r"AUTH: Received control message: AUTH_FAILED,CRV1:R:state-7:")
        client.wait_for(r"SIGUSR1\[soft,auth-failure\] received, process restarting")
        client.answer("CHALLENGE: What is the answer?", "42")
        client.wait_for(r"Initialization Sequence Completed")
        assert_carries(lab)
    assert seen(lab) == ["ada:challenge", "ada:CRV1::state-7::42"]


def test_interrupt_at_each_question(lab: Lab) -> None:
    if not client_is_ginnel():
        return  # the real program waits for the line to end before it looks at the signal
    questions = ("Enter Auth Username:", "Enter Auth Password:", "CHALLENGE: PIN")
    for asked in questions:
        with at_terminal(lab, "static-challenge PIN 0") as client:
            for question in questions[: questions.index(asked)]:
                client.answer(question, "ada")
            client.answer(asked, INTERRUPT)
            assert client.wait_exit() == 0
            assert "SIGINT[hard,init_instance] received, process exiting" in client.shown


# --- files, blocks and agents ------------------------------------------------------------------


def copies_in_memory(pid: int, needle: bytes) -> int:
    """Counts a text in the memory of a process."""
    count = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if "r" not in rights:
                continue
            start, end = (int(number, 16) for number in span.split("-"))
            try:
                memory.seek(start)
                count += memory.read(end - start).count(needle)
            except (OSError, ValueError, OverflowError):
                continue  # pages of the kernel
    return count


def test_auth_nocache_leaves_no_password_in_memory(lab: Lab) -> None:
    script_server(lab)
    password = "pässwörd 1815"
    login = login_file(lab, f"ada\n{password}\n")
    keeping = lab.start_client(lab.client_setup(lines=[f"auth-user-pass {login}"]))
    assert copies_in_memory(keeping.pid, password.encode()) > 0
    keeping.stop()
    lines = [f"auth-user-pass {login}", "auth-nocache"]
    from_file = lab.start_client(lab.client_setup(lines=lines))
    assert copies_in_memory(from_file.pid, password.encode()) == 0
    from_file.stop()
    with at_terminal(lab, "auth-nocache") as client:
        client.answer("Enter Auth Username:", "ada")
        client.answer("Enter Auth Password:", password)
        client.wait_for(r"Initialization Sequence Completed")
        assert copies_in_memory(client.pid, password.encode()) == 0


def test_concatenated_answer_and_a_login_of_one_connection(lab: Lab) -> None:
    """What openvpn 2.6 does not know yet; the server does not see a difference."""
    if not client_is_ginnel():
        return
    script_server(lab)
    name = "ädä" * 60
    block = (
        f"<connection>\nremote {lab.server} 1194\n"
        f"<auth-user-pass>\n{name}\npässwörd 1815\n</auth-user-pass>\n</connection>"
    )
    first = lab.start_client(lab.client_setup(remotes=[], lines=[block]))
    assert seen(lab) == [f"{name}:pässwörd 1815"]
    first.stop()
    with at_terminal(lab, "static-challenge PIN 1 concat") as client:
        client.answer("Enter Auth Username:", "ada")
        client.answer("Enter Auth Password:", "good")
        client.answer("CHALLENGE: PIN", "42")
        client.wait_for(r"Initialization Sequence Completed")
    assert seen(lab)[-1] == "ada:good42"


def test_password_agent_of_systemd_without_a_terminal(lab: Lab) -> None:
    """A stand-in agent answers in the place where real ones look, in the client's own mounts."""
    if not client_is_ginnel():
        return  # the real program leaves it to systemd-ask-password
    script_server(lab)
    directory = "/run/systemd/ask-password"
    prepare = f"mount -t tmpfs tmpfs /run/systemd && mkdir /run/systemd/system {directory}"
    config = lab.directory / "agent.ovpn"
    config.write_text(lab.client_setup(lines=["auth-user-pass"]).render(lab.pki))
    program = " ".join([*client_program(), "--config", str(config)])
    argv = ["unshare", "-m", "sh", "-c", f"{prepare} && exec {program}"]
    process = lab.laptop.spawn(argv, name="agent")
    try:
        root = Path(f"/proc/{process.pid}/root")
        for text, echo, answer in (("Username:", 1, b"ada"), ("Password:", 0, b"good")):
            question = _question(root / directory.lstrip("/"), f"Message=Enter Auth {text}")
            assert f"\nEcho={echo}\n" in question
            to = re.search(r"^Socket=(.*)$", question, re.MULTILINE)
            assert to is not None
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as agent:
                agent.sendto(b"+" + answer, str(root / to.group(1).lstrip("/")))
        process.wait_for(COMPLETED)
        assert not list((root / directory.lstrip("/")).iterdir())
        assert seen(lab) == ["ada:good"]
    finally:
        process.stop()


def _question(directory: Path, containing: str) -> str:
    def found() -> str | None:
        if not directory.exists():
            return None
        for path in directory.glob("ask.*"):
            text = path.read_text()
            if containing in text:
                return text
        return None

    return wait_until(found, timeout=40, what=containing)


# --- refusals ----------------------------------------------------------------------------------


def test_temporary_refusal_waits_and_keeps_the_password(lab: Lab) -> None:
    script_server(lab)
    login = login_file(lab, "ada\nlater\n")
    management = f"management {socket_path(lab)} unix"
    lines = [f"auth-user-pass {login}", management, "management-hold"]
    client = lab.client_process(lab.client_setup(lines=lines))
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">HOLD:")
        gui.say("hold off")
        gui.say("hold release")
        gui.hear(
            r">PASSWORD:Verification Failed: 'Auth' "
            r"\['TEMP\[backoff 2,advance no\]:come back'\]\r\n"
        )
        client.wait_for(r"Restart pause, 2 second\(s\)")
        client.wait_connected()
    reason = re.escape("auth-temp-failure (server temporary reject)")
    client.wait_for(rf"SIGUSR1\[soft,{reason}\] received, process restarting")
    assert seen(lab) == ["ada:later", "ada:later"]


def test_expired_token_brings_the_password_back(lab: Lab) -> None:
    """A token that the server does not take any more is dropped; the next login is a whole one."""
    script_server(lab, "auth-gen-token 4 4", "hand-window 2", "reneg-sec 100")
    login = login_file(lab, "ada\ngood\n")
    management = f"management {socket_path(lab)} unix"
    lines = [f"auth-user-pass {login}", "reneg-sec 5", management, "management-hold"]
    client = lab.client_process(lab.client_setup(lines=lines))
    with Gui(socket_path(lab)) as gui:
        gui.hear(r">HOLD:")
        gui.say("hold off")
        gui.say("hold release")
        gui.hear(r">PASSWORD:Auth-Token:SESS_ID_AT_[A-Za-z0-9+/=]+\r\n")
        client.wait_connected()
        mark = client.mark()
        gui.hear(r">PASSWORD:Verification Failed: 'Auth'")
        client.wait_for(r"SIGUSR1\[soft,auth-failure \(auth-token\)\] received", since=mark)
        client.wait_connected(since=mark)
    assert "SESS_ID_AT_" not in client.log()
    assert set(seen(lab)) == {"ada:good"}


# --- PAM ---------------------------------------------------------------------------------------


def test_pam_decides(lab: Lab) -> None:
    """The plugin asks PAM, whose service here is a script; wrong password first, then the right."""
    check = lab.directory / "check.sh"
    check.write_text(
        '#!/bin/sh\nread -r password\n[ "$PAM_USER:$password" = "ada:good" ] && exit 0\nexit 1\n'
    )
    check.chmod(0o755)
    services = lab.directory / "pam.d"
    services.mkdir()
    (services / "vpn").write_text(
        f"auth required pam_exec.so expose_authtok quiet {check}\naccount required pam_permit.so\n"
    )
    plugin = "plugin /usr/lib/x86_64-linux-gnu/openvpn/plugins/openvpn-plugin-auth-pam.so vpn"
    config = lab.directory / "pam-server.conf"
    config.write_text(ServerSetup(lines=[plugin]).render(lab.pki))
    mount = f"mount --bind {services} /etc/pam.d && exec {OPENVPN} --config {config}"
    server = lab.office.spawn(["unshare", "-m", "sh", "-c", mount], name="pam-server")
    try:
        server.wait_for(COMPLETED)
        wrong = login_file(lab, "ada\nbad\n", "wrong")
        client = lab.client_process(lab.client_setup(lines=[f"auth-user-pass {wrong}"]))
        assert client.process.wait_exit(20) == 0
        assert "SIGTERM[soft,auth-failure] received, process exiting" in client.log()
        right = login_file(lab, "ada\ngood\n", "right")
        lab.start_client(lab.client_setup(lines=[f"auth-user-pass {right}"]))
        assert_carries(lab)
        lab.end_programs()
    finally:
        server.stop()


# --- while the server decides ------------------------------------------------------------------


def deciding_server(lab: Lab) -> Path:
    """A server whose management client decides about every login."""
    path = lab.directory / "server.sock"
    lab.start_server(ServerSetup(lines=[f"management {path} unix", "management-client-auth"]))
    return path


def stand_in_browser(lab: Lab) -> tuple[Path, Path]:
    """An ``xdg-open`` in a directory of its own, and the file where it writes what it got."""
    programs, given = lab.directory / "bin", lab.directory / "given"
    programs.mkdir()
    given.touch(mode=0o666)
    given.chmod(0o666)
    browser = programs / "xdg-open"
    browser.write_text(f'#!/bin/sh\necho "$(id -un) $DISPLAY $*" > {given}\n')
    browser.chmod(0o755)
    return programs, given


def test_question_while_the_server_decides(lab: Lab) -> None:
    """CR_TEXT is asked at the terminal, a login page opens for who called sudo; we are let in."""
    if not client_is_ginnel():
        return  # the real program leaves both to a management client
    programs, given = stand_in_browser(lab)
    terminal = AtTerminal(
        lab,
        lab.client_setup(lines=["auth-user-pass", "push-peer-info"]),
        mounts={programs: "/usr/local/bin"},
        environment={"DISPLAY": ":7", "SUDO_UID": str(pwd.getpwnam("nobody").pw_uid)},
    )
    with terminal as client, Gui(deciding_server(lab)) as server:
        client.answer("Enter Auth Username:", "ada")
        client.answer("Enter Auth Password:", "whatever")
        ids = server.hear(r">CLIENT:CONNECT,\d+,\d+").partition(",")[2].replace(",", " ")
        variables = server.hear(r"(?s).*>CLIENT:ENV,END")
        assert "ENV,IV_SSO=webauth,openurl,crtext" in variables
        assert re.search(r"ENV,IV_HWADDR=(..:){5}..\r", variables)
        page = "https://idp.example/login?state=a&x=1"
        server.say(f'client-pending-auth {ids} "WEB_AUTH::{page}" 30')
        client.wait_for(r"AUTH_PENDING received, extending handshake timeout from 60s to 30s")
        client.wait_for(re.escape(f"to log in, open this address: {page}"))
        opened = wait_until(given.read_text, timeout=40, what="the browser")
        assert opened == f"nobody :7 {page}\n"
        server.say(f'client-pending-auth {ids} "CR_TEXT:R,E:What colour?" 30')
        client.answer("CHALLENGE: What colour?", "black")
        encoded = base64.b64encode(b"black").decode()
        server.hear(rf">CLIENT:CR_RESPONSE,\d+,\d+,{re.escape(encoded)}\r\n")
        server.say(f"client-auth-nt {ids}")
        client.wait_for(r"Initialization Sequence Completed")
        assert_carries(lab)


def test_question_while_the_server_decides_for_a_gui(lab: Lab) -> None:
    """Line by line as with openvpn 2.6.14, for which the same test holds."""
    path = deciding_server(lab)
    lines = [
        "auth-user-pass",
        f"management {socket_path(lab)} unix",
        "management-query-passwords",
        "management-hold",
        "setenv IV_SSO crtext",
    ]
    client = lab.client_process(lab.client_setup(lines=lines))
    with Gui(path) as server, Gui(socket_path(lab)) as gui:
        gui.hear(r">HOLD:")
        gui.say("state on")
        gui.say("hold release")
        gui.hear(r">PASSWORD:Need 'Auth' username/password\r\n")
        gui.say('username "Auth" "ada"')
        gui.say('password "Auth" "whatever"')
        ids = server.hear(r">CLIENT:CONNECT,\d+,\d+").partition(",")[2].replace(",", " ")
        assert "ENV,IV_SSO=crtext\r\n" in server.hear(r"(?s).*>CLIENT:ENV,END")
        server.say(f'client-pending-auth {ids} "CR_TEXT:R,E:What colour?" 30')
        heard = gui.hear(r"(?s).*>INFOMSG:CR_TEXT:R,E:What colour\?\r\n")
        states = re.findall(r">STATE:\d+,([^\r]*)\r\n", heard)
        assert states == ["WAIT,,,,,,", "AUTH,,,,,,", "AUTH_PENDING,timeout 30,,,,,"]
        assert gui.say("cr-response YmxhY2s=") == "SUCCESS: command succeeded\r\n"
        server.hear(r">CLIENT:CR_RESPONSE,\d+,\d+,YmxhY2s=\r\n")
        server.say(f"client-auth-nt {ids}")
        client.wait_connected()
        assert_carries(lab)


# --- what the server is told -------------------------------------------------------------------


def test_peer_info_is_that_of_the_real_program(lab: Lab) -> None:
    """Each variable that openvpn 2.6.14 tells is told, with the same value."""
    script_server(lab)
    login = login_file(lab, "ada\ngood\n")
    lines = [
        f"auth-user-pass {login}",
        "push-peer-info",
        'setenv UV_SITE "head office"',
        "setenv IV_GUI_VER gui_1.0",
        "setenv IV_OTHER no",
    ]
    told: list[dict[str, str]] = []
    for program in (None, [OPENVPN]):
        client = lab.client_process(lab.client_setup(lines=lines), program=program)
        client.wait_connected()
        text = (lab.directory / "peer-info").read_text()
        told.append(dict(line.split("=", 1) for line in text.splitlines()))
        client.stop()
    ours, theirs = told
    kept = {name: ours[name] for name in theirs if name in ours}
    expected = dict(theirs)
    for differs in ("IV_SSL", "IV_PROTO"):  # another library; more of the protocol is known
        assert kept.pop(differs)
        assert expected.pop(differs)
    for compression in ("IV_LZO_STUB", "IV_COMP_STUB", "IV_COMP_STUBv2"):
        kept.pop(compression, None)
        expected.pop(compression, None)
    assert kept == expected
    assert ours["UV_SITE"] == "head_office"  # the server tidies values
    assert "IV_OTHER" not in ours
