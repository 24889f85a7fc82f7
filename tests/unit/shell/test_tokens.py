"""Talking to the worker of PKCS#11 modules: what people are asked, and a worker that misbehaves."""

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from ginnel.compat.log_lines import LogLine
from ginnel.core.actions import Failed, Signature
from ginnel.core.errors import ConfigError
from ginnel.core.padding import digest, digest_info
from ginnel.core.signing import Scheme, SignatureRequest
from ginnel.core.token_id import ObjectId, TokenId, render_object_id
from ginnel.options.model import Pkcs11Options
from ginnel.options.values import Secret
from ginnel.shell.frontend import Unattended
from ginnel.shell.tokens import Tokens, TokenSigner, token_key

NAME = ObjectId(
    token=TokenId(manufacturer="m", model="o", serial="s", label="card"), id=b"\x01\x02"
)
ECDSA = SignatureRequest(scheme=Scheme.ECDSA, hash_name="SHA256", message=b"m", key_bytes=72)

WORKER = """
import json, sys
script = json.load(open(sys.argv[1]))
heard = open(sys.argv[2], "a")
setup = sys.stdin.readline()
for line in sys.stdin:
    heard.write(line)
    heard.flush()
    answer = script.pop(0)
    if answer == "die":
        sys.exit(1)
    print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)
"""

NO_OPTIONS = Pkcs11Options()


class Person(Unattended):
    """A management client that knows PINs and tokens."""

    asks_passwords = True

    def __init__(self, pins: tuple[str, ...] = (), inserts: tuple[bool, ...] = ()) -> None:
        self.pins = list(pins)
        self.inserts = list(inserts)
        self.asked: list[str] = []
        self.offered: list[tuple[str, bytes]] = []
        self.choice = ""

    async def passphrase(self, type_name: str) -> Secret:
        self.asked.append(type_name)
        return Secret(self.pins.pop(0).encode())

    async def confirm(self, type_name: str, text: str) -> bool:
        self.asked.append(f"{type_name}: {text}")
        return self.inserts.pop(0)

    async def text(self, type_name: str, text: str) -> str:
        self.asked.append(f"{type_name}: {text}")
        return self.choice

    def offer_token_ids(self, found: Any) -> None:
        self.offered = list(found)


class Rig:
    """A worker that gives the answers of a script, and what it heard."""

    def __init__(self, directory: Path, *answers: Any, failed: Any = ()) -> None:
        self.script = directory / "script.json"
        self.script.write_text(json.dumps([{"failed": list(failed)}, *answers]))
        self.log = directory / "heard"
        self.log.touch()
        self.lines: list[LogLine] = []

    def run(
        self,
        work: Callable[[Tokens], Awaitable[Any]],
        person: Unattended | None = None,
        options: Pkcs11Options = NO_OPTIONS,
    ) -> Any:
        argv = (sys.executable, "-c", WORKER, str(self.script), str(self.log))

        async def inside() -> Any:
            tokens = Tokens(options, person or Person(), self.lines.append, worker=argv)
            try:
                return await work(tokens)
            finally:
                await tokens.close()

        return asyncio.run(inside())

    @property
    def heard(self) -> list[dict[str, Any]]:
        """Requests after the first, which loads the modules."""
        return [json.loads(line) for line in self.log.read_text().splitlines()][1:]


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def sign(tokens: Tokens) -> Awaitable[Any]:
    return TokenSigner(tokens, NAME).sign(ECDSA)


NUMBERS = b"\x11" * 32 + b"\x22" * 32
SIGNED = {"signature": b64(NUMBERS)}
PIN_WANTED = {"trouble": "pin", "text": "card"}
PIN_WRONG = {"trouble": "wrong-pin", "text": "PinIncorrect"}


def test_a_signature_with_the_pin_of_the_token(tmp_path: Path) -> None:
    person = Person(pins=("1234",))
    rig = Rig(tmp_path, PIN_WANTED, SIGNED)
    result = rig.run(sign, person)
    assert isinstance(result, Signature)
    assert decode_dss_signature(result.signature) == (
        int.from_bytes(NUMBERS[:32], "big"),
        int.from_bytes(NUMBERS[32:], "big"),
    )
    assert person.asked == ["card token"]
    first, second = rig.heard
    assert "pin" not in first
    assert (second["pin"], second["data"]) == ("1234", b64(digest(ECDSA)))
    assert second["token"] == {"manufacturer": "m", "model": "o", "serial": "s", "label": "card"}


def test_a_wrong_pin_is_asked_for_three_times(tmp_path: Path) -> None:
    person = Person(pins=("1", "2", "3"))
    result = Rig(tmp_path, PIN_WANTED, PIN_WRONG, PIN_WRONG, PIN_WRONG).run(sign, person)
    assert isinstance(result, Failed)
    assert "the PIN of the token 'card' is wrong" in result.reason
    assert person.asked == ["card token"] * 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"trouble": "locked", "text": "the token has locked its PIN"}, "locked its PIN"),
        ({"trouble": "object", "text": "no private key"}, "no private key"),
        ({"trouble": "failed", "text": "DeviceError"}, "DeviceError"),
        ("die", "ended its process"),
        ("no json", "ended its process"),
        ("[1]", "ended its process"),
        ({"signature": ""}, "sent no signature"),
    ],
)
def test_what_goes_wrong_is_said(tmp_path: Path, answer: Any, said: str) -> None:
    result = Rig(tmp_path, answer).run(sign)
    assert isinstance(result, Failed)
    assert said in result.reason


def test_a_missing_token_is_asked_for_until_declined(tmp_path: Path) -> None:
    gone = {"trouble": "token", "text": "the token 'card' is not there"}
    person = Person(inserts=(True, False))
    result = Rig(tmp_path, gone, gone).run(sign, person)
    assert isinstance(result, Failed)
    assert person.asked == ["token-insertion-request: Please insert card token"] * 2


def test_a_question_taken_back_ends_the_worker(tmp_path: Path) -> None:
    class Silent(Person):
        async def passphrase(self, type_name: str) -> Secret:
            await asyncio.Event().wait()
            raise AssertionError

    async def work(tokens: Tokens) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sign(tokens), 1.0)

    Rig(tmp_path, PIN_WANTED).run(work, Silent())


@pytest.mark.parametrize(
    ("scheme", "content"),
    [
        (Scheme.RSA_PKCS1, digest_info(ECDSA)),
        (Scheme.RSA_PSS, digest(ECDSA)),
        (Scheme.ED25519, b"m"),
    ],
)
def test_what_the_token_is_given(tmp_path: Path, scheme: Scheme, content: bytes) -> None:
    request = SignatureRequest(scheme=scheme, hash_name="SHA256", message=b"m", key_bytes=256)
    rig = Rig(tmp_path, {"signature": b64(b"raw")})
    assert rig.run(lambda tokens: tokens.sign(NAME, request)) == Signature(signature=b"raw")
    (heard,) = rig.heard
    assert (heard["scheme"], heard["data"]) == (scheme.value, b64(content))


def test_the_certificate_comes_as_a_file_would(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"der": b64(b"\x30" * 100)})
    content = rig.run(lambda tokens: tokens.certificate(NAME))
    assert content.content.reveal().startswith(b"-----BEGIN CERTIFICATE-----\nMDAw")
    with pytest.raises(ConfigError, match="cannot load certificate"):
        Rig(tmp_path, {"trouble": "object", "text": "none"}).run(lambda t: t.certificate(NAME))


def test_the_management_client_chooses_among_what_there_is(tmp_path: Path) -> None:
    person = Person()
    person.choice = render_object_id(NAME)
    found = [[["m", "o", "s", "card"], b64(NAME.id), b64(b"der")]]
    options = Pkcs11Options(id_management=True)
    chosen = Rig(tmp_path, {"found": found}).run(lambda t: t.chosen(), person, options)
    assert chosen == NAME
    assert person.offered == [(render_object_id(NAME), b"der")]
    assert person.asked == ["pkcs11-id-request: Please specify PKCS#11 id to use"]


def test_a_hidden_list_takes_a_pin(tmp_path: Path) -> None:
    person = Person(pins=("1234",))
    rig = Rig(tmp_path, {"needs_pin": "card"}, {"found": []})
    assert rig.run(lambda tokens: tokens.certificates(), person) == []
    assert rig.heard[1]["pins"] == {"card": "1234"}


def test_an_id_that_is_none_is_refused() -> None:
    async def work() -> None:
        await Tokens(Pkcs11Options(id="x"), Person(), lambda _line: None).chosen()

    with pytest.raises(ConfigError, match="--show-pkcs11-ids"):
        asyncio.run(work())


def test_a_module_that_does_not_load_is_named(tmp_path: Path) -> None:
    rig = Rig(tmp_path, SIGNED, failed=[["/x.so", "cannot open"]])
    rig.run(sign, options=Pkcs11Options(providers=("/x.so",)))
    assert [line.text for line in rig.lines] == [
        "PKCS#11: Adding PKCS#11 provider '/x.so'",
        "WARNING: PKCS#11: Cannot initialize provider '/x.so': cannot open",
    ]


def test_a_worker_that_cannot_start_is_an_error() -> None:
    async def work(argv: tuple[str, ...]) -> None:
        tokens = Tokens(Pkcs11Options(), Person(), lambda _line: None, worker=argv)
        await tokens.certificates()

    for argv, said in ((("/no/such",), "cannot be started"), (("/bin/false",), "did not start")):
        with pytest.raises(ConfigError, match=said):
            asyncio.run(work(argv))


def test_tokens_sign_with_every_padding() -> None:
    assert token_key().rsa_pss
    assert token_key().option == "pkcs11-id"
