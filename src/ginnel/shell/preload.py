"""Imports what a long run may still need, before ``user`` or ``chroot`` hide it from the process.

After the drop nothing can be loaded any more: the library lies outside the new root, or in a
directory the new user may not enter. Modules that are imported when first used are therefore
listed here; a test compares the list with every such import in the source. Only a program that
gives up rights pays for it.
"""

from importlib import import_module

MODULES = (
    # Imported by the standard library at the moment of use.
    "asyncio.sslproto",
    "asyncio.staggered",
    "asyncio.subprocess",
    "concurrent.futures",
    "concurrent.futures.thread",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.punycode",
    "encodings.utf_8",
    "getpass",
    "hashlib",
    "hmac",
    "importlib.metadata",
    "inspect",
    "linecache",
    "locale",
    "logging",
    "random",
    "re",
    "stringprep",
    "subprocess",
    "syslog",
    "tempfile",
    "termios",
    "textwrap",
    "tokenize",
    "traceback",
    "typing",
    "unicodedata",
    # Libraries: TLS errors, certificates for the log and for scripts, data keys.
    "cryptography.exceptions",
    "cryptography.hazmat.bindings._rust",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.ed448",
    "cryptography.hazmat.primitives.asymmetric.rsa",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.hashes",
    "cryptography.hazmat.primitives.serialization.pkcs12",
    "cryptography.x509",
    # Our own, imported late for the sake of a quick start.
    "ctypes",
    "difflib",
    "ginnel.compat.certificate_text",
    "ginnel.compat.proxy_lines",
    "ginnel.core.libssl_context",
    "ginnel.core.static_peer",
    "ginnel.core.tls",
    "ginnel.core.tls_wheel",
    "ginnel.core.wrap.auth",
    "ginnel.core.wrap.crypt",
    "ginnel.core.wrap.crypt_v2",
    "ginnel.core.wrap.siv",
    "ginnel.host.recover",
    "ginnel.options.resolve_server",
    "ginnel.options.rows",
    "ginnel.options.rows.all",
    "ginnel.options.server_draft",
    "ginnel.options.server_model",
    "ginnel.shell.external_key",
    "ginnel.shell.proxy",
    "ginnel.shell.python_logging",
    "ginnel.shell.tcp",
    "ginnel.shell.tokens",
)


def preload() -> None:
    """Imports them all. The data plane in use is loaded already: a start ends with the drop."""
    for name in MODULES:
        import_module(name)
