"""The process that PKCS#11 modules are loaded into: foreign code, kept apart from ours.

It is started anew with nothing of this program in its memory, talks over its standard input and
output in lines of JSON, and can be killed when a module hangs. It keeps sessions, and with them the
login, for as long as ``pkcs11-pin-cache`` says. A PIN is used at once and never kept. Messages of
a module go to standard error.
"""

import base64
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator

import pkcs11
from pkcs11.exceptions import PKCS11Error

from ginnel.core.token_id import TokenId
from ginnel.hints import Any
from ginnel.host.privileges import confine_modules

# ``Any``: what JSON and the modules' attributes hold.

_PIN_ERRORS = ("PinIncorrect", "PinInvalid", "PinLenRange")
_GONE = ("DeviceRemoved", "SessionClosed", "SessionHandleInvalid", "TokenNotPresent")
_SCHEMES = {
    "RSA_PKCS1": "RSA_PKCS",
    "RSA_PSS": "RSA_PKCS_PSS",
    "ECDSA": "ECDSA",
    "ED25519": "EDDSA",
    "ED448": "EDDSA",
}


class Trouble(Exception):
    """Answered with its kind: ``pin``, ``token`` or ``object``."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class Worker:
    """The modules and the sessions with their tokens."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._setup = setup
        self._sessions: dict[TokenId, Any] = {}
        self._until: dict[TokenId, float] = {}
        self._modules: list[tuple[str, Any]] = []

    def load(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Loads every module; one that cannot be loaded is reported and left out."""
        failed = []
        for path in self._setup["providers"]:
            try:
                self._modules.append((path, pkcs11.lib(path)))
            except (PKCS11Error, RuntimeError, OSError) as error:
                failed.append([path, _words(error)])
        return {"failed": failed}

    def list_ids(self, request: dict[str, Any]) -> dict[str, Any]:
        """Every certificate of every token: token, id and DER."""
        found = []
        for number, token in self._tokens():
            name = _name(token)
            if self._flag("cert_private", number) and name not in self._sessions:
                pin = request.get("pins", {}).get(token.label)
                if pin is None and not self._protected(number, token):
                    return {"needs_pin": token.label}
                self._login(number, token, pin)
            session = self._session(token)
            wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE}
            for certificate in list(session.get_objects(wanted)):
                with contextlib.suppress(PKCS11Error):
                    found.append(
                        [
                            [name.manufacturer, name.model, name.serial, name.label],
                            _encode(certificate[pkcs11.Attribute.ID]),
                            _encode(certificate[pkcs11.Attribute.VALUE]),
                        ]
                    )
        return {"found": found}

    def certificate(self, request: dict[str, Any]) -> dict[str, Any]:
        """One certificate; its token must be there."""
        number, token = self._find(request)
        if self._flag("cert_private", number):
            self._login(number, token, request.get("pin"))
        session = self._session(token)
        wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE,
            pkcs11.Attribute.ID: base64.b64decode(request["id"]),
        }
        for certificate in list(session.get_objects(wanted)):
            return {"der": _encode(certificate[pkcs11.Attribute.VALUE])}
        raise Trouble("object", "the token holds no certificate of that id")

    def sign(self, request: dict[str, Any]) -> dict[str, Any]:
        """Signs with the private key that belongs to a certificate."""
        number, token = self._find(request)
        pin = request.get("pin")
        self._login(number, token, pin)
        session = self._session(token)
        wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY,
            pkcs11.Attribute.ID: base64.b64decode(request["id"]),
        }
        keys = list(session.get_objects(wanted))
        if not keys:
            raise Trouble("object", "the token holds no private key of that id")
        mechanism = pkcs11.Mechanism[_SCHEMES[request["scheme"]]]
        options: dict[str, Any] = {"mechanism": mechanism}
        if request["scheme"] == "RSA_PSS":
            name = request["hash"]
            options["mechanism_param"] = (
                pkcs11.Mechanism[{"SHA1": "SHA_1"}.get(name, name)],
                pkcs11.MGF[name],
                request["salt"],
            )
        if _wants_pin_each_time(keys[0]) and not self._protected(number, token):
            if pin is None:
                raise Trouble("pin", token.label)
            options["pin"] = pin
        return {"signature": _encode(keys[0].sign(base64.b64decode(request["data"]), **options))}

    # --- tokens and logins ---------------------------------------------------------------------

    def _tokens(self) -> Iterator[tuple[int, Any]]:
        for number, (_path, module) in enumerate(self._modules):
            for slot in module.get_slots(token_present=True):
                token = slot.get_token()
                if token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED:
                    yield number, token

    def _find(self, request: dict[str, Any]) -> tuple[int, Any]:
        wanted = TokenId(**request["token"])
        for number, token in self._tokens():
            if _name(token) == wanted:
                return number, token
        self._forget(wanted)
        raise Trouble("token", f"the token '{wanted.label}' is not there")

    def _flag(self, name: str, number: int) -> bool:
        flags = self._setup[name]
        return bool(flags[number]) if number < len(flags) else False

    def _protected(self, number: int, token: Any) -> bool:
        on_device = bool(token.flags & pkcs11.TokenFlag.PROTECTED_AUTHENTICATION_PATH)
        return on_device and self._flag("protected_authentication", number)

    def _session(self, token: Any) -> Any:
        name = _name(token)
        if name not in self._sessions:
            self._sessions[name] = token.open()
        return self._sessions[name]

    def _login(self, number: int, token: Any, pin: str | None) -> None:
        """Makes sure of a login, as far as the token wants one; asks back for the PIN."""
        name = _name(token)
        until = self._until.get(name)
        if until is not None and time.monotonic() < until:
            return
        self._forget(name)
        if not token.flags & pkcs11.TokenFlag.LOGIN_REQUIRED:
            return
        if self._protected(number, token):
            self._sessions[name] = token.open(user_pin=pkcs11.PROTECTED_AUTH)
        elif pin is None:
            raise Trouble("pin", token.label)
        else:
            self._sessions[name] = token.open(user_pin=pin)
        seconds = self._setup["pin_cache"]
        self._until[name] = float("inf") if seconds < 0 else time.monotonic() + seconds

    def _forget(self, name: TokenId) -> None:
        """Ends the session: with the last one a token forgets the login."""
        self._until.pop(name, None)
        session = self._sessions.pop(name, None)
        if session is not None:
            with contextlib.suppress(PKCS11Error):
                session.close()

    def forget_all(self) -> None:
        for name in list(self._sessions):
            self._forget(name)


def _wants_pin_each_time(key: Any) -> bool:
    """Some keys, such as a card's for signing documents, are never unlocked for long."""
    try:
        return bool(key[pkcs11.Attribute.ALWAYS_AUTHENTICATE])
    except PKCS11Error:
        return False  # older modules do not know the attribute


def _name(token: Any) -> TokenId:
    serial = token.serial
    return TokenId(
        manufacturer=token.manufacturer_id,
        model=token.model,
        serial=serial.decode("utf-8", "surrogateescape") if isinstance(serial, bytes) else serial,
        label=token.label,
    )


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())[:300]


def answer(worker: Worker, line: bytes) -> dict[str, Any]:
    """Carries out one request; whatever goes wrong becomes an answer."""
    request = json.loads(line)
    operations = {
        "load": worker.load,
        "list": worker.list_ids,
        "certificate": worker.certificate,
        "sign": worker.sign,
    }
    try:
        return operations[request["do"]](request)
    except Trouble as trouble:
        return {"trouble": trouble.kind, "text": trouble.text}
    except PKCS11Error as error:
        worker.forget_all()
        kind = type(error).__name__
        if kind in _PIN_ERRORS:
            return {"trouble": "wrong-pin", "text": _words(error)}
        if kind == "PinLocked":
            return {"trouble": "locked", "text": "the token has locked its PIN"}
        return {"trouble": "token" if kind in _GONE else "failed", "text": _words(error)}
    except Exception as error:  # a module may do anything; the process goes on for the others
        return {"trouble": "failed", "text": _words(error)}


def main() -> None:
    """Serves until the input ends. The setup is the first line."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # a module that prints must not disturb the answers
    confine_modules()
    lines = iter(sys.stdin.buffer.readline, b"")
    worker = Worker(json.loads(next(lines)))
    for line in lines:
        out.write(json.dumps(answer(worker, line)).encode() + b"\n")
    worker.forget_all()


if __name__ == "__main__":
    main()
