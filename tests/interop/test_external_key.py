"""A management client that has the private key: it signs for every handshake.

With GINNEL_INTEROP_CLIENT=openvpn the same scenarios hold for the real program.
"""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding

from tests.interop.checks import assert_carries
from tests.interop.lab import Lab, Running
from tests.interop.lab.management import Gui, socket_path
from tests.interop.lab.openvpn import client_is_ginnel
from tests.unit.core.outside_keys import HASHES

RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
PSS = "RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def sign(key: Key, content: bytes, words: str) -> bytes:
    """What such a client does, by the words of the question alone."""
    name, *rest = words.split(",")
    options = dict(word.split("=") for word in rest)
    digested = options.get("data") != "message"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        assert name == "ECDSA"
        by_size = {hash_.digest_size: hash_ for hash_ in HASHES.values()}
        known = by_size[len(content)] if digested else HASHES[options["hashalg"]]
        return key.sign(content, ec.ECDSA(utils.Prehashed(known) if digested else known))
    if name == "RSA_PKCS1_PSS_PADDING":
        known = HASHES[options["hashalg"]]
        pss = rsa_padding.PSS(rsa_padding.MGF1(known), known.digest_size)
        return key.sign(content, pss, utils.Prehashed(known) if digested else known)
    if not digested:
        return key.sign(content, rsa_padding.PKCS1v15(), HASHES[options["hashalg"]])
    if name == "RSA_PKCS1_PADDING":
        content = b"\0\1" + b"\xff" * (253 - len(content)) + b"\0" + content
    numbers = key.private_numbers()
    value = pow(int.from_bytes(content, "big"), numbers.d, numbers.public_numbers.n)
    return value.to_bytes(256, "big")


def answer(gui: Gui, key: Key, question: str) -> None:
    """Signs a question in several short lines, as the interface wants it."""
    content, _, words = question.strip().removeprefix(">PK_SIGN:").partition(",")
    text = base64.b64encode(sign(key, base64.b64decode(content), words)).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    reply = gui.say("\n".join(["pk-sig", *lines, "END"]))
    assert reply == "SUCCESS: pk-sign command succeeded\r\n"


def start(lab: Lab, key: Key, *lines: str, certificate: bool = True) -> Running:
    path = lab.pki.certify("outside", key.public_key())
    own = [f"cert {path}"] if certificate else []
    management = [f"management {socket_path(lab)} unix", "management-hold"]
    setup = lab.client_setup(
        credentials=False, lines=[f"ca {lab.pki.authority.cert}", *management, *own, *lines]
    )
    return lab.client_process(setup)


def release(gui: Gui, version: int = 3) -> None:
    gui.hear(r">HOLD:Waiting for hold release:\d+\r\n")
    gui.say("state on")
    gui.say("pid", r"SUCCESS[^\r]*\r\n")
    gui.say(f"version {version}\nhold release")


def connected(gui: Gui) -> None:
    gui.hear(r">STATE:\d+,CONNECTED,SUCCESS,")


@pytest.mark.parametrize(
    ("key", "can", "lines", "words"),
    [
        (RSA, "pss", (), PSS),
        (RSA, "pss digest", ("tls-version-max 1.2",), f"{PSS},data=message"),
        (P384, "", (), "ECDSA"),
        (P521, "digest", ("tls-version-max 1.2",), "ECDSA,hashalg=SHA256,data=message"),
    ],
    ids=["pss", "pss-digest-1.2", "p384", "p521-digest-1.2"],
)
def test_the_client_signs(lab: Lab, key: Key, can: str, lines: tuple[str, ...], words: str) -> None:
    lab.start_server()
    client = start(lab, key, f"management-external-key {can}", *lines)
    with Gui(socket_path(lab)) as gui:
        release(gui)
        question = gui.hear(r">PK_SIGN:[^\r]*\r\n")
        assert question.strip().partition(",")[2] == words
        answer(gui, key, question)
        connected(gui)
        assert_carries(lab)
        gui.say("signal SIGTERM")
    assert client.process.wait_exit() == 0


@pytest.mark.parametrize(
    ("can", "words", "version"),
    [("", "RSA_PKCS1_PADDING", "TLSv1.2"), ("nopadding", "RSA_NO_PADDING", "TLSv1.3")],
    ids=["pkcs1", "nopadding"],
)
def test_a_client_that_can_do_little_is_enough(
    lab: Lab, can: str, words: str, version: str
) -> None:
    """Better than OpenVPN: the version of TLS, or the padding, is made to fit."""
    if not client_is_ginnel():
        return
    lab.start_server()
    client = start(lab, RSA, f"management-external-key {can}")
    with Gui(socket_path(lab)) as gui:
        release(gui)
        question = gui.hear(r">PK_SIGN:[^\r]*\r\n")
        assert question.strip().partition(",")[2] == words
        answer(gui, RSA, question)
        connected(gui)
    client.wait_for(rf"Control Channel: {version}")
    client.stop()


def test_renegotiation_asks_again(lab: Lab) -> None:
    lab.start_server()
    client = start(lab, P384, "management-external-key", "reneg-sec 3")
    with Gui(socket_path(lab)) as gui:
        release(gui)
        answer(gui, P384, gui.hear(r">PK_SIGN:[^\r]*\r\n"))
        connected(gui)
        question = gui.hear(r">PK_SIGN:[^\r]*\r\n")
        if client_is_ginnel():  # the real program stands still meanwhile
            assert_carries(lab)
        answer(gui, P384, question)
        client.process.wait_count(r"Control Channel: TLS", 2, timeout=40)
        assert_carries(lab)
    client.stop()


def test_the_certificate_comes_from_the_client_too(lab: Lab) -> None:
    lab.start_server()
    line = 'management-external-cert "my card"'
    client = start(lab, RSA, "management-external-key pss", line, certificate=False)
    with Gui(socket_path(lab)) as gui:
        release(gui)
        gui.hear(r">NEED-CERTIFICATE:my card\r\n")
        pem = (lab.pki.directory / "outside.crt").read_text()
        reply = gui.say(f"certificate\n{pem}END")
        assert reply == "SUCCESS: certificate command succeeded\r\n"
        answer(gui, RSA, gui.hear(r">PK_SIGN:[^\r]*\r\n"))
        connected(gui)
    client.stop()


def test_a_certificate_that_is_none_ends_the_program(lab: Lab) -> None:
    line = "management-external-cert card"
    client = start(lab, RSA, "management-external-key pss", line, certificate=False)
    with Gui(socket_path(lab)) as gui:
        release(gui)
        gui.hear(r">NEED-CERTIFICATE:card\r\n")
        gui.say("certificate\nAAAA\nEND")
        gui.hear(r">FATAL:[^\r]*certificate[^\r]*\r\n")
    assert client.process.wait_exit() == 1


def test_wrong_answers_restart_the_connection(lab: Lab) -> None:
    """Not base64, another key, then the right one; each is named and asked for anew."""
    lab.start_server()
    client = start(lab, P384, "management-external-key", "connect-retry 1 1")
    question = r">PK_SIGN:[^\r]*\r\n"
    with Gui(socket_path(lab)) as gui:
        release(gui)
        gui.hear(question)
        gui.say("pk-sig\n!!!!\nEND")
        gui.hear(r">STATE:\d+,RECONNECTING,tls-error,")
        gui.hear(r">HOLD:")
        gui.say("hold release")
        if client_is_ginnel():
            client.wait_for("no signature with the private key: .* not base64")
            answer(gui, ec.generate_private_key(ec.SECP384R1()), gui.hear(question))
            client.wait_for("the signature does not fit the certificate")
            gui.hear(r">HOLD:")
            gui.say("hold release")
        answer(gui, P384, gui.hear(question))
        connected(gui)
    client.stop()


def test_the_next_client_may_answer(lab: Lab) -> None:
    """One that leaves in the middle leaves its question behind."""
    lab.start_server()
    client = start(lab, P384, "management-external-key")
    with Gui(socket_path(lab)) as gui:
        release(gui)
        gui.hear(r">PK_SIGN:")
    with Gui(socket_path(lab)) as gui:
        answer(gui, P384, gui.hear(r">PK_SIGN:[^\r]*\r\n"))
        gui.say("state on")
        client.wait_for("Initialization Sequence Completed")
    client.stop()


def test_the_end_does_not_wait_for_a_signature(lab: Lab) -> None:
    lab.start_server()
    client = start(lab, P384, "management-external-key")
    with Gui(socket_path(lab)) as gui:
        release(gui)
        gui.hear(r">PK_SIGN:")
        assert client.stop() == 0
