"""What the data channel options do: ciphers, digests, features. Rows in ``rows.data``."""

from ginnel.dataclass import replace
from ginnel.options.draft import Draft, Handler, Use
from ginnel.options.errors import printable
from ginnel.options.notes import Note

AEAD_CIPHERS = ("AES-256-GCM", "AES-192-GCM", "AES-128-GCM", "CHACHA20-POLY1305")
"""Ciphers of the data channel that ginnel has; names as on the wire."""

DEFAULT_CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")

DIGESTS = (
    "MD4",
    "MD5",
    "MD5-SHA1",
    "SHA1",
    "SHA224",
    "SHA256",
    "SHA384",
    "SHA512",
    "SHA512-224",
    "SHA512-256",
    "SHA3-224",
    "SHA3-256",
    "SHA3-384",
    "SHA3-512",
    "BLAKE2b512",
    "BLAKE2s256",
    "RIPEMD160",
    "SM3",
    "whirlpool",
)
"""Names ``auth`` takes; whether the TLS library has one is found out when it is used."""

MAX_CIPHER_LIST = 127
_OLD_MODES = ("-CBC", "-CFB", "-CFB1", "-CFB8", "-OFB", "-CTR", "-ECB")
_OLD_NAMES = frozenset({"NONE", "[NULL-CIPHER]"})
_PROVIDERS = ("default", "legacy")
_PROTOCOL_FLAGS = {
    "cc-exit": "data.cc_exit",
    "tls-ekm": "data.tls_ekm",
    "dyn-tls-crypt": "data.dyn_tls_crypt",
    "aead-epoch": "data.aead_epoch",
}


def canonical_cipher(name: str) -> str | None:
    """Returns the wire name of a cipher ginnel has, or None."""
    upper = name.upper()
    return upper if upper in AEAD_CIPHERS else None


def canonical_digest(name: str) -> str | None:
    """Returns the usual spelling of a known digest name, ``none`` included, or None."""
    lower = name.lower().removeprefix("rsa-")
    if lower == "none":
        return "none"
    squeezed = lower.replace("-", "")
    for known in DIGESTS:
        if squeezed == known.lower().replace("-", ""):
            return known
    return None


def _is_old_cipher(name: str) -> bool:
    """Knows ciphers that OpenVPN has and this release does not."""
    upper = name.upper()
    return upper in _OLD_NAMES or upper.endswith(_OLD_MODES)


def _old_name(name: str) -> str:
    return "none" if name.upper() in _OLD_NAMES else name.upper()


def _data_ciphers(draft: Draft, use: Use) -> None:
    text = use.text(0)
    if len(text) > MAX_CIPHER_LIST:
        raise use.wrong(f"the list is longer than {MAX_CIPHER_LIST} characters")
    chosen: list[str] = []
    for entry in text.split(":"):
        for cipher in _list_entry(draft, use, entry):
            if cipher not in chosen:
                chosen.append(cipher)
    if not chosen:
        raise use.wrong("no cipher of the list is available; known are " + ", ".join(AEAD_CIPHERS))
    draft.set_field("data.data_ciphers", tuple(chosen))


def _list_entry(draft: Draft, use: Use, entry: str) -> tuple[str, ...]:
    if entry == "DEFAULT":
        return DEFAULT_CIPHERS
    name = entry.removeprefix("?")
    cipher = canonical_cipher(name)
    if cipher is not None:
        return (cipher,)
    if entry.startswith("?"):
        note = f"--{use.row.name}: optional cipher {printable(name, 40)!r} is not available"
        draft.notes.append(Note(text=note, origin=use.origin, option=use.row.name))
        return ()
    if _is_old_cipher(name):
        raise use.later(f"--{use.row.name} with cipher {name}")
    raise use.wrong(
        f"Unsupported cipher {printable(name, 40)!r}; known are {', '.join(AEAD_CIPHERS)}"
    )


def _fallback(draft: Draft, use: Use) -> None:
    cipher = canonical_cipher(use.text(0))
    if cipher is None and _is_old_cipher(use.text(0)):
        raise use.later(f"--data-ciphers-fallback with cipher {use.text(0)}")
    if cipher is None:
        raise use.wrong(f"Unsupported cipher; known are {', '.join(AEAD_CIPHERS)}")
    draft.set_field("data.data_ciphers_fallback", cipher)


def _cipher(draft: Draft, use: Use) -> None:
    """From a file it is only told to the server (protocol-facts 19); pushed, it decides."""
    name = use.text(0)
    cipher = canonical_cipher(name)
    if use.pushed:
        if not 1 <= len(name) <= 64 or not name.isprintable():
            raise use.wrong("expected the name of a cipher")
        draft.set_field("data.cipher", cipher or name)
        return
    if cipher is None and not _is_old_cipher(name):
        raise use.wrong(f"Unsupported cipher; known are {', '.join(AEAD_CIPHERS)}")
    draft.actions["cipher"] = (cipher or name,)
    draft.set_field("data.configured_cipher", cipher or _old_name(name))


def _auth(draft: Draft, use: Use) -> None:
    digest = canonical_digest(use.text(0))
    if digest is None:
        raise use.wrong(f"Message hash algorithm not found; known are {', '.join(DIGESTS)}")
    draft.set_field("data.auth", digest)


def _replay_window(draft: Draft, use: Use) -> None:
    draft.options = replace(
        draft.options,
        data=replace(
            draft.options.data, replay_window=use.number(0, 64), replay_time=use.number(1, 15)
        ),
    )


def _key_derivation(draft: Draft, use: Use) -> None:
    draft.set_field("data.tls_ekm", True)


def _protocol_flags(draft: Draft, use: Use) -> None:
    unknown = [flag for flag in use.words if flag not in _PROTOCOL_FLAGS]
    for flag in use.words:
        if flag in _PROTOCOL_FLAGS:
            draft.set_field(_PROTOCOL_FLAGS[flag], True)
    if unknown:
        raise use.wrong(f"unknown flag {printable(unknown[0], 40)!r}")


def _push_continuation(draft: Draft, use: Use) -> None:
    """The push codec joins the parts; the mark itself sets nothing."""
    draft.places.note("push-continuation", use.origin)


def _providers(draft: Draft, use: Use) -> None:
    """The TLS library has these two built in; OpenVPN ends for one that does not load."""
    for name in use.words:
        if name not in _PROVIDERS:
            raise use.wrong(
                f"failed to load provider {printable(name, 40)!r}: the TLS library has "
                f"{' and '.join(_PROVIDERS)} built in and loads no others; a key in hardware is "
                "reached by --pkcs11-providers"
            )
    draft.places.note("providers", use.origin)


def _allow_compression(draft: Draft, use: Use) -> None:
    if use.text(0) != "no":
        note = f"--allow-compression {use.text(0)} has no effect here: nothing is ever compressed"
        draft.notes.append(Note(text=note, origin=use.origin, option="allow-compression"))


HANDLERS: dict[str, Handler] = {
    "data-ciphers": _data_ciphers,
    "ncp-ciphers": _data_ciphers,
    "data-ciphers-fallback": _fallback,
    "cipher": _cipher,
    "auth": _auth,
    "replay-window": _replay_window,
    "key-derivation": _key_derivation,
    "protocol-flags": _protocol_flags,
    "push-continuation": _push_continuation,
    "allow-compression": _allow_compression,
    "providers": _providers,
}
