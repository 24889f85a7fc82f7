"""A ``TlsChannel`` on the OpenSSL inside the cryptography wheel, through the wheel's own binding.

A server makes one for each negotiation of thousands of clients: here a handshake costs no Python
object for each call, and an idle session is an SSL object and little else. Contexts are made by
``tls_wheel``.
"""

from cryptography.hazmat.bindings._rust import _openssl

from ginnel.core.tls import READ_SIZE, Judge, TlsFailure, TlsPeer, Verdict
from ginnel.core.types import Side
from ginnel.hints import Any
from ginnel.options.values import Secret

# Not through the package's own module for this: that copies all five hundred functions at import.
lib: Any = _openssl.lib
ffi: Any = _openssl.ffi

_VERIFIED = 0
"""X509_V_OK."""

_TAKEN = 0
"""SSL_TLSEXT_ERR_OK."""

_room = ffi.new("char[]", READ_SIZE)
"""For what is read from the library, one call at a time; wiped after plaintext."""
_view = ffi.buffer(_room)
_zeros = bytes(READ_SIZE)

_judges: dict[int, Judge] = {}
"""Who judges the certificates of the handshake that the library is just now in, by SSL object."""


class WheelChannel:
    """See the module. Owns its SSL object until ``close``."""

    __slots__ = ("_established", "_in", "_judge", "_out", "_records", "_ssl")

    def __init__(self, context: Any, *, side: Side, judge: Judge, verify_mode: int) -> None:
        """``context`` is a pointer to an SSL_CTX; the session keeps it alive."""
        ssl = lib.SSL_new(context)
        if ssl == ffi.NULL:
            raise TlsFailure(first_error())
        self._ssl: Any = ffi.gc(ssl, lib.SSL_free)
        self._in, self._out = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
        lib.SSL_set_bio(ssl, self._in, self._out)  # freed with it
        lib.SSL_set_verify(ssl, verify_mode, _judge_current)
        self._judge = judge
        self._records: list[bytes] = []
        self._established = False
        if side is Side.CLIENT:
            lib.SSL_set_options(ssl, lib.SSL_OP_NO_TICKET)
            lib.SSL_set_connect_state(ssl)
        else:
            lib.SSL_set_accept_state(ssl)

    @property
    def established(self) -> bool:
        return self._established

    def start(self) -> None:
        self._handshake()

    def receive(self, ciphertext: bytes) -> None:
        self._check_open()
        if ciphertext:
            lib.BIO_write(self._in, ciphertext, len(ciphertext))
        if not self._established:
            self._handshake()
        if self._established:
            self._drain()

    def take(self, limit: int) -> bytes:
        if self._ssl is None:
            return b""
        count = lib.BIO_read(self._out, _room, min(limit, READ_SIZE))
        return _view[:count] if count > 0 else b""

    def write(self, plaintext: bytes | bytearray) -> None:
        self._check_open()
        lib.ERR_clear_error()
        size = len(plaintext)
        written = lib.SSL_write(self._ssl, ffi.from_buffer(plaintext), size)
        if written != size:
            raise self._failure(written)

    def read(self) -> list[bytes]:
        records, self._records = self._records, []
        return records

    def export(self, label: str, length: int) -> Secret:
        self._check_open()
        name, exported = label.encode("ascii"), ffi.new("unsigned char[]", length)
        done = lib.SSL_export_keying_material(
            self._ssl, exported, length, name, len(name), ffi.NULL, 0, 0
        )
        if done != 1:
            raise TlsFailure(first_error())
        view = ffi.buffer(exported)
        secret = Secret(bytearray(view))
        view[:] = bytes(length)
        return secret

    def peer(self) -> TlsPeer:
        self._check_open()
        cipher = lib.SSL_CIPHER_get_name(lib.SSL_get_current_cipher(self._ssl))
        return self._judge.describe(
            tls_version=text(lib.SSL_get_version(self._ssl)), cipher=text(cipher)
        )

    def take_verdicts(self) -> list[Verdict]:
        return self._judge.take_verdicts()

    def take_request(self) -> None:
        return None  # the key is in this process

    def supply(self, signature: bytes | None) -> None:
        """Nothing was asked for."""

    def close(self) -> None:
        self._records.clear()
        self._established = False
        ssl, self._ssl = self._ssl, None
        if ssl is not None:
            ffi.release(ssl)

    # --- the library ---------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._ssl is None:
            raise TlsFailure("the TLS session was closed")

    def _handshake(self) -> None:
        self._check_open()
        number = _number(self._ssl)
        _judges[number] = self._judge
        lib.ERR_clear_error()
        try:
            result = lib.SSL_do_handshake(self._ssl)
        finally:
            del _judges[number]
        if result == 1:
            self._judge.require_certificate()
            self._established = True
        elif lib.SSL_get_error(self._ssl, result) != lib.SSL_ERROR_WANT_READ:
            raise self._failure(result)

    def _drain(self) -> None:
        lib.ERR_clear_error()
        while (count := lib.SSL_read(self._ssl, _room, READ_SIZE)) > 0:
            self._records.append(_view[:count])
            _view[:count] = _zeros[:count]
        if lib.SSL_get_error(self._ssl, count) != lib.SSL_ERROR_WANT_READ:
            raise self._failure(count)

    def _failure(self, result: int) -> TlsFailure:
        error = lib.SSL_get_error(self._ssl, result)
        if error == lib.SSL_ERROR_ZERO_RETURN:
            return TlsFailure("the peer closed the TLS session")
        if error == lib.SSL_ERROR_SYSCALL:
            lib.ERR_clear_error()
            return TlsFailure("unexpected end of the TLS session")
        reason = first_error()
        return TlsFailure(reason, self._judge.hint(reason))


def _judge(preverified: int, store: Any) -> int:
    """The verify callback: one call for each certificate and for each chain error.

    What raises counts as a refusal: nothing is believed that went wrong.
    """
    try:
        ssl = lib.X509_STORE_CTX_get_ex_data(store, lib.SSL_get_ex_data_X509_STORE_CTX_idx())
        judge = _judges[_number(ssl)]
        error = 0 if preverified else lib.X509_STORE_CTX_get_error(store)
        accepted = judge(
            certificate_der(lib.X509_STORE_CTX_get_current_cert(store)),
            depth=lib.X509_STORE_CTX_get_error_depth(store),
            error_number=error,
            error_text=verify_error_text(error) if error else "",
        )
    except Exception:
        return 0
    if accepted and error:
        lib.X509_STORE_CTX_set_error(store, _VERIFIED)
    return int(accepted)


_judge_current = ffi.callback("int(int, X509_STORE_CTX *)", _judge, error=0)


def _forgo_tickets(ssl: Any, _alert: Any, _context: Any) -> int:
    """Has a server send no session tickets, which nobody could use: each negotiation is a new one.

    With this option from the start the library sends two in TLS 1.3 all the same, and the client
    has to acknowledge them. The binding lacks ``SSL_CTX_set_num_tickets``; but an option that is
    set while the client's first message is looked at, which is when this is called, counts. Not so
    when the client is asked for another first message: the option is set by then, for the library
    notices only that it changes, and the binding cannot clear it. Tickets are sent then.
    """
    lib.SSL_set_options(ssl, lib.SSL_OP_NO_TICKET)
    return _TAKEN


forgo_tickets = ffi.callback("int(SSL *, int *, void *)", _forgo_tickets, error=_TAKEN)


def verify_error_text(code: int) -> str:
    """OpenSSL's words for a certificate verification error."""
    return text(lib.X509_verify_cert_error_string(code))


def _number(ssl: Any) -> int:
    number: int = int(ffi.cast("uintptr_t", ssl))
    return number


def certificate_der(certificate: Any) -> bytes:
    """A certificate of the library as bytes."""
    bio = lib.BIO_new(lib.BIO_s_mem())
    try:
        if lib.i2d_X509_bio(bio, certificate) != 1:
            raise ValueError("a certificate that cannot be written")
        place = ffi.new("char **")
        size = lib.BIO_get_mem_data(bio, place)
        der: bytes = ffi.buffer(place[0], size)[:]
        return der
    finally:
        lib.BIO_free(bio)


def first_error() -> str:
    """The library's own words for the first error of its queue that has some; empties the queue."""
    reason = ""
    while code := lib.ERR_get_error():
        reason = reason or text(lib.ERR_reason_error_string(code))
    return reason or "TLS error"


def text(words: Any) -> str:
    found = b"" if words == ffi.NULL else ffi.string(words)
    assert isinstance(found, bytes), "char pointers hold bytes"
    return found.decode("ascii", "replace")
