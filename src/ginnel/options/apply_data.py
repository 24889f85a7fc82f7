"""What the data channel options do: ciphers, digests, features. Rows in ``rows.data``."""

from ginnel.dataclass import replace
from ginnel.options.ciphers import (
    CIPHERS,
    DEFAULT_CIPHERS,
    DIGESTS,
    NO_CIPHER,
    canonical_cipher,
    canonical_digest,
    is_foreign_cipher,
)
from ginnel.options.draft import Draft, Handler, Use
from ginnel.options.errors import ConfigError, printable
from ginnel.options.notes import Note

MAX_CIPHER_LIST = 127
_KNOWN = ", ".join(CIPHERS)
_PROVIDERS = ("default", "legacy")
_PROTOCOL_FLAGS = {
    "cc-exit": "data.cc_exit",
    "tls-ekm": "data.tls_ekm",
    "dyn-tls-crypt": "data.dyn_tls_crypt",
    "aead-epoch": "data.aead_epoch",
}


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
        raise use.wrong(f"no cipher of the list is available; known are {_KNOWN}")
    if NO_CIPHER in chosen:
        draft.warn(
            f"cipher 'none' specified for --{use.row.name}. This allows negotiation of NO "
            "encryption and tunnelled data WILL then be transmitted in clear text over the "
            "network! PLEASE DO RECONSIDER THIS SETTING!",
            use,
        )
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
    raise _unknown_cipher(use, name)


def _unknown_cipher(use: Use, name: str) -> ConfigError:
    why = "ginnel does not have it" if is_foreign_cipher(name) else "nobody knows it"
    return use.wrong(f"Unsupported cipher {printable(name, 40)!r}, {why}; known are {_KNOWN}")


def _fallback(draft: Draft, use: Use) -> None:
    cipher = canonical_cipher(use.text(0))
    if cipher is None:
        raise _unknown_cipher(use, use.text(0))
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
    if cipher is None and not is_foreign_cipher(name):
        raise _unknown_cipher(use, name)
    draft.actions["cipher"] = (cipher or name,)
    draft.set_field("data.configured_cipher", cipher or name.upper())


def _auth(draft: Draft, use: Use) -> None:
    digest = canonical_digest(use.text(0))
    if digest is None:
        raise use.wrong(f"Message hash algorithm not found; known are {', '.join(DIGESTS)}")
    draft.set_field("data.auth", digest)


def _keysize(draft: Draft, use: Use) -> None:
    """2.6 no longer has it; a 2.4 server may still have been told to use another size."""
    bits = use.number(0)
    if bits % 8 or bits < 0:
        raise use.wrong("expected a number of bits that is a multiple of 8")
    draft.set_field("data.keysize", bits or None)


def _ncp_disable(draft: Draft, use: Use) -> None:
    draft.set_field("data.negotiates", False)
    draft.warn(
        "DEPRECATED OPTION: --ncp-disable: only --cipher is used, and the server is not told which "
        "other ciphers there are",
        use,
    )


def _compat_mode(draft: Draft, use: Use) -> None:
    parts = use.text(0).split(".")
    if not 2 <= len(parts) <= 3 or not all(part.isdecimal() and len(part) <= 2 for part in parts):
        raise use.wrong("cannot parse version number; expected one such as 2.4.0")
    major, minor, patch = (int(part) for part in [*parts, "0"][:3])
    draft.set_field("data.compat_mode", (major * 100 + minor) * 100 + patch)


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


HANDLERS: dict[str, Handler] = {
    "data-ciphers": _data_ciphers,
    "ncp-ciphers": _data_ciphers,
    "data-ciphers-fallback": _fallback,
    "cipher": _cipher,
    "auth": _auth,
    "keysize": _keysize,
    "ncp-disable": _ncp_disable,
    "compat-mode": _compat_mode,
    "replay-window": _replay_window,
    "key-derivation": _key_derivation,
    "protocol-flags": _protocol_flags,
    "push-continuation": _push_continuation,
    "providers": _providers,
}
