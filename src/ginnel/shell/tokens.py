"""Certificates and signatures of PKCS#11 tokens, and what people are asked on the way.

The modules live in a process of their own (``token_worker``); this starts it when it is needed,
speaks to it, and asks for PINs and for tokens that are not inserted. One request at a time.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.actions import ActionResult, Failed, Signature
from ginnel.core.errors import ConfigError
from ginnel.core.padding import digest, digest_info
from ginnel.core.signing import OutsideKey, Scheme, SignatureRequest
from ginnel.core.token_id import ObjectId, TokenId, parse_object_id, render_object_id
from ginnel.dataclass import dataclass
from ginnel.hints import Any
from ginnel.options.apply_identity import DEFAULT_PROVIDER
from ginnel.options.model import Pkcs11Options
from ginnel.options.values import FileContent, Origin, Secret
from ginnel.shell.frontend import Frontend
from ginnel.shell.parking import ThreadStacks
from ginnel.shell.prompt import ask, console

# ``Any``: what JSON holds.

PIN_TRIES = 3
"""How often a PIN is asked for, as OpenVPN does; a token may lock itself soon after."""

_CHOOSE = "Please specify PKCS#11 id to use"
# -P: as root it must not run what lies in the directory that this was started in.
WORKER = (sys.executable, "-P", "-m", "ginnel.shell.token_worker")
MAX_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCertificate:
    """A certificate that a token holds."""

    name: ObjectId
    der: bytes

    @property
    def id(self) -> str:
        return render_object_id(self.name)


class Refusal(Exception):
    """The worker's trouble: see ``token_worker.Trouble``."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class Tokens:
    """All modules of one configuration. Owns the worker process."""

    def __init__(
        self,
        options: Pkcs11Options,
        frontend: Frontend,
        log: Callable[[LogLine], None],
        *,
        worker: Sequence[str] = WORKER,
    ) -> None:
        self._options = options
        self._frontend = frontend
        self._log = log
        self._worker = worker
        self._process: asyncio.subprocess.Process | None = None
        self._busy = asyncio.Lock()

    async def certificates(self) -> list[TokenCertificate]:
        """Everything that can be seen. Raises ConfigError."""
        pins: dict[str, str] = {}
        while True:
            async with self._busy:
                answer = await self._call({"do": "list", "pins": pins})
            if "needs_pin" not in answer:
                break
            label = answer["needs_pin"]
            pins[label] = (await self._pin(label)).reveal().decode()
        return [
            TokenCertificate(
                name=ObjectId(token=_token(texts), id=base64.b64decode(number)),
                der=base64.b64decode(der),
            )
            for texts, number, der in answer["found"]
        ]

    async def chosen(self) -> ObjectId:
        """The id that options name, or that the management client chooses. Raises ConfigError."""
        text = self._options.id
        if text is None:
            self._frontend.offer_token_ids(
                [(found.id, found.der) for found in await self.certificates()]
            )
            text = await self._frontend.text("pkcs11-id-request", _CHOOSE)
        try:
            return parse_object_id(text)
        except ValueError as wrong:
            raise ConfigError(
                f"pkcs11-id: '{text}' is no id of a certificate ({wrong}): --show-pkcs11-ids "
                "lists them",
                option="pkcs11-id",
            ) from wrong

    async def certificate(self, name: ObjectId) -> FileContent:
        """The certificate as a file would give it. Raises ConfigError."""
        try:
            answer = await self._ask_people({"do": "certificate"}, name)
        except Refusal as refused:
            raise ConfigError(
                f'pkcs11-id: cannot load certificate "{render_object_id(name)}" using PKCS#11 '
                f"interface: {refused.text}",
                option="pkcs11-id",
            ) from refused
        body = base64.encodebytes(base64.b64decode(answer["der"])).decode()
        pem = f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"
        return FileContent(
            option="pkcs11-id",
            origin=Origin("PKCS#11", 0),
            path=None,
            content=Secret(pem.encode()),
        )

    async def sign(self, name: ObjectId, request: SignatureRequest) -> ActionResult:
        """Signs; asks for the PIN and for the token."""
        try:
            wanted = _request(request)
            answer = await self._ask_people(wanted, name)
            return Signature(signature=_signature(request, base64.b64decode(answer["signature"])))
        except Refusal as refused:
            return Failed(reason=f"PKCS#11: {refused.text}")
        except (ConfigError, ValueError) as error:
            return Failed(reason=str(error))

    async def close(self) -> None:
        """Ends the worker, which ends its sessions."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            assert process.stdin is not None, "it was made with one"
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 2.0)
            except TimeoutError:
                process.kill()
                await process.wait()

    # --- people --------------------------------------------------------------------------------

    async def _ask_people(self, wanted: dict[str, Any], name: ObjectId) -> dict[str, Any]:
        """Repeats a request with what was missing. Raises Refusal, ConfigError."""
        token = name.token
        request = wanted | {
            "token": {
                "manufacturer": token.manufacturer,
                "model": token.model,
                "serial": token.serial,
                "label": token.label,
            },
            "id": base64.b64encode(name.id).decode(),
        }
        tries = 0
        async with self._busy:
            while True:
                answer = await self._call(request)
                match answer.get("trouble"):
                    case None:
                        return answer
                    case "pin" | "wrong-pin" if tries < PIN_TRIES:
                        tries += 1
                        entered = await self._pin(token.label)
                        request["pin"] = entered.reveal().decode("utf-8", "surrogateescape")
                    case "wrong-pin" | "pin":
                        raise Refusal("pin", f"the PIN of the token '{token.label}' is wrong")
                    case "token":
                        if not await self._insert(token.label):
                            raise Refusal("token", answer["text"])
                    case kind:
                        raise Refusal(str(kind), answer["text"])

    async def _pin(self, label: str) -> Secret:
        """Asks for a PIN, in OpenVPN's words."""
        if self._frontend.asks_passwords:
            return await self._frontend.passphrase(f"{label} token")
        with console("pkcs11-id") as place:
            question = f"Enter {label} token Password: "
            return await ask(place, question, echo=False, option="pkcs11-id", what="PIN")

    async def _insert(self, label: str) -> bool:
        """Asks to insert a token; False when that was declined."""
        text = f"Please insert {label} token"
        if self._frontend.asks_passwords:
            return await self._frontend.confirm("token-insertion-request", text)
        with console("pkcs11-id") as place:
            question = f"NEED-OK|token-insertion-request|{text}:"
            entered = await ask(place, question, echo=True, option="pkcs11-id", what="answer")
            return entered.reveal().strip() in {b"", b"ok"}

    # --- the worker ----------------------------------------------------------------------------

    async def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Asks the worker; one that died is started anew next time. Raises ConfigError."""
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await self._start()
        answer = await self._exchange(process, request)
        if answer is None:
            await self._end(process)
            return {"trouble": "failed", "text": "the PKCS#11 module ended its process"}
        return answer

    async def _exchange(
        self, process: asyncio.subprocess.Process, request: dict[str, Any]
    ) -> dict[str, Any] | None:
        assert process.stdin is not None, "it was made with one"
        assert process.stdout is not None, "it was made with one"
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
            return dict(json.loads(line))
        except asyncio.CancelledError:
            # Its answer would be taken for that of the next question.
            await self._end(process)
            raise
        except (OSError, TypeError, ValueError):
            return None

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._process = None
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        if find_spec("pkcs11") is None:
            raise ConfigError(
                "PKCS#11 needs the Python package python-pkcs11: install 'ginnel[pkcs11]'",
                option="pkcs11-providers",
            )
        options = self._options
        providers = options.providers or (DEFAULT_PROVIDER,)
        setup = {
            "providers": providers,
            "protected_authentication": options.protected_authentication,
            "cert_private": options.cert_private,
            "pin_cache": options.pin_cache,
        }
        for path in providers:
            self._log(LogLine(text=f"PKCS#11: Adding PKCS#11 provider '{path}'", verb=1))
        try:
            process = await asyncio.create_subprocess_exec(
                *self._worker,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=MAX_ANSWER,
            )
        except OSError as error:
            raise ConfigError(
                f"the PKCS#11 process cannot be started: {error}", option="pkcs11-providers"
            ) from error
        assert process.stdin is not None, "it was made with one"
        process.stdin.write(json.dumps(setup).encode() + b"\n")
        loaded = await self._exchange(process, {"do": "load"})
        if loaded is None:
            await self._end(process)
            raise ConfigError("the PKCS#11 process did not start", option="pkcs11-providers")
        for path, why in loaded["failed"]:
            self._log(shell_lines.warning(f"PKCS#11: Cannot initialize provider '{path}': {why}"))
        return process


class TokenSigner:
    """``external_key.Signer`` for one private key on a token."""

    def __init__(self, tokens: Tokens, name: ObjectId) -> None:
        self._tokens = tokens
        self._name = name

    async def sign(self, request: SignatureRequest) -> ActionResult:
        return await self._tokens.sign(self._name, request)


def token_key() -> OutsideKey:
    """What the TLS context has to know about a key on a token."""
    return OutsideKey(stacks=ThreadStacks(), option="pkcs11-id")


def _token(texts: list[str]) -> TokenId:
    manufacturer, model, serial, label = texts
    return TokenId(manufacturer=manufacturer, model=model, serial=serial, label=label)


def _request(request: SignatureRequest) -> dict[str, Any]:
    """What the token is given: most hash nothing themselves."""
    match request.scheme:
        case Scheme.RSA_PKCS1:
            content = digest_info(request)
        case Scheme.RSA_PSS | Scheme.ECDSA:
            content = digest(request)
        case _:
            content = request.message
    return {
        "do": "sign",
        "scheme": request.scheme.value,
        "hash": request.hash_name,
        "salt": len(content),
        "data": base64.b64encode(content).decode(),
    }


def _signature(request: SignatureRequest, raw: bytes) -> bytes:
    """Tokens give the two numbers of ECDSA side by side, TLS wants them in DER."""
    if request.scheme is not Scheme.ECDSA:
        return raw
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    half = len(raw) // 2
    if not half:
        raise ValueError("PKCS#11: the token sent no signature")
    return encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )
