"""Certificate and key on a PKCS#11 token: SoftHSM, with PINs by management and at the terminal.

With GINNEL_INTEROP_CLIENT=openvpn the same scenarios hold for the real program.
"""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.interop.checks import assert_carries
from tests.interop.lab import Lab, Running
from tests.interop.lab.management import Gui, socket_path
from tests.interop.lab.openvpn import OPENVPN, client_is_ginnel, client_program
from tests.interop.lab.terminal import AtTerminal

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "123456"
LABEL = "my token"
KEYS: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
    "01": rsa.generate_private_key(65537, 2048),
    "0a": ec.generate_private_key(ec.SECP384R1()),
}


def environment(lab: Lab) -> dict[str, str]:
    return {"SOFTHSM2_CONF": str(lab.directory / "softhsm2.conf")}


def tool(lab: Lab, *argv: str) -> str:
    done = subprocess.run(
        argv,
        env=os.environ | environment(lab),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def fill_token(lab: Lab) -> None:
    """A fresh token with an RSA and an EC key, and a certificate for each."""
    (lab.directory / "tokens").mkdir()
    config = lab.directory / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {lab.directory / 'tokens'}\n")
    start = ("softhsm2-util", "--init-token", "--free", "--label", LABEL)
    tool(lab, *start, "--so-pin", "0000", "--pin", PIN)
    for number, key in KEYS.items():
        pem = lab.directory / f"{number}.pem"
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        known = ("--label", f"key {number}", "--id", number, "--pin", PIN)
        tool(lab, "softhsm2-util", "--import", str(pem), "--token", LABEL, *known)
        pem.unlink()
        certificate = lab.pki.certify(f"token-{number}", key.public_key())
        reach = ("pkcs11-tool", "--module", MODULE, "--token-label", LABEL, "--login", "--pin", PIN)
        what = ("--type", "cert", "--id", number, "--label", f"key {number}")
        tool(lab, *reach, "--write-object", str(_der(certificate)), *what)


def _der(pem: Path) -> Path:
    from cryptography.x509 import load_pem_x509_certificate

    path = pem.with_suffix(".der")
    certificate = load_pem_x509_certificate(pem.read_bytes())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    return path


def listed(lab: Lab, program: tuple[str, ...]) -> list[str]:
    """What ``--show-pkcs11-ids`` prints, without the line of the log before it."""
    lines = tool(lab, *program, "--show-pkcs11-ids", MODULE).splitlines()
    return [line for line in lines if "Adding PKCS#11 provider" not in line]


def token_id(lab: Lab, number: str) -> str:
    lines = listed(lab, client_program())
    (found,) = [line for line in lines if line.endswith(f"/{number.upper()}")]
    return found.partition("Serialized id:")[2].strip()


def start(lab: Lab, *lines: str) -> Running:
    management = [f"management {socket_path(lab)} unix", "management-query-passwords"]
    setup = lab.client_setup(
        credentials=False,
        lines=[
            f"ca {lab.pki.authority.cert}",
            f"pkcs11-providers {MODULE}",
            "management-hold",
            *management,
            *lines,
        ],
    )
    (pair,) = environment(lab).items()
    program = ("/usr/bin/env", "=".join(pair), *client_program())
    return lab.client_process(setup, program=program)


def release(gui: Gui) -> None:
    gui.hear(r">HOLD:Waiting for hold release:\d+\r\n")
    gui.say("state on")
    gui.say("hold release")


def give_pin(gui: Gui, pin: str = PIN) -> None:
    gui.hear(rf">PASSWORD:Need '{LABEL} token' password\r\n")
    gui.say(f"password '{LABEL} token' {pin}")


def connected(gui: Gui) -> None:
    gui.hear(r">STATE:\d+,CONNECTED,SUCCESS,")


def blocks(lines: list[str]) -> list[str]:
    """The heading and what is said of each certificate, which SoftHSM lists in any order."""
    heading, *certificates = "\n".join(lines).split("\n\nCertificate\n")
    return [heading, *sorted(certificates)]


def test_the_list_of_ids_is_openvpns(lab: Lab) -> None:
    fill_token(lab)
    ours = blocks(listed(lab, client_program()))
    assert len(ours) == 1 + len(KEYS)
    assert ours == blocks(listed(lab, (OPENVPN,)))


@pytest.mark.parametrize(
    ("number", "lines"),
    [("01", ("reneg-sec 3",)), ("0a", ("tls-version-max 1.2",))],
    ids=["rsa-renegotiated", "p384-1.2"],
)
def test_the_token_signs(lab: Lab, number: str, lines: tuple[str, ...]) -> None:
    fill_token(lab)
    lab.start_server()
    # The real program loses the token's files, which are root's, along with its rights.
    drop = ["user nobody"] if client_is_ginnel() else []
    client = start(lab, f"pkcs11-id '{token_id(lab, number)}'", *lines, *drop)
    with Gui(socket_path(lab)) as gui:
        release(gui)
        give_pin(gui)
        connected(gui)
        if number == "01":  # the login lasts, over a loss of rights too: nobody is asked again
            client.process.wait_count(r"Control Channel: TLS", 2, timeout=40)
            assert "PASSWORD" not in gui.heard
        assert_carries(lab)
    client.stop()


def test_a_pin_that_is_forgotten_is_asked_for_again(lab: Lab) -> None:
    fill_token(lab)
    lab.start_server()
    name = token_id(lab, "0a")
    client = start(lab, f"pkcs11-id '{name}'", "reneg-sec 3", "pkcs11-pin-cache 1")
    with Gui(socket_path(lab)) as gui:
        release(gui)
        give_pin(gui)
        connected(gui)
        give_pin(gui)
        client.process.wait_count(r"Control Channel: TLS", 2, timeout=40)
    client.stop()


def test_a_wrong_pin_is_asked_for_three_times(lab: Lab) -> None:
    fill_token(lab)
    lab.start_server()
    client = start(lab, f"pkcs11-id '{token_id(lab, '0a')}'", "connect-retry 1 1")
    with Gui(socket_path(lab)) as gui:
        release(gui)
        for _ in range(3):
            give_pin(gui, "000000")
        gui.hear(r">STATE:\d+,RECONNECTING,tls-error,")
        if client_is_ginnel():
            client.wait_for(f"PKCS#11: the PIN of the token '{LABEL}' is wrong")
        release(gui)
        give_pin(gui, "999999")
        give_pin(gui)
        connected(gui)
    client.stop()


def test_the_management_client_chooses(lab: Lab) -> None:
    fill_token(lab)
    lab.start_server()
    client = start(lab, "pkcs11-id-management")
    with Gui(socket_path(lab)) as gui:
        release(gui)
        gui.hear(
            r">NEED-STR:Need 'pkcs11-id-request' string MSG:Please specify PKCS#11 id to use\r\n"
        )
        assert gui.say("pkcs11-id-count", r">PKCS11ID-COUNT:\d+\r\n") == ">PKCS11ID-COUNT:2\r\n"
        entry = gui.say("pkcs11-id-get 1", r">PKCS11ID-ENTRY:[^\r]*\r\n")
        assert entry.startswith(">PKCS11ID-ENTRY:'1', ID:'SoftHSM\\x20project/SoftHSM\\x20v2/")
        assert ", BLOB:'MII" in entry
        none = gui.say("pkcs11-id-get 9", r">PKCS11ID-ENTRY:[^\r]*\r\n")
        assert none == ">PKCS11ID-ENTRY:'9'\r\n"
        name = entry.partition("ID:'")[2].partition("'")[0]
        gui.say(f"needstr pkcs11-id-request '{name}'")
        give_pin(gui)
        connected(gui)
    client.stop()


def test_the_pin_at_the_terminal(lab: Lab) -> None:
    fill_token(lab)
    lab.start_server()
    lines = [f"ca {lab.pki.authority.cert}", f"pkcs11-providers {MODULE}"]
    setup = lab.client_setup(
        credentials=False, lines=[*lines, f"pkcs11-id '{token_id(lab, '01')}'"]
    )
    with AtTerminal(lab, setup, environment=environment(lab)) as client:
        client.answer(f"Enter {LABEL} token Password:", PIN)
        client.wait_for(r"Initialization Sequence Completed")
        assert PIN not in client.shown
        assert_carries(lab)


def test_a_token_that_is_not_there_is_asked_for(lab: Lab) -> None:
    fill_token(lab)
    name = token_id(lab, "01").replace("my\\x20token", "other\\x20token")
    client = start(lab, f"pkcs11-id '{name}'")
    question = r">NEED-OK:Need 'token-insertion-request' confirmation MSG:"
    with Gui(socket_path(lab)) as gui:
        release(gui)
        for reply in ("ok", "cancel"):
            gui.hear(f"{question}Please insert other token token\r\n")
            gui.say(f"needok token-insertion-request {reply}")
        gui.hear(r">FATAL:")
    assert client.process.wait_exit() == 1
