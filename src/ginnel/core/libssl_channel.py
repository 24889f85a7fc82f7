"""A ``TlsChannel`` on the system's OpenSSL whose handshake may wait for a signature from outside.

The twin of ``tls_wheel_channel.WheelChannel``; certificates are judged by the same policy. While a
signature is awaited, what the peer sends is kept, and nothing else touches the session: the library
is in the middle of a call then.
"""

import ctypes
from ctypes import CFUNCTYPE, byref, c_int, c_void_p, create_string_buffer

from ginnel.core.libssl import LibSsl, text
from ginnel.core.libssl_provider import asking
from ginnel.core.signature_check import signature_fits
from ginnel.core.signing import Ask, SignatureRequest, Stacks, Suspended
from ginnel.core.tls import (
    READ_SIZE,
    Judge,
    TlsFailure,
    TlsPeer,
    Verdict,
)
from ginnel.core.types import Side
from ginnel.hints import TYPE_CHECKING
from ginnel.options.values import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

MAX_WAITING = 256 * 1024
"""Bytes of the peer that are kept while a signature is awaited; it has nothing to say then."""

_VERIFY = CFUNCTYPE(c_int, c_int, c_void_p)
_ERROR_WANT_READ, _ERROR_SYSCALL, _ERROR_ZERO_RETURN = 2, 5, 6


class SystemChannel:
    """See the module. Owns its SSL object until ``close``."""

    def __init__(
        self,
        lib: LibSsl,
        context: int,
        *,
        side: Side,
        judge: Judge,
        verify_mode: int,
        stacks: Stacks,
        public_key: "PublicKeyTypes",
    ) -> None:
        self._lib = lib
        self._stacks = stacks
        self._public_key = public_key
        self._judge = judge
        self._records: list[bytes] = []
        self._waiting = b""
        self._suspended: Suspended | None = None
        self._told = False
        self._unsigned = ""
        self._established = False
        self._ssl = lib.SSL_new(context)
        self._in, self._out = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
        lib.SSL_set_bio(self._ssl, self._in, self._out)
        self._verify = _VERIFY(self._judge_current)  # C keeps no reference to it
        lib.SSL_set_verify(self._ssl, verify_mode, self._verify)
        (lib.SSL_set_connect_state if side is Side.CLIENT else lib.SSL_set_accept_state)(self._ssl)

    def __del__(self) -> None:
        self.close()

    @property
    def established(self) -> bool:
        return self._established

    def start(self) -> None:
        self._handshake()

    def receive(self, ciphertext: bytes) -> None:
        if self._suspended is not None:
            if len(self._waiting) + len(ciphertext) > MAX_WAITING:
                raise TlsFailure("the peer sends too much while we sign")
            self._waiting += ciphertext
            return
        if ciphertext:
            self._lib.BIO_write(self._open_in(), ciphertext, len(ciphertext))
        if not self._established:
            self._handshake()
        if self._established:
            self._drain()

    def take(self, limit: int) -> bytes:
        if not self._ssl:
            return b""
        buffer = create_string_buffer(limit)
        count = self._lib.BIO_read(self._out, buffer, limit)
        return buffer.raw[:count] if count > 0 else b""

    def write(self, plaintext: bytes | bytearray) -> None:
        self._check_open()
        size = len(plaintext)
        secret = isinstance(plaintext, bytearray)  # wiped by its owner, so no copy is made
        content = (ctypes.c_char * size).from_buffer(plaintext) if secret else plaintext
        written = self._lib.SSL_write(self._ssl, content, size)
        if written != len(plaintext):
            raise self._failure(written)

    def read(self) -> list[bytes]:
        records, self._records = self._records, []
        return records

    def export(self, label: str, length: int) -> Secret:
        self._check_open()
        exported = create_string_buffer(length)
        name = label.encode("ascii")
        if (
            self._lib.SSL_export_keying_material(
                self._ssl, exported, length, name, len(name), None, 0, 0
            )
            != 1
        ):
            raise TlsFailure(self._lib.error_reason())
        secret = Secret(exported.raw)
        ctypes.memset(exported, 0, length)
        return secret

    def peer(self) -> TlsPeer:
        self._check_open()
        lib = self._lib
        cipher = lib.SSL_get_current_cipher(self._ssl)
        return self._judge.describe(
            tls_version=text(lib.SSL_get_version(self._ssl)),
            cipher=text(lib.SSL_CIPHER_get_name(cipher)),
        )

    def take_verdicts(self) -> list[Verdict]:
        return self._judge.take_verdicts()

    def take_request(self) -> SignatureRequest | None:
        if self._suspended is None or self._told:
            return None
        self._told = True
        return self._suspended.request

    def supply(self, signature: bytes | None) -> None:
        suspended, self._suspended = self._suspended, None
        if suspended is None:
            return
        if signature is None:
            self._unsigned = "the owner of the private key did not sign"
        elif not signature_fits(self._public_key, suspended.request, signature):
            self._unsigned = "the signature does not fit the certificate: another key made it"
            signature = None
        self._suspend(suspended.resume(signature))
        waiting, self._waiting = self._waiting, b""
        if self._suspended is None and (waiting or self._established):
            self.receive(waiting)

    def close(self) -> None:
        ssl, self._ssl = getattr(self, "_ssl", 0), 0
        if not ssl:
            return
        self._records.clear()
        self._waiting = b""
        self._established = False
        suspended, self._suspended = self._suspended, None
        while suspended is not None:  # the library is left in an orderly way, then freed
            try:
                suspended = suspended.resume(None)
            except TlsFailure:
                suspended = None
        self._lib.SSL_free(ssl)
        self._verify = _VERIFY()  # it holds us, and we hold it

    # --- the library ---------------------------------------------------------------------------

    def _handshake(self) -> None:
        self._check_open()
        self._suspend(self._stacks.run(self._shake))

    def _suspend(self, suspended: Suspended | None) -> None:
        self._suspended, self._told = suspended, False

    def _shake(self, ask: Ask) -> None:
        """Moves the handshake on; runs on a stack of its own, where the library's errors are."""
        with asking(ask):
            result = self._lib.SSL_do_handshake(self._ssl)
        if result == 1:
            self._judge.require_certificate()
            self._established = True
        elif self._lib.SSL_get_error(self._ssl, result) != _ERROR_WANT_READ:
            raise self._failure(result)

    def _drain(self) -> None:
        buffer = create_string_buffer(READ_SIZE)
        while (count := self._lib.SSL_read(self._ssl, buffer, READ_SIZE)) > 0:
            self._records.append(buffer.raw[:count])
        if self._lib.SSL_get_error(self._ssl, count) != _ERROR_WANT_READ:
            raise self._failure(count)

    def _failure(self, result: int) -> TlsFailure:
        error = self._lib.SSL_get_error(self._ssl, result)
        if error == _ERROR_ZERO_RETURN:
            return TlsFailure("the peer closed the TLS session")
        if error == _ERROR_SYSCALL:
            return TlsFailure("unexpected end of the TLS session")
        reason = self._lib.error_reason()
        if self._unsigned:
            return TlsFailure(reason, self._unsigned)
        return TlsFailure(reason, self._judge.hint(reason))

    def _check_open(self) -> None:
        if not self._ssl:
            raise TlsFailure("the TLS session was closed")

    def _open_in(self) -> int:
        self._check_open()
        return self._in

    def _judge_current(self, preverified: int, store: int) -> int:
        """The verify callback: one call for each certificate and for each chain error."""
        try:
            lib = self._lib
            error = lib.X509_STORE_CTX_get_error(store)
            return int(
                self._judge(
                    self._der(lib.X509_STORE_CTX_get_current_cert(store)),
                    depth=lib.X509_STORE_CTX_get_error_depth(store),
                    error_number=0 if preverified else error,
                    error_text=text(lib.X509_verify_cert_error_string(error)),
                )
            )
        except Exception:
            return 0  # nothing may be raised into C, and nothing is believed that went wrong

    def _der(self, certificate: int) -> bytes:
        size = self._lib.i2d_X509(certificate, None)
        if size <= 0:
            raise ValueError("a certificate that cannot be written")
        buffer = create_string_buffer(size)
        place = c_void_p(ctypes.addressof(buffer))
        self._lib.i2d_X509(certificate, byref(place))
        return buffer.raw
