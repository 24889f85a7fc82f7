"""The worker's decisions about sessions, logins and errors, with modules that only pretend."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pkcs11
import pytest
from pkcs11.exceptions import DeviceRemoved, PinIncorrect, PinLocked, PKCS11Error

from ginnel.shell.token_worker import Worker, answer

TOKEN = {"manufacturer": "m", "model": "o", "serial": "s", "label": "card"}
ID = base64.b64encode(b"\x01").decode()
SETUP = {
    "providers": ["/module.so"],
    "protected_authentication": [],
    "cert_private": [],
    "pin_cache": -1,
}


@dataclass
class FakeObject:
    attributes: dict[Any, Any]
    signed: list[Any] = field(default_factory=list)
    error: Exception | None = None

    def __getitem__(self, name: Any) -> Any:
        if name not in self.attributes:
            raise PKCS11Error("no such attribute")
        return self.attributes[name]

    def sign(self, content: bytes, **options: Any) -> bytes:
        if self.error is not None:
            raise self.error
        self.signed.append((content, options))
        return b"signature"


class FakeToken:
    """A token and its sessions in one."""

    manufacturer_id, model, serial, label = "m", "o", b"s", "card"
    flags = pkcs11.TokenFlag.TOKEN_INITIALIZED | pkcs11.TokenFlag.LOGIN_REQUIRED

    def __init__(self) -> None:
        self.key = FakeObject({})
        self.opened: list[Any] = []
        self.refuse: Exception | None = None
        self.there = True
        self.objects: dict[Any, list[FakeObject]] = {
            pkcs11.ObjectClass.CERTIFICATE: [
                FakeObject({pkcs11.Attribute.ID: b"\x01", pkcs11.Attribute.VALUE: b"der"})
            ],
            pkcs11.ObjectClass.PRIVATE_KEY: [self.key],
        }

    def get_token(self) -> "FakeToken":
        return self

    def get_slots(self, token_present: bool) -> list["FakeToken"]:
        assert token_present
        return [self] if self.there else []

    def open(self, user_pin: Any = None) -> "FakeToken":
        self.opened.append(user_pin)
        if user_pin is not None and self.refuse is not None:
            raise self.refuse
        return self

    def close(self) -> None:
        self.opened.append("closed")

    def get_objects(self, wanted: dict[Any, Any]) -> list[FakeObject]:
        return self.objects[wanted[pkcs11.Attribute.CLASS]]


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> FakeToken:
    fake = FakeToken()
    monkeypatch.setattr(pkcs11, "lib", lambda _path: fake)
    return fake


def ready(**setup: Any) -> Worker:
    worker = Worker(SETUP | setup)
    assert worker.load({}) == {"failed": []}
    return worker


def ask(worker: Worker, do: str, **more: Any) -> dict[str, Any]:
    request = {"do": do, "token": TOKEN, "id": ID, **more}
    return answer(worker, json.dumps(request).encode())


def sign(worker: Worker, **more: Any) -> dict[str, Any]:
    content = base64.b64encode(b"digest").decode()
    wanted = {"scheme": "ECDSA", "hash": "SHA256", "salt": 32, "data": content}
    return ask(worker, "sign", **(wanted | more))


def test_certificates_need_no_login(token: FakeToken) -> None:
    worker = ready()
    der = base64.b64encode(b"der").decode()
    assert ask(worker, "certificate") == {"der": der}
    assert ask(worker, "list") == {"found": [[["m", "o", "s", "card"], ID, der]]}
    assert token.opened == [None]


def test_hidden_certificates_do(token: FakeToken) -> None:
    worker = ready(cert_private=[True])
    assert ask(worker, "list") == {"needs_pin": "card"}
    assert ask(worker, "certificate") == {"trouble": "pin", "text": "card"}
    assert "found" in ask(worker, "list", pins={"card": "1234"})
    assert token.opened == ["1234"]


def test_a_signature_needs_a_login_that_lasts(token: FakeToken) -> None:
    worker = ready()
    assert sign(worker) == {"trouble": "pin", "text": "card"}
    assert sign(worker, pin="1234") == {"signature": base64.b64encode(b"signature").decode()}
    assert "signature" in sign(worker)
    assert token.opened == ["1234"]
    assert token.key.signed[0] == (b"digest", {"mechanism": pkcs11.Mechanism.ECDSA})


def test_a_login_ends_with_the_cache(token: FakeToken) -> None:
    worker = ready(pin_cache=0)
    assert "signature" in sign(worker, pin="1234")
    assert sign(worker)["trouble"] == "pin"
    assert token.opened == ["1234", "closed"]


def test_pss_names_hash_and_salt(token: FakeToken) -> None:
    for name, number in (("SHA1", "SHA_1"), ("SHA256", "SHA256")):
        sign(ready(), pin="1", scheme="RSA_PSS", hash=name)
        _, options = token.key.signed[-1]
        assert options["mechanism"] is pkcs11.Mechanism.RSA_PKCS_PSS
        assert options["mechanism_param"] == (
            pkcs11.Mechanism[number],
            pkcs11.MGF[name],
            32,
        )


def test_a_key_that_wants_the_pin_each_time_gets_it(token: FakeToken) -> None:
    token.key.attributes[pkcs11.Attribute.ALWAYS_AUTHENTICATE] = True
    worker = ready()
    sign(worker, pin="1234")
    assert token.key.signed[-1][1]["pin"] == "1234"
    assert sign(worker)["trouble"] == "pin"


def test_a_device_that_asks_for_the_pin_itself(token: FakeToken) -> None:
    token.flags |= pkcs11.TokenFlag.PROTECTED_AUTHENTICATION_PATH
    assert "signature" in sign(ready(protected_authentication=[True]))
    assert token.opened == [pkcs11.PROTECTED_AUTH]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PinIncorrect(), "wrong-pin"),
        (PinLocked(), "locked"),
        (DeviceRemoved(), "token"),
        (PKCS11Error("odd"), "failed"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_errors_become_answers(token: FakeToken, error: Exception, kind: str) -> None:
    token.refuse = error
    assert sign(ready(), pin="1")["trouble"] == kind
    token.refuse, token.key.error = None, error
    assert sign(ready(), pin="1")["trouble"] == kind


def test_what_is_not_there(token: FakeToken) -> None:
    worker = ready()
    token.objects = {kind: [] for kind in token.objects}
    assert ask(worker, "certificate")["trouble"] == "object"
    assert sign(worker, pin="1")["trouble"] == "object"
    token.there = False
    assert ask(worker, "certificate")["trouble"] == "token"


def test_a_module_that_does_not_load_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: str) -> Any:
        raise PKCS11Error(f"cannot open {path}")

    monkeypatch.setattr(pkcs11, "lib", broken)
    (failed,) = Worker(SETUP).load({})["failed"]
    assert failed[0] == "/module.so"
    assert "cannot open" in failed[1]
