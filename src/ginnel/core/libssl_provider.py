"""A provider for OpenSSL 3 whose keys cannot leave their owner: signing asks somebody else.

OpenSSL calls it back for two things only: what a key is (answered from the public key of the
certificate) and a signature (answered by whoever the running handshake named with ``asking``).
Everything else, such as checking the peer's signature, stays with the library's own provider.
A callback must not raise into C: each one answers 0, "failed", instead.
"""

import ctypes
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_size_t, c_uint, c_void_p
from functools import cache

from ginnel.core.errors import ConfigError
from ginnel.core.libssl import LibSsl, load_libssl, text
from ginnel.core.signing import Ask, Scheme, SignatureRequest
from ginnel.dataclass import dataclass
from ginnel.hints import Any

NAME = b"ginnel.outside"
DEFAULT_PROPERTIES = b"?provider!=ginnel.outside"
"""Our methods are taken only where the key is ours."""

# core_dispatch.h of OpenSSL 3.0; these numbers are part of its stable interface.
_OP_KEYMGMT, _OP_SIGNATURE = 10, 12
_PROVIDER_TEARDOWN, _PROVIDER_QUERY = 1024, 1027
_KEY_NEW, _KEY_FREE, _KEY_GET, _KEY_GETTABLE = 1, 10, 11, 12
_KEY_OPERATION, _KEY_HAS, _KEY_MATCH, _KEY_IMPORT, _KEY_IMPORT_TYPES = 20, 21, 23, 40, 41
_KEY_EXPORT, _KEY_EXPORT_TYPES = 42, 43
_SIGN_NEW, _SIGN_DIGEST_INIT, _SIGN_DIGEST, _SIGN_FREE = 1, 8, 11, 16
_SIGN_SET, _SIGN_SETTABLE = 20, 21
_PRIVATE_KEY, _KEY_PAIR = 0x01, 0x87
_INTEGER, _UNSIGNED, _UTF8, _OCTETS = 1, 2, 4, 5

_KEY_NUMBER = b"ginnel-key"
"""The parameter that an EVP_PKEY of ours is made from: a number of ``_Provider.keys``."""

_ALGORITHMS: tuple[tuple[bytes, bytes, tuple[Scheme, ...]], ...] = (
    (
        b"RSA:rsaEncryption:1.2.840.113549.1.1.1",
        b"RSA:rsaEncryption:1.2.840.113549.1.1.1",
        (Scheme.RSA_PKCS1, Scheme.RSA_PSS),
    ),
    (b"EC:id-ecPublicKey:1.2.840.10045.2.1", b"ECDSA", (Scheme.ECDSA,)),
    (b"ED25519:1.3.101.112", b"ED25519:1.3.101.112", (Scheme.ED25519,)),
    (b"ED448:1.3.101.113", b"ED448:1.3.101.113", (Scheme.ED448,)),
)
_HASHES = {
    "SHA2-224": "SHA224",
    "SHA2-256": "SHA256",
    "SHA2-384": "SHA384",
    "SHA2-512": "SHA512",
    "SHA-1": "SHA1",
}

_ask: ContextVar[Ask | None] = ContextVar("ask", default=None)


@contextmanager
def asking(ask: Ask) -> Iterator[None]:
    """Names who signs for the handshake that runs inside."""
    token = _ask.set(ask)
    try:
        yield
    finally:
        _ask.reset(token)


class _Parameter(ctypes.Structure):
    _fields_ = (
        ("key", c_char_p),
        ("data_type", c_uint),
        ("data", c_void_p),
        ("data_size", c_size_t),
        ("return_size", c_size_t),
    )


class _Dispatch(ctypes.Structure):
    _fields_ = (("function_id", c_int), ("function", c_void_p))


class _Algorithm(ctypes.Structure):
    _fields_ = (
        ("names", c_char_p),
        ("properties", c_char_p),
        ("implementation", c_void_p),
        ("description", c_char_p),
    )


_Parameters = POINTER(_Parameter)


@dataclass(slots=True)
class _Signing:
    """One EVP signature context."""

    schemes: tuple[Scheme, ...]
    key: int = 0
    hash_name: str = ""
    pss: bool = False


class _Provider:
    """The one provider of this process, with everything that C points to kept alive."""

    def __init__(self, lib: LibSsl) -> None:
        self.lib = lib
        self.keys: dict[int, int] = {}
        """Public key (EVP_PKEY) by number."""
        self._signing: dict[int, _Signing] = {}
        self._held: dict[int, int] = {}
        """The number of the public key by the handle that OpenSSL holds."""
        self._numbers = itertools.count(1)
        self._kept: list[object] = []
        keys = self._algorithms(
            [(keys, self._key_functions(signs)) for keys, signs, _ in _ALGORITHMS]
        )
        signatures = self._algorithms(
            [(names, self._signature_functions(schemes)) for _, names, schemes in _ALGORITHMS]
        )
        operations = {_OP_KEYMGMT: keys, _OP_SIGNATURE: signatures}

        def query(_context: object, operation: int, no_cache: int) -> int:
            ctypes.cast(no_cache, POINTER(c_int))[0] = 0
            return operations.get(operation, 0)

        functions = self._dispatch(
            {
                _PROVIDER_QUERY: _callback("ppip", query),
                _PROVIDER_TEARDOWN: _callback("vp", lambda _context: None),
            }
        )

        def start(_handle: object, _core: object, out: int, context: int) -> int:
            ctypes.cast(out, POINTER(c_void_p))[0] = functions
            ctypes.cast(context, POINTER(c_void_p))[0] = functions  # any value but NULL
            return 1

        self.entry = _callback("ipppp", start)
        self.context = lib.OSSL_LIB_CTX_new()
        loaded = (
            lib.OSSL_PROVIDER_add_builtin(self.context, NAME, self.entry)
            and lib.OSSL_PROVIDER_load(self.context, b"default")
            and lib.OSSL_PROVIDER_load(self.context, NAME)
            and lib.EVP_set_default_properties(self.context, DEFAULT_PROPERTIES)
        )
        if not loaded:
            raise ConfigError(f"the system's OpenSSL refuses outside keys: {lib.error_reason()}")

    def make_key(self, public_key: int, kind: bytes) -> int:
        """Makes an EVP_PKEY for a public key, which it takes over; 0 when that fails."""
        lib = self.lib
        number = next(self._numbers)
        self.keys[number] = public_key
        value = ctypes.c_uint64(number)
        parameters = (_Parameter * 2)(
            _Parameter(_KEY_NUMBER, _UNSIGNED, ctypes.addressof(value), 8, 0), _Parameter()
        )
        made = c_void_p()
        maker = lib.EVP_PKEY_CTX_new_from_name(self.context, kind, b"provider=" + NAME)
        if maker and lib.EVP_PKEY_fromdata_init(maker) == 1:
            lib.EVP_PKEY_fromdata(maker, ctypes.byref(made), _KEY_PAIR, parameters)
        lib.EVP_PKEY_CTX_free(maker)
        if not made.value:
            lib.EVP_PKEY_free(self.keys.pop(number))
        return made.value or 0

    # --- tables for C --------------------------------------------------------------------------

    def _dispatch(self, functions: dict[int, object]) -> int:
        table = (_Dispatch * (len(functions) + 1))()
        for place, (number, function) in enumerate(functions.items()):
            address = ctypes.cast(function, c_void_p).value  # type: ignore[arg-type] # a CFUNCTYPE
            table[place] = _Dispatch(number, address)
        self._kept += (table, functions)
        return ctypes.addressof(table)

    def _algorithms(self, entries: list[tuple[bytes, int]]) -> int:
        table = (_Algorithm * (len(entries) + 1))()
        for place, (names, implementation) in enumerate(entries):
            table[place] = _Algorithm(names, b"provider=" + NAME, implementation, None)
        self._kept.append(table)
        return ctypes.addressof(table)

    def _types(self, *entries: tuple[bytes, int]) -> int:
        table = (_Parameter * (len(entries) + 1))()
        for place, (name, kind) in enumerate(entries):
            table[place] = _Parameter(name, kind, None, 0, 0)
        self._kept.append(table)
        return ctypes.addressof(table)

    # --- keys ----------------------------------------------------------------------------------

    def _key_functions(self, signature: bytes) -> int:
        name = ctypes.create_string_buffer(signature.partition(b":")[0])
        self._kept.append(name)
        known = self._types(
            (b"bits", _INTEGER),
            (b"security-bits", _INTEGER),
            (b"max-size", _INTEGER),
            (b"group", _UTF8),
            (b"default-digest", _UTF8),
            (b"mandatory-digest", _UTF8),
            (b"point-format", _UTF8),
        )
        ours = self._types((_KEY_NUMBER, _UNSIGNED))
        public = self._types((b"pub", _OCTETS), (b"n", _UNSIGNED), (b"e", _UNSIGNED))
        return self._dispatch(
            {
                _KEY_NEW: _callback("pp", self._new_key),
                _KEY_FREE: _callback("vp", self._free_key),
                _KEY_GET: _callback("ipp", self._describe_key),
                _KEY_GETTABLE: _callback("pp", lambda _context: known),
                _KEY_OPERATION: _callback("pi", lambda _operation: ctypes.addressof(name)),
                _KEY_HAS: _callback("ipi", lambda _key, _what: 1),
                _KEY_MATCH: _callback("ippi", self._match_keys),
                _KEY_IMPORT: _callback("ipip", self._import_key),
                _KEY_IMPORT_TYPES: _callback("pi", lambda _what: ours),
                _KEY_EXPORT: _callback("ipipp", self._export_key),
                _KEY_EXPORT_TYPES: _callback("pi", lambda _what: public),
            }
        )

    def _new_key(self, _context: int) -> int:
        handle = next(self._numbers)
        self._held[handle] = 0
        return handle

    def _free_key(self, handle: int) -> None:
        number = self._held.pop(handle, 0)
        self.lib.EVP_PKEY_free(self.keys.pop(number, 0))

    def _public(self, handle: int) -> int:
        return self.keys.get(self._held.get(handle, 0), 0)

    def _import_key(self, handle: int, _what: int, parameters: int) -> int:
        for name, value in _read_parameters(parameters):
            if name == _KEY_NUMBER and isinstance(value, int) and value in self.keys:
                self._held[handle] = value
                return 1
        return 0

    def _describe_key(self, handle: int, parameters: int) -> int:
        return self.lib.EVP_PKEY_get_params(self._public(handle), parameters)

    def _match_keys(self, one: int, other: int, _what: int) -> int:
        return int(self.lib.EVP_PKEY_eq(self._public(one), self._public(other)) == 1)

    def _export_key(self, handle: int, what: int, take: int, argument: int) -> int:
        if what & _PRIVATE_KEY:  # also keeps the default provider from signing in our place
            return 0
        return self.lib.EVP_PKEY_export(self._public(handle), what, take, argument)

    # --- signatures ----------------------------------------------------------------------------

    def _signature_functions(self, schemes: tuple[Scheme, ...]) -> int:
        settable = self._types((b"pad-mode", _UTF8), (b"saltlen", _UTF8), (b"mgf1-digest", _UTF8))

        def new(_context: int, _properties: int) -> int:
            handle = next(self._numbers)
            self._signing[handle] = _Signing(schemes)
            return handle

        def free(handle: int) -> None:
            self._signing.pop(handle, None)

        return self._dispatch(
            {
                _SIGN_NEW: _callback("ppp", new),
                _SIGN_FREE: _callback("vp", free),
                _SIGN_DIGEST_INIT: _callback("ipppp", self._begin),
                _SIGN_SET: _callback("ipp", self._set),
                _SIGN_SETTABLE: _callback("ppp", lambda _handle, _context: settable),
                _SIGN_DIGEST: _callback("ipppZpZ", self._sign),
            }
        )

    def _begin(self, handle: int, digest: int, key: int, parameters: int) -> int:
        signing = self._signing[handle]
        name = text(digest).upper()
        signing.key, signing.hash_name = key, _HASHES.get(name, name)
        return self._set(handle, parameters)

    def _set(self, handle: int, parameters: int) -> int:
        for name, value in _read_parameters(parameters):
            if name == b"pad-mode":
                if value not in ("pss", "pkcs1", 6, 1):
                    return 0
                self._signing[handle].pss = value in ("pss", 6)
            elif name == b"saltlen" and value not in ("digest", -1):
                return 0  # TLS knows no other length
        return 1

    def _sign(  # noqa: PLR0917 -- C's signature
        self, handle: int, out: int, length: int, room: int, message: int, message_length: int
    ) -> int:
        signing = self._signing[handle]
        size = self.lib.EVP_PKEY_get_size(self._public(signing.key))
        written = ctypes.cast(length, POINTER(c_size_t))
        if not out:
            written[0] = size
            return 1
        ask = _ask.get()
        if ask is None:
            return 0
        signature = ask(
            SignatureRequest(
                scheme=signing.schemes[-1] if signing.pss else signing.schemes[0],
                hash_name=signing.hash_name,
                message=ctypes.string_at(message, message_length),
                key_bytes=size,
            )
        )
        if not signature or len(signature) > min(size, room):
            return 0
        ctypes.memmove(out, signature, len(signature))
        written[0] = len(signature)
        return 1


@cache
def outside_provider() -> _Provider:
    """The provider in its library context, made once. Raises ConfigError."""
    return _Provider(load_libssl())


_TYPES: "dict[str, type[ctypes._SimpleCData[Any]] | None]" = {
    "p": c_void_p,
    "i": c_int,
    "Z": c_size_t,
    "v": None,
}


def _callback(signature: str, function: Callable[..., int | None]) -> object:
    """Wraps a function for C: result and arguments by letters. Whatever it raises becomes 0."""
    result, *arguments = (_TYPES[letter] for letter in signature)
    taken = [argument for argument in arguments if argument is not None]

    def call(*values: int | None) -> int | None:
        try:
            return function(*(value or 0 for value in values))
        except Exception:
            return 0

    return CFUNCTYPE(result, *taken)(call)


def _read_parameters(address: int) -> Iterator[tuple[bytes, int | str]]:
    """Reads an array of OSSL_PARAM as far as it holds numbers and texts."""
    if not address:
        return
    parameters = ctypes.cast(address, _Parameters)
    for place in itertools.count():
        entry = parameters[place]
        if entry.key is None:
            return
        content = ctypes.string_at(entry.data, entry.data_size) if entry.data else b""
        if entry.data_type == _UTF8:
            yield entry.key, content.partition(b"\0")[0].decode("ascii", "replace")
        elif entry.data_type in {_INTEGER, _UNSIGNED}:
            number = int.from_bytes(content, sys.byteorder, signed=entry.data_type == _INTEGER)
            yield entry.key, number
